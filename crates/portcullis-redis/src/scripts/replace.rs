//! Moves a session to another key of its bucket.

use bytes::Bytes;
use portcullis_core::{
    Bucket, Note, SessionIdHash, Timestamp,
    store::{Deadline, Others, RecordWrite, ReplacedSession, Revision},
};

use super::{
    arguments::{
        self, LogSize, flag, memory_of_revocation, moment, number, optional_moment, with_notes,
    },
    call::{TimedCall, script},
    supersede::{end_reason, successor},
};
use crate::{
    driver::Script,
    layout::{Entry, KeySet, Prefix, record},
};

/// A call of `lua/replace.lua`.
pub(crate) struct Replace<'c> {
    pub(crate) prefix: &'c Prefix,
    pub(crate) old: &'c ReplacedSession,
    pub(crate) new: &'c SessionIdHash,
    pub(crate) write: &'c RecordWrite,
    pub(crate) revision: Revision,
    pub(crate) deadline: Deadline,
    /// When its user authenticated, by the clock of its bucket.
    pub(crate) authenticated_at: Option<Timestamp>,
    /// When its elevations end, by the clock of its bucket.
    pub(crate) elevated_until: Option<Timestamp>,
    pub(crate) others: &'c Others,
    pub(crate) log_size: LogSize,
}

impl TimedCall for Replace<'_> {
    fn script(&self) -> &'static Script {
        script!("displaced.lua", "replace.lua")
    }

    fn bucket(&self) -> Bucket {
        self.new.bucket()
    }

    fn keys(&self) -> Vec<String> {
        let old = KeySet::of(self.prefix, &self.old.key, &self.old.meta);
        let new = KeySet::of(self.prefix, self.new, &self.write.meta);
        vec![
            old.session,
            new.session,
            old.due_list,
            old.log,
            old.user_list,
            new.log,
            new.user_list,
            new.marker,
            new.suspension,
        ]
    }

    fn arguments(&self, not_after: Timestamp) -> Vec<Bytes> {
        let (old, write) = (self.old, self.write);
        let (activity, idle, absolute) = match self.deadline {
            Deadline::Keep(activity) => (arguments::activity(activity), Bytes::new(), Bytes::new()),
            Deadline::Restart(limits) => {
                let (idle, absolute) = record::limits(limits);
                (Bytes::new(), number(idle), number(absolute))
            }
        };
        let [new_idle, new_absolute] = arguments::new_limits(write);
        let reason = end_reason(self.deadline);
        let [most, displace, code, note, memory_of_marker] = arguments::others(self.others);
        let arguments = vec![
            moment(not_after),
            arguments::revision(old.expected),
            arguments::revision(self.revision),
            write.payload.clone(),
            arguments::code(reason),
            arguments::memory(reason),
            activity,
            idle,
            absolute,
            successor(self.deadline, self.new),
            Entry::of(&old.key, &old.meta).encode(),
            arguments::user(&old.meta),
            old.note.as_ref().map(Note::encode).unwrap_or_default(),
            Entry::of(self.new, &write.meta).encode(),
            arguments::user(&write.meta),
            optional_moment(self.authenticated_at),
            optional_moment(self.elevated_until),
            flag(write.flagged),
            self.log_size.of_session(&old.meta),
            self.log_size.of_session(&write.meta),
            most,
            displace,
            code,
            note,
            memory_of_marker,
            memory_of_revocation(),
            new_idle,
            new_absolute,
        ];
        with_notes(arguments, &write.notes)
    }
}
