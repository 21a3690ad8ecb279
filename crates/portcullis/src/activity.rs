//! Which requests are activity of the person, and so move the idle deadline.
//!
//! A request is *not* activity when any of these holds:
//!
//! 1. its method is `HEAD` or `OPTIONS`;
//! 2. the browser says that nobody asked for it yet (`Sec-Purpose` or `Purpose` with `prefetch`);
//! 3. its route is marked with [`PassiveLayer`](crate::PassiveLayer);
//! 4. it is answered with a status of 400 or above.
//!
//! Such requests read the session like any other (NIST SP 800-63B-4, 5.2, counts activity *from the
//! subscriber*; OWASP Session Management, "Idle Timeout").

use http::{HeaderMap, Method, StatusCode};
use portcullis_core::store::Activity;

pub(crate) fn of_request(method: &Method, headers: &HeaderMap) -> Activity {
    let speculative = ["sec-purpose", "purpose"]
        .into_iter()
        .filter_map(|name| headers.get(name))
        .any(|value| value.as_bytes().starts_with(b"prefetch"));
    if speculative || method == Method::HEAD || method == Method::OPTIONS {
        return Activity::Passive;
    }
    Activity::Active
}

pub(crate) fn of_response(status: StatusCode) -> Activity {
    if status.is_client_error() || status.is_server_error() {
        return Activity::Passive;
    }
    Activity::Active
}
