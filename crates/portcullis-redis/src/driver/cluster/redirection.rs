//! Redirections: the answer of a node to a command on a slot that it does not have.

use fred::prelude::Error;

use crate::{driver::failure, endpoint::Endpoint};

/// A redirection to another node. The node that sent it has executed nothing, so the command may be
/// sent again.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Redirection {
    /// That node has the slot now.
    Moved(Endpoint),
    /// That node is taking over the slot and has this key already. The command needs `ASKING`.
    Ask(Endpoint),
    /// Some of the keys have been moved and some have not.
    TryAgain,
}

impl Redirection {
    /// The redirection in an error of the node at `asked`.
    pub(super) fn of(error: &Error, asked: &Endpoint) -> Option<Self> {
        if failure::is(error, "TRYAGAIN") {
            return Some(Self::TryAgain);
        }
        let moved = failure::is(error, "MOVED");
        if !moved && !failure::is(error, "ASK") {
            return None;
        }
        // The code, the slot, and the address.
        let text = error.details().split_whitespace().nth(2)?;
        let endpoint = match text.strip_prefix('?').unwrap_or(text).strip_prefix(':') {
            // An address without a host means the host of the node that was asked.
            Some(port) if !port.contains(':') => Endpoint::new(asked.host(), port.parse().ok()?),
            _ => Endpoint::parse(text, None)?,
        };
        Some(if moved {
            Self::Moved(endpoint)
        } else {
            Self::Ask(endpoint)
        })
    }
}

#[cfg(test)]
mod tests {
    use fred::prelude::ErrorKind;

    use super::*;

    fn of(text: &'static str) -> Option<Redirection> {
        let asked = Endpoint::new("asked", 1);
        Redirection::of(&Error::new(ErrorKind::Cluster, text), &asked)
    }

    #[test]
    fn a_redirection_names_the_other_node() {
        let there = |host: &str| Endpoint::new(host, 7001);
        for (text, endpoint) in [
            ("MOVED 3999 10.0.0.1:7001", there("10.0.0.1")),
            ("MOVED 3999 db.internal:7001", there("db.internal")),
            ("MOVED 3999 2001:db8::1:7001", there("2001:db8::1")),
            ("MOVED 3999 ::1:7001", there("::1")),
            ("MOVED 3999 :7001", there("asked")),
            ("MOVED 3999 ?:7001", there("asked")),
        ] {
            assert_eq!(of(text), Some(Redirection::Moved(endpoint)), "{text}");
        }
        let ask = Some(Redirection::Ask(there("10.0.0.1")));
        assert_eq!(of("ASK 3999 10.0.0.1:7001"), ask);
        let again = of("TRYAGAIN Multiple keys request during rehashing of slot");
        assert_eq!(again, Some(Redirection::TryAgain));
    }

    #[test]
    fn other_errors_are_no_redirection() {
        for text in [
            "MOVED 3999",
            "MOVED 3999 nowhere",
            "MOVED 3999 :x",
            "MOVED",
            "CLUSTERDOWN The cluster is down",
            "READONLY You can't write against a read only replica.",
            "ERR MOVED 1 a:1",
            "",
        ] {
            assert_eq!(of(text), None, "{text}");
        }
    }
}
