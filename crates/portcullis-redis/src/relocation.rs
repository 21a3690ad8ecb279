//! Moving a session to another bucket: what signing in does.
//!
//! Two buckets may lie on two servers of a Redis Cluster, so no script can see both. Instead the new session
//! is made first, under a key that was drawn a moment ago and that nobody has been told; then the old one is
//! ended if it is still as expected. Ending it is the one step that others can observe. Whoever has to go for the
//! new one goes before that, also within a bucket: while something can still fail, the old session lives.

use std::time::Duration;

use bytes::Bytes;
use portcullis_core::{
    EndReason, EventKind, Label, Note, SessionKey, Timestamp,
    store::{
        Activity, Deadline, Interrupted, Old, Replaced, Revision, SessionLimit, StoreError, Timing,
        Write,
    },
};
use tokio::runtime::Handle;

use crate::{
    RedisStore,
    admission::{Admitted, Moments},
    arguments::{draw, epitaph, number, parting, revision, successor},
    clock::lag,
    driver::{Reply, SUPERSEDE, out_of_place},
    filing::{self, Filing},
    record::millis,
    store::not_replaced,
};

impl RedisStore {
    pub(crate) async fn relocate(
        &self,
        old: &Old,
        new: &SessionKey,
        write: &Write,
        deadline: Deadline,
        limit: Option<SessionLimit>,
    ) -> Result<Replaced, Interrupted> {
        let moments = match deadline {
            Deadline::Restart(limits) => Moments::starting(limits, self.lead_over(new.bucket())),
            // Only the old record knows its deadlines. A touch between this read and the end is lost, and
            // the session ends that much early.
            Deadline::Keep(activity) => match self.replaceable(old).await? {
                Ok(stored) => {
                    let [here, there] = [old.key, *new].map(|key| self.now_in(key.bucket()));
                    kept(stored.timing, activity, lag(here.since(there)))
                }
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
        match (admitted, too_late) {
            (Admitted::Done(..), Some(why)) => {
                unclaimed.take_back().await;
                Ok(why)
            }
            (Admitted::Done(timing, excess), None) => {
                let made = Made {
                    unclaimed,
                    timing,
                    revision: drawn,
                    excess,
                };
                self.take_over(old, new, write, deadline, made).await
            }
            (refused, _) => {
                unclaimed.keep();
                match refused {
                    Admitted::AtLimit => Ok(Replaced::AtLimit),
                    Admitted::Revoked => Ok(Replaced::Gone),
                    _ => Err(StoreError::key_taken().into()),
                }
            }
        }
    }

    /// The second half: has the session that was just made under `new` take the place of the old one, after whoever
    /// has to go for it. If that fails, it is taken back.
    pub(crate) async fn take_over(
        &self,
        old: &Old,
        new: &SessionKey,
        write: &Write,
        deadline: Deadline,
        made: Made,
    ) -> Result<Replaced, Interrupted> {
        let Made {
            unclaimed,
            timing,
            revision: drawn,
            excess,
        } = made;
        let displaced = self.displace(new, write, &excess).await?;
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
        let refused = match self.run(&SUPERSEDE, filing.keys_to_end(), arguments).await {
            Ok(Reply::Done(..)) => {
                unclaimed.keep();
                return Ok(Replaced::Done(timing, drawn, displaced));
            }
            Ok(Reply::Taken) => Err(out_of_place()),
            Ok(refused) => {
                unclaimed.take_back().await;
                not_replaced(refused)
            }
            Err(error) => Err(error),
        };
        match refused {
            Ok(_) if !displaced.is_empty() => Ok(Replaced::Overtaken(displaced)),
            Ok(refused) => Ok(refused),
            Err(error) => Err(Interrupted {
                ended: displaced,
                error,
            }),
        }
    }
}

/// A session that was just made.
pub(crate) struct Made {
    pub(crate) unclaimed: Unclaimed,
    pub(crate) timing: Timing,
    pub(crate) revision: Revision,
    /// The refs of those that have to go for it.
    pub(crate) excess: Vec<Bytes>,
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

/// The moments of a session that keeps its deadlines, told by a clock that is this much ahead
/// of the one they are going to be enforced by.
fn kept(timing: Timing, activity: Activity, lead: Duration) -> Moments {
    let moment = |moment: Timestamp| number(moment.before(lead).as_millis());
    let arguments = [
        number(millis(timing.idle_timeout)),
        Bytes::new(),
        moment(timing.absolute_deadline),
        match activity {
            Activity::Active => Bytes::new(),
            Activity::Passive => moment(timing.last_active_at),
        },
    ];
    Moments { arguments, lead }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_that_move_to_a_clock_that_is_behind_strike_at_the_same_moment() {
        let timing = Timing {
            absolute_deadline: Timestamp::from_millis(90_000),
            idle_timeout: Duration::from_secs(30),
            last_active_at: Timestamp::from_millis(50_000),
        };
        let told = |activity, lead| kept(timing, activity, Duration::from_millis(lead)).arguments;
        assert_eq!(told(Activity::Passive, 0), ["30000", "", "90000", "50000"]);
        assert_eq!(told(Activity::Passive, 7), ["30000", "", "89993", "49993"]);
        assert_eq!(told(Activity::Active, 7), ["30000", "", "89993", ""]);
    }
}
