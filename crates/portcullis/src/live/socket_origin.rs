//! The origins that may open a WebSocket.
//!
//! A browser lets every site open a WebSocket to every other, and sends the cookies that `SameSite`
//! permits. Only `Origin` names the site that opens it (RFC 6455, 10.2; OWASP ASVS 5.0, 4.4.2).

use http::{HeaderMap, Uri, header::ORIGIN};

use crate::headers::{
    host::{Host, Origin},
    origin,
};

/// The configuration of the requested site.
#[derive(Debug, Clone, Copy)]
pub(super) struct Site<'a> {
    /// Other sites whose pages may connect.
    pub(super) trusted: &'a [String],
    /// Its session cookie is `Secure`.
    pub(super) is_secure: bool,
}

/// Whether a request comes from the site itself, or from one it trusts. A request without `Origin`
/// comes from no page, so it must not have the cookie of one.
pub(super) fn is_allowed(uri: &Uri, headers: &HeaderMap, has_cookie: bool, site: Site<'_>) -> bool {
    let mut origins = headers.get_all(ORIGIN).iter();
    let origin = match (origins.next(), origins.next()) {
        (None, _) => return !has_cookie,
        (Some(origin), None) => origin.to_str().ok(),
        (Some(_), Some(_)) => return false,
    };
    if origin::is_trusted(headers, site.trusted) {
        return true;
    }
    let origin = origin.and_then(Origin::parse);
    let own = origin.zip(Host::of_request(uri, headers));
    own.is_some_and(|(origin, host)| is_own(&origin, &host, site.is_secure))
}

/// Whether an origin is a page of this host. Its scheme is not compared with that of the request,
/// which is unknown behind a proxy. But an attacker on the network can replace a page without TLS.
/// So with a `Secure` cookie, such a page does not count as the site's own.
fn is_own(origin: &Origin, host: &Host, is_secure: bool) -> bool {
    origin.is_served_by(host) && (origin.is_https() || !is_secure || host.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::headers::samples::headers;

    const STRICT: Site<'_> = Site {
        trusted: &[],
        is_secure: true,
    };

    fn allowed(fields: &[(&'static str, &'static str)]) -> bool {
        let site = Site {
            trusted: &["https://app.example".to_owned()],
            ..STRICT
        };
        is_allowed(&Uri::from_static("/live"), &headers(fields), true, site)
    }

    const HOST: (&str, &str) = ("host", "shop.example:8443");

    #[test]
    fn s095_a_page_of_the_site_itself_and_of_a_trusted_one_may_connect() {
        for origin in ["https://shop.example:8443", "https://app.example"] {
            assert!(allowed(&[HOST, ("origin", origin)]), "{origin}");
        }
    }

    #[test]
    fn s095_no_other_page_may_connect() {
        for origin in [
            "https://evil.example",
            "https://shop.example",
            "https://shop.example:8443.evil.example",
            "https://evil.example?shop.example:8443",
            "https://evil@shop.example:8443",
            "https://shop.example:8443/",
            "http://app.example",
            "https://app.example:8443",
            "HTTPS://shop.example:8443",
            "ws://shop.example:8443",
            "shop.example:8443",
            "null",
            "",
        ] {
            assert!(!allowed(&[HOST, ("origin", origin)]), "{origin}");
        }
    }

    #[test]
    fn s095_a_page_without_tls_may_connect_only_if_the_cookie_may_be_sent_without_it() {
        let uri = Uri::from_static("/live");
        for (host, stays_here) in [
            ("shop.example", false),
            ("shop.example:8443", false),
            ("localhost", true),
            ("localhost:3000", true),
            ("shop.localhost:3000", true),
            ("localhost.evil.example", false),
            ("evillocalhost", false),
            ("127.0.0.1:3000", true),
            ("127.9.9.9", true),
            ("127.0.0.1.evil.example", false),
            ("128.0.0.1", false),
            ("192.168.0.1:3000", false),
            ("[::1]", true),
            ("[::1]:3000", true),
            ("[::2]:3000", false),
        ] {
            let origin = format!("http://{host}");
            let mut headers = HeaderMap::new();
            headers.insert("host", host.parse().unwrap());
            headers.insert("origin", origin.parse().unwrap());
            let with_cookie = |is_secure| {
                let site = Site {
                    is_secure,
                    ..STRICT
                };
                is_allowed(&uri, &headers, true, site)
            };
            assert_eq!(with_cookie(true), stays_here, "{host}");
            assert!(with_cookie(false), "{host}");
        }
    }

    #[test]
    fn s095_an_ambiguous_request_is_refused() {
        let own = ("origin", "https://shop.example:8443");
        assert!(!allowed(&[own]));
        assert!(!allowed(&[("host", ""), ("origin", "https://")]));
        assert!(!allowed(&[HOST, own, ("origin", "https://evil.example")]));
        assert!(!allowed(&[HOST, ("host", "evil.example"), own]));
    }

    #[test]
    fn s095_without_an_origin_there_must_be_no_cookie() {
        let uri = Uri::from_static("/live");
        for has_cookie in [true, false] {
            let allowed = is_allowed(&uri, &headers(&[HOST]), has_cookie, STRICT);
            assert_eq!(allowed, !has_cookie);
        }
    }

    #[test]
    fn a_host_is_the_same_however_it_is_written() {
        for (host, origin, expected) in [
            ("shop.example:443", "https://shop.example", true),
            ("Shop.Example", "https://shop.example", true),
            ("shop.example:8443", "https://shop.example", false),
            ("[::1]:443", "https://[::1]", true),
            ("[0:0:0:0:0:0:0:1]", "http://[::1]", true),
            ("LOCALHOST:3000", "http://localhost:3000", true),
            ("shop.example", "https://SHOP.example", false),
        ] {
            let fields = headers(&[("host", host), ("origin", origin)]);
            let allowed = is_allowed(&Uri::from_static("/live"), &fields, true, STRICT);
            assert_eq!(allowed, expected, "{host} {origin}");
        }
    }

    #[test]
    fn the_authority_of_the_target_takes_precedence_over_the_field() {
        let uri = Uri::from_static("https://shop.example/live");
        let fields = headers(&[("host", "evil.example"), ("origin", "https://shop.example")]);
        assert!(is_allowed(&uri, &fields, true, STRICT));
        let fields = headers(&[("host", "evil.example"), ("origin", "https://evil.example")]);
        assert!(!is_allowed(&uri, &fields, true, STRICT));
    }
}
