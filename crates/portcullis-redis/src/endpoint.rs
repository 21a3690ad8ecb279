//! The address of one server.

use std::fmt;

/// A host, as a name or an IP address, and a port.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Endpoint {
    host: String,
    port: u16,
}

impl Endpoint {
    pub(crate) fn new(host: impl Into<String>, port: u16) -> Self {
        Self {
            host: host.into(),
            port,
        }
    }

    /// Parses `host:port`. Brackets around an IPv6 address are optional: Redis writes none. A
    /// missing port is `default`.
    pub(crate) fn parse(text: &str, default: Option<u16>) -> Option<Self> {
        let (host, port) = match (text.strip_prefix('['), text.rsplit_once(':')) {
            (Some(bracketed), _) => {
                let (host, rest) = bracketed.split_once(']')?;
                (host, rest.strip_prefix(':'))
            }
            (None, Some((host, port))) => (host, Some(port)),
            (None, None) => (text, None),
        };
        let port = match port {
            Some(port) => port.parse().ok()?,
            None => default?,
        };
        (!host.is_empty()).then(|| Self::new(host, port))
    }

    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports_are_read_as_urls_and_as_redis_write_them() {
        for (text, host, port) in [
            ("db.internal:7000", "db.internal", 7000),
            ("db.internal", "db.internal", 6379),
            ("10.0.0.1:7000", "10.0.0.1", 7000),
            ("[::1]:7000", "::1", 7000),
            ("[::1]", "::1", 6379),
            ("2001:db8::1:7000", "2001:db8::1", 7000),
        ] {
            let endpoint = Endpoint::parse(text, Some(6379));
            assert_eq!(endpoint, Some(Endpoint::new(host, port)), "{text}");
        }
        for text in ["", ":7000", "host:", "host:99999", "host:x", "[::1", "[]:1"] {
            assert_eq!(Endpoint::parse(text, Some(6379)), None, "{text}");
        }
        assert_eq!(Endpoint::parse("host", None), None);
    }
}
