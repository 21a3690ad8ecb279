//! The `Session-Timeout` field: deadlines in ordinary responses.

use http::{HeaderName, HeaderValue, Response};
use portcullis_core::{SessionInfo, Timestamp};

const FIELD: HeaderName = HeaderName::from_static("session-timeout");

/// A layer has set the field already.
#[derive(Clone, Copy)]
struct HeaderSet;

/// Reports the seconds that a live session has left, as a dictionary of RFC 9651:
/// `idle=1799, absolute=86399`, and `elevated=899` during an elevation. Seconds left are the same
/// by every clock. Of nested layers, the innermost sets the field.
pub(crate) fn set_header<B>(
    info: Option<SessionInfo>,
    elevated_until: Option<Timestamp>,
    now: Timestamp,
    response: &mut Response<B>,
) {
    let Some(info) = info else {
        return;
    };
    if response.extensions_mut().insert(HeaderSet).is_some() {
        return;
    }
    let left = |moment: Timestamp| moment.since(now).as_secs();
    let mut value = format!(
        "idle={}, absolute={}",
        left(info.idle_deadline),
        left(info.absolute_deadline)
    );
    if let Some(until) = elevated_until {
        value.push_str(&format!(", elevated={}", left(until)));
    }
    if let Ok(value) = HeaderValue::try_from(value) {
        response.headers_mut().insert(FIELD, value);
    }
}
