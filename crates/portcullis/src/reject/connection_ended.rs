//! Reasons why a live connection must end.

use std::fmt;

use portcullis_core::EndReason;

use crate::reject::problem;

/// Why a live connection must end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConnectionEnded {
    /// The session ended, for this reason if known. A user who authenticates begins another
    /// session.
    Session(Option<EndReason>),
    /// The session continues, but its user must prove their identity again for this connection.
    Elevation,
    /// The store did not answer for too long. The session may be live: try again later.
    Unverifiable,
}

impl ConnectionEnded {
    /// A stable code for programs: that of the [`EndReason`], or `session_ended`, `elevation_ended`
    /// or `unverifiable`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Session(Some(reason)) => reason.as_str(),
            Self::Session(None) => "session_ended",
            Self::Elevation => "elevation_ended",
            Self::Unverifiable => "unverifiable",
        }
    }

    /// A text for the user, in a sentence or two.
    pub fn message(self) -> &'static str {
        match self {
            Self::Session(Some(reason)) => reason.message(),
            Self::Session(None) => "Your session ended. Sign in again.",
            Self::Elevation => "Prove again who you are to continue.",
            Self::Unverifiable => problem::UNAVAILABLE,
        }
    }

    /// The code to close a WebSocket with:
    ///
    /// * 4401 for a session that ended, and 4403 for an elevation that ended. They follow the
    ///   statuses of HTTP, in the range for private use (RFC 6455, 7.4.2).
    /// * 1013 ("try again later") for a session that could not be verified.
    pub fn close_code(self) -> u16 {
        match self {
            Self::Session(_) => 4401,
            Self::Elevation => 4403,
            Self::Unverifiable => 1013,
        }
    }

    /// As JSON: `{"reason":"revoked_by_user","message":"…"}`.
    pub fn to_json(self) -> String {
        serde_json::json!({ "reason": self.as_str(), "message": self.message() }).to_string()
    }
}

impl std::error::Error for ConnectionEnded {}

impl fmt::Display for ConnectionEnded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t55_every_end_of_a_connection_has_its_reason_and_close_code() {
        let revoked = EndReason::RevokedByUser;
        for (end, reason, code) in [
            (
                ConnectionEnded::Session(Some(revoked)),
                "revoked_by_user",
                4401,
            ),
            (ConnectionEnded::Session(None), "session_ended", 4401),
            (ConnectionEnded::Elevation, "elevation_ended", 4403),
            (ConnectionEnded::Unverifiable, "unverifiable", 1013),
        ] {
            assert_eq!((end.as_str(), end.close_code()), (reason, code));
            let json: serde_json::Value = serde_json::from_str(&end.to_json()).unwrap();
            assert_eq!(json["reason"], reason);
            assert_eq!(json["message"], end.message());
        }
    }

    #[test]
    fn every_reason_fits_into_a_close_frame() {
        for reason in EndReason::ALL {
            // RFC 6455, 5.5 and 5.5.1: 125 bytes, of which the code takes two.
            assert!(ConnectionEnded::Session(Some(reason)).as_str().len() <= 123);
        }
    }
}
