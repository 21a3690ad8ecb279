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
    /// An elevation for this scope, and nothing else.
    pub fn of_scope(scope: impl Into<Cow<'static, str>>) -> Self {
        Self {
            scope: Some(scope.into()),
            ..Self::default()
        }
    }

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

/// What a privileged route demands of a session. Implement it for a type of your own, and
/// take `Privileged` in the handler.
///
/// Every demand also includes the [privileged idle
/// timeout](crate::Timeouts::privileged_idle) of the session's class: the last privileged activity
/// is at most that long ago. A policy may make a demand stricter, by its name.
///
/// A *proof* (reauthentication) is a sign-in, an elevation or an approval. *Privileged activity* is
/// a proof, or a request to a privileged route that is answered with a status below 400.
///
/// A demand does not say who may use a route. Check that in the handler, for example by the class
/// of the session.
///
/// OWASP ASVS 5.0, 7.5.3, asks for another authentication before highly sensitive transactions.
/// NIST SP 800-63B-4, 5.2, has the terms.
///
/// ```
/// # use std::time::Duration;
/// # use portcullis_core::Demand;
/// struct Deploy;
/// impl Demand for Deploy {
///     const NAME: &'static str = "deploy";
///     const MAX_AUTH_AGE: Option<Duration> = Some(Duration::from_secs(5 * 60));
/// }
/// ```
pub trait Demand: Send + Sync + 'static {
    /// The name in policies and logs: one to 32 of `a-z`, `0-9`, `_` and `-`, beginning with a
    /// letter. Code that uses a demand with another name does not compile.
    const NAME: &'static str;

    /// The last privileged activity is at most this long ago. `None` demands only the privileged
    /// idle timeout.
    const IDLE: Option<Duration> = None;

    /// The last proof is at most this long ago: a sign-in, an elevation or an approval.
    const MAX_AUTH_AGE: Option<Duration> = None;

    /// The session is elevated for the scope of this name.
    const SCOPE: Option<&'static str> = None;
}

/// The name of a demand. With a name that is not allowed, this does not compile.
pub const fn demand_name<D: Demand>() -> &'static str {
    const {
        assert!(
            crate::class::is_name(D::NAME),
            "the name of a demand is 1 to 32 of `a-z`, `0-9`, `_` and `-`, beginning with a letter"
        );
    }
    D::NAME
}
