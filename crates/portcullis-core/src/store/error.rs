//! Why a store could not answer.

use std::{borrow::Cow, error::Error, fmt, sync::Arc};

/// The store could not do what was asked, or it is not known whether it did.
///
/// The message says what happened and what to do. It never holds an identifier, a key or a payload.
/// `Debug` is the message and its cause, for a `main` that returns the error.
#[derive(Clone)]
pub struct StoreError {
    kind: StoreErrorKind,
    message: Cow<'static, str>,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

/// The kinds of store errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StoreErrorKind {
    /// It did not answer in time or cannot be reached.
    Unavailable,
    /// It answers but takes no writes: a replica, or a primary without enough replicas.
    ReadOnly,
    /// It has no room for another session.
    Full,
    /// The record was written by a newer version of Portcullis; this one leaves it alone.
    NewerFormat,
    /// It refused, and only a change of configuration helps, such as missing rights.
    Misconfigured,
}

impl StoreError {
    /// An error of this kind. `message` says what happened and what to do.
    pub fn new(kind: StoreErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind,
            message: message.into(),
            source: None,
        }
    }

    /// The same with the error that caused it.
    #[must_use]
    pub fn with_source(self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self {
            source: Some(source.into().into()),
            ..self
        }
    }

    /// Its kind.
    pub fn kind(&self) -> StoreErrorKind {
        self.kind
    }

    /// A record has a format that this version does not know.
    pub fn newer_format() -> Self {
        Self::new(
            StoreErrorKind::NewerFormat,
            "the session was written by a newer version of Portcullis; finish the upgrade of this server",
        )
    }

    /// A session that may be live was found neither under its key nor by its name.
    pub fn session_lost() -> Self {
        Self::new(
            StoreErrorKind::Unavailable,
            "the session could not be found to end it, and may live on under another identifier; try again",
        )
    }

    /// Something is already stored under the key of a new session.
    pub fn key_taken() -> Self {
        Self::new(
            StoreErrorKind::Misconfigured,
            "something is stored under the key of a new session; check the random generator of this system",
        )
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        crate::debug_as_message(self, f)
    }
}

impl Error for StoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|source| &**source as _)
    }
}
