//! Why sessions end.

use std::time::Duration;

/// Why a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EndReason {
    /// The person signed out, or the application ended the session in a request of its own.
    SignedOut,
    /// It lives on under another identifier: after sign-in, elevation or regeneration.
    Replaced,
}

impl EndReason {
    /// A stable word for events and programs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SignedOut => "signed_out",
            Self::Replaced => "replaced",
        }
    }

    /// For how long a store remembers the reason.
    ///
    /// A replaced identifier is remembered for a minute: long enough for the requests that were under way
    /// with it, which must neither be answered as if it lived nor start a session of their own that would
    /// overwrite the new cookie, and for a sign-out among them to reach the session where it
    /// [lives now](crate::store::Store::end). Other reasons are for people to read and stay a day.
    pub fn remembered_for(self) -> Duration {
        match self {
            Self::Replaced => Duration::from_secs(60),
            Self::SignedOut => Duration::from_secs(24 * 60 * 60),
        }
    }

    /// The one letter under which a store writes it down.
    pub fn code(self) -> char {
        match self {
            Self::SignedOut => 'o',
            Self::Replaced => 'r',
        }
    }

    /// The reason with this [`code`](Self::code).
    pub fn from_code(code: char) -> Option<Self> {
        [Self::SignedOut, Self::Replaced]
            .into_iter()
            .find(|reason| reason.code() == code)
    }
}
