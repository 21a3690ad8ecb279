//! The other sites that an application trusts: how they are written down, and whether one of them asks.

use http::{HeaderMap, Uri, header::ORIGIN};
use portcullis_core::ConfigError;

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
