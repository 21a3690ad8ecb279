//! Moving a session to another bucket: what signing in does.
//!
//! Two buckets may lie on two servers of a Redis Cluster, so no script can see both. Instead the new session
//! is made first, under a key that was drawn a moment ago and that nobody has been told; then the old one is
//! ended if it is still as expected. Ending it is the one step that others can observe. Whoever has to go for the
//! new one goes before that, also within a bucket: while something can still fail, the old session lives.

use std::time::Duration;

use bytes::Bytes;
use portcullis_core::{
    Timestamp,
    store::{
        Activity, CreatedSession, Deadline, Interrupted, Others, Replace, Replaced, Revision,
        StoreError, Timing,
    },
};

use crate::{
    RedisStore,
    arguments::{
        authenticated_at, draw, end_reason_of, number, owner, revision, successor,
        tombstone_arguments,
    },
    clock::lag,
    compensation::Provisional,
    creation::{CreateAttempt, Moments},
    driver::{Reply, SUPERSEDE, wrong_reply},
    entry::Entry,
    key_set::KeySet,
    record::millis,
    store::{Errors, not_replaced},
};

impl RedisStore {
    pub(crate) async fn relocate(&self, replace: Replace<'_>) -> Result<Replaced, Interrupted> {
        let Replace {
            old,
            new,
            write,
            deadline,
            ..
        } = replace;
        let moments = match deadline {
            Deadline::Restart(limits) => self.starting(new, &write.meta, limits),
            // Only the old record knows its deadlines. A touch between this read and the end is lost, and
            // the session ends that much early.
            Deadline::Keep(activity) => match self.replaceable(old).await? {
                Ok(stored) => {
                    let [here, there] = [old.key, *new].map(|key| self.now_in(key.bucket()));
                    let lead = lag(here.since(there));
                    let since = authenticated_at(&write.meta);
                    let since = since.map(|since| since.before(lead));
                    kept(stored.timing, activity, since, lead)
                }
                Err(too_late) => return Ok(too_late),
            },
        };
        let stay = Others::Stay;
        let others = match deadline {
            Deadline::Restart(_) => replace.others,
            Deadline::Keep(_) => &stay,
        };
        let drawn = draw();
        let provisional = self.provisional(new, write);
        let attempt = self.try_create(new, write, moments, others, drawn);
        // No other session is to end for a sign-in that comes too late.
        let ((attempt, asked), too_late) = match others {
            Others::Stay => (attempt.await?, None),
            Others::Limited(_) => {
                let (attempt, found) = tokio::join!(attempt, self.replaceable(old));
                (attempt?, found?.err())
            }
            // The step that creates revokes them as well.
            Others::End(_) => match self.replaceable(old).await? {
                Ok(_) => (attempt.await?, None),
                Err(too_late) => {
                    provisional.keep();
                    return Ok(too_late);
                }
            },
        };
        let provisional = provisional.asked(asked);
        match (attempt, too_late) {
            (CreateAttempt::Done(..), Some(why)) => {
                provisional.take_back().await;
                Ok(why)
            }
            (CreateAttempt::Done(timing, excess), None) => {
                let made = PendingSession {
                    provisional,
                    timing,
                    revision: drawn,
                    excess,
                };
                let replace = Replace::new(old, new, write, deadline, others);
                self.take_over(replace, made).await
            }
            (refused, _) => {
                provisional.was_refused();
                match refused {
                    CreateAttempt::AtLimit => Ok(Replaced::AtLimit),
                    CreateAttempt::Revoked => Ok(Replaced::Gone),
                    _ => Err(StoreError::key_taken().into()),
                }
            }
        }
    }

    /// The second half: has the session that was just made under `new` take the place of the old one, after the others that
    /// have to end. If that fails, it is taken back.
    pub(crate) async fn take_over(
        &self,
        replace: Replace<'_>,
        made: PendingSession,
    ) -> Result<Replaced, Interrupted> {
        let Replace {
            old,
            new,
            write,
            deadline,
            others,
            ..
        } = replace;
        let PendingSession {
            provisional,
            timing,
            revision: drawn,
            excess,
        } = made;
        let displaced = self.displace(new, write, others, &excess).await?;
        let key_set = KeySet::of(self.prefix(), &old.key, &old.meta);
        let [code, memory] = tombstone_arguments(end_reason_of(deadline));
        let [user, _] = owner(&old.meta, None);
        let arguments = vec![
            revision(old.expected),
            code,
            memory,
            successor(deadline, new),
            revision(drawn),
            Entry::of(&old.key, &old.meta).encode(),
            user,
            old.note
                .as_ref()
                .map(|note| note.encode())
                .unwrap_or_default(),
            self.log_size(old.meta.owner.is_some()),
        ];
        let keys = key_set.keys_to_end();
        let answer = self.run_again(
            &SUPERSEDE,
            old.key.bucket(),
            keys,
            arguments,
            Errors::AtOnce,
        );
        let refused = match answer.await {
            Ok((Reply::Done(..), _)) => {
                provisional.keep();
                return Ok(Replaced::Done(CreatedSession::new(
                    timing, drawn, displaced,
                )));
            }
            Ok((Reply::Taken, _)) => Err(wrong_reply()),
            Ok((refused, _)) => {
                provisional.take_back().await;
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

/// A session that was just made and does not take the place of the old one yet.
pub(crate) struct PendingSession {
    pub(crate) provisional: Provisional,
    pub(crate) timing: Timing,
    pub(crate) revision: Revision,
    /// The entries of those that have to end for it.
    pub(crate) excess: Vec<Bytes>,
}

/// The moments of a session that keeps its deadlines, told by a clock that is this much ahead
/// of the one they are going to be enforced by.
fn kept(timing: Timing, activity: Activity, since: Option<Timestamp>, lead: Duration) -> Moments {
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
    Moments {
        arguments,
        since,
        lead,
    }
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
        let told =
            |activity, lead| kept(timing, activity, None, Duration::from_millis(lead)).arguments;
        assert_eq!(told(Activity::Passive, 0), ["30000", "", "90000", "50000"]);
        assert_eq!(told(Activity::Passive, 7), ["30000", "", "89993", "49993"]);
        assert_eq!(told(Activity::Active, 7), ["30000", "", "89993", ""]);
    }
}
