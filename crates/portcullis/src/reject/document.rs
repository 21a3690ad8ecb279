//! Problem documents (RFC 9457).

use bytes::Bytes;
use http::{
    HeaderName, HeaderValue, Response, StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE},
};
use portcullis_core::{EndReason, Timestamp};
use serde_json::json;

use crate::reject::problem::Problem;

/// The `Content-Type` of a problem document.
pub(crate) const PROBLEM: &str = "application/problem+json";

/// The response with the document of this problem. The problem and its `Refusal` are among the
/// extensions.
///
/// `now` is the time by the store's clock. A document that reports no session contains it, so that
/// a page which knows of a later session can ignore the document.
pub(crate) fn document(problem: Problem, now: Option<Timestamp>) -> Response<Bytes> {
    let entry = problem.entry();
    let mut document = json!({
        "type": format!("urn:portcullis:problem:{}", entry.code),
        "title": entry.status.canonical_reason(),
        "status": entry.status.as_u16(),
        "detail": entry.text,
    });
    let reason = entry.end.reason().map(EndReason::as_str);
    let now = now.filter(|_| entry.end.is_final());
    if let Some(members) = document.as_object_mut() {
        members.extend(reason.map(|reason| ("reason".to_owned(), reason.into())));
        members.extend(now.map(|now| ("now".to_owned(), now.as_millis().into())));
    }
    let mut response = Response::new(Bytes::from(document.to_string()));
    *response.status_mut() = entry.status;
    let mut set = |name: HeaderName, value| response.headers_mut().insert(name, value);
    set(CONTENT_TYPE, HeaderValue::from_static(PROBLEM));
    set(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if entry.status == StatusCode::UNAUTHORIZED {
        // RFC 9110, 15.5.2, requires a challenge with every 401.
        let plain = HeaderValue::from_static("Session");
        set(WWW_AUTHENTICATE, challenge(&problem).unwrap_or(plain));
    }
    if let Some(delay) = entry.retry_after {
        set(RETRY_AFTER, HeaderValue::from(delay.as_secs()));
    }
    response.extensions_mut().insert(problem.refusal());
    response.extensions_mut().insert(problem);
    response
}

/// The challenge of RFC 9470. Its scheme is our own, because the credential is a cookie.
fn challenge(problem: &Problem) -> Option<HeaderValue> {
    let (description, parameter, value, max_age) = match problem {
        Problem::ElevationRequired { scope, max_age } => {
            let description = "a more recent authentication is required";
            (description, "scope", *scope, max_age.as_secs())
        }
        Problem::ApprovalRequired { demand } => {
            let description = "an authentication for this operation is required";
            (description, "approve", *demand, 0)
        }
        _ => return None,
    };
    let value = quotable(value);
    let challenge = format!(
        "Session error=\"insufficient_user_authentication\", error_description=\"{description}\", {parameter}=\"{value}\", max_age=\"{max_age}\""
    );
    HeaderValue::from_str(&challenge).ok()
}

/// A name as it can stand between quotes. Scopes and demands are constants of the application.
fn quotable(name: &str) -> String {
    let fits = |c: &char| c.is_ascii_graphic() && !matches!(c, '"' | '\\');
    name.chars().filter(fits).collect()
}
