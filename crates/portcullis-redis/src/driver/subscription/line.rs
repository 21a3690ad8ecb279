//! One connection that is subscribed.

use std::time::Duration;

use fred::types::Message;
use portcullis_core::{SessionHandle, store::Hint};
use tokio::{
    sync::broadcast::{Receiver, error::RecvError},
    time::{Instant, sleep_until, timeout},
};

use super::Place;
use crate::{
    ConnectError,
    driver::{Settings, connection::Connection, failure, reply},
};

/// So a dead connection is found well within the period in which sessions are looked at anyway.
const EVERY: Duration = Duration::from_secs(2);
const ANSWER: Duration = Duration::from_secs(1);
/// What lives for less is no success, and is not tried again at once.
const LASTING: Duration = Duration::from_secs(5);

/// Why there is no subscription.
pub(super) enum Unopened {
    /// As long as nobody changes something.
    Refused(String),
    Failed(String),
}

/// A connection that is subscribed.
pub(super) struct Line {
    connection: Connection,
    messages: Receiver<Message>,
}

impl Line {
    pub(super) async fn open(settings: Settings, channel: &str) -> Result<Self, Unopened> {
        let patient = Settings {
            wait: ANSWER,
            ..settings
        };
        let opened = Connection::open_to_listen(&patient).await;
        let connection = opened.map_err(|error| match error {
            ConnectError::Refused { .. } => Unopened::Refused(error.to_string()),
            error => Unopened::Failed(error.to_string()),
        })?;
        let messages = connection.messages();
        // The library waits for no answer to the one; the answer to the other comes after it, or is the refusal.
        let subscribed = async {
            connection.subscribe(channel).await?;
            connection.ping().await
        };
        match timeout(ANSWER, subscribed).await {
            Ok(Ok(())) => Ok(Self {
                connection,
                messages,
            }),
            Ok(Err(error)) if failure::is(&error, "NOPERM") || failure::is(&error, "ERR") => {
                Err(Unopened::Refused(failure::shown(&error)))
            }
            Ok(Err(error)) => Err(Unopened::Failed(failure::shown(&error))),
            Err(_) => Err(Unopened::Failed("no answer".to_owned())),
        }
    }

    /// Until it is lost, or another place is the right one. Says why, and when it has lasted.
    pub(super) async fn pass_on(
        &mut self,
        place: &Place,
        tell: impl Fn(Hint),
        lasting: impl Fn(),
    ) -> &'static str {
        let here = self.connection.endpoint().cloned();
        let since = Instant::now();
        let mut asked = since;
        loop {
            tokio::select! {
                message = self.messages.recv() => match heard(message) {
                    Ok(hint) => hint.into_iter().for_each(&tell),
                    Err(Ended) => return "the client has ended",
                },
                () = sleep_until(asked + EVERY) => {
                    let elsewhere = place(here.as_ref());
                    if elsewhere.is_some_and(|other| other.address.endpoint() != here.as_ref()) {
                        return "another server is the one to listen to";
                    }
                    if !matches!(timeout(ANSWER, self.connection.ping()).await, Ok(Ok(()))) {
                        return "the server does not answer";
                    }
                    asked = Instant::now();
                    if since.elapsed() > LASTING {
                        lasting();
                    }
                }
                () = self.connection.ended() => return "the connection was closed",
            }
        }
    }
}

/// There is nothing more to hear.
#[derive(Debug, PartialEq)]
struct Ended;

/// What a message says. Nothing, if it is none of ours.
fn heard(message: Result<Message, RecvError>) -> Result<Option<Hint>, Ended> {
    match message {
        Ok(message) => Ok(name(message).map(Hint::Changed)),
        Err(RecvError::Lagged(_)) => Ok(Some(Hint::Missed)),
        Err(RecvError::Closed) => Err(Ended),
    }
}

/// The name in a message of ours.
fn name(message: Message) -> Option<SessionHandle> {
    let bytes = reply::bytes(message.value)?;
    bytes
        .as_ref()
        .try_into()
        .ok()
        .map(SessionHandle::from_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_that_were_not_taken_in_time_were_missed() {
        assert_eq!(heard(Err(RecvError::Lagged(1))), Ok(Some(Hint::Missed)));
        assert_eq!(heard(Err(RecvError::Closed)), Err(Ended));
    }
}
