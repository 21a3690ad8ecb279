//! How the registry of realms is stored: one hash for the whole store. Each realm has the name of
//! its cookie, its longest absolute timeout, and when a layer registered it last.

use std::time::Duration;

use bytes::Bytes;
use portcullis_core::{Realm, Timestamp, store::RegisteredRealm};

/// Reads the fields and values of the registry. The realms are sorted.
pub(crate) fn read_all(fields: impl IntoIterator<Item = (Bytes, Bytes)>) -> Vec<RegisteredRealm> {
    let fields = fields.into_iter();
    let mut realms: Vec<_> = fields
        .filter_map(|(realm, value)| parse(&realm, &value))
        .collect();
    realms.sort_unstable_by(|one, other| one.realm.cmp(&other.realm));
    realms
}

/// Reads one value: the longest absolute timeout and the moment, both in ms, and the name of the
/// cookie, separated by spaces. A value of a later version is ignored.
fn parse(realm: &[u8], value: &[u8]) -> Option<RegisteredRealm> {
    let mut parts = std::str::from_utf8(value).ok()?.splitn(3, ' ');
    Some(RegisteredRealm {
        realm: Realm::new(std::str::from_utf8(realm).ok()?).ok()?,
        longest: Duration::from_millis(parts.next()?.parse().ok()?),
        seen_at: Timestamp::from_millis(parts.next()?.parse().ok()?),
        cookie: parts.next()?.to_owned(),
    })
}
