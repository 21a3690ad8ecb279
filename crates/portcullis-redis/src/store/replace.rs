//! Moves sessions to other keys.
//!
//! Within a bucket a move is one atomic step, unless it displaces other sessions. Then, and between
//! buckets, it takes three: the new session is created under a key that no client knows, the others
//! are ended, and the old session is ended if no other write happened meanwhile. Otherwise the new
//! session is withdrawn.
//!
//! Two buckets may be on two servers of a Redis Cluster, so no script can use both. The end of the
//! old session is the one step that others can observe: before it the old session is live and the
//! new one unknown, after it the old one is dead for every caller. The others are ended before it,
//! so the old session stays live as long as a step can fail.

use std::time::Duration;

use bytes::Bytes;
use portcullis_core::store::{
    Activity, CreatedSession, Deadline, Interrupted, Others, RecordWrite, Replace, Replaced,
    ReplacedSession, Revision, StoreError, Stored, Timing,
};

use super::{
    compensation::{Compensation, Provisional},
    context::{Context, Errors},
    create::{CreateAttempt, Moments, try_create},
    displace::displace,
    revision,
};
use crate::{
    clock::lag,
    driver::{Fetched, Reply, wrong_reply},
    layout::Record,
    scripts::{self, NewTiming, Supersede},
};

/// Moves a session to another key.
pub(super) async fn replace(
    context: &Context,
    compensation: &Compensation,
    mut replace: Replace<'_>,
) -> Result<Replaced, Interrupted> {
    // Only an authentication may end other sessions.
    if matches!(replace.deadline, Deadline::Keep(_)) {
        replace.others = &Others::Stay;
    }
    if replace.old.key.bucket() == replace.new.bucket() {
        replace_in_bucket(context, compensation, replace).await
    } else {
        relocate(context, compensation, replace).await
    }
}

async fn replace_in_bucket(
    context: &Context,
    compensation: &Compensation,
    replace: Replace<'_>,
) -> Result<Replaced, Interrupted> {
    let Replace {
        old,
        new,
        write,
        deadline,
        others,
        ..
    } = replace;
    let revision = revision::random_after(old.expected);
    let (authenticated_at, elevated_until) = match deadline {
        // Its moments are by the clock of this bucket already.
        Deadline::Keep(_) => {
            let owner = write.meta.owner.as_ref();
            let authenticated_at = owner.map(|owner| owner.authenticated_at);
            (authenticated_at, write.elevated_until)
        }
        Deadline::Restart(limits) => {
            let moments = Moments::starting(context, new, write, limits);
            (moments.authenticated_at, moments.elevated_until)
        }
    };
    let call = scripts::Replace {
        prefix: context.prefix(),
        old,
        new,
        write,
        revision,
        deadline,
        authenticated_at,
        elevated_until,
        others,
        log_size: context.log_size(),
    };
    // As for a session that is created.
    let provisional = compensation.provisional(context, new, &write.meta);
    let answer = context.run_twice(&call, Errors::of_step(others));
    let ends_others = matches!(others, Others::End(_));
    match answer.await? {
        // The script leaves the old session live until the others have ended.
        (Reply::Done(timing, displaced), attempts) if ends_others || !displaced.is_empty() => {
            let pending = PendingSession {
                provisional: provisional.sent(attempts),
                timing,
                revision,
                displaced,
            };
            supersede(context, replace, pending).await
        }
        (Reply::Done(timing, _), _) => {
            provisional.confirm();
            Ok(Replaced::Done(CreatedSession::new(
                timing,
                revision,
                Vec::new(),
            )))
        }
        (refused, attempts) => {
            provisional.sent(attempts).refused();
            Ok(not_replaced(refused)?)
        }
    }
}

/// Moves a session to another bucket, which a sign-in does.
async fn relocate(
    context: &Context,
    compensation: &Compensation,
    replace: Replace<'_>,
) -> Result<Replaced, Interrupted> {
    let Replace {
        old,
        new,
        write,
        deadline,
        others,
        ..
    } = replace;
    let moments = match deadline {
        Deadline::Restart(limits) => Moments::starting(context, new, write, limits),
        // Only the old record has its deadlines. A touch between this read and the end is lost, and
        // the session ends that much early.
        Deadline::Keep(activity) => match read_replaceable(context, old).await? {
            Ok(stored) => {
                let [here, there] = [old.key, *new].map(|key| context.now_in(key.bucket()));
                kept(write, stored.timing, activity, lag(here.since(there)))
            }
            Err(refused) => return Ok(refused),
        },
    };
    let revision = revision::random();
    let provisional = compensation.provisional(context, new, &write.meta);
    let attempt = try_create(context, new, write, moments, others, revision);
    // No other session may end for a sign-in that comes too late.
    let ((attempt, attempts), refused) = match others {
        Others::Stay => (attempt.await?, None),
        Others::Limited(_) => {
            let (attempt, found) = tokio::join!(attempt, read_replaceable(context, old));
            (attempt?, found?.err())
        }
        // The step that creates the session also revokes the others.
        Others::End(_) => match read_replaceable(context, old).await? {
            Ok(_) => (attempt.await?, None),
            Err(refused) => {
                provisional.confirm();
                return Ok(refused);
            }
        },
    };
    let provisional = provisional.sent(attempts);
    match (attempt, refused) {
        (CreateAttempt::Done(..), Some(refused)) => {
            provisional.withdraw().await;
            Ok(refused)
        }
        (CreateAttempt::Done(timing, displaced), None) => {
            let pending = PendingSession {
                provisional,
                timing,
                revision,
                displaced,
            };
            supersede(context, replace, pending).await
        }
        (attempt, _) => {
            provisional.refused();
            match attempt {
                CreateAttempt::AtLimit => Ok(Replaced::AtLimit),
                CreateAttempt::Revoked => Ok(Replaced::Gone),
                CreateAttempt::Suspended => Ok(Replaced::Suspended),
                _ => Err(StoreError::key_taken().into()),
            }
        }
    }
}

