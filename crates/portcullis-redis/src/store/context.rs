//! What every operation of a store needs: the connection, the keys of its realm, and its log.

use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use portcullis_core::{
    Bucket, Realm, SessionMeta, Timestamp,
    store::{ClockBounds, LogLimits, Others, StoreError, StoreErrorKind},
};
use tokio::sync::Notify;

use crate::{
    driver::{Driver, Reply},
    layout::Prefix,
    scripts::{Call, LogSize, TimedCall},
};

/// The connection of a store and the realm of this handle. Clones share the connection.
#[derive(Clone)]
pub(super) struct Context {
    shared: Arc<Shared>,
    /// The prefix of the keys of its realm.
    prefix: Arc<Prefix>,
}

struct Shared {
    driver: Driver,
    log: LogLimits,
    log_is_refused: AtomicBool,
    released: Arc<Notify>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.released.notify_one();
    }
}

/// A reference that does not keep the connection open.
pub(super) struct WeakContext(Weak<Shared>);

impl WeakContext {
    /// Whether the last clone has been dropped.
    pub(super) fn is_released(&self) -> bool {
        self.0.strong_count() == 0
    }
}

impl Context {
    /// `released` is notified when the last clone is dropped.
    pub(super) fn new(
        driver: Driver,
        prefix: Prefix,
        log: LogLimits,
        released: Arc<Notify>,
    ) -> Self {
        let shared = Shared {
            driver,
            log,
            log_is_refused: AtomicBool::new(false),
            released,
        };
        Self {
            shared: Arc::new(shared),
            prefix: Arc::new(prefix),
        }
    }

    /// The same connection for another realm.
    pub(super) fn in_realm(&self, realm: &Realm) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            prefix: Arc::new(self.prefix.in_realm(realm)),
        }
    }

    pub(super) fn downgrade(&self) -> WeakContext {
        WeakContext(Arc::downgrade(&self.shared))
    }

    /// Whether there are more clones than these.
    pub(super) fn is_in_use(&self, besides: usize) -> bool {
        Arc::strong_count(&self.shared) > besides
    }

    pub(super) fn driver(&self) -> &Driver {
        &self.shared.driver
    }

    pub(super) fn prefix(&self) -> &Prefix {
        &self.prefix
    }

    pub(super) fn log_limits(&self) -> LogLimits {
        self.shared.log
    }

    pub(super) fn log_size(&self) -> LogSize {
        LogSize::new(self.shared.log)
    }

    /// Notes whether the user has no right to write the log. Returns whether that was so before.
    pub(super) fn set_log_refused(&self, refused: bool) -> bool {
        self.shared.log_is_refused.swap(refused, Ordering::Relaxed)
    }

    /// The bounds of all clocks.
    pub(super) fn clock(&self) -> ClockBounds {
        self.driver().clock()
    }

    /// The latest time of all clocks.
    pub(super) fn now(&self) -> Timestamp {
        self.clock().latest
    }

    /// The clock by which sessions of this bucket end.
    pub(super) fn clock_in(&self, bucket: Bucket) -> ClockBounds {
        self.driver().clock_at(|| self.prefix().due_list(bucket))
    }

    /// The latest time of the clock of this bucket.
    pub(super) fn now_in(&self, bucket: Bucket) -> Timestamp {
        self.clock_in(bucket).latest
    }

    /// By how much [`now`](Self::now) is ahead of the clock of this bucket. A moment by the former
    /// is this much earlier by the latter.
    pub(super) fn lead_over(&self, bucket: Bucket) -> Duration {
        self.now().since(self.now_in(bucket))
    }

    /// When the user of a session that is about to be created authenticated, by the clock of its
    /// bucket. The moment in `meta` is by the earliest of all clocks, which this one may be ahead
    /// of.
    pub(super) fn authenticated_by(&self, bucket: Bucket, meta: &SessionMeta) -> Option<Timestamp> {
        let authenticated_at = meta.owner.as_ref()?.authenticated_at;
        let ahead = self.clock_in(bucket).earliest.since(self.clock().earliest);
        Some(authenticated_at.after(ahead))
    }

    /// The moment by the clock of this bucket until which a caller waits that calls now.
    pub(super) fn not_after(&self, bucket: Bucket) -> Timestamp {
        self.clock_in(bucket)
            .earliest
            .after(self.driver().give_up_after())
    }

    /// Runs a script.
    pub(super) async fn run(&self, call: &impl Call) -> Result<Reply, StoreError> {
        let (keys, arguments) = (call.keys(), call.arguments());
        self.driver().run(call.script(), keys, arguments).await
    }

    /// Runs a script that grants something. If it runs after its caller has given up, it does
    /// nothing.
    pub(super) async fn run_timed(&self, call: &impl TimedCall) -> Result<Reply, StoreError> {
        let not_after = self.not_after(call.bucket());
        self.run_until(not_after, call).await
    }

    async fn run_until(
        &self,
        not_after: Timestamp,
        call: &impl TimedCall,
    ) -> Result<Reply, StoreError> {
        let (keys, arguments) = (call.keys(), call.arguments(not_after));
        match self.driver().run(call.script(), keys, arguments).await? {
            Reply::Late => Err(late()),
            reply => Ok(reply),
        }
    }

    /// Returns the error of a script after the moment from which the script does nothing, in case
    /// it still runs. Without this, a failed revocation could end the session of a user who signs
    /// in after the error was returned.
    pub(super) async fn once_late(
        &self,
        bucket: Bucket,
        not_after: Timestamp,
        error: StoreError,
    ) -> StoreError {
        let left = not_after.since(self.clock_in(bucket).earliest);
        // If the clock was set back, no longer than was left at the start.
        let left = left.min(self.driver().give_up_after());
        // Two clocks differ by less in this time, and scripts compare whole milliseconds.
        tokio::time::sleep(left + left / 500 + Duration::from_millis(2)).await;
        error
    }

    /// Runs a script that may run twice, since it finds what it has done before. If its answer is
    /// lost, it runs once more, with a wait of its own. Returns whether it did: then the first may
    /// still run, until its caller would have given up.
    pub(super) async fn run_twice(
        &self,
        call: &impl TimedCall,
        errors: Errors,
    ) -> Result<(Reply, Attempts), StoreError> {
        let bucket = call.bucket();
        match self.run_timed(call).await {
            Err(error) if error.kind() == StoreErrorKind::Unavailable => {
                let not_after = self.not_after(bucket);
                let second = Box::pin(self.run_until(not_after, call));
                match (second.await, errors) {
                    (Err(error), Errors::OnceLate) => {
                        Err(self.once_late(bucket, not_after, error).await)
                    }
                    (answered, _) => Ok((answered?, Attempts::Twice)),
                }
            }
            answered => Ok((answered?, Attempts::Once)),
        }
    }
}

/// The error for a script that did nothing, since its caller had given up.
pub(super) fn late() -> StoreError {
    StoreError::new(
        StoreErrorKind::Unavailable,
        "Redis received a change after its caller had given up, and did nothing; try again",
    )
}

/// When a step that may still run returns its error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Errors {
    AtOnce,
    /// When it does nothing anymore. The step ends other sessions of a user, up to the moment at
    /// which it runs.
    OnceLate,
}

impl Errors {
    pub(super) fn of_step(others: &Others) -> Self {
        match others {
            Others::End(_) => Self::OnceLate,
            Others::Stay | Others::Limited(_) => Self::AtOnce,
        }
    }
}

/// How often a step was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Attempts {
    Once,
    /// The answer to the first attempt was lost.
    Twice,
}
