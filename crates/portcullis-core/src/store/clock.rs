//! What is known of the store's clock without asking it.

use crate::Timestamp;

/// Two moments between which the store's clock is.
///
/// Each decision uses the safe one. The latest decides whether a deadline has passed. The earliest
/// decides whether a user authenticated before a revocation.
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
