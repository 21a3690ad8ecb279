//! What identifier a request presents.

use std::fmt;

use http::HeaderValue;
use portcullis_core::SessionId;

use super::CookieConfig;

/// The `Cookie` fields of a request, kept until somebody asks what is in them.
#[derive(Default)]
pub(crate) struct Cookies {
    first: Option<HeaderValue>,
    /// HTTP/2 may send each cookie in a field of its own.
    others: Vec<HeaderValue>,
}

/// What a request's `Cookie` fields hold under the session's name.
#[derive(Debug)]
pub(crate) enum Presented {
    Nothing,
    /// Not a spelling of any identifier. Never reaches the store.
    Malformed,
    /// Two different values, of which one may be planted: neither counts (RFC 6265bis, 8.6).
    Ambiguous,
    Id(SessionId),
}

impl Cookies {
    pub(crate) fn add(&mut self, field: &HeaderValue) {
        match self.first {
            None => self.first = Some(field.clone()),
            Some(_) => self.others.push(field.clone()),
        }
    }

    /// Reads the session cookie under its own name, or else under the first accepted one that came.
    pub(crate) fn session(&self, cookie: &CookieConfig) -> Presented {
        match self.read(cookie.name()) {
            Presented::Nothing => self.under_accepted_name(cookie),
            own => own,
        }
    }

    /// The same where it came under none but an accepted name.
    pub(crate) fn renamed(&self, cookie: &CookieConfig) -> Presented {
        match cookie.accepted().next() {
            Some(_) if !self.has(cookie.name()) => self.under_accepted_name(cookie),
            _ => Presented::Nothing,
        }
    }

    fn under_accepted_name(&self, cookie: &CookieConfig) -> Presented {
        let came = |presented: &Presented| !matches!(presented, Presented::Nothing);
        let mut presented = cookie.accepted().map(|name| self.read(name));
        presented.find(came).unwrap_or(Presented::Nothing)
    }

    /// The accepted names under which there is one, whatever is in it.
    pub(crate) fn accepted<'c>(&self, cookie: &'c CookieConfig) -> impl Iterator<Item = &'c str> {
        cookie.accepted().filter(|name| self.has(name))
    }

    /// Reads the cookie of this name. All `Cookie` fields are one list (RFC 9113, 8.2.3). The name is compared
    /// whole and with case; the value is taken as it stands, without decoding or unquoting.
    pub(crate) fn read(&self, name: &str) -> Presented {
        let mut values = self.values(name);
        let Some(value) = values.next() else {
            return Presented::Nothing;
        };
        if values.any(|other| other != value) {
            return Presented::Ambiguous;
        }
        SessionId::parse(value).map_or(Presented::Malformed, Presented::Id)
    }

    /// Whether there is one of this name, whatever is in it.
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

fn value_of<'a>(pair: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    pair.strip_prefix(name)?.strip_prefix(b"=")
}
