//! Ends a session.

use std::time::Duration;

use bytes::Bytes;
use portcullis_core::{
    SessionIdHash, millis,
    store::{SettlePolicy, Termination},
};

use super::{
    arguments::{self, LogSize, number, optional_moment},
    call::{Call, script},
};
use crate::{
    driver::Script,
    layout::{Entry, KeySet, Prefix, policy},
};

/// A call of `lua/end.lua`.
pub(crate) struct End<'c> {
    pub(crate) prefix: &'c Prefix,
    /// Where the session is stored by now. It replaces the key of the termination.
    pub(crate) key: &'c SessionIdHash,
    pub(crate) termination: &'c Termination,
    /// How long the reason is remembered. If it is zero, nothing is left under the key.
    pub(crate) memory: Duration,
    pub(crate) log_size: LogSize,
}

impl Call for End<'_> {
    fn script(&self) -> &'static Script {
        script!("end.lua")
    }

    fn keys(&self) -> Vec<String> {
        let mut keys = KeySet::of(self.prefix, self.key, &self.termination.meta).of_end();
        keys.push(self.prefix.policy_ends(self.key.bucket()));
        keys
    }

    fn arguments(&self) -> Vec<Bytes> {
        let Termination {
            meta,
            reason,
            note,
            live_until,
            version,
            ..
        } = self.termination;
        vec![
            arguments::code(*reason),
            number(millis(self.memory)),
            Entry::of(self.key, meta).encode(),
            arguments::user(meta),
            note.encode(),
            self.log_size.of_session(meta),
            optional_moment(*live_until),
            version.map(policy::number).unwrap_or_default(),
            number(millis(SettlePolicy::REMEMBERED)),
        ]
    }
}
