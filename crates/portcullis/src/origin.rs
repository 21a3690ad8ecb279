//! From where a WebSocket may be asked for.
//!
//! A browser lets every site open a WebSocket to every other, and sends the cookies that `SameSite` lets through. What
//! tells who asked is `Origin` (RFC 6455, 10.2; OWASP ASVS 5.0, 4.4.2).

use http::{
    HeaderMap, Uri,
    header::{HOST, ORIGIN},
};
use portcullis_core::ConfigError;

/// Whether a request comes from the site itself, or from one it trusts. The scheme is not compared: behind a proxy
/// nobody knows it. A request without `Origin` comes from no page, so it must not bring the cookie of one.
pub(crate) fn is_allowed(
    uri: &Uri,
    headers: &HeaderMap,
    has_cookie: bool,
    trusted: &[String],
) -> bool {
    let mut origins = headers.get_all(ORIGIN).iter();
    let origin = match (origins.next(), origins.next()) {
        (None, _) => return !has_cookie,
        (Some(origin), None) => origin.as_bytes(),
        (Some(_), Some(_)) => return false,
    };
    if is_trusted(headers, trusted) {
        return true;
    }
    let mut hosts = headers.get_all(HOST).iter();
    let from_header = match (hosts.next(), hosts.next()) {
        (Some(host), None) => Some(host.as_bytes()),
        _ => None,
    };
    let from_uri = uri
        .authority()
        .map(|authority| authority.as_str().as_bytes());
    let host = from_uri.or(from_header);
    host.is_some_and(|host| !host.is_empty() && host_of(origin) == Some(host))
}

/// Host and port of an origin, as they stand there.
fn host_of(origin: &[u8]) -> Option<&[u8]> {
    let schemes = [&b"https://"[..], b"http://"];
    schemes
        .iter()
        .find_map(|scheme| origin.strip_prefix(*scheme))
}

/// Whether a page of one of these sites asks, and nobody else. Browsers tell so with what is asked across origins, and a
/// page cannot make them say anything else.
pub(crate) fn is_trusted(headers: &HeaderMap, trusted: &[String]) -> bool {
    let mut origins = headers.get_all(ORIGIN).iter();
    match (origins.next(), origins.next()) {
        (Some(origin), None) => trusted.iter().any(|trusted| origin == trusted),
        _ => false,
    }
}

/// An origin as browsers spell it.
pub(crate) fn parse(origin: &str) -> Result<String, ConfigError> {
    let uri = origin.parse::<Uri>().ok();
    let scheme = uri.as_ref().and_then(Uri::scheme_str);
    let host = uri.as_ref().and_then(Uri::authority);
    let standard = match scheme {
        Some("https") => Some(443),
        Some("http") => Some(80),
        _ => None,
    };
    if let (Some(scheme), Some(host)) = (scheme, host)
        && standard.is_some()
        && host.port_u16() != standard
        && origin == format!("{scheme}://{host}").to_ascii_lowercase()
    {
        return Ok(origin.to_owned());
    }
    Err(ConfigError::new(format!(
        "{origin:?} is not an origin as browsers spell it, such as `https://app.example`: lower case, no path, no standard port"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    fn allowed(fields: &[(&'static str, &'static str)]) -> bool {
        let trusted = ["https://app.example".to_owned()];
        is_allowed(&Uri::from_static("/live"), &headers(fields), true, &trusted)
    }

    const HOST: (&str, &str) = ("host", "shop.example:8443");

    #[test]
    fn s095_a_page_of_the_site_itself_and_of_a_trusted_one_may_connect() {
        for origin in [
            "https://shop.example:8443",
            "http://shop.example:8443",
            "https://app.example",
        ] {
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
    fn s095_what_can_be_read_in_two_ways_is_refused() {
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
            let allowed = is_allowed(&uri, &headers(&[HOST]), has_cookie, &[]);
            assert_eq!(allowed, !has_cookie);
        }
    }

    #[test]
    fn the_authority_of_the_target_goes_before_the_field() {
        let uri = Uri::from_static("https://shop.example/live");
        let fields = headers(&[("host", "evil.example"), ("origin", "https://shop.example")]);
        assert!(is_allowed(&uri, &fields, true, &[]));
        let fields = headers(&[("host", "evil.example"), ("origin", "https://evil.example")]);
        assert!(!is_allowed(&uri, &fields, true, &[]));
    }

    #[test]
    fn a_site_is_trusted_when_it_is_named_and_asks_alone() {
        let trusted = ["https://app.example".to_owned()];
        for (origins, expected) in [
            (&["https://app.example"][..], true),
            (&[], false),
            (&["https://app.example.evil.example"], false),
            (&["http://app.example"], false),
            (&["null"], false),
            (&["https://app.example", "https://evil.example"], false),
        ] {
            let mut headers = HeaderMap::new();
            for origin in origins {
                headers.append(ORIGIN, origin.parse().unwrap());
            }
            assert_eq!(is_trusted(&headers, &trusted), expected, "{origins:?}");
        }
    }

    #[test]
    fn an_origin_that_would_never_match_is_refused_when_it_is_set() {
        for origin in [
            "https://app.example",
            "http://app.example:8080",
            "https://[::1]:8443",
        ] {
            assert_eq!(parse(origin).unwrap(), origin);
        }
        for origin in [
            "https://app.example/",
            "https://app.example:443",
            "http://app.example:80",
            "https://App.example",
            "ftp://app.example",
            "app.example",
            "https://",
            "null",
            "*",
            "",
        ] {
            assert!(parse(origin).is_err(), "{origin}");
        }
    }
}
