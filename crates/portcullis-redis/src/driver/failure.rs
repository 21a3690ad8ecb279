//! From errors of Redis and of the connection to errors of a store.

use std::fmt;

use fred::prelude::{Error, ErrorKind};
use portcullis_core::store::{StoreError, StoreErrorKind as Kind};

use super::codes::{CODES, Code};
use crate::{ConnectError, address::Address};

/// The code of the server's error; nothing if it is not the server that raised it.
///
/// Older servers wrap what a script raised: the code then stands inside the text.
fn code(error: &Error) -> Option<&'static Code> {
    let text = error.details();
    let first = text.split_whitespace().next()?;
    let exact = CODES.iter().find(|code| code.word == first)?;
    let in_a_script =
        exact.word == "ERR" && (text.contains("user_script") || text.contains("running script"));
    if in_a_script && (text.contains("user executing the script") || text.contains("ACL failure")) {
        return CODES.iter().find(|code| code.word == "NOPERM");
    }
    CODES
        .iter()
        .filter(|code| in_a_script && code.word != "ERR")
        .find(|code| {
            text.split(|c: char| !c.is_ascii_uppercase())
                .any(|word| word == code.word)
        })
        .or(Some(exact))
}

/// Whether the server raised an error with this code.
pub(super) fn is(error: &Error, expected: &str) -> bool {
    code(error).is_some_and(|code| code.word == expected)
}

/// Whether it is the connection that failed: the server gave no answer.
pub(super) fn is_outage(error: &Error) -> bool {
    code(error).is_none()
}

/// Whether a node of a cluster sends somebody to another one, or to a later moment.
pub(super) fn is_redirection(error: &Error) -> bool {
    ["MOVED", "ASK", "TRYAGAIN"]
        .iter()
        .any(|code| is(error, code))
}

/// Whether user, password or rights were refused.
fn is_refusal(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Auth)
        || ["NOAUTH", "WRONGPASS", "NOPERM"]
            .iter()
            .any(|code| is(error, code))
}

/// Whether the user has no right to what failed with this.
pub(crate) fn is_forbidden(error: &StoreError) -> bool {
    let cause = std::error::Error::source(error);
    cause.is_some_and(|cause| cause.to_string().contains("NOPERM"))
}

/// What to show of an error. Texts that might repeat an argument are left out.
pub(super) fn shown(error: &Error) -> String {
    match code(error) {
        Some(Code {
            word: "ERR" | "WRONGTYPE",
            ..
        }) => "Redis answered with an error".to_owned(),
        // In the server's own words; the library's name for the kind of error says less.
        Some(_) => error.details().to_owned(),
        None => error.to_string(),
    }
}

/// What it means to somebody who wanted to connect.
pub(super) fn connect_error(address: &Address, error: &Error) -> ConnectError {
    let has_tls = address.tls();
    let address = address.to_string();
    if let Some(reason) = certificate(error) {
        return ConnectError::Certificate { address, reason };
    }
    if is(error, "ERR") && error.details().contains("DB index is out of range") {
        return ConnectError::Database { address };
    }
    let mut reason = shown(error);
    // That passes.
    if is(error, "ERR") && error.details().contains("max number of clients") {
        reason = "it has as many connections as its `maxclients` allows".to_owned();
        return ConnectError::Unreachable { address, reason };
    }
    // A server that answers need not be looked for.
    if is_refusal(error) || is(error, "ERR") {
        return ConnectError::Refused { address, reason };
    }
    if is_outage(error) {
        reason.push_str(match (has_tls, error.kind()) {
            (true, ErrorKind::Timeout) => "; does it speak TLS at this port?",
            (false, ErrorKind::IO) if error.details().contains("ConnectionReset") => {
                "; does it speak TLS only, for which the address begins with rediss?"
            }
            _ => "",
        });
    }
    ConnectError::Unreachable { address, reason }
}

/// What is wrong with a certificate, if that is it. The client library has only the text of what TLS said.
fn certificate(error: &Error) -> Option<String> {
    if !is_outage(error) {
        return None;
    }
    let text = error.details();
    let behind = |start: &str| {
        let (_, rest) = text.split_once(start)?;
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric());
        rest.get(..end.unwrap_or(rest.len()))
    };
    if let Some(what) = behind("AlertReceived(") {
        return Some(match what {
            "CertificateRequired" => {
                "Redis asks this client for a certificate, and it has none: set tls-auth-clients to no"
                    .to_owned()
            }
            what => format!("Redis ended the handshake: {what}"),
        });
    }
    let what = behind("InvalidCertificate(")?;
    let known = match what {
        "UnknownIssuer" | "CaUsedAsEndEntity" => {
            "its certificate comes from an authority that is not trusted"
        }
        "NotValidForName" | "NotValidForNameContext" => "its certificate is not for this host",
        "Expired" | "ExpiredContext" => "its certificate has expired",
        "NotValidYet" | "NotValidYetContext" => "its certificate is not valid yet",
        what => return Some(format!("its certificate is not accepted: {what}")),
    };
    Some(known.to_owned())
}

pub(super) fn store_error(error: &Error) -> StoreError {
    let (kind, message) = match code(error) {
        Some(code) => (code.kind, code.message),
        None => (
            Kind::Unavailable,
            match error.kind() {
                ErrorKind::Timeout => {
                    "Redis did not answer in time; check the server and the network"
                }
                ErrorKind::Backpressure => {
                    "too many operations wait for Redis; check whether it is overloaded"
                }
                _ => {
                    "the connection to Redis broke; it is restored without further action once Redis is there"
                }
            },
        ),
    };
    StoreError::new(kind, message).with_source(Cause(shown(error)))
}

