//! Where a node of a cluster sends somebody who asked for a slot that it has not.

use fred::prelude::Error;

use crate::{driver::failure, endpoint::Endpoint};

/// Nothing was carried out where it came from, so what was asked may be asked again.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Redirection {
    /// That node has the slot now.
    Moved(Endpoint),
    /// That node is taking the slot over and has this key already: it must be told that one knows.
    Ask(Endpoint),
    /// Some keys are here and some there.
    TryAgain,
}

impl Redirection {
    /// What the node at `asked` meant.
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
            // It has no name for the other one.
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
    fn a_redirection_says_where_to_go() {
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
    fn what_is_no_redirection_leads_nowhere() {
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
