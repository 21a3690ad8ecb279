//! What scripts publish, for all who listen.
//!
//! It has a connection of its own: in the protocol that every server speaks, a subscribed
//! connection takes no other commands. One connection serves all listeners of a realm, and stays a
//! little longer than the last of them. A silent connection looks like a dead one, so it is pinged.
//! Messages published without a connection are lost, so each new one begins with [`Hint::Missed`].

mod attempts;
mod connection;
mod server;

use std::{
    collections::HashMap,
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

pub(super) use self::server::ChooseServer;
use self::{
    attempts::Attempts,
    connection::{CAPACITY, OpenError, SubscribedConnection},
};

/// How long the connection stays after the last listener: listeners that come and go share one.
const LINGER: Duration = Duration::from_secs(30);
/// Pause before a listener starts a new task when the old one has died. The listener's own runtime
/// may be about to end as well.
const RESTART_PAUSE: Duration = Duration::from_millis(50);

/// The subscriptions of a store, by their channels. Each realm has one channel.
#[derive(Default)]
pub(super) struct Subscriptions(Mutex<HashMap<String, Channel>>);

/// A channel to which somebody has subscribed.
struct Channel {
    current: Option<Subscription>,
    attempts: SharedAttempts,
}

impl Subscriptions {
    /// Emits what is published on this channel until it is dropped.
    pub(super) async fn listen(
        &self,
        channel: &str,
        choose_server: impl Fn() -> ChooseServer,
        emit: &(dyn Fn(Hint) + Send + Sync),
    ) {
        loop {
            let (mut hints, is_up) = self.join(channel, &choose_server);
            // A later listener did not receive the first hint of the connection.
            if is_up.load(Ordering::SeqCst) {
                emit(Hint::Missed);
            }
            loop {
                match hints.recv().await {
                    Ok(hint) => emit(hint),
                    Err(RecvError::Lagged(_)) => emit(Hint::Missed),
                    Err(RecvError::Closed) => break,
                }
            }
            sleep(RESTART_PAUSE).await;
        }
    }

    /// The hints of the subscription, and whether it is up. Starts the subscription if there is
    /// none. Its task ends with its runtime, and listeners may be on another runtime.
    fn join(
        &self,
        channel: &str,
        choose_server: impl Fn() -> ChooseServer,
    ) -> (Receiver<Hint>, Arc<AtomicBool>) {
        let mut channels = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = channels
            .entry(channel.to_owned())
            .or_insert_with(|| Channel {
                current: None,
                attempts: SharedAttempts(Arc::new(Mutex::new(Attempts::new()))),
            });
        if let Some((hints, is_up)) = known.current.as_ref().and_then(Subscription::join) {
            return (hints, is_up);
        }
        let (hints, receiver) = tokio::sync::broadcast::channel(CAPACITY);
        let is_up = Arc::new(AtomicBool::new(false));
        let weak = hints.downgrade();
        let listeners = Listeners {
            hints,
            is_up: is_up.clone(),
        };
        let task = run(
            channel.to_owned(),
            choose_server(),
            listeners,
            known.attempts.clone(),
        );
        known.current = Some(Subscription {
            hints: weak,
            is_up: is_up.clone(),
            task: tokio::spawn(task),
        });
        (receiver, is_up)
    }
}

/// A running subscription. Its task holds the only sender, so listeners notice when the task ends.
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

/// Those who listen to a subscription.
struct Listeners {
    hints: Sender<Hint>,
    is_up: Arc<AtomicBool>,
}

impl Listeners {
    fn emit(&self, hint: Hint) {
        // It fails when there is no listener at the moment.
        let _ = self.hints.send(hint);
    }

    /// Returns when there has been no listener for [`LINGER`].
    async fn none_left(&self) {
        loop {
            self.hints.closed().await;
            sleep(LINGER).await;
            if self.hints.receiver_count() == 0 {
                return;
            }
        }
    }
}

async fn run(
    channel: String,
    choose_server: ChooseServer,
    listeners: Listeners,
    attempts: SharedAttempts,
) {
    tokio::select! {
        () = stay_subscribed(&channel, &choose_server, &listeners, &attempts) => {}
        () = listeners.none_left() => {}
    }
}

/// Subscribes, and again whenever the subscription is lost.
async fn stay_subscribed(
    channel: &str,
    choose_server: &ChooseServer,
    listeners: &Listeners,
    attempts: &SharedAttempts,
) {
    loop {
        let next = attempts.lock().next(Instant::now());
        sleep_until(next).await;
        let Some(settings) = choose_server(None) else {
            attempts.lock().no_server(Instant::now());
            continue;
        };
        attempts.lock().started(Instant::now());
        let reason = match SubscribedConnection::open(settings, channel).await {
            Ok(mut connection) => {
                listeners.is_up.store(true, Ordering::SeqCst);
                listeners.emit(Hint::Missed);
                let emit = |hint| listeners.emit(hint);
                let stable = || attempts.lock().succeeded();
                let reason = connection.forward(choose_server, emit, stable).await;
                listeners.is_up.store(false, Ordering::SeqCst);
                reason.to_owned()
            }
            Err(OpenError::Refused(reason)) => {
                if attempts.lock().refused(Instant::now()) {
                    tracing::warn!(
                        reason,
                        "Redis does not let this user subscribe to ends of sessions, so live \
                         connections notice an end on another server only at their next check; grant \
                         what the README of portcullis-redis lists"
                    );
                }
                continue;
            }
            Err(OpenError::Failed(reason)) => reason,
        };
        if attempts.lock().failed(Instant::now()) {
            tracing::warn!(
                reason,
                "a second connection to Redis, for ends of sessions, fails again and again, so live \
                 connections notice an end on another server only at their next check; check how many \
                 connections Redis allows, and the network"
            );
        } else {
            tracing::debug!(reason, "subscribing to ends of sessions again");
        }
    }
}