/// A session that was created and does not take the place of the old one yet.
struct PendingSession {
    provisional: Provisional,
    timing: Timing,
    revision: Revision,
    /// The entries of the sessions it displaces.
    displaced: Vec<Bytes>,
}

/// Ends the displaced sessions and then the old one, in favour of the new one. If that fails, the
/// new session is withdrawn.
async fn supersede(
    context: &Context,
    replace: Replace<'_>,
    pending: PendingSession,
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
        revision,
        displaced,
    } = pending;
    let displaced = displace(context, new, write, others, &displaced).await?;
    let call = Supersede {
        prefix: context.prefix(),
        old,
        new,
        revision,
        deadline,
        log_size: context.log_size(),
    };
    let refused = match context.run_twice(&call, Errors::AtOnce).await {
        Ok((Reply::Done(..), _)) => {
            provisional.confirm();
            return Ok(Replaced::Done(CreatedSession::new(
                timing, revision, displaced,
            )));
        }
        Ok((Reply::Taken, _)) => Err(wrong_reply()),
        Ok((refused, _)) => {
            provisional.withdraw().await;
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

/// Reads the session that is to be replaced, or returns why it cannot be. An expired session is
/// left for a load or a sweep, which report the expiry.
async fn read_replaceable(
    context: &Context,
    old: &ReplacedSession,
) -> Result<Result<Stored, Replaced>, StoreError> {
    let key = context.prefix().session(&old.key);
    let Fetched::Value(value) = context.driver().get(key).await? else {
        return Ok(Err(Replaced::Gone));
    };
    Ok(match Record::parse(&value) {
        Record::Session(stored) if !stored.timing.is_live(context.now_in(old.key.bucket())) => {
            Err(Replaced::Gone)
        }
        Record::Session(stored) if stored.revision == old.expected => Ok(stored),
        Record::Session(stored) => Err(Replaced::Conflict(stored)),
        Record::Newer => return Err(StoreError::newer_format()),
        Record::Ended(..) | Record::Damaged => Err(Replaced::Gone),
    })
}

/// The moments of a session that keeps its deadlines. The clock that they are by is this much ahead
/// of the clock of the new bucket.
fn kept(write: &RecordWrite, timing: Timing, activity: Activity, lead: Duration) -> Moments {
    let owner = write.meta.owner.as_ref();
    Moments {
        timing: moved(timing.with(write.new_limits), activity, lead),
        authenticated_at: owner.map(|owner| owner.authenticated_at.before(lead)),
        elevated_until: write.elevated_until.map(|until| until.before(lag(lead))),
    }
}

fn moved(timing: Timing, activity: Activity, lead: Duration) -> NewTiming {
    NewTiming::Moves {
        idle_timeout: timing.idle_timeout,
        absolute_deadline: timing.absolute_deadline.before(lead),
        last_active_at: match activity {
            Activity::Passive => Some(timing.last_active_at.before(lead)),
            _ => None,
        },
        privileged_at: match activity {
            Activity::Proof => None,
            _ => Some(timing.privileged_at.before(lead)),
        },
    }
}

/// The answer for a session that was not replaced.
fn not_replaced(reply: Reply) -> Result<Replaced, StoreError> {
    match reply {
        Reply::Gone | Reply::Revoked => Ok(Replaced::Gone),
        Reply::AtLimit => Ok(Replaced::AtLimit),
        Reply::Suspended => Ok(Replaced::Suspended),
        Reply::Conflict(value) => Ok(match Record::parse(&value) {
            Record::Session(current) => Replaced::Conflict(current),
            // Unreachable: the script has found a live session in it. "Gone" is the safe answer.
            _ => Replaced::Gone,
        }),
        Reply::Taken => Err(StoreError::key_taken()),
        Reply::Newer => Err(StoreError::newer_format()),
        _ => Err(wrong_reply()),
    }
}

#[cfg(test)]
mod tests {
    use portcullis_core::Timestamp;

    use super::*;

    #[test]
    fn deadlines_that_move_to_a_clock_that_is_behind_strike_at_the_same_moment() {
        let timing = Timing {
            absolute_deadline: Timestamp::from_millis(90_000),
            idle_timeout: Duration::from_secs(30),
            last_active_at: Timestamp::from_millis(50_000),
            privileged_at: Timestamp::from_millis(40_000),
        };
        let moved = |activity, lead| moved(timing, activity, Duration::from_millis(lead));
        let moves = |absolute, last: Option<u64>, privileged: Option<u64>| NewTiming::Moves {
            idle_timeout: Duration::from_secs(30),
            absolute_deadline: Timestamp::from_millis(absolute),
            last_active_at: last.map(Timestamp::from_millis),
            privileged_at: privileged.map(Timestamp::from_millis),
        };
        assert_eq!(
            moved(Activity::Passive, 0),
            moves(90_000, Some(50_000), Some(40_000))
        );
        assert_eq!(
            moved(Activity::Passive, 7),
            moves(89_993, Some(49_993), Some(39_993))
        );
        assert_eq!(moved(Activity::Proof, 7), moves(89_993, None, None));
        assert_eq!(
            moved(Activity::Active, 7),
            moves(89_993, None, Some(39_993))
        );
    }
}
