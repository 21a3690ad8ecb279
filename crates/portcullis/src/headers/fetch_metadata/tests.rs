use http::HeaderMap;

use super::*;

type Field = (&'static str, &'static str);

const TRUSTED: &str = "https://app.example";

fn metadata(method: Method, fields: &[Field], domain: Option<&str>) -> FetchMetadata {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(*name, HeaderValue::from_static(value));
    }
    headers.insert("host", HeaderValue::from_static("shop.example:8443"));
    let own = OwnSite {
        trusted: &[TRUSTED.to_owned()],
        domain,
    };
    let uri = Uri::from_static("/page");
    FetchMetadata::of(&method, &uri, &headers, &Fields::of(&headers), own)
}

/// For which attributes the browser withholds the cookie.
fn withheld(method: Method, fields: &[Field]) -> [bool; 3] {
    let request = metadata(method, fields, None);
    [SameSite::Strict, SameSite::Lax, SameSite::None].map(|of| request.withholds(of))
}

const NEVER: [bool; 3] = [false, false, false];
const STRICT: [bool; 3] = [true, false, false];
const STRICT_AND_LAX: [bool; 3] = [true, true, false];

const CROSS_SITE: Field = ("sec-fetch-site", "cross-site");
const NAVIGATE: Field = ("sec-fetch-mode", "navigate");
const DOCUMENT: Field = ("sec-fetch-dest", "document");

#[test]
fn a_link_from_another_site_withholds_strict_cookies_alone() {
    let link = [CROSS_SITE, NAVIGATE, DOCUMENT];
    for method in [Method::GET, Method::HEAD] {
        assert_eq!(withheld(method, &link), STRICT);
    }
    for method in [
        Method::POST,
        Method::OPTIONS,
        Method::from_bytes(b"QUERY").unwrap(),
    ] {
        assert_eq!(withheld(method, &link), STRICT_AND_LAX);
    }
}

#[test]
fn other_requests_of_another_site_withhold_lax_cookies_too() {
    for rest in [
        &[NAVIGATE, ("sec-fetch-dest", "iframe")][..],
        &[NAVIGATE, ("sec-fetch-dest", "embed")],
        &[NAVIGATE],
        &[("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", "image")],
        &[("sec-fetch-mode", "cors"), ("sec-fetch-dest", "empty")],
        &[("sec-fetch-mode", "no-cors"), DOCUMENT],
        &[],
    ] {
        for method in [Method::GET, Method::HEAD, Method::POST, Method::CONNECT] {
            let fields = [&[CROSS_SITE], rest].concat();
            assert_eq!(withheld(method, &fields), STRICT_AND_LAX, "{fields:?}");
        }
    }
}

#[test]
fn requests_of_the_site_itself_or_of_a_user_withhold_nothing() {
    for site in ["same-origin", "same-site", "none"] {
        // The origin of the page does not matter: `Sec-Fetch-Site` takes precedence.
        let fields = [("sec-fetch-site", site), ("origin", "https://evil.example")];
        for method in [Method::GET, Method::POST] {
            assert_eq!(withheld(method, &fields), NEVER, "{site}");
        }
    }
    for method in [Method::GET, Method::POST] {
        assert_eq!(withheld(method, &[]), NEVER);
    }
}

#[test]
fn without_fetch_metadata_the_origin_of_an_unsafe_request_decides() {
    let post = |origin| withheld(Method::POST, &[("origin", origin)]);
    for origin in [
        "https://shop.example:8443",
        "https://shop.example",
        "http://SHOP.example",
        "https://www.shop.example",
        TRUSTED,
    ] {
        assert_eq!(post(origin), NEVER, "{origin}");
    }
    for origin in [
        "https://evil.example",
        "https://evilshop.example",
        "https://shop.example.evil",
        "https://example",
        "https://app.example:8443",
        "null",
        "",
        "shop.example:8443",
        "https://",
    ] {
        assert_eq!(post(origin), STRICT_AND_LAX, "{origin}");
        for method in [Method::GET, Method::HEAD, Method::OPTIONS, Method::CONNECT] {
            assert_eq!(withheld(method, &[("origin", origin)]), NEVER, "{origin}");
        }
    }
    let unknown = [
        ("sec-fetch-site", "sideways"),
        ("origin", "https://evil.example"),
    ];
    assert_eq!(withheld(Method::POST, &unknown), STRICT_AND_LAX);
    let two = [("origin", "https://shop.example:8443"), ("origin", TRUSTED)];
    assert_eq!(withheld(Method::POST, &two), STRICT_AND_LAX);
}

#[test]
fn hosts_that_share_the_cookie_are_one_site() {
    for (origin, same) in [
        ("https://blog.example.com", true),
        ("https://example.com", true),
        ("https://evilexample.com", false),
    ] {
        for domain in ["example.com", ".example.com"] {
            let fields = [("origin", origin)];
            let request = metadata(Method::POST, &fields, Some(domain));
            assert_eq!(request.withholds(SameSite::Lax), !same, "{origin}");
        }
    }
}

#[test]
fn only_a_top_level_page_is_requested_again_and_only_once_automatically() {
    let link = [CROSS_SITE, NAVIGATE, DOCUMENT];
    let request = |method, more: &[Field]| metadata(method, &[&link, more].concat(), None);
    assert!(request(Method::GET, &[]).is_page_visit());
    assert!(!request(Method::HEAD, &[]).is_page_visit());
    assert!(!request(Method::POST, &[]).is_page_visit());
    let frame = [CROSS_SITE, NAVIGATE, ("sec-fetch-dest", "iframe")];
    assert!(!metadata(Method::GET, &frame, None).is_page_visit());
    for (more, expected) in [
        (&[][..], false),
        (&[("sec-fetch-user", "?0")], false),
        (&[("sec-fetch-user", "?1")], true),
        (&[("referer", "https://mail.example/")], true),
    ] {
        let request = request(Method::GET, more);
        assert_eq!(request.has_user_or_referrer(), expected, "{more:?}");
    }
}
