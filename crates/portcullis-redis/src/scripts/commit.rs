//! Writes the payload of a session.

use bytes::Bytes;
use portcullis_core::{
    Bucket, SessionIdHash, Timestamp,
    store::{Activity, RecordWrite, Revision},
};

use super::{
    arguments::{self, LogSize, flag, memory_of_revocation, moment, with_notes},
    call::{TimedCall, script},
};
use crate::{
    driver::Script,
    layout::{Entry, KeySet, Prefix},
};

/// A call of `lua/commit.lua`.
pub(crate) struct Commit<'c> {
    pub(crate) prefix: &'c Prefix,
    pub(crate) key: &'c SessionIdHash,
    pub(crate) write: &'c RecordWrite,
    pub(crate) expected: Revision,
    pub(crate) revision: Revision,
    pub(crate) activity: Activity,
    pub(crate) log_size: LogSize,
}

impl TimedCall for Commit<'_> {
    fn script(&self) -> &'static Script {
        script!("commit.lua")
    }

    fn bucket(&self) -> Bucket {
        self.key.bucket()
    }

    fn keys(&self) -> Vec<String> {
        KeySet::of(self.prefix, self.key, &self.write.meta).of_write()
    }

    fn arguments(&self, not_after: Timestamp) -> Vec<Bytes> {
        let write = self.write;
        let [idle, absolute] = arguments::new_limits(write);
        let arguments = vec![
            moment(not_after),
            arguments::revision(self.expected),
            arguments::revision(self.revision),
            arguments::activity(self.activity),
            write.payload.clone(),
            Entry::of(self.key, &write.meta).encode(),
            arguments::user(&write.meta),
            arguments::authenticated_at(&write.meta),
            flag(write.flagged),
            memory_of_revocation(),
            idle,
            absolute,
            match write.new_limits.elevations_end {
                true => Bytes::from_static(b"-"),
                false => arguments::optional_moment(write.elevated_until),
            },
            self.log_size.of_session(&write.meta),
        ];
        with_notes(arguments, &write.notes)
    }
}
