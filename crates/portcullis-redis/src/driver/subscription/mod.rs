//! What scripts publish, for whoever listens.
//!
//! A connection of its own, for one that is subscribed takes no other commands in the protocol that every server speaks. It
//! is there while somebody listens and a little longer, and one serves all. One that is silent looks like one that is dead,
//! so it is asked in between; and since what is published meanwhile is lost, each new one begins with saying so.

mod attempts;
mod line;

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use portcullis_core::store::Hint;
use tokio::{
    sync::broadcast::{Receiver, Sender, WeakSender, error::RecvError},
    task::JoinHandle,
    time::{Instant, sleep, sleep_until},
};

use self::{
    attempts::Attempts,
    line::{Line, Unopened},
};
use super::Settings;
use crate::endpoint::Endpoint;

/// Whoever is further behind is told that it missed something. More than a mass revocation ends in one step.
pub(super) const ROOM: usize = 1024;
/// How long it stays when nobody listens any more: those who come and go do not each cost a connection.
const LINGER: Duration = Duration::from_secs(30);
/// Before somebody begins another one whose task died under them. Their own runtime may be about to end.
const BREATH: Duration = Duration::from_millis(50);

/// Where to listen: to the server at this endpoint, if it will do, or to another one. `None` while nobody is known to answer.
pub(super) type Place = Box<dyn Fn(Option<&Endpoint>) -> Option<Settings> + Send + Sync>;

/// The subscription of a store, if it has one.
pub(super) struct Subscriptions {
    current: Mutex<Option<Subscription>>,
    attempts: SharedAttempts,
}

impl Subscriptions {
    pub(super) fn new() -> Self {
        Self {
            current: Mutex::new(None),
            attempts: SharedAttempts(Arc::new(Mutex::new(Attempts::new()))),
        }
    }

    /// Tells of what is published on this channel until it is dropped.
    pub(super) async fn listen(
        &self,
        channel: &str,
        place: impl Fn() -> Place,
        told: &(dyn Fn(Hint) + Send + Sync),
    ) {
        loop {
            let (mut hints, is_up) = self.join(channel, &place);
            // Who comes later has not heard what the first one was told.
            if is_up.load(Ordering::SeqCst) {
                told(Hint::Missed);
            }
            loop {
                match hints.recv().await {
                    Ok(hint) => told(hint),
                    Err(RecvError::Lagged(_)) => told(Hint::Missed),
                    Err(RecvError::Closed) => break,
                }
            }
            sleep(BREATH).await;
        }
    }

    /// Its hints, and whether it is up. Begins it if there is none, or none any more: a task ends with its runtime, and
    /// those who listen may be on another one.
    fn join(&self, channel: &str, place: impl Fn() -> Place) -> (Receiver<Hint>, Arc<AtomicBool>) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let known = current.as_ref();
        if let Some((hints, is_up)) = known.and_then(Subscription::join) {
            return (hints, is_up);
        }
        let (hints, receiver) = tokio::sync::broadcast::channel(ROOM);
        let is_up = Arc::new(AtomicBool::new(false));
        let weak = hints.downgrade();
        let news = News {
            hints,
            is_up: is_up.clone(),
        };
        let task = run(channel.to_owned(), place(), news, self.attempts.clone());
        *current = Some(Subscription {
            hints: weak,
            is_up: is_up.clone(),
            task: tokio::spawn(task),
        });
        (receiver, is_up)
    }
}

/// Its task has the only sender, so that whoever listens is told when the task is no more, whatever it died of.
struct Subscription {
    hints: WeakSender<Hint>,
    is_up: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Subscription {
    fn join(&self) -> Option<(Receiver<Hint>, Arc<AtomicBool>)> {
        let hints = self.hints.upgrade()?.subscribe();
        Some((hints, self.is_up.clone()))
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[derive(Clone)]
struct SharedAttempts(Arc<Mutex<Attempts>>);

impl SharedAttempts {
    fn lock(&self) -> MutexGuard<'_, Attempts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct News {
    hints: Sender<Hint>,
    is_up: Arc<AtomicBool>,
}

impl News {
    fn tell(&self, hint: Hint) {
        // Nobody is there at the moment.
        let _ = self.hints.send(hint);
    }

    /// Returns when nobody has listened for a while.
    async fn unwanted(&self) {
        loop {
            self.hints.closed().await;
            sleep(LINGER).await;
            if self.hints.receiver_count() == 0 {
                return;
            }
        }
    }
}

async fn run(channel: String, place: Place, news: News, attempts: SharedAttempts) {
    tokio::select! {
        () = keep_up(&channel, &place, &news, &attempts) => {}
        () = news.unwanted() => {}
    }
}

/// Subscribes again whenever the subscription is lost.
async fn keep_up(channel: &str, place: &Place, news: &News, attempts: &SharedAttempts) {
    loop {
        let next = attempts.lock().next(Instant::now());
        sleep_until(next).await;
        let Some(settings) = place(None) else {
            attempts.lock().nowhere(Instant::now());
            continue;
        };
        attempts.lock().begins(Instant::now());
        let reason = match Line::open(settings, channel).await {
            Ok(mut line) => {
                news.is_up.store(true, Ordering::SeqCst);
                news.tell(Hint::Missed);
                let (tell, lasting) = (|hint| news.tell(hint), || attempts.lock().succeeded());
                let why = line.pass_on(place, tell, lasting).await;
                news.is_up.store(false, Ordering::SeqCst);
                why.to_owned()
            }
            Err(Unopened::Refused(reason)) => {
                if attempts.lock().refused(Instant::now()) {
                    tracing::warn!(
                        reason,
                        "Redis does not let this user subscribe to ends of sessions, so live connections notice an end \
                         on another server only when they look; grant what the README of portcullis-redis lists"
                    );
                }
                continue;
            }
            Err(Unopened::Failed(reason)) => reason,
        };
        if attempts.lock().failed(Instant::now()) {
            tracing::warn!(
                reason,
                "a second connection to Redis, for ends of sessions, fails again and again, so live connections notice \
                 an end on another server only when they look; check what Redis allows of connections and the network"
            );
        } else {
            tracing::debug!(reason, "the subscription to ends of sessions is made anew");
        }
    }
}
