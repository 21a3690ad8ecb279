//! The field that tells deadlines along with ordinary responses.

use http::{HeaderName, HeaderValue, Response};
use portcullis_core::{DefaultScope, Scope, Timestamp, unit_of_work::SessionView};

const FIELD: HeaderName = HeaderName::from_static("session-timeout");

/// A layer has told already.
#[derive(Clone, Copy)]
struct HeaderSet;

/// Tells of a live session, as a dictionary of RFC 9651, how many whole seconds it has left: `idle=1799, absolute=86399`,
/// and `elevated=899` while it is. Seconds left are the same by every clock. Of nested layers, the innermost tells.
pub(crate) fn set_header<B>(view: &SessionView, now: Timestamp, response: &mut Response<B>) {
    let Some(info) = view.info() else {
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
    if let Some(until) = view.elevated_until(DefaultScope::NAME, now) {
        value.push_str(&format!(", elevated={}", left(until)));
    }
    if let Ok(value) = HeaderValue::try_from(value) {
        response.headers_mut().insert(FIELD, value);
    }
}
