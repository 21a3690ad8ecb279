//! The registry of realms: one hash for the whole store, from a realm to its cookie, longest absolute timeout and the
//! moment at which a layer registered it last.

use std::time::Duration;

use bytes::Bytes;
use portcullis_core::{
    Realm, Timestamp, millis,
    store::{Register, RegisteredRealm, Store, StoreError},
};

use crate::{
    RedisStore,
    arguments::number,
    driver::{Command, REGISTER},
};

impl RedisStore {
    pub(crate) async fn register_realm(&self, register: Register<'_>) -> Result<(), StoreError> {
        let Register {
            cookie, longest, ..
        } = register;
        let keys = vec![self.prefix().registry()];
        let arguments = vec![
            Bytes::copy_from_slice(self.prefix().realm().as_str().as_bytes()),
            Bytes::copy_from_slice(cookie.as_bytes()),
            number(millis(longest)),
        ];
        self.run(&REGISTER, keys, arguments).await?;
        // Each layer comes by here when it starts.
        self.look_at_log().await;
        Ok(())
    }

    pub(crate) async fn registered_realms(&self) -> Result<Vec<RegisteredRealm>, StoreError> {
        let command = Command {
            name: "HGETALL",
            arguments: vec![self.prefix().registry().into()],
        };
        let answers = self.driver().ask(vec![command]).await?;
        let mut realms = read_all(answers.into_iter().flat_map(|answer| answer.pairs()));
        let now = self.now();
        realms.retain(|realm| realm.may_have_sessions(now));
        Ok(realms)
    }

    /// The longest absolute timeout that a session of this realm can have, if the registry knows it.
    pub(crate) async fn longest_registered(&self) -> Result<Option<Duration>, StoreError> {
        let realms = self.registered_realms().await?;
        let ours = self.realm();
        let registered = realms
            .into_iter()
            .find(|registered| registered.realm == ours);
        Ok(registered.map(|registered| registered.longest))
    }
}

/// The fields and values of the registry, in the order of the realms.
pub(crate) fn read_all(fields: impl IntoIterator<Item = (Bytes, Bytes)>) -> Vec<RegisteredRealm> {
    let fields = fields.into_iter();
    let mut realms: Vec<_> = fields
        .filter_map(|(realm, value)| parse(&realm, &value))
        .collect();
    realms.sort_unstable_by(|one, other| one.realm.cmp(&other.realm));
    realms
}

/// The longest absolute timeout and the moment, both in ms, and the name of the cookie, with spaces between. A value of a
/// later version is left out.
fn parse(realm: &[u8], value: &[u8]) -> Option<RegisteredRealm> {
    let mut parts = std::str::from_utf8(value).ok()?.splitn(3, ' ');
    Some(RegisteredRealm {
        realm: Realm::new(std::str::from_utf8(realm).ok()?).ok()?,
        longest: Duration::from_millis(parts.next()?.parse().ok()?),
        seen_at: Timestamp::from_millis(parts.next()?.parse().ok()?),
        cookie: parts.next()?.to_owned(),
    })
}
