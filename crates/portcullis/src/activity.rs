//! Which requests are activity of the person, and so move the idle deadline.
//!
//! A request is *not* activity when any of these holds:
//!
//! 1. its method is `HEAD` or `OPTIONS`;
//! 2. the browser says that nobody asked for it yet (`Sec-Purpose` or `Purpose` with `prefetch`, which prerendering
//!    sends too);
//! 3. the browser says that another site loads it into a page of its own (`Sec-Fetch-Site: cross-site`, and not to
//!    navigate);
//! 4. it opens a stream, or opens it again: `Accept: text/event-stream`, or an upgrade to a WebSocket;
//! 5. the client says that nobody asked for it: a field `Portcullis-Passive`, whatever its value;
//! 6. its route is marked with [`PassiveLayer`](crate::PassiveLayer);
//! 7. it is answered with a status of 400 or above, or what else says that it was refused or failed ([`Outcome`](crate::Outcome)).
//!
//! Such requests read the session like any other (NIST SP 800-63B-4, 5.2, counts activity *from the
//! subscriber*; OWASP Session Management, "Idle Timeout"). Nothing that a client says makes a request activity that
//! would not be without.

use http::{HeaderValue, Method};
use portcullis_core::store::Activity;

use crate::fields::Fields;

pub(crate) fn of_request(method: &Method, fields: &Fields<'_>) -> Activity {
    let speculative = begins(fields.sec_purpose, "prefetch") || begins(fields.purpose, "prefetch");
    let embedded =
        begins(fields.sec_fetch_site, "cross-site") && !begins(fields.sec_fetch_mode, "navigate");
    let streams = begins(fields.accept, "text/event-stream") || begins(fields.upgrade, "websocket");
    let idle_method = method == Method::HEAD || method == Method::OPTIONS;
    if idle_method || speculative || embedded || streams || fields.passive.is_some() {
        return Activity::Passive;
    }
    Activity::Active
}

/// Whether a field begins with this word.
fn begins(field: Option<&HeaderValue>, word: &str) -> bool {
    let beginning = field.and_then(|value| value.as_bytes().get(..word.len()));
    beginning.is_some_and(|beginning| beginning.eq_ignore_ascii_case(word.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn activity(method: Method, fields: &[(&'static str, &'static str)]) -> Activity {
        let fields = fields.iter().map(|(name, value)| {
            (
                name.parse::<http::HeaderName>().unwrap(),
                HeaderValue::from_static(value),
            )
        });
        of_request(&method, &Fields::of(&fields.collect()))
    }

    #[test]
    fn t37_s041_what_nobody_asked_for_is_no_activity() {
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
    fn what_a_person_does_is() {
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
}
