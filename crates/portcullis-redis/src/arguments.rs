//! What scripts are told, as they are told it.

use std::time::Duration;

use bytes::Bytes;
use portcullis_core::{
    EndReason, SessionKey,
    store::{Activity, Deadline, Excess, Revision, SessionLimit, Write},
};

use crate::{
    clock::lag,
    record::{self, millis},
};

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

/// What the mark under an old key says of the new one: an end follows a session that goes on, not one that
/// an authentication began.
pub(crate) fn successor(deadline: Deadline, new: &SessionKey) -> Bytes {
    match deadline {
        Deadline::Keep(_) => record::as_successor(new).into(),
        Deadline::Restart(_) => Bytes::new(),
    }
}

/// What becomes of the old session.
pub(crate) fn parting(deadline: Deadline) -> EndReason {
    match deadline {
        Deadline::Keep(_) => EndReason::Replaced,
        Deadline::Restart(_) => EndReason::ReplacedAtSignIn,
    }
}

/// How scripts are told why a session ends and for how long to remember it.
pub(crate) fn epitaph(reason: EndReason) -> [Bytes; 2] {
    [
        reason.code().to_string().into(),
        number(millis(reason.remembered_for())),
    ]
}

/// Scripts find the letter of the reason in the mark; all of them are remembered equally long.
pub(crate) fn memory_of_revocation() -> Bytes {
    number(millis(EndReason::RevokedByOperator.remembered_for()))
}

pub(crate) fn limit_of(limit: Option<SessionLimit>) -> [Bytes; 2] {
    match limit {
        None => [Bytes::new(), Bytes::from_static(b"0")],
        Some(limit) => [
            number(limit.most.get() as u64),
            Bytes::from_static(match limit.excess {
                Excess::Displace => b"1",
                Excess::Refuse => b"0",
            }),
        ],
    }
}

pub(crate) fn elevated_until(write: &Write, lead: Duration) -> Bytes {
    write
        .elevated_until
        .map(|moment| number(moment.before(lag(lead)).as_millis()))
        .unwrap_or_default()
}

pub(crate) fn number(number: u64) -> Bytes {
    number.to_string().into()
}

pub(crate) fn revision(revision: Revision) -> Bytes {
    record::revision(revision).into()
}

pub(crate) fn flag(activity: Activity) -> Bytes {
    Bytes::from_static(match activity {
        Activity::Active => b"1",
        Activity::Passive => b"0",
    })
}
