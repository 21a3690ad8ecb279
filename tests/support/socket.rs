//! A page that holds a WebSocket.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{WebSocketStream, tungstenite::Message};

/// Longer than any working request takes.
const GIVE_UP_AFTER: Duration = Duration::from_secs(20);

/// A WebSocket.
pub struct Socket(WebSocketStream<TcpStream>);

impl Socket {
    pub(crate) fn new(stream: WebSocketStream<TcpStream>) -> Self {
        Self(stream)
    }

    /// Sends a text, and ignores whether it arrives.
    pub async fn send(&mut self, text: &str) {
        let _ = self.0.send(Message::text(text)).await;
    }

    /// Sends a ping, and expects an answer.
    pub async fn ping(&mut self) {
        let sent = self.0.send(Message::Ping("?".into())).await;
        sent.expect("an open socket");
        while !matches!(self.next().await, Message::Pong(_)) {}
    }

    /// Sends a text, and expects it back.
    #[track_caller]
    pub fn echoes<'a>(&'a mut self, text: &'a str) -> impl Future<Output = ()> + 'a {
        let place = std::panic::Location::caller();
        async move {
            self.send(text).await;
            let answer = self.next().await;
            assert_eq!(answer, Message::text(text), "({place})");
        }
    }

    /// Code and reason with which the server closes it, after any other messages.
    pub async fn closed(&mut self) -> (u16, String) {
        loop {
            if let Message::Close(frame) = self.next().await {
                let frame = frame.expect("a code");
                return (frame.code.into(), frame.reason.to_string());
            }
        }
    }

    async fn next(&mut self) -> Message {
        let next = timeout(GIVE_UP_AFTER, self.0.next()).await;
        let next = next.expect("the socket stays open without a message");
        next.expect("the socket is closed without a reason")
            .expect("a socket that does not break")
    }
}
