//! What a privileged route demands of a session.

use std::{borrow::Cow, time::Duration};

/// What a privileged route demands of a session, besides a user. `None` demands nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[allow(
    clippy::exhaustive_structs,
    reason = "whoever resolves a policy builds it whole"
)]
pub struct DemandLimits {
    /// The last privileged activity is at most this long ago.
    pub idle: Option<Duration>,
    /// The user proved their identity at most this long ago.
    pub max_auth_age: Option<Duration>,
    /// The session is elevated for this scope.
    pub scope: Option<Cow<'static, str>>,
}

impl DemandLimits {
    /// Both demands at once: the shorter of each limit. A scope of `self` stays.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        let shorter = |one: Option<Duration>, other: Option<Duration>| match (one, other) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        Self {
            idle: shorter(self.idle, other.idle),
            max_auth_age: shorter(self.max_auth_age, other.max_auth_age),
            scope: self.scope.clone().or_else(|| other.scope.clone()),
        }
    }
}
