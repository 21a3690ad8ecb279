//! Moves the moments of activity of a session to now.

use std::time::Duration;

use bytes::Bytes;
use portcullis_core::{Bucket, SessionIdHash, SessionMeta, Timestamp, store::Activity};

use super::{
    arguments::{self, LogSize, memory_of_revocation, moment},
    call::{TimedCall, script},
};
use crate::{
    driver::Script,
    layout::{Entry, KeySet, Prefix},
};

/// A call of `lua/touch.lua`.
pub(crate) struct Touch<'c> {
    pub(crate) prefix: &'c Prefix,
    pub(crate) key: &'c SessionIdHash,
    pub(crate) meta: &'c SessionMeta,
    pub(crate) activity: Activity,
    pub(crate) idle_timeout: Option<Duration>,
    pub(crate) log_size: LogSize,
}

impl TimedCall for Touch<'_> {
    fn script(&self) -> &'static Script {
        script!("touch.lua")
    }

    fn bucket(&self) -> Bucket {
        self.key.bucket()
    }

    fn keys(&self) -> Vec<String> {
        KeySet::of(self.prefix, self.key, self.meta).of_write()
    }

    fn arguments(&self, not_after: Timestamp) -> Vec<Bytes> {
        vec![
            moment(not_after),
            Entry::of(self.key, self.meta).encode(),
            arguments::user(self.meta),
            arguments::authenticated_at(self.meta),
            memory_of_revocation(),
            self.log_size.of_session(self.meta),
            arguments::activity(self.activity),
            arguments::idle_timeout(self.idle_timeout),
        ]
    }
}
