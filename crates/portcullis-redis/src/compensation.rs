//! What undoes a step whose answer was lost.
//!
//! A session that was created, and whose creation nobody learned of, is ended again: nobody has its identifier, and it
//! must not count against a limit. Redis may run the creation later than that, but not after a moment that goes with it.
//! So a withdrawal that finds nothing is repeated until that moment has passed.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use portcullis_core::{
    EndReason, EventKind, Note, SessionIdHash, SessionMeta, Timestamp,
    store::{Ended, StoreError, StoreErrorKind, Termination},
};
use tokio::{sync::Notify, time::sleep};

use crate::{
    RedisStore,
    store::{Attempts, Inner},
};

/// How many may wait. Each takes some 200 bytes and the user's name.
const ROOM: usize = 1024;

/// Between two attempts; after failures up to the longest.
const PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Sessions to end again, retried by a task of the store until Redis has answered.
#[derive(Clone, Default)]
pub(crate) struct Compensation {
    queue: Arc<Queue>,
}

#[derive(Default)]
struct Queue {
    waiting: Mutex<VecDeque<Withdrawal>>,
    /// Whether one of them is out of the queue while it is attempted.
    attempting: AtomicBool,
    changed: Notify,
}

/// A session that was perhaps created and that nobody knows of.
struct Withdrawal {
    store: RedisStore,
    key: SessionIdHash,
    meta: SessionMeta,
    /// It is not created after this moment, by the clock of its bucket.
    until: Timestamp,
}

impl Compensation {
    /// Starts the task. It ends with the store.
    pub(crate) fn start(inner: &Arc<Inner>) {
        let queue = Arc::clone(&inner.compensation().queue);
        tokio::spawn(work(queue, Arc::downgrade(inner)));
    }

    /// Has the task look whether there is still a store.
    pub(crate) fn wake(&self) {
        self.queue.changed.notify_one();
    }

    /// How many sessions are still to be withdrawn.
    pub(crate) fn pending(&self) -> usize {
        let waiting = self.queue.lock();
        waiting.len() + usize::from(self.queue.attempting.load(Ordering::Relaxed))
    }

    fn add(&self, withdrawal: Withdrawal) {
        let mut waiting = self.queue.lock();
        if waiting.len() >= ROOM {
            waiting.pop_front();
            tracing::warn!(
                "more than {ROOM} sessions wait to be withdrawn; the oldest is left to its idle timeout"
            );
        }
        waiting.push_back(withdrawal);
        self.queue.changed.notify_one();
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, VecDeque<Withdrawal>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Option<Withdrawal> {
        let mut waiting = self.lock();
        let next = waiting.pop_front()?;
        self.attempting.store(true, Ordering::Relaxed);
        Some(next)
    }

    fn put_back(&self, withdrawal: Withdrawal) {
        let mut waiting = self.lock();
        waiting.push_back(withdrawal);
        self.attempting.store(false, Ordering::Relaxed);
    }
}

async fn work(queue: Arc<Queue>, store: Weak<Inner>) {
    let mut pause = PAUSE;
    while store.strong_count() > 0 {
        let Some(withdrawal) = queue.take() else {
            queue.changed.notified().await;
            continue;
        };
        match withdrawal.attempt().await {
            Outcome::Done => {
                queue.attempting.store(false, Ordering::Relaxed);
                pause = PAUSE;
                continue;
            }
            Outcome::TooEarly => pause = PAUSE,
            Outcome::Failed if withdrawal.store.is_in_use(queue.lock().len() + 1) => {
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            // Nobody else has the store any longer: it is not kept alive for an outage without an end.
            Outcome::Failed => {
                queue.lock().clear();
                return;
            }
        }
        queue.put_back(withdrawal);
        sleep(pause).await;
    }
}

enum Outcome {
    Done,
    /// It may still be created.
    TooEarly,
    Failed,
}

impl Withdrawal {
    async fn attempt(&self) -> Outcome {
        match withdraw(&self.store, &self.key, &self.meta).await {
            Ok(Ended::Done) => Outcome::Done,
            Ok(Ended::AlreadyGone) => {
                let clock = self.store.clock_in(self.key.bucket());
                match clock.earliest > self.until {
                    true => Outcome::Done,
                    false => Outcome::TooEarly,
                }
            }
            Err(error) if error.kind() == StoreErrorKind::Unavailable => {
                tracing::debug!(%error, "a session that nobody knows of could not be withdrawn yet");
                Outcome::Failed
            }
            Err(error) => {
                tracing::warn!(%error, "a session that nobody knows of cannot be withdrawn");
                Outcome::Failed
            }
        }
    }
}

/// A session that was made a moment ago and that nobody knows of. Dropped, it is ended in the background: after an error,
/// and when the caller stops waiting half-way.
pub(crate) struct Provisional {
    session: Option<(RedisStore, SessionIdHash, SessionMeta)>,
    asked: Attempts,
}

impl Provisional {
    pub(crate) fn new(store: &RedisStore, key: &SessionIdHash, meta: &SessionMeta) -> Self {
        Self {
            session: Some((store.clone(), *key, meta.clone())),
            asked: Attempts::Once,
        }
    }

    /// The same where its creation was sent so often.
    pub(crate) fn asked(mut self, asked: Attempts) -> Self {
        self.asked = asked;
        self
    }

    pub(crate) fn keep(mut self) {
        self.session = None;
    }

    /// It was not made, as far as the last answer says. Of an attempt whose answer was lost that says nothing.
    pub(crate) fn was_refused(mut self) {
        if self.asked == Attempts::Once {
            self.session = None;
        }
    }

    /// Ends it now, where it is known that it was made. An attempt whose answer was lost may make it once more.
    pub(crate) async fn take_back(mut self) {
        if let Some((store, key, meta)) = &self.session
            && withdraw(store, key, meta).await.is_ok()
            && self.asked == Attempts::Once
        {
            self.session = None;
        }
    }
}

impl Drop for Provisional {
    fn drop(&mut self) {
        if let Some((store, key, meta)) = self.session.take() {
            // The last attempt was sent at this moment or before it.
            let until = store
                .clock_in(key.bucket())
                .latest
                .after(store.driver().wait());
            let queue = store.compensation().clone();
            queue.add(Withdrawal {
                store,
                key,
                meta,
                until,
            });
        }
    }
}

/// Nothing is left under the key: nobody can come back with it.
async fn withdraw(
    store: &RedisStore,
    key: &SessionIdHash,
    meta: &SessionMeta,
) -> Result<Ended, StoreError> {
    let reason = EndReason::Withdrawn;
    let termination = Termination {
        key: *key,
        meta: meta.clone(),
        reason,
        note: Note::of_system(EventKind::Ended(reason)),
        live_until: None,
    };
    store.finish(&termination, Duration::ZERO).await
}
