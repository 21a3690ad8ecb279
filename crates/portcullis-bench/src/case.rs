//! What is asked of each system.

use std::time::Duration;

/// How many bytes of text every session holds.
pub(crate) const PAYLOAD_BYTES: usize = 200;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Case {
    /// A route that does not use the session, asked with a cookie.
    Ignored,
    /// Reads a value of a session that slides.
    Read,
    /// The same when the activity is due to be written down: once a minute with default timeouts.
    Touch,
    /// Adds one to a counter in the session.
    Write,
    /// Binds a user to an anonymous session that holds data; new identifier.
    SignIn,
}

impl Case {
    pub(crate) const ALL: [Self; 5] = [
        Self::Ignored,
        Self::Read,
        Self::Touch,
        Self::Write,
        Self::SignIn,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ignored => "ignored",
            Self::Read => "read",
            Self::Touch => "touch",
            Self::Write => "write",
            Self::SignIn => "sign-in",
        }
    }

    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Ignored => "session ignored (a cookie is sent, the route does not look at it)",
            Self::Read => "read (one value of 200 bytes, sliding session)",
            Self::Touch => {
                "read when the activity is due to be written down (at most once a minute per session)"
            }
            Self::Write => "write (add one to a counter)",
            Self::SignIn => {
                "sign-in (anonymous session with data, gets a user and a new identifier)"
            }
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|case| case.name() == name)
    }

    /// Every request needs a session of its own.
    pub(crate) fn uses_up_sessions(self) -> bool {
        matches!(self, Self::Touch | Self::SignIn)
    }

    /// The idle timeout. In `Touch` it is short, so that the activity is due a second after the last one.
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
}
