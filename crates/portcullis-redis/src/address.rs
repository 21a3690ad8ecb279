//! Where the server is, read from a URL.

use std::{fmt, net::IpAddr};

use crate::ConnectError;

/// A checked URL. `Debug` and `Display` show host and port alone.
#[derive(Clone)]
pub(crate) struct Address {
    /// The URL with the scheme `redis://`, for the driver's parser. Holds the password.
    plain_url: String,
    #[cfg(feature = "tls")]
    tls: bool,
    shown: String,
}

impl Address {
    pub(crate) fn parse(url: &str) -> Result<Self, ConnectError> {
        let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
        #[cfg(feature = "tls")]
        let tls = scheme == "rediss";
        match scheme {
            "redis" => {}
            "rediss" if cfg!(feature = "tls") => {}
            "rediss" => return Err(ConnectError::TlsNotBuilt),
            // Without "://" anything could stand there, even a password.
            other => {
                return Err(ConnectError::Scheme {
                    scheme: other.chars().take(32).collect(),
                });
            }
        }
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let shown = authority.rsplit('@').next().unwrap_or_default();
        if shown.is_empty() || shown.starts_with(':') {
            return Err(ConnectError::Address("it names no host"));
        }
        if rest.matches('@').count() > 1 || (rest.contains('@') && !authority.contains('@')) {
            return Err(ConnectError::Address(
                "user or password hold a character that must be percent-encoded",
            ));
        }
        Ok(Self {
            plain_url: format!("redis://{rest}"),
            #[cfg(feature = "tls")]
            tls,
            shown: shown.to_owned(),
        })
    }

    pub(crate) fn plain_url(&self) -> &str {
        &self.plain_url
    }

    pub(crate) fn tls(&self) -> bool {
        #[cfg(feature = "tls")]
        let tls = self.tls;
        // Else it would have been refused.
        #[cfg(not(feature = "tls"))]
        let tls = false;
        tls
    }

    /// Whether it names this machine.
    pub(crate) fn is_local(&self) -> bool {
        let host = match self.shown.strip_prefix('[') {
            Some(bracketed) => bracketed.split(']').next(),
            None => self.shown.split(':').next(),
        };
        let host = host.unwrap_or_default();
        host.eq_ignore_ascii_case("localhost")
            || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn only_host_and_port_are_ever_shown() {
        let address = Address::parse("redis://app:secret@db.internal:6380/3").unwrap();
        assert_eq!(
            format!("{address} {address:?}"),
            "db.internal:6380 db.internal:6380"
        );
    }

    #[test]
    fn an_address_that_cannot_be_read_is_refused_without_repeating_it() {
        for url in [
            "",
            "secret",
            "http://app:secret@host",
            "redis+unix:///secret",
            "redis-cluster://app:secret@host",
            "valkey://app:secret@host",
            "redis:app:secret@host",
            "redis://",
            "redis://app:secret@",
            "redis://app:sec@ret@host",
            "redis://app:/secret@host",
            "redis://:6379",
        ] {
            let error = Address::parse(url).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("secret"), "{error}");
        }
    }

    #[test]
    fn only_a_loopback_address_is_this_machine() {
        for (url, local) in [
            ("redis://localhost", true),
            ("redis://app:secret@LOCALHOST:6380/1", true),
            ("redis://127.0.0.1:6379", true),
            ("redis://127.1.2.3", true),
            ("redis://[::1]:6379", true),
            ("redis://db.internal", false),
            ("redis://localhost.example.com", false),
            ("redis://localhost@db.internal", false),
            ("redis://10.0.0.1", false),
            ("redis://[2001:db8::1]:6379", false),
        ] {
            assert_eq!(Address::parse(url).unwrap().is_local(), local, "{url}");
        }
    }

    #[test]
    #[cfg(feature = "tls")]
    fn an_s_in_the_scheme_means_tls() {
        assert!(Address::parse("rediss://host").unwrap().tls());
        assert!(!Address::parse("redis://host").unwrap().tls());
    }

    #[test]
    #[cfg(not(feature = "tls"))]
    fn an_s_in_the_scheme_without_tls_is_refused_and_not_ignored() {
        let refused = Address::parse("rediss://host");
        assert!(matches!(refused, Err(ConnectError::TlsNotBuilt)));
    }
}
