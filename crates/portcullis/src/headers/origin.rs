//! The sites that may send requests: the site itself, and those that the application trusts.

use http::{
    HeaderMap, Method, Uri,
    header::{HeaderValue, ORIGIN},
};
use portcullis_core::ConfigError;

use crate::headers::{
    fields::only,
    host::{self, Host, Origin},
};

/// Whether a page of one of these sites sends the request, and no other. Browsers send `Origin`
/// with cross-origin requests, and a page cannot change it.
pub(crate) fn is_trusted(headers: &HeaderMap, trusted: &[String]) -> bool {
    only(headers, ORIGIN).is_some_and(|origin| trusted.iter().any(|trusted| origin == trusted))
}

/// Whether an unsafe request comes from a page of another site. The decision is that of
/// tower-http's `CsrfLayer`, with two differences. Hosts compare as URLs do, and origins with
/// schemes of their own can be trusted.
pub(crate) fn is_forged(
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    trusted: &[String],
) -> bool {
    if [Method::GET, Method::HEAD, Method::OPTIONS].contains(method) {
        return false;
    }
    let site = headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
    if let Some(b"same-origin" | b"none") = site {
        return false;
    }
    if is_trusted(headers, trusted) {
        return false;
    }
    if site.is_some_and(|site| !site.is_empty()) {
        return true;
    }
    if !headers.contains_key(ORIGIN) {
        return false;
    }
    let origin = only(headers, ORIGIN).and_then(|origin| Origin::parse(origin.to_str().ok()?));
    let own = origin.zip(Host::of_request(uri, headers));
    !own.is_some_and(|(origin, host)| origin.is_served_by(&host))
}

/// Logs that a request was refused because of its origin, with both sides of the comparison.
pub(crate) fn log_refusal(what: &str, uri: &Uri, headers: &HeaderMap) {
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    let origins: Vec<_> = headers.get_all(ORIGIN).iter().collect();
    let origin = match origins.as_slice() {
        [] => "none".to_owned(),
        [origin] => text(origin.as_bytes()),
        [_, ..] => "several".to_owned(),
    };
    let site = headers.get("sec-fetch-site");
    let site = site.map_or_else(|| "none".to_owned(), |site| text(site.as_bytes()));
    let host = host::written(uri, headers).map_or_else(|| "none".to_owned(), text);
    tracing::warn!(
        origin = ?origin,
        host = ?host,
        sec_fetch_site = ?site,
        "{what} was asked for by another site, and refused; if it is a site of yours, name it in `trusted_origins`; if it is this one, let the proxy pass on `Host` and `Origin`"
    );
}

/// Schemes whose pages have no origin of their own, or that no page has.
const WITHOUT_ORIGIN: [&str; 12] = [
    "about",
    "blob",
    "chrome",
    "data",
    "file",
    "filesystem",
    "ftp",
    "javascript",
    "resource",
    "view-source",
    "ws",
    "wss",
];

/// An origin as browsers spell it.
pub(crate) fn parse(origin: &str) -> Result<String, ConfigError> {
    match mistake(origin) {
        None => Ok(origin.to_owned()),
        Some(mistake) => Err(ConfigError::new(format!(
            "{origin:?} is not an origin as browsers send it, such as `https://app.example` or `capacitor://localhost`: {mistake}"
        ))),
    }
}

/// The mistake in an origin, and what to write instead.
fn mistake(origin: &str) -> Option<String> {
    if origin == "null" {
        return Some("`null` is sent by every sandboxed page, so it cannot be trusted".to_owned());
    }
    if origin.contains('*') {
        return Some("it must be spelled out; name each origin".to_owned());
    }
    let Some((scheme, rest)) = origin.split_once("://") else {
        return Some("it has no scheme; write `https://` in front".to_owned());
    };
    let is_scheme =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"+-.".contains(&byte);
    if !scheme.starts_with(|first: char| first.is_ascii_lowercase())
        || !scheme.bytes().all(is_scheme)
    {
        return Some("its scheme must be in lower case".to_owned());
    }
    if WITHOUT_ORIGIN.contains(&scheme) {
        return Some(format!("no page with an origin has the scheme `{scheme}`"));
    }
    if let Some(end) = rest.find(['/', '?', '#', '\\']) {
        let (host, tail) = rest.split_at(end);
        return Some(format!("leave out {tail:?}; write `{scheme}://{host}`"));
    }
    if rest.contains('@') {
        return Some("leave out user and password".to_owned());
    }
    if !rest.is_ascii() {
        return Some("write the host in ASCII (`xn--…`)".to_owned());
    }
    let Some(host) = Host::parse(rest.as_bytes()) else {
        return Some(format!("{rest:?} is not a host with or without a port"));
    };
    match scheme {
        "http" | "https" => {
            let Some((canonical, _)) = Origin::of_url(origin) else {
                return Some(format!("{rest:?} is not a host with or without a port"));
            };
            let canonical = canonical.to_string();
            (canonical != origin).then(|| format!("write `{canonical}`"))
        }
        // Browsers create these identifiers, so they have one spelling.
        "chrome-extension" => {
            let is_id = rest.len() == 32 && rest.bytes().all(|byte| (b'a'..=b'p').contains(&byte));
            (!is_id).then(|| {
                "an extension of Chrome has an identifier of 32 letters from a to p".to_owned()
            })
        }
        "moz-extension" => (!is_uuid(rest) || rest.bytes().any(|byte| byte.is_ascii_uppercase()))
            .then(|| "an extension of Firefox has a UUID in lower case".to_owned()),
        // Safari writes it in upper case.
        "safari-web-extension" => {
            (!is_uuid(rest)).then(|| "an extension of Safari has a UUID".to_owned())
        }
        _ => {
            let canonical = host.to_string();
            (canonical != rest).then(|| format!("write `{scheme}://{canonical}`"))
        }
    }
}

