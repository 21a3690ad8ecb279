//! The clock of a store that has no server.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use crate::{Timestamp, time::millis};

#[derive(Clone)]
pub(super) enum Clock {
    /// The wall clock as it was at the start, advanced by a monotonic clock; and the earliest
    /// moment that it may show from now on, in milliseconds.
    System(Instant, Timestamp, Arc<AtomicU64>),
    Manual(ManualClock),
}

impl Clock {
    pub(super) fn of_the_system() -> Self {
        Self::System(Instant::now(), wall_clock(), Arc::default())
    }

    pub(super) fn now(&self) -> Timestamp {
        match self {
            Self::System(started, at, earliest) => {
                let earliest = Timestamp::from_millis(earliest.load(Ordering::SeqCst));
                at.after(started.elapsed()).max(earliest)
            }
            Self::Manual(clock) => clock.now(),
        }
    }

    /// Shows a later moment than `past` from now on. So the next step has a later moment than the
    /// last one, even within the same millisecond.
    pub(super) fn leave(&self, past: Timestamp) {
        let earliest = match self {
            Self::System(_, _, earliest) => earliest,
            Self::Manual(clock) => &clock.0,
        };
        earliest.fetch_max(past.as_millis().saturating_add(1), Ordering::SeqCst);
    }
}

fn wall_clock() -> Timestamp {
    let since_epoch = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp::from_millis(millis(since_epoch))
}

/// A clock that moves only when it is [advanced](Self::advance). Clones are the same clock.
#[derive(Debug, Clone)]
pub struct ManualClock(Arc<AtomicU64>);

impl ManualClock {
    /// A clock that shows the present time.
    pub fn new() -> Self {
        Self(Arc::new(AtomicU64::new(wall_clock().as_millis())))
    }

    /// The moment that the clock shows.
    pub fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }

    /// Lets `length` pass.
    pub fn advance(&self, length: Duration) {
        self.0.fetch_add(millis(length), Ordering::SeqCst);
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::new()
    }
}
