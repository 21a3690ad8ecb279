//! Converts errors of Redis and of the connection to errors of a store.

use std::fmt;

use fred::prelude::{Error, ErrorKind};
use portcullis_core::store::{StoreError, StoreErrorKind as Kind};

use super::codes::{CODES, Code};
use crate::{ConnectError, address::Address};

/// The code of the server's error; `None` if the server did not raise it.
///
/// Older servers wrap an error of a script: the code is then inside the text.
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

/// Whether the connection failed: the server gave no answer.
pub(super) fn is_outage(error: &Error) -> bool {
    code(error).is_none()
}

/// Whether a node of a cluster redirects to another node, or asks to try again.
pub(super) fn is_redirection(error: &Error) -> bool {
    ["MOVED", "ASK", "TRYAGAIN"]
        .iter()
        .any(|code| is(error, code))
}

/// Whether the server refused the user, the password or a right.
fn is_refusal(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Auth)
        || ["NOAUTH", "WRONGPASS", "NOPERM"]
            .iter()
            .any(|code| is(error, code))
}

/// Whether the operation failed because the user lacks a right.
pub(crate) fn is_forbidden(error: &StoreError) -> bool {
    let cause = std::error::Error::source(error);
    cause.is_some_and(|cause| cause.to_string().contains("NOPERM"))
}

/// The text of an error for logs. Texts that may repeat an argument are left out.
pub(super) fn shown(error: &Error) -> String {
    match code(error) {
        Some(Code {
            word: "ERR" | "WRONGTYPE",
            ..
        }) => "Redis answered with an error".to_owned(),
        // The server's own words say more than the library's kind of error.
        Some(_) => error.details().to_owned(),
        None => error.to_string(),
    }
}

/// Converts an error to one of connecting.
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
    // This passes without a change of settings.
    if is(error, "ERR") && error.details().contains("max number of clients") {
        reason = "it has as many connections as its `maxclients` allows".to_owned();
        return ConnectError::Unreachable { address, reason };
    }
    // The server answers, so it is reachable.
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

/// What is wrong with a certificate, if that caused the error. The client library passes on only
/// the text of the TLS error.
fn certificate(error: &Error) -> Option<String> {
    if !is_outage(error) {
        return None;
    }
    let text = error.details();
    let after = |start: &str| {
        let (_, rest) = text.split_once(start)?;
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric());
        rest.get(..end.unwrap_or(rest.len()))
    };
    if let Some(what) = after("AlertReceived(") {
        return Some(match what {
            "CertificateRequired" => {
                "Redis asks this client for a certificate, and it has none: set tls-auth-clients to no"
                    .to_owned()
            }
            what => format!("Redis ended the handshake: {what}"),
        });
    }
    let what = after("InvalidCertificate(")?;
    let reason = match what {
        "UnknownIssuer" | "CaUsedAsEndEntity" => {
            "its certificate comes from an authority that is not trusted"
        }
        "NotValidForName" | "NotValidForNameContext" => "its certificate is not for this host",
        "Expired" | "ExpiredContext" => "its certificate has expired",
        "NotValidYet" | "NotValidYetContext" => "its certificate is not valid yet",
        what => return Some(format!("its certificate is not accepted: {what}")),
    };
    Some(reason.to_owned())
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

/// Fails without sending anything: the server is known to be down.
pub(super) fn known_down() -> StoreError {
    StoreError::new(
        Kind::Unavailable,
        "Redis does not answer; the connection is restored without further action once it does",
    )
}

/// The task that restores the connection has ended with its runtime.
pub(super) fn unsupervised() -> StoreError {
    StoreError::new(
        Kind::Misconfigured,
        "the Tokio runtime on which this store was connected has ended, so its connection is not \
         restored; connect on a runtime that lives as long as the store",
    )
}

/// A slot of a cluster is moving between nodes, or has moved too often to follow.
pub(super) fn moving() -> StoreError {
    StoreError::new(
        Kind::Unavailable,
        "the Redis Cluster is moving the data; try again shortly",
    )
}

/// No node of the cluster has the slot.
pub(super) fn unserved() -> StoreError {
    StoreError::new(
        Kind::Unavailable,
        "no node of the Redis Cluster serves this part of the data; check its nodes",
    )
}

/// A copy of an error, for another command that failed with it.
pub(super) fn copy_of(error: &StoreError) -> StoreError {
    let cause = std::error::Error::source(error).map(|source| Cause(source.to_string()));
    let copy = StoreError::new(error.kind(), error.to_string());
    match cause {
        Some(cause) => copy.with_source(cause),
        None => copy,
    }
}

/// The dedicated connection for a confirmation by replicas could not be opened.
pub(super) fn not_connected(error: ConnectError) -> StoreError {
    StoreError::new(
        Kind::Unavailable,
        "Redis takes no second connection, which confirmation by replicas needs; try again",
    )
    .with_source(error)
}

/// The connection for long answers could not be opened. Only its users fail.
pub(super) fn no_second_connection(reason: String) -> StoreError {
    StoreError::new(
        Kind::Unavailable,
        "Redis takes no second connection, which lists and the log need; check how many it allows, and \
         the network",
    )
    .with_source(Cause(reason))
}

/// A reply that is none of a script's.
pub(super) fn unreadable_reply() -> StoreError {
    StoreError::new(
        Kind::Misconfigured,
        "the reply to a script of portcullis-redis cannot be read; check that the server is compatible \
         with Redis 6.2 and that no proxy changes its answers",
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
    fn errors_that_scripts_raise_are_distinguished_on_old_and_new_servers() {
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
    fn a_lost_connection_is_an_outage_for_every_error_kind_of_the_library() {
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
    fn a_refused_certificate_is_distinguished_from_an_unreachable_server() {
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
    fn an_error_text_that_repeats_its_arguments_is_not_shown() {
        let error = store_error(&server(
            "ERR unknown command 'GET', with args beginning with: 'pc:{1}secret'",
        ));
        let source = error.source().map(ToString::to_string).unwrap_or_default();
        assert!(!format!("{error} {error:?} {source}").contains("secret"));
    }
}
