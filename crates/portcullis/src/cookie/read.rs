//! What identifier a request presents.

use http::{HeaderMap, header::COOKIE};
use portcullis_core::SessionId;

/// What a request's `Cookie` fields hold under the session's name.
#[derive(Debug)]
pub(crate) enum Presented {
    Nothing,
    /// Not a spelling of any identifier. Never reaches the store.
    Malformed,
    /// Two different values, of which one may be planted: neither counts (RFC 6265bis, 8.6).
    Ambiguous,
    Id(SessionId),
}

/// Reads the session cookie. All `Cookie` fields are one list (RFC 9113, 8.2.3). The name is compared
/// whole and with case; the value is taken as it stands, without decoding or unquoting.
pub(crate) fn read(headers: &HeaderMap, name: &str) -> Presented {
    let mut values = headers
        .get_all(COOKIE)
        .iter()
        .flat_map(|field| field.as_bytes().split(|byte| *byte == b';'))
        .filter_map(|pair| value_of(pair.trim_ascii_start(), name.as_bytes()));
    let Some(value) = values.next() else {
        return Presented::Nothing;
    };
    if values.any(|other| other != value) {
        return Presented::Ambiguous;
    }
    SessionId::parse(value).map_or(Presented::Malformed, Presented::Id)
}

fn value_of<'a>(pair: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    pair.strip_prefix(name)?.strip_prefix(b"=")
}
