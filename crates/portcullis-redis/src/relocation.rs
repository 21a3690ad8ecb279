//! Moving a session to another bucket: what signing in does.
//!
//! Two buckets may lie on two servers of a Redis Cluster, so no script can see both. Instead the new session
//! is made first, under a key that was drawn a moment ago and that nobody has been told; then the old one is
//! ended if it is still as expected. Ending it is the one step that others can observe.

use std::time::Duration;

use bytes::Bytes;
use portcullis_core::{
    EndReason, EventKind, Label, Note, SessionKey,
    store::{Activity, Deadline, Old, Replaced, SessionLimit, StoreError, Timing, Write},
};
use tokio::runtime::Handle;

use crate::{
    RedisStore,
    driver::{Reply, SUPERSEDE},
    filing::{self, Filing},
    record::{self, millis},
    store::{
        Admitted, draw, epitaph, not_replaced, number, out_of_place, parting, revision, successor,
    },
};

impl RedisStore {
    pub(crate) async fn relocate(
        &self,
        old: &Old,
        new: &SessionKey,
        write: &Write,
        deadline: Deadline,
        limit: Option<SessionLimit>,
    ) -> Result<Replaced, StoreError> {
        let moments = match deadline {
            Deadline::Restart(limits) => {
                let (idle, absolute) = record::limits(limits);
                [number(idle), number(absolute), Bytes::new(), Bytes::new()]
            }
            // Only the old record knows its deadlines. A touch between this read and the end is lost, and
            // the session ends that much early.
            Deadline::Keep(activity) => match self.replaceable(old).await? {
                Ok(stored) => kept(stored.timing, activity),
                Err(too_late) => return Ok(too_late),
            },
        };
        let drawn = draw();
        let limit = limit.filter(|_| matches!(deadline, Deadline::Restart(_)));
        let unclaimed = Unclaimed::new(self, new, write);
        let admitted = self.admit(new, write, moments, limit, drawn);
        // Nobody is to go for a sign-in that comes too late.
        let (admitted, too_late) = match limit {
            None => (admitted.await?, None),
            Some(_) => {
                let (admitted, found) = tokio::join!(admitted, self.replaceable(old));
                (admitted?, found?.err())
            }
        };
        let (timing, excess) = match (admitted, too_late) {
            (Admitted::Done(..), Some(why)) => {
                unclaimed.take_back().await;
                return Ok(why);
            }
            (Admitted::Done(timing, excess), None) => (timing, excess),
            (refused, _) => {
                unclaimed.keep();
                return match refused {
                    Admitted::AtLimit => Ok(Replaced::AtLimit),
                    Admitted::Revoked => Ok(Replaced::Gone),
                    _ => Err(StoreError::key_taken()),
                };
            }
        };
        let filing = Filing::of(self.prefix(), &old.key, &old.label);
        let [code, memory] = epitaph(parting(deadline));
        let [user, _] = filing::owner(&old.label);
        let arguments = vec![
            revision(old.expected),
            code,
            memory,
            successor(deadline, new),
            filing::reference(&old.key, old.label.handle),
            user,
            old.note
                .as_ref()
                .map(|note| note.encode())
                .unwrap_or_default(),
            self.log_size(old.label.owner.is_some()),
        ];
        let keys = filing.keys_to_end();
        let (superseded, displaced) = tokio::join!(
            self.run(&SUPERSEDE, keys, arguments),
            self.displace(new, write, &excess),
        );
        match superseded? {
            Reply::Done(..) => {
                let displaced = displaced?;
                unclaimed.keep();
                Ok(Replaced::Done(timing, drawn, displaced))
            }
            Reply::Taken => Err(out_of_place()),
            refused => {
                unclaimed.take_back().await;
                not_replaced(refused)
            }
        }
    }
}

/// A session that was made a moment ago and that nobody knows of. Dropped, it is removed in the background:
/// after an error, and when the caller stops waiting half-way. Should that fail, it goes with its deadline.
pub(crate) struct Unclaimed(Option<(RedisStore, SessionKey, Label)>);

impl Unclaimed {
    pub(crate) fn new(store: &RedisStore, key: &SessionKey, write: &Write) -> Self {
        Self(Some((store.clone(), *key, write.label.clone())))
    }

    pub(crate) fn keep(mut self) {
        self.0 = None;
    }

    async fn take_back(mut self) {
        if let Some((store, key, label)) = &self.0
            && withdraw(store, key, label).await
        {
            self.0 = None;
        }
    }
}

impl Drop for Unclaimed {
    fn drop(&mut self) {
        if let (Some((store, key, label)), Ok(runtime)) = (self.0.take(), Handle::try_current()) {
            runtime.spawn(async move {
                if !withdraw(&store, &key, &label).await {
                    tracing::debug!("a session that was never handed out is left to expire");
                }
            });
        }
    }
}

/// Nothing is left under the key: nobody can come back with it.
async fn withdraw(store: &RedisStore, key: &SessionKey, label: &Label) -> bool {
    let note = Note::of_system(EventKind::Ended(EndReason::Withdrawn));
    let ended = store.finish(key, label, EndReason::Withdrawn, Duration::ZERO, &note);
    ended.await.is_ok()
}

/// The arguments of `lua/create.lua` for a session that keeps its deadlines.
fn kept(timing: Timing, activity: Activity) -> [Bytes; 4] {
    [
        number(millis(timing.idle_timeout)),
        Bytes::new(),
        number(timing.absolute_deadline.as_millis()),
        match activity {
            Activity::Active => Bytes::new(),
            Activity::Passive => number(timing.last_active_at.as_millis()),
        },
    ]
}
