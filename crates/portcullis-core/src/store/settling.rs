//! Who applies a version of the policy to all stored sessions, and how far they are.

use std::time::Duration;

use crate::{Bucket, Timestamp};

/// The argument of [`Store::settle_policy`](super::Store::settle_policy).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct SettlePolicy<'a> {
    /// The number of the version.
    pub number: u64,
    /// A name of the caller. Each has its own.
    pub worker: &'a str,
    /// How many buckets are done, in the order of their numbers, if the caller has the turn.
    pub done: u16,
    /// After this time, sessions are to be settled once more.
    pub again_after: Option<Duration>,
}

impl<'a> SettlePolicy<'a> {
    /// How long a caller has the turn unless it asks again.
    pub const TURN: Duration = Duration::from_secs(15);

    /// For how long a store remembers how far the settling of a version is.
    pub const REMEMBERED: Duration = Duration::from_secs(30 * 24 * 60 * 60);

    /// Asks for the turn at settling the version `number`, for a caller that has done this many
    /// buckets.
    pub const fn new(number: u64, worker: &'a str, done: u16) -> Self {
        Self {
            number,
            worker,
            done,
            again_after: None,
        }
    }

    /// The same, and once more if it was done this long ago.
    #[must_use]
    pub const fn again_after(self, again_after: Option<Duration>) -> Self {
        Self {
            again_after,
            ..self
        }
    }
}

/// The answer to [`Store::settle_policy`](super::Store::settle_policy).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settling {
    /// The caller has the turn, and goes on with this bucket.
    Yours(Bucket),
    /// Another caller has the turn, at this bucket.
    Others(Bucket),
    /// All sessions were settled at this moment.
    Done(Timestamp),
    /// Another version is active, or none. Settling that one settles this one too.
    Superseded,
}

/// How many sessions a version of the policy has ended, by their class.
pub type PolicyEnds = Vec<(crate::ClassCode, u64)>;
