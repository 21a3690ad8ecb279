//! What is known of the store's clock without asking.

use crate::Timestamp;

/// Two moments between which the store's clock is.
///
/// Each decision takes the one that errs to the safe side. A deadline has passed by the latest; somebody authenticated
/// before a revocation by the earliest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockBounds {
    /// The clock shows no earlier moment.
    pub earliest: Timestamp,
    /// The clock shows no later moment.
    pub latest: Timestamp,
}

impl ClockBounds {
    /// A clock that is known exactly.
    pub const fn exactly(now: Timestamp) -> Self {
        Self {
            earliest: now,
            latest: now,
        }
    }
}