/// Without asking: it is known that the server does not answer.
pub(super) fn known_down() -> StoreError {
    StoreError::new(
        Kind::Unavailable,
        "Redis does not answer; the connection is restored without further action once it does",
    )
}

/// The task that would restore the connection is no more.
pub(super) fn unwatched() -> StoreError {
    StoreError::new(
        Kind::Misconfigured,
        "the Tokio runtime on which this store was connected has ended, so its connection is not restored; connect on a \
         runtime that lives as long as the store",
    )
}

/// A slot of a cluster is between two nodes, or went from one to another faster than it could be followed.
pub(super) fn moving() -> StoreError {
    StoreError::new(
        Kind::Unavailable,
        "the Redis Cluster is moving the data; try again shortly",
    )
}

pub(super) fn unserved() -> StoreError {
    StoreError::new(
        Kind::Unavailable,
        "no node of the Redis Cluster serves this part of the data; check its nodes",
    )
}

/// The same error for another command that failed with it.
pub(super) fn again(error: &StoreError) -> StoreError {
    let cause = std::error::Error::source(error).map(|source| Cause(source.to_string()));
    let again = StoreError::new(error.kind(), error.to_string());
    match cause {
        Some(cause) => again.with_source(cause),
        None => again,
    }
}

pub(super) fn not_connected(error: ConnectError) -> StoreError {
    StoreError::new(
        Kind::Unavailable,
        "Redis takes no second connection, which confirmation by replicas needs; try again",
    )
    .with_source(error)
}

/// Only what needs it fails.
pub(super) fn no_second_connection(reason: String) -> StoreError {
    StoreError::new(
        Kind::Unavailable,
        "Redis takes no second connection, which lists and the log need; check how many it allows, and the network",
    )
    .with_source(Cause(reason))
}

pub(super) fn unexpected_reply() -> StoreError {
    StoreError::new(
        Kind::Misconfigured,
        "a script of portcullis-redis got an answer it cannot read; check that the server is compatible with \
         Redis 6.2 and that no proxy changes its answers",
    )
}

#[derive(Debug)]
struct Cause(String);

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Cause {}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::*;

    fn server(text: &'static str) -> Error {
        Error::new(ErrorKind::Unknown, text)
    }

    #[test]
    fn errors_that_scripts_raise_are_told_apart_on_old_and_new_servers() {
        for (text, kind) in [
            (
                "OOM command not allowed when used memory > 'maxmemory'. script: 1f, on @user_script:9.",
                Kind::Full,
            ),
            (
                "ERR Error running script (call to f_1f): @user_script:9: @user_script: 9: -OOM command not allowed",
                Kind::Full,
            ),
            (
                "READONLY You can't write against a read only replica. script: 1f",
                Kind::ReadOnly,
            ),
            (
                "ERR Error running script (call to f_1f): @user_script:9: -READONLY You can't write",
                Kind::ReadOnly,
            ),
            (
                "NOREPLICAS Not enough good replicas to write.",
                Kind::ReadOnly,
            ),
            (
                "ERR user_script:9: NOPERM User app has no permissions",
                Kind::Misconfigured,
            ),
            ("ERR unknown command 'EVALSHA'", Kind::Misconfigured),
            (
                "LOADING Redis is loading the dataset in memory",
                Kind::Unavailable,
            ),
        ] {
            assert_eq!(store_error(&server(text)).kind(), kind, "{text}");
        }
    }

    #[test]
    fn a_lost_connection_is_an_outage_whatever_the_library_calls_it() {
        for kind in [
            ErrorKind::IO,
            ErrorKind::Timeout,
            ErrorKind::Canceled,
            ErrorKind::Backpressure,
            ErrorKind::Unknown,
        ] {
            let error = Error::new(kind, "Too many failed attempts.");
            assert!(is_outage(&error));
            assert_eq!(store_error(&error).kind(), Kind::Unavailable);
        }
    }

    #[test]
    fn a_certificate_that_is_not_accepted_is_told_from_a_server_that_is_away() {
        for (text, reason) in [
            ("InvalidCertificate(UnknownIssuer)", Some("not trusted")),
            (
                "InvalidCertificate(NotValidForNameContext { expected: x })",
                Some("not for this host"),
            ),
            (
                "InvalidCertificate(ExpiredContext { time: 1 })",
                Some("has expired"),
            ),
            ("InvalidCertificate(Revoked)", Some("not accepted: Revoked")),
            (
                "AlertReceived(CertificateRequired)",
                Some("tls-auth-clients"),
            ),
            (
                "AlertReceived(HandshakeFailure)",
                Some("handshake: HandshakeFailure"),
            ),
            ("ConnectionRefused", None),
        ] {
            let text = format!("Custom {{ kind: InvalidData, error: {text} }}");
            let error = Error::new(ErrorKind::IO, text);
            let found = certificate(&error).unwrap_or_default();
            assert!(found.contains(reason.unwrap_or_default()), "{found}");
            assert_eq!(found.is_empty(), reason.is_none(), "{found}");
        }
    }

    #[test]
    fn an_error_that_repeats_its_arguments_is_not_passed_on() {
        let error = store_error(&server(
            "ERR unknown command 'GET', with args beginning with: 'pc:{1}secret'",
        ));
        let source = error.source().map(ToString::to_string).unwrap_or_default();
        assert!(!format!("{error} {error:?} {source}").contains("secret"));
    }
}
