//! The identifier that a request presents.

use std::fmt;

use http::HeaderValue;
use portcullis_core::SessionId;

use crate::headers::cookie::CookieConfig;

/// The `Cookie` fields of a request, kept until they are read.
#[derive(Default)]
pub(crate) struct Cookies {
    first: Option<HeaderValue>,
    /// HTTP/2 may send each cookie in a field of its own.
    others: Vec<HeaderValue>,
}

/// The content of a request's `Cookie` fields under the session's name.
#[derive(Debug)]
pub(crate) enum Presented {
    Nothing,
    /// Not a valid spelling of an identifier. It never reaches the store.
    Malformed,
    /// Two different identifiers under a name that a sibling host can also set, or more than two.
    /// None counts (RFC 6265bis, 8.6). None reaches the store.
    Ambiguous,
    Id(SessionId),
    /// Two different identifiers under a name that only this host can set: one cookie is
    /// partitioned, and the other is not.
    Two([SessionId; 2]),
}

impl Presented {
    /// The identifiers to load.
    pub(crate) fn candidates(&self) -> &[SessionId] {
        match self {
            Self::Nothing | Self::Malformed | Self::Ambiguous => &[],
            Self::Id(id) => std::slice::from_ref(id),
            Self::Two(ids) => ids,
        }
    }
}

impl Cookies {
    pub(crate) fn add(&mut self, field: &HeaderValue) {
        match self.first {
            None => self.first = Some(field.clone()),
            Some(_) => self.others.push(field.clone()),
        }
    }

    /// Reads the session cookie under its own name, or else under the first accepted name that has
    /// an identifier.
    pub(crate) fn session(&self, cookie: &CookieConfig) -> Presented {
        self.named(cookie).1
    }

    /// The same, but only if it came under an accepted name.
    pub(crate) fn renamed(&self, cookie: &CookieConfig) -> Presented {
        if cookie.accepted().next().is_none() {
            return Presented::Nothing;
        }
        match self.named(cookie) {
            (name, presented) if name != cookie.name() => presented,
            _ => Presented::Nothing,
        }
    }

    /// The name of two identifiers that may both be live.
    pub(crate) fn name_of_two<'c>(&self, cookie: &'c CookieConfig) -> Option<&'c str> {
        match self.named(cookie) {
            (name, Presented::Two(_)) => Some(name),
            _ => None,
        }
    }

    /// The cookie, and its name. A value that is not an identifier does not hide one that is.
    fn named<'c>(&self, cookie: &'c CookieConfig) -> (&'c str, Presented) {
        let mut rest = (cookie.name(), Presented::Nothing);
        for name in std::iter::once(cookie.name()).chain(cookie.accepted()) {
            match self.read(name) {
                Presented::Nothing => {}
                Presented::Malformed => rest.1 = Presented::Malformed,
                candidates => return (name, candidates),
            }
        }
        rest
    }

    /// The accepted names that have a cookie, with any value.
    pub(crate) fn accepted<'c>(&self, cookie: &'c CookieConfig) -> impl Iterator<Item = &'c str> {
        cookie.accepted().filter(|name| self.has(name))
    }

    /// Reads the cookie of this name. All `Cookie` fields are one list (RFC 9113, 8.2.3). The whole
    /// name is compared, with case. The value is not decoded or unquoted.
    ///
    /// Only well-formed identifiers are candidates, each once. All other values are ignored. So a
    /// sibling host that sets a malformed value cannot sign users out.
    pub(crate) fn read(&self, name: &str) -> Presented {
        let mut presented = Presented::Nothing;
        let (mut first, mut second) = (None, None);
        for value in self.values(name) {
            if first == Some(value) || second == Some(value) {
                continue;
            }
            let id = SessionId::parse(value);
            presented = match (presented, id) {
                (Presented::Nothing | Presented::Malformed, Some(id)) => {
                    first = Some(value);
                    Presented::Id(id)
                }
                (Presented::Id(one), Some(id)) if is_host_only(name) => {
                    second = Some(value);
                    Presented::Two([one, id])
                }
                (_, Some(_)) => return Presented::Ambiguous,
                (Presented::Nothing, None) => Presented::Malformed,
                (presented, None) => presented,
            };
        }
        presented
    }

    /// Whether there is a cookie of this name, with any value.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.values(name).next().is_some()
    }

    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.first
            .iter()
            .chain(&self.others)
            .flat_map(|field| field.as_bytes().split(|byte| *byte == b';'))
            .filter_map(|pair| value_of(pair.trim_ascii_start(), name.as_bytes()))
    }
}

impl fmt::Debug for Cookies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cookies(secret)")
    }
}

/// Whether no other host can set a cookie of this name. Not every browser ignores case in prefixes,
/// so another spelling gives no guarantee.
fn is_host_only(name: &str) -> bool {
    name.starts_with("__Host-")
}

fn value_of<'a>(pair: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    pair.strip_prefix(name)?.strip_prefix(b"=")
}
