//! The active policy of a realm, as a store keeps it.

use std::time::Duration;

use bytes::Bytes;

use crate::Timestamp;

/// The version of the policy that is in force. The content is opaque bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredPolicy {
    /// Its number.
    pub number: u64,
    /// When it was activated.
    pub since: Timestamp,
    /// What was activated.
    pub content: Bytes,
}

/// The answer to [`Store::policy`](super::Store::policy).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FoundPolicy {
    /// No policy is active.
    None,
    /// The one that the caller knows.
    Known,
    /// This one.
    Found(StoredPolicy),
}

/// The argument of [`Store::activate_policy`](super::Store::activate_policy).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ActivatePolicy<'a> {
    /// The number of the version that must be active. `None` if there must be none.
    pub expected: Option<u64>,
    /// The number of the new version. It must be higher than the expected one.
    pub number: u64,
    /// What to activate.
    pub content: &'a Bytes,
}

impl<'a> ActivatePolicy<'a> {
    /// Activates `content` as the version `number`, if the version `expected` is active.
    pub const fn new(expected: Option<u64>, number: u64, content: &'a Bytes) -> Self {
        Self {
            expected,
            number,
            content,
        }
    }
}

/// The answer to [`Store::activate_policy`](super::Store::activate_policy).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PolicyActivated {
    /// It is active since this moment, which is later than that of the version before.
    Done(Timestamp),
    /// Another version is active, or none. Nothing was changed.
    Conflict(Option<u64>),
}

/// What a process says of the policy that it uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyReport {
    /// A name of the process. Each process has its own: ASCII letters, digits, `.`, `_` and `-`.
    pub process: String,
    /// The version that it uses. `None` if it uses what its code sets.
    pub number: Option<u64>,
    /// How long after its activation it began to use that version. `None` if it found the version
    /// when it started.
    pub after: Option<Duration>,
    /// Why it does not use the active version, in one line. Empty if it does.
    pub problem: String,
}

impl PolicyReport {
    /// How long a report is kept. A process repeats its report more often.
    pub const LASTS: Duration = Duration::from_secs(60);
}

/// A report, and when the store received it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceivedReport {
    /// The report.
    pub report: PolicyReport,
    /// When the store received it.
    pub at: Timestamp,
}
