//! How a session comes into being.

use std::time::Duration;

use bytes::Bytes;
use portcullis_core::{
    Note, SessionIdHash, SessionMeta, Timestamp,
    store::{Limits, Others, RecordWrite, Revision, StoreError, StoreErrorKind, Timing},
};

use crate::{
    RedisStore,
    arguments::{self, elevated_until, limit_of, number, yes},
    driver::{CREATE, Reply, wrong_reply},
    entry::Entry,
    key_set::KeySet,
    record,
    store::{Attempts, Errors},
};

/// When a session begins and ends.
pub(crate) struct Moments {
    /// The second, third, sixth and seventh argument of `lua/create.lua`.
    pub(crate) arguments: [Bytes; 4],
    /// When its user authenticated, by the clock of its bucket.
    pub(crate) since: Option<Timestamp>,
    /// By how much the clock is ahead that the ends of its elevations were told by.
    pub(crate) lead: Duration,
}

/// What came of an attempt to create a session.
pub(crate) enum CreateAttempt {
    /// With the entries of those that have to end for it.
    Done(Timing, Vec<Bytes>),
    Taken,
    AtLimit,
    Revoked,
}

impl RedisStore {
    /// Those of a session with this meta that begins in the bucket of this key.
    pub(crate) fn starting(
        &self,
        key: &SessionIdHash,
        meta: &SessionMeta,
        limits: Limits,
    ) -> Moments {
        let (idle, absolute) = record::limits(limits);
        Moments {
            arguments: [number(idle), number(absolute), Bytes::new(), Bytes::new()],
            since: self.authenticated_by(key.bucket(), meta),
            lead: self.lead_over(key.bucket()),
        }
    }

    /// Refuses a session without a user while memory is short, so that whoever signs in finds room.
    pub(crate) fn check_room(
        &self,
        key: &SessionIdHash,
        write: &RecordWrite,
    ) -> Result<(), StoreError> {
        let due_list = || self.prefix().due_list(key.bucket());
        if write.meta.owner.is_none() && !self.driver().admits_visitor_at(due_list) {
            return Err(StoreError::new(
                StoreErrorKind::Full,
                "the memory of Redis is nearly full, so sessions without a user are refused and what is left is kept for \
                 sign-ins; raise maxmemory",
            ));
        }
        Ok(())
    }

    /// Creates a session with these moments. Where the answer is lost it is asked for once more: what was created then is
    /// found and is the same.
    pub(crate) async fn try_create(
        &self,
        key: &SessionIdHash,
        write: &RecordWrite,
        moments: Moments,
        others: &Others,
        revision: Revision,
    ) -> Result<(CreateAttempt, Attempts), StoreError> {
        let Moments {
            arguments,
            since,
            lead,
        } = moments;
        let [idle, absolute, ends_at, last] = arguments;
        let [user, since] = arguments::owner(&write.meta, since);
        let [most, room, code, note, memory] = limit_of(others);
        let keys = KeySet::of(self.prefix(), key, &write.meta).keys();
        let mut arguments = vec![
            idle,
            absolute,
            arguments::revision(revision),
            write.payload.clone(),
            ends_at,
            last,
            Entry::of(key, &write.meta).encode(),
            user,
            since,
            elevated_until(write, lead),
            yes(write.flagged),
            self.log_size(write.meta.owner.is_some()),
            most,
            room,
            code,
            note,
            memory,
        ];
        arguments.extend(write.notes.iter().map(Note::encode));
        let answer = self.run_again(
            &CREATE,
            key.bucket(),
            keys,
            arguments,
            Errors::of_step(others),
        );
        let (reply, asked) = answer.await?;
        let attempt = match reply {
            Reply::Done(timing, excess) => CreateAttempt::Done(timing, excess),
            Reply::Taken => CreateAttempt::Taken,
            Reply::Revoked => CreateAttempt::Revoked,
            Reply::AtLimit => CreateAttempt::AtLimit,
            Reply::Newer => return Err(StoreError::newer_format()),
            _ => return Err(wrong_reply()),
        };
        Ok((attempt, asked))
    }
}
