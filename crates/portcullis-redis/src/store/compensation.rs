//! Undoes a step whose answer was lost.
//!
//! A session that was created, and whose creation no caller learned of, is ended again: no client
//! has its identifier, and it must not count against a limit. Redis may run the creation later than
//! that, but not after the moment in its arguments. So a withdrawal that finds nothing is repeated
//! until that moment has passed.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use portcullis_core::{
    EndReason, EventKind, Note, SessionIdHash, SessionMeta, Timestamp,
    store::{Ended, StoreError, StoreErrorKind, Termination},
};
use tokio::{sync::Notify, time::sleep};

use super::{
    context::{Attempts, Context, WeakContext},
    end::end_remembered,
};

/// How many withdrawals may wait. Each takes some 200 bytes and the user's name.
const CAPACITY: usize = 1024;

/// Pause between two attempts. It doubles after each failure, up to the longest.
const PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Sessions to end again. A task of the store retries them until Redis has answered.
#[derive(Clone, Default)]
pub(super) struct Compensation {
    queue: Arc<Queue>,
}

#[derive(Default)]
struct Queue {
    waiting: Mutex<VecDeque<Withdrawal>>,
    /// Whether one withdrawal is out of the queue while it is attempted.
    attempting: AtomicBool,
    changed: Arc<Notify>,
}

/// A session that may have been created and that no caller knows of.
struct Withdrawal {
    context: Context,
    key: SessionIdHash,
    meta: SessionMeta,
    /// It is not created after this moment, by the clock of its bucket.
    until: Timestamp,
}

impl Compensation {
    /// Starts the task. It ends with the last clone of the context.
    pub(super) fn start(&self, context: &Context) {
        tokio::spawn(work(Arc::clone(&self.queue), context.downgrade()));
    }

    /// Wakes the task, which checks whether the context still exists.
    pub(super) fn waker(&self) -> Arc<Notify> {
        Arc::clone(&self.queue.changed)
    }

    /// How many sessions are still to be withdrawn.
    pub(super) fn pending(&self) -> usize {
        let waiting = self.queue.lock();
        waiting.len() + usize::from(self.queue.attempting.load(Ordering::Relaxed))
    }

    /// A session that is about to be created. It must be confirmed once its creation is reported.
    pub(super) fn provisional(
        &self,
        context: &Context,
        key: &SessionIdHash,
        meta: &SessionMeta,
    ) -> Provisional {
        Provisional {
            compensation: self.clone(),
            session: Some((context.clone(), *key, meta.clone())),
            attempts: Attempts::Once,
        }
    }

    fn add(&self, withdrawal: Withdrawal) {
        let mut waiting = self.queue.lock();
        if waiting.len() >= CAPACITY {
            waiting.pop_front();
            tracing::warn!(
                "more than {CAPACITY} sessions wait to be withdrawn; the oldest is left to its idle timeout"
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

async fn work(queue: Arc<Queue>, context: WeakContext) {
    let mut pause = PAUSE;
    while !context.is_released() {
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
            Outcome::Failed if withdrawal.context.is_in_use(queue.lock().len() + 1) => {
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            // Only withdrawals still use the store. An outage must not keep it alive without end.
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
    /// The session may still be created.
    TooEarly,
    Failed,
}

impl Withdrawal {
    async fn attempt(&self) -> Outcome {
        match withdraw(&self.context, &self.key, &self.meta).await {
            Ok(Ended::Done) => Outcome::Done,
            Ok(Ended::AlreadyGone) => {
                let clock = self.context.clock_in(self.key.bucket());
                match clock.earliest > self.until {
                    true => Outcome::Done,
                    false => Outcome::TooEarly,
                }
            }
            Err(error) if error.kind() == StoreErrorKind::Unavailable => {
                tracing::debug!(%error, "a session without a client could not be withdrawn yet");
                Outcome::Failed
            }
            Err(error) => {
                tracing::warn!(%error, "a session without a client cannot be withdrawn");
                Outcome::Failed
            }
        }
    }
}

/// A session that is being created and that no caller knows of. Dropped, it is ended in the
/// background: after an error, and when the caller stops waiting.
pub(super) struct Provisional {
    compensation: Compensation,
    session: Option<(Context, SessionIdHash, SessionMeta)>,
    attempts: Attempts,
}

impl Provisional {
    /// Notes how often its creation was sent.
    pub(super) fn sent(mut self, attempts: Attempts) -> Self {
        self.attempts = attempts;
        self
    }

    /// The session is kept, or was never sent.
    pub(super) fn confirm(mut self) {
        self.session = None;
    }

    /// The last answer was a refusal. It says nothing of an attempt whose answer was lost.
    pub(super) fn refused(mut self) {
        if self.attempts == Attempts::Once {
            self.session = None;
        }
    }

    /// Ends the session now: its creation was confirmed. An attempt whose answer was lost may
    /// create it once more.
    pub(super) async fn withdraw(mut self) {
        if let Some((context, key, meta)) = &self.session
            && withdraw(context, key, meta).await.is_ok()
            && self.attempts == Attempts::Once
        {
            self.session = None;
        }
    }
}

impl Drop for Provisional {
    fn drop(&mut self) {
        if let Some((context, key, meta)) = self.session.take() {
            // The last attempt was sent at this moment or before it.
            let until = context
                .clock_in(key.bucket())
                .latest
                .after(context.driver().wait());
            self.compensation.add(Withdrawal {
                context,
                key,
                meta,
                until,
            });
        }
    }
}

/// Ends the session and leaves nothing under its key: no client can return with it.
async fn withdraw(
    context: &Context,
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
        version: None,
    };
    end_remembered(context, &termination, Duration::ZERO).await
}
