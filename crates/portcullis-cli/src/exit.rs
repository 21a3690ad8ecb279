//! How a command ends: what scripts can tell apart.

use std::{fmt, process::ExitCode};

use portcullis::StoreError;
use portcullis_redis::ConnectError;

use crate::text;

/// For `--help`.
pub(crate) const CODES: &str = "\
Exit codes:
  0  done
  1  something is wrong with the server (check)
  2  the command, or a setting, cannot be used as it is
  3  not found: no such session, or there was nothing to end
  4  the store cannot be used
  5  done, but replicas did not confirm it
  6  the result could not be written";

/// A command did what it was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Done,
    /// The server is not one that sessions are safe on.
    Broken,
    /// There is nothing like that; why was said already.
    NotFound,
    /// Ended, but a failure of the primary may bring it back.
    Unconfirmed,
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        Self::from(match outcome {
            Outcome::Done => 0,
            Outcome::Broken => 1,
            Outcome::NotFound => 3,
            Outcome::Unconfirmed => 5,
        })
    }
}

/// A command did not do what it was asked for. Its text is safe on a terminal.
#[derive(Debug)]
pub(crate) enum Failure {
    Usage(String),
    NotFound(String),
    Store(String),
    Output(String),
}

impl Failure {
    pub(crate) fn code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Usage(_) => 2,
            Self::NotFound(_) => 3,
            Self::Store(_) => 4,
            Self::Output(_) => 6,
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(text) | Self::NotFound(text) | Self::Store(text) | Self::Output(text) => {
                f.write_str(text)
            }
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(chain(&error))
    }
}

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Self {
        let text = chain(&error);
        match error {
            ConnectError::Unreachable { .. }
            | ConnectError::Refused { .. }
            | ConnectError::Cluster { .. }
            | ConnectError::Sentinel { .. }
            | ConnectError::TooOld { .. }
            | ConnectError::UnsafeEviction { .. } => Self::Store(text),
            _ => Self::Usage(text),
        }
    }
}

/// The error with what caused it, safe on a terminal: servers can say anything.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text::shown(&text)
}
