//! How a session comes into being.

use std::time::Duration;

use bytes::Bytes;
use portcullis_core::{
    Note, SessionKey,
    store::{Limits, Revision, SessionLimit, StoreError, Timing, Write},
};

use crate::{
    RedisStore,
    arguments::{self, elevated_until, limit_of, number},
    driver::{CREATE, Reply, out_of_place},
    filing::{self, Filing},
    record,
};

/// When a session begins and ends.
pub(crate) struct Moments {
    /// The first, second, fifth and sixth argument of `lua/create.lua`.
    pub(crate) arguments: [Bytes; 4],
    /// By how much the clock is ahead that the moments in its `Write` were told by.
    pub(crate) lead: Duration,
}

impl Moments {
    pub(crate) fn starting(limits: Limits, lead: Duration) -> Self {
        let (idle, absolute) = record::limits(limits);
        Self {
            arguments: [number(idle), number(absolute), Bytes::new(), Bytes::new()],
            lead,
        }
    }
}

/// What came of an attempt to create a session.
pub(crate) enum Admitted {
    /// With the refs of those that have to go for it.
    Done(Timing, Vec<Bytes>),
    Taken,
    AtLimit,
    Revoked,
}

impl RedisStore {
    /// Creates a session with these moments.
    pub(crate) async fn admit(
        &self,
        key: &SessionKey,
        write: &Write,
        moments: Moments,
        limit: Option<SessionLimit>,
        revision: Revision,
    ) -> Result<Admitted, StoreError> {
        let Moments { arguments, lead } = moments;
        let [idle, absolute, ends_at, last] = arguments;
        let [user, since] = filing::owner_by_a_clock_behind(&write.label, lead);
        let [most, room] = limit_of(limit);
        let keys = Filing::of(self.prefix(), key, &write.label).keys();
        let mut arguments = vec![
            idle,
            absolute,
            arguments::revision(revision),
            write.payload.clone(),
            ends_at,
            last,
            filing::reference(key, write.label.handle),
            user,
            since,
            elevated_until(write, lead),
            self.log_size(write.label.owner.is_some()),
            most,
            room,
        ];
        arguments.extend(write.notes.iter().map(Note::encode));
        match self.run(&CREATE, keys, arguments).await? {
            Reply::Done(timing, excess) => Ok(Admitted::Done(timing, excess)),
            Reply::Taken => Ok(Admitted::Taken),
            Reply::Revoked => Ok(Admitted::Revoked),
            Reply::AtLimit => Ok(Admitted::AtLimit),
            _ => Err(out_of_place()),
        }
    }
}
