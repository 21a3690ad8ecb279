//! Errors of settings and of changes.

use std::{borrow::Cow, error::Error, fmt};

use crate::{NoRandomness, store::StoreError};

/// An invalid setting: it would weaken sessions, or browsers would refuse it. It is found when the
/// setting is made.
///
/// The message says what is wrong and what to do. `Debug` prints the message too, for a `main` that
/// returns the error.
///
/// ```
/// # use std::time::Duration;
/// # use portcullis_core::Timeouts;
/// let error = Timeouts::new(Duration::ZERO, Duration::from_secs(60)).unwrap_err();
/// assert_eq!(error.to_string(), "the idle timeout is 0ns; it must be between 1s and 86400s");
/// ```
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ConfigError {
    message: Cow<'static, str>,
}

impl ConfigError {
    /// An error with this message.
    pub fn new(message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            message: message.into(),
        }
    }
}

impl fmt::Debug for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        debug_as_message(self, f)
    }
}

/// Writes an error as `main` prints it: its message and its causes, in one line.
#[doc(hidden)]
pub fn debug_as_message(error: &dyn Error, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut last = error.to_string();
    f.write_str(&last)?;
    let mut cause = error.source();
    while let Some(error) = cause {
        let message = error.to_string();
        // A transparent error has the message of its cause.
        if message != last {
            write!(f, "; caused by: {message}")?;
        }
        last = message;
        cause = error.source();
    }
    Ok(())
}

/// Why a change of a session is not possible, or cannot be stored.
///
/// ```
/// # use portcullis_core::{ChangeError, UserId};
/// let error = UserId::from("").check().unwrap_err();
/// assert!(matches!(error, ChangeError::EmptyUser));
/// ```
///
/// `Debug` prints the message and its causes, for a `main` that returns the error.
#[derive(Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ChangeError {
    /// The session would exceed its size limit. Nothing was changed.
    #[error(
        "the session would hold {size} bytes and may hold {limit}; keep large data elsewhere and its key in the session, or raise the limit"
    )]
    TooLarge {
        /// The size that the session would have, in bytes.
        size: usize,
        /// The size limit, in bytes.
        limit: usize,
    },
    /// The value cannot be stored, or could not be read back. Nothing was changed.
    #[error("the value for session key {key:?} cannot be stored: {reason}")]
    Encode {
        /// The key.
        key: String,
        /// The reason. It reveals nothing of the value.
        reason: &'static str,
    },
    /// The stored value is not of the requested type. It is kept.
    #[error(
        "the value stored under session key {key:?} is not of the type asked for ({reason}); use one type for one key and a new key for a new type, or read it with `get_or_remove`"
    )]
    Decode {
        /// The key.
        key: String,
        /// The reason. It reveals nothing of the value.
        reason: &'static str,
    },
    /// Only a session with a user can be elevated.
    #[error("the session has no user; authenticate before elevating")]
    NotAuthenticated,
    /// Only a sign-in of the same request that is not yet stored can be remembered or given a
    /// class.
    #[error("no sign-in of this request is under way; call `{operation}` after `authenticate`")]
    NoSignIn {
        /// The method that was called.
        operation: &'static str,
    },
    /// The approval for an operation was used, or has ended.
    #[error("the operation is not approved; let the user prove their identity for it again")]
    NotApproved,
    /// The policy does not have the class.
    #[error("the class `{name}` is not one of this layer; declare it with `SessionLayer::classes`")]
    UnknownClass {
        /// The name of the class.
        name: &'static str,
    },
    /// The application has not allowed remembered sign-ins.
    #[error("this layer remembers no sign-ins; allow it with `SessionLayer::remember_me`")]
    RememberMeOff,
    /// The identifier of the user is empty.
    #[error("the user to authenticate is empty; pass the identifier of the user")]
    EmptyUser,
    /// The identifier of the user is too long. It is stored several times with each session.
    /// Nothing was changed.
    #[error(
        "the name of the user to authenticate has {bytes} bytes; at most {limit} are allowed; pass an identifier, such as a primary key"
    )]
    UserTooLong {
        /// The length of the identifier, in bytes.
        bytes: usize,
        /// The longest allowed length, in bytes.
        limit: usize,
    },
    /// No identifier could be generated.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    /// Another request stored a record that cannot be read.
    #[error("another request changed the session into something that this server cannot read")]
    Unusable(#[source] Option<StoreError>),
    /// The record could not be encoded.
    #[error("the session record cannot be encoded; please report this as a bug")]
    Unencodable,
}

impl fmt::Debug for ChangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        debug_as_message(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::StoreErrorKind;

    #[test]
    fn the_debug_output_of_an_error_is_its_message_and_its_causes() {
        let refused = StoreError::new(StoreErrorKind::Unavailable, "the store does not answer");
        let caused = refused.clone().with_source("connection refused");
        let config = ConfigError::new("the idle timeout is zero; choose a longer one");
        for (error, expected) in [
            (
                Box::new(config) as Box<dyn Error>,
                "the idle timeout is zero; choose a longer one",
            ),
            (Box::new(refused), "the store does not answer"),
            (
                Box::new(caused.clone()),
                "the store does not answer; caused by: connection refused",
            ),
            (
                Box::new(ChangeError::Unusable(Some(caused))),
                "another request changed the session into something that this server cannot read; caused by: the store does not answer; caused by: connection refused",
            ),
            (
                Box::new(ChangeError::NoRandomness(NoRandomness)),
                "the operating system's random generator failed, so no session can be started; check that getrandom or /dev/urandom is available",
            ),
            (
                Box::new(NoRandomness),
                "the operating system's random generator failed, so no session can be started; check that getrandom or /dev/urandom is available",
            ),
        ] {
            assert_eq!(format!("{error:?}"), expected);
            assert_eq!(format!("{error:#?}"), expected);
        }
    }
}
