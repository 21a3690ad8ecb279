//! Which requests are activity of the user, and so move the idle deadline.
//!
#![doc = include_str!("../docs/activity.md")]

use http::HeaderValue;
use portcullis_core::store::Activity;

use crate::headers::{fetch_metadata::FetchMetadata, fields::Fields};

/// Whether a request is activity, according to its method and headers.
pub(crate) fn of_request(request: FetchMetadata, fields: &Fields<'_>) -> Activity {
    let speculative = begins(fields.sec_purpose, "prefetch") || begins(fields.purpose, "prefetch");
    let streams = request.is_connect()
        || begins(fields.accept, "text/event-stream")
        || begins(fields.upgrade, "websocket");
    let by_itself = speculative || request.is_without_content() || fields.passive.is_some();
    if by_itself || streams || request.is_loaded_by_others() {
        return Activity::Passive;
    }
    Activity::Active
}

/// Whether the value of a field begins with `prefix`, in any case.
fn begins(field: Option<&HeaderValue>, prefix: &str) -> bool {
    let beginning = field.and_then(|value| value.as_bytes().get(..prefix.len()));
    beginning.is_some_and(|beginning| beginning.eq_ignore_ascii_case(prefix.as_bytes()))
}

#[cfg(test)]
mod tests {
    use http::{Method, Uri};

    use super::*;
    use crate::headers::fetch_metadata::OwnSite;

    fn activity(method: Method, fields: &[(&'static str, &'static str)]) -> Activity {
        let fields = fields.iter().map(|(name, value)| {
            (
                name.parse::<http::HeaderName>().unwrap(),
                HeaderValue::from_static(value),
            )
        });
        let headers = fields.collect();
        let fields = Fields::of(&headers);
        let own = OwnSite {
            trusted: &["https://app.example".to_owned()],
            domain: None,
        };
        let request =
            FetchMetadata::of(&method, &Uri::from_static("/page"), &headers, &fields, own);
        of_request(request, &fields)
    }

    #[test]
    fn t37_s041_requests_without_a_user_are_no_activity() {
        for fields in [
            &[("sec-purpose", "prefetch")][..],
            &[("sec-purpose", "prefetch;prerender")],
            &[("purpose", "prefetch")],
            &[("portcullis-passive", "1")],
            &[("accept", "text/event-stream")],
            &[("connection", "upgrade"), ("upgrade", "WebSocket")],
            &[
                ("sec-fetch-site", "cross-site"),
                ("sec-fetch-mode", "no-cors"),
            ],
            &[("sec-fetch-site", "cross-site")],
        ] {
            assert_eq!(
                activity(Method::GET, fields),
                Activity::Passive,
                "{fields:?}"
            );
        }
        for method in [Method::HEAD, Method::OPTIONS] {
            assert_eq!(activity(method, &[]), Activity::Passive);
        }
    }

    #[test]
    fn requests_of_a_user_are_activity() {
        for fields in [
            &[][..],
            &[("accept", "text/html")],
            &[
                ("sec-fetch-site", "same-origin"),
                ("sec-fetch-mode", "cors"),
            ],
            &[
                ("sec-fetch-site", "cross-site"),
                ("sec-fetch-mode", "navigate"),
            ],
            &[("upgrade", "h2c")],
        ] {
            for method in [Method::GET, Method::POST] {
                assert_eq!(activity(method, fields), Activity::Active, "{fields:?}");
            }
        }
    }

    /// The rows of the table: `Sec-Fetch-Site` and `Origin`, and the results for a page, a frame
    /// and any other load.
    #[test]
    fn the_site_and_the_purpose_of_a_request_decide() {
        use Activity::{Active, Passive};
        let (own, trusted) = ("https://shop.example", "https://app.example");
        let other = "https://evil.example";
        for (site, origin, expected) in [
            (Some("same-origin"), None, [Active; 3]),
            (Some("same-origin"), Some(own), [Active; 3]),
            (Some("none"), None, [Active; 3]),
            (Some("same-site"), None, [Active; 3]),
            (
                Some("same-site"),
                Some("https://www.shop.example"),
                [Active; 3],
            ),
            (Some("same-site"), Some(trusted), [Active, Passive, Passive]),
            (Some("cross-site"), None, [Active, Passive, Passive]),
            (
                Some("cross-site"),
                Some(trusted),
                [Active, Passive, Passive],
            ),
            (Some("cross-site"), Some(other), [Active, Passive, Passive]),
            (None, Some(own), [Active; 3]),
            (None, Some(trusted), [Active, Passive, Passive]),
            (None, Some(other), [Active, Passive, Passive]),
            (None, Some("null"), [Active, Passive, Passive]),
            (None, None, [Active; 3]),
        ] {
            let mut from = vec![("host", "shop.example")];
            from.extend(site.map(|site| ("sec-fetch-site", site)));
            from.extend(origin.map(|origin| ("origin", origin)));
            let purposes = [
                ("navigate", "document"),
                ("navigate", "iframe"),
                ("cors", "empty"),
            ];
            for method in [Method::GET, Method::POST] {
                let found = purposes.map(|(mode, dest)| {
                    let what = [("sec-fetch-mode", mode), ("sec-fetch-dest", dest)];
                    activity(method.clone(), &[&from[..], &what].concat())
                });
                assert_eq!(found, expected, "{method} {from:?}");
            }
        }
    }

    #[test]
    fn no_kind_of_frame_of_another_site_is_activity() {
        for dest in ["iframe", "frame", "embed", "object", "fencedframe"] {
            let fields = [
                ("sec-fetch-site", "cross-site"),
                ("sec-fetch-mode", "navigate"),
                ("sec-fetch-dest", dest),
            ];
            assert_eq!(activity(Method::GET, &fields), Activity::Passive, "{dest}");
        }
    }

    #[test]
    fn a_socket_over_http_2_is_no_activity() {
        let fields = [("sec-fetch-site", "same-origin")];
        assert_eq!(activity(Method::CONNECT, &fields), Activity::Passive);
    }
}
