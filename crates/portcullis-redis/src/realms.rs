//! The registry of realms: one hash for the whole store, from a realm to its cookie, longest absolute timeout and the
//! moment at which a layer registered it last.

use std::time::Duration;

use bytes::Bytes;
use portcullis_core::store::{Register, RegisteredRealm, Store, StoreError};

use crate::{
    RedisStore,
    arguments::number,
    driver::{Command, REGISTER},
    record::millis,
    registry,
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
        let answers = self.driver().send_all(vec![command]).await?;
        let mut realms = registry::read_all(answers.into_iter().flat_map(|answer| answer.pairs()));
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
