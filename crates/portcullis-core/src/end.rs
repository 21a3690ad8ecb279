//! Why sessions end.

use std::time::Duration;

/// Why a session ended. The same value is in the audit event, in the refused response and in
/// `Session::end_reason`, for the page to tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EndReason {
    /// The person signed out, or the application ended the session in a request of its own.
    SignedOut,
    /// There was no activity for the idle timeout.
    IdleTimeout,
    /// The absolute timeout was over.
    AbsoluteTimeout,
    /// Its user ended it from another session.
    RevokedByUser,
    /// An operator or the application ended it from outside.
    RevokedByOperator,
    /// Its user signed in elsewhere once more than the limit of sessions allows, and this one was the least
    /// recently used.
    Displaced,
    /// It was used from what looks like another device, and the policy is to end it then.
    DeviceChanged,
    /// Somebody authenticated under it, which began another session under another identifier.
    ReplacedAtSignIn,
    /// It lives on under another identifier: after elevation or regeneration.
    Replaced,
    /// It was made for a sign-in that did not come to its end, and nobody has ever known its identifier.
    Withdrawn,
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const MINUTE: Duration = Duration::from_secs(60);

impl EndReason {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::SignedOut,
        Self::IdleTimeout,
        Self::AbsoluteTimeout,
        Self::RevokedByUser,
        Self::RevokedByOperator,
        Self::Displaced,
        Self::DeviceChanged,
        Self::ReplacedAtSignIn,
        Self::Replaced,
        Self::Withdrawn,
    ];

    /// A stable word for events and programs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SignedOut => "signed_out",
            Self::IdleTimeout => "idle_timeout",
            Self::AbsoluteTimeout => "absolute_timeout",
            Self::RevokedByUser => "revoked_by_user",
            Self::RevokedByOperator => "revoked_by_operator",
            Self::Displaced => "displaced_by_limit",
            Self::DeviceChanged => "device_changed",
            Self::ReplacedAtSignIn => "replaced_at_sign_in",
            Self::Replaced => "replaced",
            Self::Withdrawn => "withdrawn",
        }
    }

    /// The reason with this [word](Self::as_str).
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == word)
    }

    /// For how long a store remembers the reason.
    ///
    /// A replaced identifier is remembered for a minute: long enough for the requests that were under way
    /// with it, which must neither be answered as if it lived nor start a session of their own that would
    /// overwrite the new cookie, and for a sign-out among them to reach the session where it
    /// [lives now](crate::store::Store::end). Other reasons are for people to read and stay a day.
    pub fn remembered_for(self) -> Duration {
        match self {
            Self::Replaced | Self::ReplacedAtSignIn | Self::Withdrawn => MINUTE,
            _ => DAY,
        }
    }

    /// What to tell the person whose session it was, in a sentence or two.
    ///
    /// ```
    /// # use portcullis_core::EndReason;
    /// assert_eq!(
    ///     EndReason::IdleTimeout.message(),
    ///     "Your session ended after a time without activity. Sign in again."
    /// );
    /// ```
    pub fn message(self) -> &'static str {
        match self {
            Self::SignedOut => "You signed out. Sign in again to go on.",
            Self::IdleTimeout => "Your session ended after a time without activity. Sign in again.",
            Self::AbsoluteTimeout => {
                "Your session ended because none lasts longer than a fixed time. Sign in again."
            }
            Self::RevokedByUser => {
                "You were signed out from another of your devices. Sign in again."
            }
            Self::RevokedByOperator => "You were signed out by the site. Sign in again.",
            Self::Displaced => {
                "You were signed out here because you signed in on more devices than may be in use at once. Sign in again."
            }
            Self::DeviceChanged => {
                "You were signed out because your session was used from what looks like another device. Sign in again."
            }
            Self::ReplacedAtSignIn => "You have just signed in anew. Try again.",
            Self::Replaced => "Your session was renewed a moment ago. Try again.",
            Self::Withdrawn => "The sign-in did not come to its end. Sign in again.",
        }
    }

    /// Whether another identifier took the place of the one that ended, in the same browser.
    pub const fn is_replacement(self) -> bool {
        matches!(self, Self::Replaced | Self::ReplacedAtSignIn)
    }

    /// Whether time ended it.
    pub const fn is_timeout(self) -> bool {
        matches!(self, Self::IdleTimeout | Self::AbsoluteTimeout)
    }

    /// The one letter under which a store writes it down.
    pub fn code(self) -> char {
        match self {
            Self::SignedOut => 'o',
            Self::IdleTimeout => 'i',
            Self::AbsoluteTimeout => 'a',
            Self::RevokedByUser => 'u',
            Self::RevokedByOperator => 'p',
            Self::Displaced => 'l',
            Self::DeviceChanged => 'd',
            Self::ReplacedAtSignIn => 'n',
            Self::Replaced => 'r',
            Self::Withdrawn => 'w',
        }
    }

    /// The reason with this [`code`](Self::code).
    pub fn from_code(code: char) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.code() == code)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_reason_is_read_back_from_its_word_and_from_its_letter() {
        for reason in EndReason::ALL {
            assert_eq!(EndReason::from_word(reason.as_str()), Some(reason));
            assert_eq!(EndReason::from_code(reason.code()), Some(reason));
        }
        let letters: HashSet<_> = EndReason::ALL.map(EndReason::code).into();
        assert_eq!(letters.len(), EndReason::ALL.len());
    }
}
