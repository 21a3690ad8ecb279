//! What scripts are told, as they are told it.

use std::time::Duration;

use bytes::Bytes;
use portcullis_core::{
    EndReason, SessionIdHash, SessionMeta, Timestamp, UserId, millis,
    store::{Activity, Deadline, OnLimit, Others, RecordWrite, Revision, Revocation},
};

use crate::{clock::lag, record};

/// A revision for a first write.
pub(crate) fn draw() -> Revision {
    Revision(rand::random())
}

/// A revision for a write after `expected`. Were it the same, the write would count as done already.
pub(crate) fn draw_after(expected: Revision) -> Revision {
    loop {
        let revision = draw();
        if revision != expected {
            return revision;
        }
    }
}

/// What the tombstone under an old key says of the new one: an end follows a session that goes on, not one that
/// an authentication began.
pub(crate) fn successor(deadline: Deadline, new: &SessionIdHash) -> Bytes {
    match deadline {
        Deadline::Keep(_) => record::as_successor(new).into(),
        Deadline::Restart(_) => Bytes::new(),
    }
}

/// What becomes of the old session.
pub(crate) fn end_reason_of(deadline: Deadline) -> EndReason {
    match deadline {
        Deadline::Keep(_) => EndReason::Replaced,
        Deadline::Restart(_) => EndReason::ReplacedAtSignIn,
    }
}

/// How scripts are told why a session ends and for how long to remember it.
pub(crate) fn tombstone_arguments(reason: EndReason) -> [Bytes; 2] {
    [
        reason.code().to_string().into(),
        number(millis(reason.remembered_for())),
    ]
}

/// Scripts find the code of the reason in the marker; all of them are remembered equally long.
pub(crate) fn memory_of_revocation() -> Bytes {
    number(millis(EndReason::RevokedByOperator.remembered_for()))
}

/// How many sessions a user may have, whether to make room, and with which code, note and memory of the marker all
/// others end, if they do.
pub(crate) fn limit_of(others: &Others) -> [Bytes; 5] {
    let none = Bytes::new;
    let limit = match others {
        Others::Stay => [none(), Bytes::from_static(b"0")],
        Others::Limited(limit) => [
            number(limit.most.get() as u64),
            Bytes::from_static(match limit.excess {
                OnLimit::Displace => b"1",
                OnLimit::Refuse => b"0",
            }),
        ],
        Others::End(_) => [Bytes::from_static(b"*"), Bytes::from_static(b"1")],
    };
    let marker = match others {
        Others::Stay | Others::Limited(_) => [none(), none(), none()],
        Others::End(end) => [
            end.reason.code().to_string().into(),
            end.note.encode(),
            memory_of_marker(end.longest),
        ],
    };
    let ([most, room], [code, note, memory]) = (limit, marker);
    [most, room, code, note, memory]
}

/// For how long sessions from before a revocation may turn up.
pub(crate) fn memory_of_marker(longest: Option<Duration>) -> Bytes {
    let longest = longest.unwrap_or(Revocation::LONGEST);
    number(millis(
        longest.min(Revocation::LONGEST) + Revocation::MARGIN,
    ))
}

pub(crate) fn elevated_until(write: &RecordWrite, lead: Duration) -> Bytes {
    write
        .elevated_until
        .map(|moment| number(moment.before(lag(lead)).as_millis()))
        .unwrap_or_default()
}

/// The user as scripts are told, and when they authenticated.
pub(crate) fn owner(meta: &SessionMeta, since: Option<Timestamp>) -> [Bytes; 2] {
    let user = meta.user().map(UserId::as_bytes);
    [
        user.map(Bytes::copy_from_slice).unwrap_or_default(),
        since
            .map(|since| number(since.as_millis()))
            .unwrap_or_default(),
    ]
}

/// When the user of a session that goes on authenticated, by the clock of its bucket.
pub(crate) fn authenticated_at(meta: &SessionMeta) -> Option<Timestamp> {
    meta.owner.as_ref().map(|owner| owner.authenticated_at)
}

pub(crate) fn number(number: u64) -> Bytes {
    number.to_string().into()
}

pub(crate) fn revision(revision: Revision) -> Bytes {
    record::revision(revision).into()
}

pub(crate) fn yes(it: bool) -> Bytes {
    Bytes::from_static(if it { b"1" } else { b"0" })
}

pub(crate) fn flag(activity: Activity) -> Bytes {
    yes(activity == Activity::Active)
}
