//! Header fields for tests.

use http::{HeaderMap, HeaderValue};

/// These fields, in this order.
pub(crate) fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(*name, HeaderValue::from_static(value));
    }
    headers
}