fn is_uuid(text: &str) -> bool {
    let is_hex = |part: &str| part.bytes().all(|byte| byte.is_ascii_hexdigit());
    let parts = text.split('-').map(|part| (part.len(), is_hex(part)));
    parts.eq([8, 4, 4, 4, 12].map(|length| (length, true)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::headers::samples::headers;

    #[test]
    fn a_site_is_trusted_if_it_is_named_and_is_the_only_origin() {
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
    fn s061_an_unsafe_request_of_another_site_is_forged() {
        const HOST: (&str, &str) = ("host", "shop.example:443");
        const OWN: (&str, &str) = ("origin", "https://shop.example");
        const TRUSTED: (&str, &str) = ("origin", "capacitor://localhost");
        const CROSS: (&str, &str) = ("sec-fetch-site", "cross-site");
        let trusted = ["capacitor://localhost".to_owned()];
        for (fields, expected) in [
            (&[HOST][..], false),
            (&[HOST, OWN], false),
            (&[("host", "SHOP.example"), OWN], false),
            (&[("host", "shop.example:8443"), OWN], true),
            (&[HOST, OWN, OWN], true),
            (&[OWN], true),
            (&[HOST, ("origin", "null")], true),
            (&[HOST, ("origin", "")], true),
            (&[HOST, ("origin", "https://evil.example")], true),
            (&[HOST, TRUSTED], false),
            (&[HOST, TRUSTED, CROSS], false),
            (&[HOST, OWN, CROSS], true),
            (&[HOST, CROSS], true),
            (&[HOST, ("sec-fetch-site", "same-site")], true),
            (&[HOST, ("sec-fetch-site", "same-origin")], false),
            (&[HOST, ("sec-fetch-site", "none")], false),
            (&[HOST, ("sec-fetch-site", ""), OWN], false),
        ] {
            let headers = headers(fields);
            let uri = Uri::from_static("/extend");
            let forged = is_forged(&Method::POST, &uri, &headers, &trusted);
            assert_eq!(forged, expected, "{fields:?}");
            assert!(!is_forged(&Method::GET, &uri, &headers, &trusted));
        }
    }

    #[test]
    fn an_origin_that_browsers_send_can_be_trusted() {
        for origin in [
            "https://app.example",
            "http://app.example:8080",
            "https://app.example.",
            "https://xn--bcher-kva.example",
            "https://[::1]:8443",
            "https://localhost",
            "http://tauri.localhost",
            "tauri://localhost",
            "capacitor://localhost",
            "ionic://localhost",
            "app://bundle",
            "chrome-extension://abcdefghijklmnopabcdefghijklmnop",
            "moz-extension://8ac1b6e7-1d4f-4f43-9f0b-2b1a3c4d5e6f",
            "safari-web-extension://8AC1B6E7-1D4F-4F43-9F0B-2B1A3C4D5E6F",
        ] {
            assert_eq!(parse(origin).unwrap(), origin);
        }
    }

    #[test]
    fn an_origin_that_would_never_match_is_refused_with_the_reason() {
        for (origin, why) in [
            ("https://app.example/", "write `https://app.example`"),
            ("https://app.example/path", "write `https://app.example`"),
            ("https://app.example?a", "write `https://app.example`"),
            ("https://app.example#a", "write `https://app.example`"),
            ("capacitor://localhost/", "write `capacitor://localhost`"),
            ("https://app.example:443", "write `https://app.example`"),
            ("http://app.example:80", "write `http://app.example`"),
            ("https://App.example", "write `https://app.example`"),
            ("https://app.example:", "write `https://app.example`"),
            ("https://[0:0:0:0:0:0:0:1]", "write `https://[::1]`"),
            ("Tauri://localhost", "lower case"),
            ("HTTPS://app.example", "lower case"),
            ("tauri://LOCALHOST", "write `tauri://localhost`"),
            ("https://user@app.example", "user and password"),
            ("https://user:password@app.example", "user and password"),
            ("https://bücher.example", "xn--"),
            ("https://*.app.example", "name each origin"),
            ("*", "name each origin"),
            ("null", "sandboxed"),
            ("ftp://app.example", "scheme `ftp`"),
            ("wss://app.example", "scheme `wss`"),
            ("file://", "scheme `file`"),
            ("data://x", "scheme `data`"),
            ("app.example", "no scheme"),
            ("//app.example", "no scheme"),
            ("", "no scheme"),
            ("://app.example", "scheme"),
            ("https://", "is not a host"),
            ("https://app.example:99999", "is not a host"),
            ("https://app example", "is not a host"),
            ("https://app.example ", "is not a host"),
            ("capacitor://", "is not a host"),
            ("chrome-extension://id", "32 letters"),
            (
                "moz-extension://8AC1B6E7-1D4F-4F43-9F0B-2B1A3C4D5E6F",
                "lower case",
            ),
            ("moz-extension://id", "UUID"),
            ("safari-web-extension://id", "UUID"),
        ] {
            let error = parse(origin).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }
}
