//! Ends a session that a new one in another bucket, or with others to displace, takes the place of.

use bytes::Bytes;
use portcullis_core::{
    Bucket, EndReason, Note, SessionIdHash, Timestamp,
    store::{Deadline, ReplacedSession, Revision},
};

use super::{
    arguments::{self, LogSize, moment},
    call::{TimedCall, script},
};
use crate::{
    driver::Script,
    layout::{Entry, KeySet, Prefix, record},
};

/// A call of `lua/supersede.lua`.
pub(crate) struct Supersede<'c> {
    pub(crate) prefix: &'c Prefix,
    pub(crate) old: &'c ReplacedSession,
    pub(crate) new: &'c SessionIdHash,
    /// The revision of the new session.
    pub(crate) revision: Revision,
    pub(crate) deadline: Deadline,
    pub(crate) log_size: LogSize,
}

impl TimedCall for Supersede<'_> {
    fn script(&self) -> &'static Script {
        script!("supersede.lua")
    }

    fn bucket(&self) -> Bucket {
        self.old.key.bucket()
    }

    fn keys(&self) -> Vec<String> {
        KeySet::of(self.prefix, &self.old.key, &self.old.meta).of_end()
    }

    fn arguments(&self, not_after: Timestamp) -> Vec<Bytes> {
        let old = self.old;
        let reason = end_reason(self.deadline);
        vec![
            moment(not_after),
            arguments::revision(old.expected),
            arguments::code(reason),
            arguments::memory(reason),
            successor(self.deadline, self.new),
            arguments::revision(self.revision),
            Entry::of(&old.key, &old.meta).encode(),
            arguments::user(&old.meta),
            old.note.as_ref().map(Note::encode).unwrap_or_default(),
            self.log_size.of_session(&old.meta),
        ]
    }
}

/// The new key in the tombstone under the old one. An end follows a session that continues under
/// another key. It does not follow an authentication, which begins another session.
pub(super) fn successor(deadline: Deadline, new: &SessionIdHash) -> Bytes {
    match deadline {
        Deadline::Keep(_) => record::as_successor(new).into(),
        Deadline::Restart(_) => Bytes::new(),
    }
}

/// Why the old session ends.
pub(super) fn end_reason(deadline: Deadline) -> EndReason {
    match deadline {
        Deadline::Keep(_) => EndReason::Replaced,
        Deadline::Restart(_) => EndReason::ReplacedAtSignIn,
    }
}
