//! Moving a session to another bucket: what signing in does.
//!
//! Two buckets may lie on two servers of a Redis Cluster, so no script can see both. Instead the new session
//! is made first, under a key that was drawn a moment ago and that nobody has been told; then the old one is
//! ended if it is still as expected. Ending it is the one step that others can observe.

use bytes::Bytes;
use portcullis_core::{
    EndReason, SessionKey,
    store::{Activity, Committed, Deadline, Loaded, Revision, Store, StoreError, Timing},
};

use tokio::runtime::Handle;

use crate::{
    RedisStore,
    driver::{CREATE, Reply, SUPERSEDE},
    record::{self, millis},
    store::{committed, draw, epitaph, number, out_of_place, successor},
};

impl RedisStore {
    pub(crate) async fn relocate(
        &self,
        old: &SessionKey,
        new: &SessionKey,
        expected: Revision,
        payload: Bytes,
        deadline: Deadline,
    ) -> Result<Committed, StoreError> {
        let moments = match deadline {
            Deadline::Restart(limits) => {
                let (idle, absolute) = record::limits(limits);
                [number(idle), number(absolute), Bytes::new(), Bytes::new()]
            }
            // Only the old record knows its deadlines. A touch between this read and the end is lost, and
            // the session ends that much early.
            Deadline::Keep(activity) => match self.load(old).await? {
                Loaded::Live(stored) if stored.revision == expected => {
                    kept(stored.timing, activity)
                }
                Loaded::Live(stored) => return Ok(Committed::Conflict(stored)),
                Loaded::Ended(_) | Loaded::Absent | Loaded::Damaged => return Ok(Committed::Gone),
            },
        };
        let revision = draw();
        let [idle, absolute, ends_at, last] = moments;
        let arguments = vec![
            idle,
            absolute,
            record::revision(revision).into(),
            payload,
            ends_at,
            last,
        ];
        let unclaimed = Unclaimed::new(self, new);
        let timing = match self.run(&CREATE, &[new], arguments).await? {
            Reply::Done(timing) => timing,
            Reply::Taken => {
                unclaimed.keep();
                return Err(StoreError::key_taken());
            }
            _ => return Err(out_of_place()),
        };
        let [code, memory] = epitaph(EndReason::Replaced);
        let arguments = vec![
            record::revision(expected).into(),
            code,
            memory,
            successor(deadline, new),
        ];
        match self.run(&SUPERSEDE, &[old], arguments).await? {
            Reply::Done(_) => {
                unclaimed.keep();
                Ok(Committed::Done(timing, revision))
            }
            refused => {
                unclaimed.take_back().await;
                committed(refused, revision)
            }
        }
    }
}

/// A session that was made a moment ago and that nobody knows of. Dropped, it is removed in the background:
/// after an error, and when the caller stops waiting half-way. Should that fail, it goes with its deadline.
struct Unclaimed(Option<(RedisStore, SessionKey)>);

impl Unclaimed {
    fn new(store: &RedisStore, key: &SessionKey) -> Self {
        Self(Some((store.clone(), *key)))
    }

    fn keep(mut self) {
        self.0 = None;
    }

    async fn take_back(mut self) {
        if let Some((store, key)) = &self.0
            && store.remove(key).await.is_ok()
        {
            self.0 = None;
        }
    }
}

impl Drop for Unclaimed {
    fn drop(&mut self) {
        if let (Some((store, key)), Ok(runtime)) = (self.0.take(), Handle::try_current()) {
            runtime.spawn(async move {
                if store.remove(&key).await.is_err() {
                    tracing::debug!("a session that was never handed out is left to expire");
                }
            });
        }
    }
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
