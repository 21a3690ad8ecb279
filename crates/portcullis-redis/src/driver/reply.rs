//! Replies of scripts. `lua/prelude.lua` writes what this file reads.

use std::time::Duration;

use bytes::Bytes;
use fred::prelude::Value;
use portcullis_core::{
    Timestamp,
    store::{StoreError, StoreErrorKind, Timing},
};

use super::answer::bytes;

/// The reply of a script.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    Gone,
    /// The timing of the session, and the entries of the sessions it displaces.
    Done(Timing, Vec<Bytes>),
    /// The record as it is stored now.
    Conflict(Bytes),
    Taken,
    Newer,
    /// The key that the session was moved to, as the tombstone spells it, or its digest alone.
    Moved(Bytes),
    AtLimit,
    Revoked,
    Suspended,
    /// How many items the script checked, and what it found.
    Listed(u64, Vec<Bytes>),
    /// Whether a session was written by a newer version, and the names of the ended sessions.
    Ended(bool, Vec<Bytes>),
    Expired(Vec<ExpiredMember>),
    /// The script ran after its caller had given up, and did nothing.
    Late,
    /// A session that must be live is neither under its key nor in its user's list.
    Lost,
}

/// A member of a bucket's list that was past its deadline.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ExpiredMember {
    pub(crate) member: Bytes,
    /// The code of the reason.
    pub(crate) code: u8,
    /// The deadline, in ms.
    pub(crate) at: u64,
}

impl Reply {
    /// Reads a reply, and the server's time in ms.
    pub(super) fn read(value: Value) -> Option<(Self, u64)> {
        let Value::Array(items) = value else {
            return None;
        };
        let mut items = items.into_iter();
        let (code, now) = (items.next()?.as_u64()?, items.next()?.as_u64()?);
        let reply = match code {
            0 => Self::Gone,
            1 => {
                let mut millis = || items.next()?.as_u64();
                let timing = Timing {
                    absolute_deadline: Timestamp::from_millis(millis()?),
                    idle_timeout: Duration::from_millis(millis()?),
                    last_active_at: Timestamp::from_millis(millis()?),
                    privileged_at: Timestamp::from_millis(millis()?),
                };
                Self::Done(timing, rest(items)?)
            }
            2 => Self::Conflict(bytes(items.next()?)?),
            3 => Self::Taken,
            4 => Self::Newer,
            5 => Self::Moved(bytes(items.next()?)?),
            6 => Self::AtLimit,
            7 => Self::Revoked,
            8 => Self::Listed(items.next()?.as_u64()?, rest(items)?),
            9 => Self::Ended(bytes(items.next()?)? == "1", rest(items)?),
            10 => Self::Expired(expired(items)?),
            11 => Self::Late,
            12 => Self::Lost,
            13 => Self::Suspended,
            _ => return None,
        };
        Some((reply, now))
    }
}

fn rest(items: impl Iterator<Item = Value>) -> Option<Vec<Bytes>> {
    items.map(bytes).collect()
}

fn expired(mut items: impl Iterator<Item = Value>) -> Option<Vec<ExpiredMember>> {
    let mut expired = Vec::new();
    while let Some(member) = items.next() {
        expired.push(ExpiredMember {
            member: bytes(member)?,
            code: *bytes(items.next()?)?.first()?,
            at: items.next()?.as_u64()?,
        });
    }
    Some(expired)
}

/// The error for a reply that the script never gives.
pub(crate) fn wrong_reply() -> StoreError {
    StoreError::new(
        StoreErrorKind::Misconfigured,
        "a script gave a reply that it never gives; check that no proxy between here and Redis mixes \
         up answers",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(items: &[i64]) -> Option<(Reply, u64)> {
        Reply::read(Value::Array(
            items.iter().copied().map(Value::Integer).collect(),
        ))
    }

    #[test]
    fn a_reply_that_cannot_be_read_is_no_reply() {
        for hostile in [
            &[][..],
            &[1],
            &[1, 5],
            &[1, 5, 6, 7],
            &[8, 5],
            &[9, 5, 1],
            &[10, 5, 1],
            &[14, 5],
            &[-1, 5],
            &[1, -5, 1, 1, 1],
            &[2, 5],
            &[5, 5],
            &[5, 5, 1],
        ] {
            assert_eq!(read(hostile), None, "{hostile:?}");
        }
        assert_eq!(Reply::read(Value::Null), None);
        assert_eq!(
            Reply::read(Value::Array(vec![Value::Null, Value::Null])),
            None
        );
    }

    #[test]
    fn every_code_of_the_scripts_is_read() {
        assert_eq!(read(&[0, 5]), Some((Reply::Gone, 5)));
        assert_eq!(read(&[3, 5]), Some((Reply::Taken, 5)));
        assert_eq!(read(&[4, 5]), Some((Reply::Newer, 5)));
        let timing = Timing {
            absolute_deadline: Timestamp::from_millis(9),
            idle_timeout: Duration::from_millis(3),
            last_active_at: Timestamp::from_millis(4),
            privileged_at: Timestamp::from_millis(2),
        };
        assert_eq!(
            read(&[1, 5, 9, 3, 4, 2]),
            Some((Reply::Done(timing, vec![]), 5))
        );
        let with_text = |code| {
            Reply::read(Value::Array(vec![
                Value::Integer(code),
                Value::Integer(5),
                Value::String("1".into()),
            ]))
        };
        assert_eq!(with_text(2), Some((Reply::Conflict("1".into()), 5)));
        assert_eq!(with_text(5), Some((Reply::Moved("1".into()), 5)));
        assert_eq!(read(&[6, 5]), Some((Reply::AtLimit, 5)));
        assert_eq!(read(&[7, 5]), Some((Reply::Revoked, 5)));
        assert_eq!(read(&[11, 5]), Some((Reply::Late, 5)));
        assert_eq!(read(&[12, 5]), Some((Reply::Lost, 5)));
        assert_eq!(read(&[13, 5]), Some((Reply::Suspended, 5)));
        assert_eq!(read(&[8, 5, 3]), Some((Reply::Listed(3, vec![]), 5)));
        assert_eq!(with_text(9), Some((Reply::Ended(true, vec![]), 5)));
        assert_eq!(read(&[10, 5]), Some((Reply::Expired(vec![]), 5)));
        let expired = Reply::read(Value::Array(vec![
            Value::Integer(10),
            Value::Integer(5),
            Value::String("member".into()),
            Value::String("i".into()),
            Value::Integer(4),
        ]));
        let member = ExpiredMember {
            member: "member".into(),
            code: b'i',
            at: 4,
        };
        assert_eq!(expired, Some((Reply::Expired(vec![member]), 5)));
    }
}
