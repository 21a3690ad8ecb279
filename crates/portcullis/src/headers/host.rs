//! Hosts and origins, compared as in the URL Standard.
//!
//! Case is ignored, IPv6 addresses compare by value, and a missing port is the standard port of the
//! scheme.
//!
//! A trailing dot makes another host, as it does for browsers.

use std::{
    fmt,
    net::{Ipv4Addr, Ipv6Addr},
};

use http::{HeaderMap, HeaderValue, Uri, header::HOST};

use crate::headers::fields::only;

/// A host, with the port if one is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Host {
    name: String,
    port: Option<u16>,
}

impl Host {
    /// The host of the request: the authority of the target, or else the only `Host` field.
    pub(crate) fn of_request(uri: &Uri, headers: &HeaderMap) -> Option<Self> {
        Self::parse(written(uri, headers)?)
    }

    /// Reads a `Host` field or an authority without userinfo.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        let (name, port) = match text.strip_prefix('[') {
            Some(bracketed) => {
                let (address, port) = bracketed.split_once(']')?;
                (format!("[{}]", address.parse::<Ipv6Addr>().ok()?), port)
            }
            None => {
                let (name, port) = text.split_at(text.find(':').unwrap_or(text.len()));
                (host_name(name)?, port)
            }
        };
        let port = match port.strip_prefix(':') {
            None if port.is_empty() => None,
            Some("") => None,
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                Some(digits.parse().ok()?)
            }
            _ => return None,
        };
        Some(Self { name, port })
    }

    /// The host without the port.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Whether the host is this machine. Browsers trust such hosts without TLS (W3C Secure
    /// Contexts, 3.1), and send them `Secure` cookies.
    pub(crate) fn is_loopback(&self) -> bool {
        let is_loopback = |address: Ipv4Addr| address.is_loopback();
        self.name == "localhost"
            || self.name == "[::1]"
            || self.name.ends_with(".localhost")
            || self.name.parse().is_ok_and(is_loopback)
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        match self.port {
            Some(port) => write!(f, ":{port}"),
            None => Ok(()),
        }
    }
}

/// The host of the request, as it was written, for logs.
pub(crate) fn written<'r>(uri: &'r Uri, headers: &'r HeaderMap) -> Option<&'r [u8]> {
    if let Some(authority) = uri.authority() {
        return Some(authority.as_str().as_bytes());
    }
    only(headers, HOST).map(HeaderValue::as_bytes)
}

fn host_name(name: &str) -> Option<String> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    let fits = !name.is_empty() && name.bytes().all(fits);
    fits.then(|| name.to_ascii_lowercase())
}

/// An origin as browsers serialize it, such as `https://shop.example:8443`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Origin {
    scheme: String,
    host: Host,
}

impl Origin {
    /// Reads the value of an `Origin` field. Values that no browser sends are refused.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (scheme, host) = text.split_once("://")?;
        let origin = Self::of(scheme, host)?;
        (origin.to_string() == text).then_some(origin)
    }

    /// The origin of an absolute URL, and the rest of it from the path on.
    pub(crate) fn of_url(url: &str) -> Option<(Self, &str)> {
        let (scheme, rest) = url.split_once("://")?;
        let (host, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        Some((Self::of(scheme, host)?, path))
    }

    fn of(scheme: &str, host: &str) -> Option<Self> {
        let host = Host::parse(host.as_bytes())?;
        let standard = standard_port(scheme)?;
        Some(Self {
            scheme: scheme.to_owned(),
            host: Host {
                port: host.port.filter(|port| *port != standard),
                ..host
            },
        })
    }

    /// Whether pages of this origin are served by `host`. The scheme only decides the standard
    /// port. Behind a proxy, the scheme of a request is not known.
    pub(crate) fn is_served_by(&self, host: &Host) -> bool {
        let standard = standard_port(&self.scheme);
        self.host.name == host.name && self.host.port.or(standard) == host.port.or(standard)
    }

    #[cfg(feature = "ws")]
    pub(crate) fn is_https(&self) -> bool {
        self.scheme == "https"
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.host)
    }
}

fn standard_port(scheme: &str) -> Option<u16> {
    match scheme {
        "https" => Some(443),
        "http" => Some(80),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_compare_as_urls_do() {
        for (origin, host, same) in [
            ("https://shop.example", "shop.example", true),
            ("https://shop.example", "shop.example:443", true),
            ("https://shop.example", "shop.example:", true),
            ("https://shop.example", "Shop.EXAMPLE:443", true),
            ("https://shop.example", "shop.example:80", false),
            ("https://shop.example", "shop.example:8443", false),
            ("https://shop.example", "shop.example.", false),
            ("https://shop.example.", "SHOP.example.:443", true),
            ("https://shop.example:8443", "shop.example:8443", true),
            ("https://shop.example:8443", "shop.example", false),
            ("http://shop.example", "shop.example:80", true),
            ("http://shop.example", "shop.example:443", false),
            ("https://[2001:db8::1]", "[2001:DB8:0:0:0:0:0:1]:443", true),
            ("https://[2001:db8::1]", "[2001:db8::2]", false),
            ("https://127.0.0.1", "127.0.0.1:443", true),
            ("https://a.shop.example", "shop.example", false),
        ] {
            let origin = Origin::parse(origin).unwrap();
            let host = Host::parse(host.as_bytes()).unwrap();
            assert_eq!(origin.is_served_by(&host), same, "{origin} {host}");
        }
    }

    #[test]
    fn an_invalid_host_is_none() {
        for text in [
            "",
            ":443",
            "shop.example:99999",
            "shop.example:+443",
            "shop.example:443:443",
            "user@shop.example",
            "shop.example/",
            "[::1",
            "[::1]443",
            "[shop.example]",
            "::1",
            "shöp.example",
            "shop example",
        ] {
            assert_eq!(Host::parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn an_origin_is_valid_only_as_browsers_write_it() {
        for text in [
            "null",
            "",
            "https://",
            "shop.example",
            "HTTPS://shop.example",
            "https://Shop.example",
            "https://shop.example:443",
            "https://shop.example:",
            "https://shop.example/",
            "https://user@shop.example",
            "https://[0:0:0:0:0:0:0:1]",
            "ws://shop.example",
            "capacitor://localhost",
        ] {
            assert_eq!(Origin::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_url_is_split_into_its_origin_and_the_rest() {
        for (url, expected) in [
            (
                "https://shop.example/a?b",
                Some(("https://shop.example", "/a?b")),
            ),
            (
                "https://shop.example:443",
                Some(("https://shop.example", "")),
            ),
            (
                "https://shop.example?a",
                Some(("https://shop.example", "?a")),
            ),
            ("https://user@shop.example/", None),
            ("about:blank", None),
            ("/a", None),
        ] {
            let split = Origin::of_url(url);
            let split = split.map(|(origin, rest)| (origin.to_string(), rest));
            let expected = expected.map(|(origin, rest)| (origin.to_owned(), rest));
            assert_eq!(split, expected, "{url}");
        }
    }

    #[test]
    fn hosts_of_this_machine_are_known() {
        for (host, expected) in [
            ("localhost", true),
            ("LOCALHOST:3000", true),
            ("shop.localhost", true),
            ("127.9.9.9:80", true),
            ("[0:0:0:0:0:0:0:1]:3000", true),
            ("[::2]", false),
            ("localhost.evil.example", false),
            ("evillocalhost", false),
            ("127.0.0.1.evil.example", false),
            ("128.0.0.1", false),
        ] {
            let host = Host::parse(host.as_bytes()).unwrap();
            assert_eq!(host.is_loopback(), expected, "{host}");
        }
    }
}
