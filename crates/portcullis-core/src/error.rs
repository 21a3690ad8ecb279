//! What can be wrong with a setting.

use std::{borrow::Cow, error::Error, fmt};

use crate::{NoRandomness, store::StoreError};

/// A setting that would weaken sessions or that a browser would refuse, found when it was made.
///
/// The message says what is wrong and what to do. `Debug` is the message too, for a `main` that returns the error.
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

/// Writes an error as `main` shall print it: its message and what caused it, in one line.
#[doc(hidden)]
pub fn debug_as_message(error: &dyn Error, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut last = error.to_string();
    f.write_str(&last)?;
    let mut cause = error.source();
    while let Some(error) = cause {
        let message = error.to_string();
        // An error that stands for its cause says the same.
        if message != last {
            write!(f, "; caused by: {message}")?;
        }
        last = message;
        cause = error.source();
    }
    Ok(())
}

/// Why a wish about a session cannot be granted, or not be written down.
///
/// `Debug` is the message and what caused it, for a `main` that returns the error.
#[derive(Clone, thiserror::Error)]
#[non_exhaustive]
pub enum DraftError {
    /// The session would hold more than it may. Nothing was changed.
    #[error(
        "the session would hold {size} bytes and may hold {limit}; keep large data elsewhere and its key in the session, or raise the limit"
    )]
    TooLarge {
        /// What it would hold.
        size: usize,
        /// What it may hold.
        limit: usize,
    },
    /// The value cannot be stored so that it could be read back. Nothing was changed.
    #[error("the value for session key {key:?} cannot be stored: {reason}")]
    Encode {
        /// The key.
        key: String,
        /// Why not, in words that hold nothing of the value.
        reason: &'static str,
    },
    /// What is stored under the key is not of the type asked for. It stays as it is.
    #[error(
        "the value stored under session key {key:?} is not of the type asked for ({reason}); use one type for one key and a new key for a new type, or read it with `get_or_remove`"
    )]
    Decode {
        /// The key.
        key: String,
        /// Why not, in words that hold nothing of the value.
        reason: &'static str,
    },
    /// Only a session with a user can be elevated.
    #[error("the session has no user; authenticate before elevating")]
    NotAuthenticated,
    /// Only a sign-in of the same request can be remembered, before it is committed.
    #[error("no sign-in of this request is under way; call `remember` after `authenticate`")]
    NoSignIn,
    /// The application has not said that sign-ins may be remembered.
    #[error("this layer remembers no sign-ins; allow it with `SessionLayer::remember_me`")]
    RememberMeOff,
    /// Nobody's name is empty.
    #[error("the user to authenticate is empty; pass the identifier of the user")]
    EmptyUser,
    /// The name of a user is stored several times with each session. Nothing was changed.
    #[error(
        "the user to authenticate has a name of {bytes} bytes and may have one of {limit}; pass an identifier, such as a primary key"
    )]
    UserTooLong {
        /// How long the name is.
        bytes: usize,
        /// How long it may be.
        limit: usize,
    },
    /// No identifier could be made.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    /// What another request stored meanwhile cannot be read.
    #[error("the session was changed meanwhile into something this server cannot read")]
    Unusable(#[source] Option<StoreError>),
    /// The record could not be written down.
    #[error("the session record cannot be encoded; please report this as a bug")]
    Unencodable,
}

impl fmt::Debug for DraftError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        debug_as_message(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::StoreErrorKind;

    #[test]
    fn what_a_main_prints_of_an_error_is_its_message_and_its_causes() {
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
                Box::new(DraftError::Unusable(Some(caused))),
                "the session was changed meanwhile into something this server cannot read; caused by: the store does not answer; caused by: connection refused",
            ),
            (
                Box::new(DraftError::NoRandomness(NoRandomness)),
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
