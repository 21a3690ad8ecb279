//! What scripts publish, for whoever listens.
//!
//! A connection of its own, for one that is subscribed takes no other commands in the protocol that every server speaks. It
//! is there while somebody listens, and one serves all. One that is silent looks like one that is dead, so it is asked in
//! between; and since what is published meanwhile is lost, each new one begins with saying so.

use std::{
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use fred::types::Message;
use portcullis_core::{Handle, store::Hint};
use tokio::{
    sync::broadcast::{Receiver, Sender, error::RecvError},
    task::JoinHandle,
    time::{sleep, timeout},
};

use super::{Settings, backoff::Backoff, connection::Connection, failure, reply};
use crate::endpoint::Endpoint;

/// So a dead connection is found well within the period in which sessions are looked at anyway.
const EVERY: Duration = Duration::from_secs(2);
const ANSWER: Duration = Duration::from_secs(1);
/// Somebody has to change the rights of the user first.
const REFUSED: Duration = Duration::from_secs(60);
/// What lives for less is no success, and is not tried again at once.
const LASTING: Duration = Duration::from_secs(5);
/// Whoever is further behind is told that it missed something. More than a mass revocation ends in one step.
pub(super) const ROOM: usize = 1024;

/// Where to listen: to the server at this endpoint, if it will do, or to another one. `None` while nobody is known to answer.
pub(super) type Place = Box<dyn Fn(Option<&Endpoint>) -> Option<Settings> + Send + Sync>;

/// The subscription, while somebody listens.
#[derive(Default)]
pub(super) struct Subscriptions {
    current: Mutex<Weak<Subscription>>,
    told_of_refusal: Arc<AtomicBool>,
}

impl Subscriptions {
    /// Tells of what is published on this channel until it is dropped.
    pub(super) async fn listen(
        &self,
        channel: String,
        place: impl FnOnce() -> Place,
        told: &(dyn Fn(Hint) + Send + Sync),
    ) {
        let subscription = self.join(channel, place);
        let mut hints = subscription.news.hints.subscribe();
        // Who comes later has not heard what the first one was told.
        if subscription.news.is_up.load(Ordering::SeqCst) {
            told(Hint::Missed);
        }
        loop {
            match hints.recv().await {
                Ok(hint) => told(hint),
                Err(RecvError::Lagged(_)) => told(Hint::Missed),
                Err(RecvError::Closed) => return,
            }
        }
    }

    fn join(&self, channel: String, place: impl FnOnce() -> Place) -> Arc<Subscription> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        // A task ends with its runtime, and others may still be there.
        let known = current.upgrade();
        if let Some(known) = known.filter(|known| !known.task.is_finished()) {
            return known;
        }
        let news = Arc::new(News {
            hints: Sender::new(ROOM),
            is_up: AtomicBool::new(false),
            told_of_refusal: self.told_of_refusal.clone(),
        });
        let subscription = Arc::new(Subscription {
            task: tokio::spawn(keep_up(channel, place(), news.clone())),
            news,
        });
        *current = Arc::downgrade(&subscription);
        subscription
    }
}

/// Ends with the last one who listens.
struct Subscription {
    news: Arc<News>,
    task: JoinHandle<()>,
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct News {
    hints: Sender<Hint>,
    is_up: AtomicBool,
    told_of_refusal: Arc<AtomicBool>,
}

impl News {
    fn tell(&self, hint: Hint) {
        // Nobody is there any more: then this ends as well.
        let _ = self.hints.send(hint);
    }
}

/// Subscribes again whenever the subscription is lost.
async fn keep_up(channel: String, place: Place, news: Arc<News>) {
    let mut backoff = Backoff::new();
    loop {
        if let Some(settings) = place(None) {
            match Line::open(settings, &channel).await {
                Ok(mut line) => {
                    let since = Instant::now();
                    news.is_up.store(true, Ordering::SeqCst);
                    news.tell(Hint::Missed);
                    let why = line.pass_on(&place, &news).await;
                    news.is_up.store(false, Ordering::SeqCst);
                    tracing::debug!(why, "the subscription to ends of sessions is made anew");
                    if since.elapsed() > LASTING {
                        backoff = Backoff::new();
                    }
                }
                Err(Unopened::Refused(reason)) => {
                    if !news.told_of_refusal.swap(true, Ordering::Relaxed) {
                        tracing::warn!(
                            reason,
                            "Redis does not let this user subscribe to ends of sessions, so live connections notice an end \
                             on another server only when they look; grant what the README of portcullis-redis lists"
                        );
                    }
                    sleep(REFUSED).await;
                }
                Err(Unopened::Failed(reason)) => {
                    tracing::debug!(reason, "no subscription to ends of sessions yet");
                }
            }
        }
        backoff.wait().await;
    }
}

/// Why there is no subscription.
enum Unopened {
    /// As long as nobody changes something.
    Refused(String),
    Failed(String),
}

/// A connection that is subscribed.
struct Line {
    connection: Connection,
    messages: Receiver<Message>,
}

impl Line {
    async fn open(settings: Settings, channel: &str) -> Result<Self, Unopened> {
        let patient = Settings {
            wait: ANSWER,
            ..settings
        };
        let opened = Connection::open_to_listen(&patient).await;
        let connection = opened.map_err(|error| Unopened::Failed(error.to_string()))?;
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

    /// Until it is lost, or another place is the right one. Says why.
    async fn pass_on(&mut self, place: &Place, news: &News) -> &'static str {
        let here = self.connection.endpoint().cloned();
        let mut asked = tokio::time::Instant::now();
        loop {
            tokio::select! {
                message = self.messages.recv() => match message {
                    Ok(message) => {
                        if let Some(name) = name(message) {
                            news.tell(Hint::Changed(name));
                        }
                    }
                    Err(RecvError::Lagged(_)) => news.tell(Hint::Missed),
                    Err(RecvError::Closed) => return "the client has ended",
                },
                () = tokio::time::sleep_until(asked + EVERY) => {
                    let elsewhere = place(here.as_ref());
                    if elsewhere.is_some_and(|other| other.address.endpoint() != here.as_ref()) {
                        return "another server is the one to listen to";
                    }
                    if !matches!(timeout(ANSWER, self.connection.ping()).await, Ok(Ok(()))) {
                        return "the server does not answer";
                    }
                    asked = tokio::time::Instant::now();
                }
                () = self.connection.ended() => return "the connection was closed",
            }
        }
    }
}

/// The name in a message of ours.
fn name(message: Message) -> Option<Handle> {
    let bytes = reply::bytes(message.value)?;
    bytes.as_ref().try_into().ok().map(Handle::from_bytes)
}
