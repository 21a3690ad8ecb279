//! The scripts of the browser component, served from the application's own origin. A strict content
//! security policy needs only `script-src 'self'`.

use std::sync::LazyLock;

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH, X_CONTENT_TYPE_OPTIONS},
};

/// The element `<portcullis-timeout>`.
pub(super) static TIMEOUT: Script = Script(LazyLock::new(|| {
    Served::of(include_str!("../../browser/portcullis-timeout.js"))
}));

/// The module that the element loads if there is a form to keep.
pub(super) static KEEP: Script = Script(LazyLock::new(|| {
    Served::of(include_str!("../../browser/portcullis-keep.js"))
}));

pub(super) struct Script(LazyLock<Served>);

struct Served {
    text: String,
    hash: u64,
}

impl Served {
    /// Strips comments and indentation, which only matter in the source.
    fn of(source: &str) -> Self {
        let mut text = String::with_capacity(source.len());
        for line in source.lines().map(|line| line.trim_start_matches('\t')) {
            if !line.is_empty() && !line.starts_with("//") {
                text.push_str(line);
                text.push('\n');
            }
        }
        let hash = fnv_1a(text.as_bytes());
        Self { text, hash }
    }
}

impl Script {
    /// The script, or 304 if the client's copy is current. Browsers revalidate it each time, so
    /// that a new version of the application never runs an old version of the script.
    pub(super) fn answer(&'static self, headers: &HeaderMap) -> Response {
        let Served { text, hash } = &*self.0;
        let tag = format!("\"{hash:016x}\"");
        let mut response = if is_outdated(headers, &tag) {
            Body::from(text.as_str()).into_response()
        } else {
            StatusCode::NOT_MODIFIED.into_response()
        };
        let headers = response.headers_mut();
        let mut insert = |name, value| headers.insert(name, HeaderValue::from_static(value));
        insert(CONTENT_TYPE, "text/javascript; charset=utf-8");
        insert(CACHE_CONTROL, "public, no-cache");
        insert(X_CONTENT_TYPE_OPTIONS, "nosniff");
        if let Ok(tag) = HeaderValue::try_from(tag) {
            headers.insert(ETAG, tag);
        }
        response
    }
}

fn is_outdated(headers: &HeaderMap, tag: &str) -> bool {
    let mut known = headers
        .get_all(IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    // A proxy that compresses the script makes its tag a weak one.
    !known.any(|known| known.trim().trim_start_matches("W/") == tag)
}

/// Distinguishes versions. It is not a security measure.
fn fnv_1a(mut bytes: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325;
    while let [byte, rest @ ..] = bytes {
        hash = (hash ^ *byte as u64).wrapping_mul(0x0000_0100_0000_01b3);
        bytes = rest;
    }
    hash
}
