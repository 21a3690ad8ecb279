//! The exit codes of commands, for scripts.

use std::{fmt, process::ExitCode};

use portcullis::store::StoreError;
use portcullis_redis::ConnectError;

use crate::text;

/// For `--help`.
pub(crate) const CODES: &str = "\
Exit codes:
  0  done
  1  something is wrong with the server (check), or a document is refused (policy)
  2  the command, or a setting, cannot be used as it is
  3  not found: no such session, nothing to end, or no such suspension
  4  the store cannot be used
  5  done, but replicas did not confirm it
  6  the result could not be written
  10, 11  limits differ (policy diff, policy drift)
  12  another policy is active than expected (policy apply, policy rollback)
  13  more sessions would end than may (policy apply, policy rollback)";

/// The result of a command that was executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Done,
    /// Sessions are not safe on the server, or a document is refused.
    Broken,
    /// Not found. The reason has been printed.
    NotFound,
    /// Ended, but a failure of the primary may bring it back.
    Unconfirmed,
    /// Some limits are tighter in the newer document, and none is looser.
    Tightens,
    /// Some limits are looser in the newer document.
    Loosens,
    /// Another policy is active than expected.
    Overtaken,
    /// A policy would end more sessions than it may.
    EndsTooMany,
}

/// The exit code of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Code(u8);

impl Code {
    /// The code of a command in several realms. A failure counts more than success, and success in
    /// one realm more than nothing found in another.
    pub(crate) fn of_all(codes: &[Self]) -> Self {
        let first = [4, 2, 6, 12, 13, 11, 10, 1, 5, 0, 3].map(Self);
        let first = first.into_iter().find(|code| codes.contains(code));
        first.unwrap_or(Self(0))
    }
}

impl From<Code> for ExitCode {
    fn from(code: Code) -> Self {
        Self::from(code.0)
    }
}

impl From<Outcome> for Code {
    fn from(outcome: Outcome) -> Self {
        Self(match outcome {
            Outcome::Done => 0,
            Outcome::Broken => 1,
            Outcome::NotFound => 3,
            Outcome::Unconfirmed => 5,
            Outcome::Tightens => 10,
            Outcome::Loosens => 11,
            Outcome::Overtaken => 12,
            Outcome::EndsTooMany => 13,
        })
    }
}

/// The failure of a command. Its text is safe on a terminal.
#[derive(Debug)]
pub(crate) enum Failure {
    Usage(String),
    NotFound(String),
    Store(String),
    Output(String),
}

impl Failure {
    pub(crate) fn code(&self) -> Code {
        Code(match self {
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
            | ConnectError::Certificate { .. }
            | ConnectError::Database { .. }
            | ConnectError::Cluster { .. }
            | ConnectError::Sentinel { .. }
            | ConnectError::TooOld { .. }
            | ConnectError::UnsafeEviction { .. } => Self::Store(text),
            _ => Self::Usage(text),
        }
    }
}

/// The error with its causes, safe on a terminal: servers can send any text.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_realms_a_failure_counts_first_and_nothing_found_last() {
        for (codes, code) in [
            (&[0, 3][..], 0),
            (&[3, 3], 3),
            (&[0, 5, 3], 5),
            (&[5, 4, 0], 4),
            (&[0, 6], 6),
        ] {
            let codes: Vec<_> = codes.iter().copied().map(Code).collect();
            assert_eq!(Code::of_all(&codes), Code(code), "{codes:?}");
        }
    }
}
