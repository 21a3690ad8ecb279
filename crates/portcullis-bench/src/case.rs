//! The requests that are measured.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The bytes of text in every session by default.
pub(crate) const PAYLOAD_BYTES: usize = 200;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Case {
    /// A route that does not use the session, requested with a cookie.
    Ignored,
    /// Reads a value of a session that slides.
    Read,
    /// The same when the activity is due to be written: once a minute with default timeouts.
    Touch,
    /// Adds one to a counter in the session.
    Write,
    /// Binds a user where there was no session.
    Enter,
    /// Binds a user to an anonymous session that holds data; new identifier.
    SignIn,
    /// Ends the session.
    SignOut,
    /// Lists the sessions of a user who has ten.
    #[serde(rename = "list-10")]
    List10,
    /// Lists the sessions of a user who has a hundred.
    #[serde(rename = "list-100")]
    List100,
    /// Ends all ten sessions of a user.
    RevokeAll,
}

impl Case {
    pub(crate) const ALL: [Self; 10] = [
        Self::Ignored,
        Self::Read,
        Self::Touch,
        Self::Write,
        Self::Enter,
        Self::SignIn,
        Self::SignOut,
        Self::List10,
        Self::List100,
        Self::RevokeAll,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ignored => "ignored",
            Self::Read => "read",
            Self::Touch => "touch",
            Self::Write => "write",
            Self::Enter => "enter",
            Self::SignIn => "sign-in",
            Self::SignOut => "sign-out",
            Self::List10 => "list-10",
            Self::List100 => "list-100",
            Self::RevokeAll => "revoke-all",
        }
    }

    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Ignored => "session ignored: a cookie is sent, the route does not look at it",
            Self::Read => "read: one value of 200 bytes, in a session that slides",
            Self::Touch => {
                "touch: a read when the activity is due to be written down, at most once a minute per session"
            }
            Self::Write => "write: add one to a counter",
            Self::Enter => "enter: sign in where there was no session, with one value of 200 bytes",
            Self::SignIn => {
                "sign-in: an anonymous session with data gets a user and a new identifier"
            }
            Self::SignOut => "sign-out",
            Self::List10 => "list: the 10 sessions of a user",
            Self::List100 => "list: the 100 sessions of a user",
            Self::RevokeAll => "revoke-all: end the 10 sessions of a user",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|case| case.name() == name)
    }

    /// Every request uses up a session or user of its own.
    pub(crate) fn supplies(self) -> Supplies {
        match self {
            Self::Touch | Self::SignOut => Supplies::SignedIn,
            Self::SignIn => Supplies::Anonymous,
            Self::RevokeAll => Supplies::Users,
            _ => Supplies::Nothing,
        }
    }

    /// The number of sessions of the request's user.
    pub(crate) fn sessions_per_user(self) -> usize {
        match self {
            Self::List10 | Self::RevokeAll => 10,
            Self::List100 => 100,
            _ => 1,
        }
    }

    /// The most requests in one measurement, if their sessions are expensive to create.
    pub(crate) fn most_requests(self) -> usize {
        match self {
            Self::RevokeAll => 400,
            Self::List100 => 1000,
            _ => usize::MAX,
        }
    }

    /// The idle timeout. In `Touch` it is short, so that the activity is due a second after the
    /// last one.
    pub(crate) fn idle(self) -> Duration {
        match self {
            Self::Touch => Duration::from_secs(30),
            _ => Duration::from_secs(30 * 60),
        }
    }

    /// How long to let new sessions rest before they are used.
    pub(crate) fn rest(self) -> Duration {
        match self {
            Self::Touch => Duration::from_millis(1100),
            _ => Duration::ZERO,
        }
    }

    /// The case whose floor this one is measured above.
    pub(crate) fn floor(self) -> Self {
        match self {
            Self::Touch => Self::Read,
            other => other,
        }
    }
}

/// A session or user that a request uses up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Supplies {
    Nothing,
    /// A session with a user.
    SignedIn,
    /// A session without one.
    Anonymous,
    /// A user with the number of sessions of the case.
    Users,
}
