//! Why sessions end.

use std::time::Duration;

/// The reason for which a session ended. The audit event, the refused response and
/// `Session::end_reason` all have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EndReason {
    /// The user signed out, or the application ended the session in a request of that session.
    SignedOut,
    /// There was no activity for the idle timeout.
    IdleTimeout,
    /// The absolute timeout has passed.
    AbsoluteTimeout,
    /// The user ended it from another session.
    RevokedByUser,
    /// An operator or the application ended it from outside.
    RevokedByOperator,
    /// The user signed in on more devices than the session limit allows. This session was the least
    /// recently used.
    Displaced,
    /// It was used from what looks like another device, and the policy ends such sessions.
    DeviceChanged,
    /// An operator activated a policy whose limits it exceeded.
    PolicyTightened,
    /// A user authenticated with it, which began another session under another identifier.
    ReplacedAtSignIn,
    /// It continues under another identifier, after an elevation or a regeneration.
    Replaced,
    /// It was created for a sign-in that did not complete. No client has received its identifier.
    Withdrawn,
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const MINUTE: Duration = Duration::from_secs(60);

impl EndReason {
    /// All reasons.
    pub const ALL: [Self; 11] = [
        Self::SignedOut,
        Self::IdleTimeout,
        Self::AbsoluteTimeout,
        Self::RevokedByUser,
        Self::RevokedByOperator,
        Self::Displaced,
        Self::DeviceChanged,
        Self::PolicyTightened,
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
            Self::PolicyTightened => "policy_tightened",
            Self::ReplacedAtSignIn => "replaced_at_sign_in",
            Self::Replaced => "replaced",
            Self::Withdrawn => "withdrawn",
        }
    }

    /// The reason with this [word](Self::as_str).
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == word)
    }

    /// How long a store remembers the reason.
    ///
    /// A replaced identifier is remembered for a minute, for requests that were under way with it.
    /// They must not be answered as if it were live. They must not start a session whose cookie
    /// would overwrite the new one. A sign-out among them must reach the session under its [new
    /// identifier](crate::store::Store::end). Other reasons are shown to users, and are kept for a
    /// day.
    pub fn remembered_for(self) -> Duration {
        match self {
            Self::Replaced | Self::ReplacedAtSignIn | Self::Withdrawn => MINUTE,
            _ => DAY,
        }
    }

    /// A text for the user of the session, in one or two sentences.
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
            Self::PolicyTightened => {
                "You were signed out because the site has shortened how long sessions last. Sign in again."
            }
            Self::ReplacedAtSignIn => "You have just signed in. Try again.",
            Self::Replaced => "Your session was renewed a moment ago. Try again.",
            Self::Withdrawn => "The sign-in was not completed. Sign in again.",
        }
    }

    /// Whether another identifier replaced the ended one in the same browser.
    pub const fn is_replacement(self) -> bool {
        matches!(self, Self::Replaced | Self::ReplacedAtSignIn)
    }

    /// Whether a timeout ended it.
    pub const fn is_timeout(self) -> bool {
        matches!(self, Self::IdleTimeout | Self::AbsoluteTimeout)
    }

    /// The character under which a store writes it down.
    pub fn code(self) -> char {
        match self {
            Self::SignedOut => 'o',
            Self::IdleTimeout => 'i',
            Self::AbsoluteTimeout => 'a',
            Self::RevokedByUser => 'u',
            Self::RevokedByOperator => 'p',
            Self::Displaced => 'l',
            Self::DeviceChanged => 'd',
            Self::PolicyTightened => 't',
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
    fn every_reason_is_read_back_from_its_word_and_from_its_code() {
        for reason in EndReason::ALL {
            assert_eq!(EndReason::from_word(reason.as_str()), Some(reason));
            assert_eq!(EndReason::from_code(reason.code()), Some(reason));
        }
        let distinct: HashSet<_> = EndReason::ALL.map(EndReason::code).into();
        assert_eq!(distinct.len(), EndReason::ALL.len());
    }
}
