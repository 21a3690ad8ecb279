//! Whether sessions without a user are admitted while memory is short.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// After so many admitted visitors, memory is checked before the next regular check is due.
const CHECK_AFTER: u32 = 500;

/// Whether visitors are admitted, and how many were since the last check of memory.
#[derive(Debug, Default)]
pub(super) struct Visitors {
    refused: AtomicBool,
    admitted: AtomicU32,
}

impl Visitors {
    /// Whether one more visitor is admitted, and whether memory must be checked now.
    pub(super) fn admit(&self) -> (bool, bool) {
        if self.refused.load(Ordering::Relaxed) {
            return (false, false);
        }
        let before = self.admitted.fetch_add(1, Ordering::Relaxed);
        (true, before.saturating_add(1) == CHECK_AFTER)
    }

    /// Whether so many were admitted that memory must be checked.
    pub(super) fn need_check(&self) -> bool {
        self.admitted.load(Ordering::Relaxed) >= CHECK_AFTER
    }

    /// Counts from zero again.
    pub(super) fn reset(&self) {
        self.admitted.store(0, Ordering::Relaxed);
    }

    /// Refuses or admits visitors from now on. Returns whether they were refused before.
    pub(super) fn refuse(&self, refused: bool) -> bool {
        self.refused.swap(refused, Ordering::Relaxed)
    }
}
