//! How arguments of scripts are written.

use std::time::Duration;

use bytes::Bytes;
use portcullis_core::{
    BUCKETS, EndReason, Note, SessionMeta, Timestamp, UserId, millis,
    store::{Activity, LogLimits, OnLimit, Others, RecordWrite, Revision, Revocation},
};

use crate::layout::record;

pub(crate) fn number(number: u64) -> Bytes {
    number.to_string().into()
}

pub(super) fn moment(moment: Timestamp) -> Bytes {
    number(moment.as_millis())
}

pub(super) fn optional_moment(at: Option<Timestamp>) -> Bytes {
    at.map(moment).unwrap_or_default()
}

/// A kind of activity.
pub(super) fn activity(activity: Activity) -> Bytes {
    match activity {
        Activity::Passive => Bytes::from_static(b"0"),
        Activity::Active => Bytes::from_static(b"1"),
        Activity::Privileged { idle } => format!("p{}", millis(idle)).into(),
        Activity::Proof => Bytes::from_static(b"!"),
    }
}

/// Another idle timeout and an earlier absolute deadline. Each may be an empty text.
pub(super) fn new_limits(write: &RecordWrite) -> [Bytes; 2] {
    let new = write.new_limits;
    [
        idle_timeout(new.idle_timeout),
        optional_moment(new.absolute_deadline),
    ]
}

/// Another idle timeout, or an empty text.
pub(super) fn idle_timeout(idle: Option<Duration>) -> Bytes {
    idle.map(|idle| number(record::idle(idle)))
        .unwrap_or_default()
}

pub(super) fn flag(flag: bool) -> Bytes {
    Bytes::from_static(if flag { b"1" } else { b"0" })
}

pub(super) fn revision(revision: Revision) -> Bytes {
    record::revision(revision).into()
}

/// The user of a session, or an empty text.
pub(super) fn user(meta: &SessionMeta) -> Bytes {
    let user = meta.user().map(UserId::as_bytes);
    user.map(Bytes::copy_from_slice).unwrap_or_default()
}

/// When the user of a session authenticated, or an empty text.
pub(super) fn authenticated_at(meta: &SessionMeta) -> Bytes {
    optional_moment(meta.owner.as_ref().map(|owner| owner.authenticated_at))
}

pub(super) fn code(reason: EndReason) -> Bytes {
    reason.code().to_string().into()
}

/// How long the reason of an end is remembered, in ms.
pub(super) fn memory(reason: EndReason) -> Bytes {
    number(millis(reason.remembered_for()))
}

/// How long a revocation is remembered, in ms. Scripts find its code in the marker. All codes of
/// revocations are remembered equally long.
pub(super) fn memory_of_revocation() -> Bytes {
    memory(EndReason::RevokedByOperator)
}

/// How long a marker is stored, in ms: sessions from before the revocation may appear until then.
pub(super) fn memory_of_marker(longest: Option<Duration>) -> Bytes {
    let longest = longest.unwrap_or(Revocation::LONGEST);
    let longest = longest.min(Revocation::LONGEST) + Revocation::MARGIN;
    number(millis(longest))
}

/// What happens to other sessions of the user: how many sessions the user may have, and whether
/// others are displaced; then the code, the note and the memory of the marker under which all
/// others end.
pub(super) fn others(others: &Others) -> [Bytes; 5] {
    let none = Bytes::new;
    match others {
        Others::Stay => [none(), flag(false), none(), none(), none()],
        Others::Limited(limit) => [
            number(limit.most.get() as u64),
            flag(limit.excess == OnLimit::Displace),
            none(),
            none(),
            none(),
        ],
        Others::End(end) => [
            Bytes::from_static(b"*"),
            flag(true),
            code(end.reason),
            end.note.encode(),
            memory_of_marker(end.longest),
        ],
    }
}

/// Appends notes, which come last.
pub(super) fn with_notes(mut arguments: Vec<Bytes>, notes: &[Note]) -> Vec<Bytes> {
    arguments.extend(notes.iter().map(Note::encode));
    arguments
}

/// How many events one part of the log may hold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LogSize(LogLimits);

impl LogSize {
    pub(crate) fn new(limits: LogLimits) -> Self {
        Self(limits)
    }

    /// The size of a part for sessions with a user, or for those without.
    pub(super) fn of(self, of_users: bool) -> Bytes {
        let events = self.0.events;
        let events = if of_users { events } else { events / 4 };
        number(events.div_ceil(usize::from(BUCKETS)) as u64)
    }

    /// The size of the part that has the events of this session.
    pub(super) fn of_session(self, meta: &SessionMeta) -> Bytes {
        self.of(meta.owner.is_some())
    }
}
