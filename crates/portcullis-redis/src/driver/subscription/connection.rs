//! A connection that is subscribed to a channel.

use std::time::Duration;

use fred::types::Message;
use portcullis_core::{SessionHandle, store::Hint};
use tokio::{
    sync::broadcast::{Receiver, error::RecvError},
    time::{Instant, sleep_until, timeout},
};

use super::server::ChooseServer;
use crate::{
    ConnectError,
    driver::{answer, connection::Connection, failure, settings::Settings},
};

/// Interval of pings. A dead connection is found well before sessions are checked anyway.
const PING_EVERY: Duration = Duration::from_secs(2);
const TIMEOUT: Duration = Duration::from_secs(1);
/// A subscription counts as a success after this time. One that ends earlier is a failed attempt.
const STABLE_AFTER: Duration = Duration::from_secs(5);

/// Messages that wait to be read. A receiver that is further behind is notified that it missed
/// some. It is more than a mass revocation ends in one step.
pub(super) const CAPACITY: usize = 1024;

/// Why a subscription could not be opened.
pub(super) enum OpenError {
    /// The server refuses it, until its configuration is changed.
    Refused(String),
    Failed(String),
}

/// A connection that is subscribed to a channel.
pub(super) struct SubscribedConnection {
    connection: Connection,
    messages: Receiver<Message>,
}

impl SubscribedConnection {
    pub(super) async fn open(settings: Settings, channel: &str) -> Result<Self, OpenError> {
        let settings = Settings {
            wait: TIMEOUT,
            ..settings
        };
        let opened = Connection::open_to_subscribe(&settings, CAPACITY).await;
        let connection = opened.map_err(|error| match error {
            ConnectError::Refused { .. } => OpenError::Refused(error.to_string()),
            error => OpenError::Failed(error.to_string()),
        })?;
        let messages = connection.messages();
        // The library does not wait for the answer to SUBSCRIBE. The answer to PING comes after it,
        // or is the refusal.
        let subscribed = async {
            connection.subscribe(channel).await?;
            connection.ping().await
        };
        match timeout(TIMEOUT, subscribed).await {
            Ok(Ok(())) => Ok(Self {
                connection,
                messages,
            }),
            Ok(Err(error)) if failure::is(&error, "NOPERM") || failure::is(&error, "ERR") => {
                Err(OpenError::Refused(failure::shown(&error)))
            }
            Ok(Err(error)) => Err(OpenError::Failed(failure::shown(&error))),
            Err(_) => Err(OpenError::Failed("no answer".to_owned())),
        }
    }

    /// Emits messages until the connection is lost or another server is the right one. Returns the
    /// reason. Calls `stable` after each ping once the connection has been stable.
    pub(super) async fn forward(
        &mut self,
        choose_server: &ChooseServer,
        emit: impl Fn(Hint),
        stable: impl Fn(),
    ) -> &'static str {
        let current = self.connection.endpoint().cloned();
        let since = Instant::now();
        let mut pinged = since;
        loop {
            tokio::select! {
                message = self.messages.recv() => match received(message) {
                    Ok(hint) => hint.into_iter().for_each(&emit),
                    Err(ClientEnded) => return "the client has ended",
                },
                () = sleep_until(pinged + PING_EVERY) => {
                    let chosen = choose_server(current.as_ref());
                    if chosen.is_some_and(|other| other.address.endpoint() != current.as_ref()) {
                        return "another server is the one to listen to";
                    }
                    if !matches!(timeout(TIMEOUT, self.connection.ping()).await, Ok(Ok(()))) {
                        return "the server does not answer";
                    }
                    pinged = Instant::now();
                    if since.elapsed() > STABLE_AFTER {
                        stable();
                    }
                }
                () = self.connection.ended() => return "the connection was closed",
            }
        }
    }
}

/// No more messages will come.
#[derive(Debug, PartialEq)]
struct ClientEnded;

/// The hint in a message. `None` if it is not one of ours.
fn received(message: Result<Message, RecvError>) -> Result<Option<Hint>, ClientEnded> {
    match message {
        Ok(message) => Ok(hint(message)),
        Err(RecvError::Lagged(_)) => Ok(Some(Hint::Missed)),
        Err(RecvError::Closed) => Err(ClientEnded),
    }
}

/// What a message says: a policy was activated, or the public name of a session.
fn hint(message: Message) -> Option<Hint> {
    match &*answer::bytes(message.value)? {
        b"policy" => Some(Hint::PolicyActivated),
        name => {
            let name = name.try_into().ok()?;
            Some(Hint::Changed(SessionHandle::from_bytes(name)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_that_were_not_read_in_time_are_reported_as_missed() {
        assert_eq!(received(Err(RecvError::Lagged(1))), Ok(Some(Hint::Missed)));
        assert_eq!(received(Err(RecvError::Closed)), Err(ClientEnded));
    }
}
