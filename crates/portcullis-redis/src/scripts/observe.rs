//! Writes an observation to the log.

use bytes::Bytes;
use portcullis_core::{
    Bucket, UserId, millis,
    store::{Logged, Observation},
};

use super::{
    arguments::{LogSize, number},
    call::{Call, script},
};
use crate::{driver::Script, layout::Prefix};

/// A call of `lua/observe.lua`.
pub(crate) struct Observe<'c> {
    pub(crate) prefix: &'c Prefix,
    pub(crate) bucket: Bucket,
    pub(crate) observation: &'c Observation,
    pub(crate) log_size: LogSize,
}

impl Call for Observe<'_> {
    fn script(&self) -> &'static Script {
        script!("observe.lua")
    }

    fn keys(&self) -> Vec<String> {
        let of_users = self.observation.user.is_some();
        vec![self.prefix.log(self.bucket, of_users)]
    }

    fn arguments(&self) -> Vec<Bytes> {
        let Observation {
            session,
            user,
            note,
            ..
        } = self.observation;
        let name = session
            .as_ref()
            .map(|session| Bytes::copy_from_slice(session.as_bytes()));
        let user_bytes = user.as_ref().map(UserId::as_bytes);
        vec![
            self.log_size.of(user.is_some()),
            name.unwrap_or_default(),
            user_bytes.map(Bytes::copy_from_slice).unwrap_or_default(),
            note.encode(),
            number(millis(Logged::LONGEST)),
        ]
    }
}
