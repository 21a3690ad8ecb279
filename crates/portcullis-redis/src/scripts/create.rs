//! Creates a session.

use std::time::Duration;

use bytes::Bytes;
use portcullis_core::{
    Bucket, SessionIdHash, Timestamp, millis,
    store::{Limits, Others, RecordWrite, Revision},
};

use super::{
    arguments::{self, LogSize, flag, moment, number, optional_moment, with_notes},
    call::{TimedCall, script},
};
use crate::{
    driver::Script,
    layout::{Entry, KeySet, Prefix, record},
};

/// A call of `lua/create.lua`.
pub(crate) struct Create<'c> {
    pub(crate) prefix: &'c Prefix,
    pub(crate) key: &'c SessionIdHash,
    pub(crate) write: &'c RecordWrite,
    pub(crate) revision: Revision,
    pub(crate) timing: NewTiming,
    /// When its user authenticated, by the clock of its bucket.
    pub(crate) authenticated_at: Option<Timestamp>,
    /// When its elevations end, by the clock of its bucket.
    pub(crate) elevated_until: Option<Timestamp>,
    pub(crate) others: &'c Others,
    pub(crate) log_size: LogSize,
}

/// The deadlines of a session that is created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NewTiming {
    /// It starts now.
    Starts(Limits),
    /// It moves here from another bucket and keeps its deadlines.
    Moves {
        idle_timeout: Duration,
        absolute_deadline: Timestamp,
        /// `None`: now.
        last_active_at: Option<Timestamp>,
        /// `None`: the last activity.
        privileged_at: Option<Timestamp>,
    },
}

impl NewTiming {
    /// The idle and the absolute timeout, the absolute deadline, the last activity and the last
    /// privileged activity.
    fn arguments(self) -> [Bytes; 5] {
        match self {
            Self::Starts(limits) => {
                let (idle, absolute) = record::limits(limits);
                [
                    number(idle),
                    number(absolute),
                    Bytes::new(),
                    Bytes::new(),
                    Bytes::new(),
                ]
            }
            Self::Moves {
                idle_timeout,
                absolute_deadline,
                last_active_at,
                privileged_at,
            } => [
                number(millis(idle_timeout)),
                Bytes::new(),
                moment(absolute_deadline),
                optional_moment(last_active_at),
                optional_moment(privileged_at),
            ],
        }
    }
}

impl TimedCall for Create<'_> {
    fn script(&self) -> &'static Script {
        script!("displaced.lua", "create.lua")
    }

    fn bucket(&self) -> Bucket {
        self.key.bucket()
    }

    fn keys(&self) -> Vec<String> {
        KeySet::of(self.prefix, self.key, &self.write.meta).of_write()
    }

    fn arguments(&self, not_after: Timestamp) -> Vec<Bytes> {
        let write = self.write;
        let [idle, absolute, deadline, last_active, privileged] = self.timing.arguments();
        let [most, displace, code, note, memory] = arguments::others(self.others);
        let arguments = vec![
            moment(not_after),
            idle,
            absolute,
            arguments::revision(self.revision),
            write.payload.clone(),
            deadline,
            last_active,
            privileged,
            Entry::of(self.key, &write.meta).encode(),
            arguments::user(&write.meta),
            optional_moment(self.authenticated_at),
            optional_moment(self.elevated_until),
            flag(write.flagged),
            self.log_size.of_session(&write.meta),
            most,
            displace,
            code,
            note,
            memory,
        ];
        with_notes(arguments, &write.notes)
    }
}
