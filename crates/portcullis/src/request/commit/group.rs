//! Writing what several requests ask of one session.

use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::Arc,
    time::Instant,
};

use portcullis_core::{
    ChangeError, SessionIdHash,
    store::{
        Activity, Commit, Committed, CommittedSession, Loaded, Others, StoreError, StoreErrorKind,
        Stored, Touch, Touched,
    },
    unit_of_work::{Group, InPlace, Origin, Step, UnitOfWork, Unusable},
};

use super::{
    ATTEMPTS, events, next_step, pause,
    progress::Progress,
    refusing,
    step::{attempt, untouched},
};
use crate::{
    reject::error::SessionError,
    request::state::State,
    writing::{
        Lead,
        member::{Answer, Outcome},
        queue::Known,
        working_copy::CookieAction,
    },
};

/// The changes of the leader and the members.
struct Gathered {
    group: Group,
    step: Result<InPlace, ChangeError>,
    /// Somebody may have seen a newer session than the one that the group builds on.
    may_be_stale: bool,
}

impl Gathered {
    /// Whether it must not be taken for granted that the session is still the one that the group builds on. A commit
    /// says so itself, and then nobody is refused for it.
    fn needs_reload(&self) -> bool {
        self.may_be_stale && !matches!(self.step, Ok(InPlace::Commit(..)))
    }
}

/// Writes the changes of the leader, and of those who wait behind it. `planned` is the leader's step, as long as nobody
/// else has written.
pub(super) async fn write(
    state: &Arc<State>,
    activity: Activity,
    mut planned: Option<Step>,
    lead: &mut Lead,
) -> Result<Option<CookieAction>, SessionError> {
    // Why the leader's own changes are refused.
    let mut own = None;
    for number in 0..ATTEMPTS {
        pause::before(number).await;
        lead.gather();
        if lead.is_alone() && lead.legacy.known.is_none() {
            let Some(step) = next_step(state, activity, planned.take())? else {
                return Ok(None);
            };
            let asked_at = matches!(step, Step::Commit { .. }).then(Instant::now);
            let progress = attempt(state, step).await;
            note_result(lead, &progress);
            match progress? {
                Progress::Again => continue,
                Progress::Done(cookie) => {
                    let origin = state
                        .working_copy()
                        .and_then(|copy| copy.unit.origin().cloned());
                    lead.legacy.known = origin.map(|origin| Known { origin, asked_at });
                    return Ok(cookie);
                }
            }
        }
        let mut gathered = gather(state, activity, lead, &mut own);
        if let Some(may_be_stale) = gathered.take_if(|gathered| gathered.needs_reload()) {
            if let Some(outcome) = reload(state, may_be_stale.group.key(), lead).await {
                return answer_all(state, lead, own, outcome).await;
            }
            gathered = gather(state, activity, lead, &mut own);
        }
        let Some(Gathered { group, step, .. }) = gathered else {
            return answer_all(state, lead, own, Outcome::Gone).await;
        };
        if let Some(outcome) = write_group(state, group, step, lead).await {
            return answer_all(state, lead, own, outcome).await;
        }
    }
    answer_all(state, lead, own, Outcome::Failed(SessionError::Contended)).await
}

/// Tells all what came of their changes, and the leader as well.
async fn answer_all(
    state: &State,
    lead: &mut Lead,
    own: Option<Answer>,
    outcome: Outcome,
) -> Result<Option<CookieAction>, SessionError> {
    let answer = |refusal: Option<Answer>| match (refusal, &outcome) {
        // Why a change was refused is true only of a session that the store was found to have.
        (Some(refusal), Outcome::Stored(_)) => refusal,
        (Some(panicked @ Answer::Panicked(_)), _) => panicked,
        (_, outcome) => outcome.clone().into(),
    };
    lead.answer(answer);
    apply_answer(state, answer(own)).await.map(|()| None)
}

/// The changes of the leader and the members, one after the other, on the session as it was last seen. Who cannot be
/// granted theirs is refused once it is certain that the session is the one that was seen. `None` if the leader has no
/// session.
fn gather(
    state: &State,
    activity: Activity,
    lead: &mut Lead,
    own: &mut Option<Answer>,
) -> Option<Gathered> {
    let mut copy = state.working_copy()?;
    let mut asked_at = None;
    let mut group = match &lead.legacy.known {
        // The leader's unit of work was made on what it has seen itself.
        None => Group::of(&copy.unit, activity)?,
        Some(known) => {
            asked_at = known.asked_at;
            let mut group = Group::on(known.origin.clone());
            add(&mut group, &mut copy.unit, activity, own);
            group
        }
    };
    let may_have_seen_a_newer_one = |group: &Group, unit: &UnitOfWork, since: Instant| {
        asked_at.is_none_or(|asked_at| asked_at < since) && !group.builds_on_what_was_seen_by(unit)
    };
    let mut may_be_stale = may_have_seen_a_newer_one(&group, &copy.unit, lead.since());
    drop(copy);
    lead.each(|member, since, refusal| {
        if let Some(mut copy) = member.request.working_copy() {
            add(&mut group, &mut copy.unit, member.activity, refusal);
            may_be_stale |= may_have_seen_a_newer_one(&group, &copy.unit, since);
        }
    });
    Some(Gathered {
        step: group.step(state.now()),
        group,
        may_be_stale,
    })
}

/// Adds the changes of a request to the group, and says what is to be said against it.
fn add(group: &mut Group, unit: &mut UnitOfWork, activity: Activity, refusal: &mut Option<Answer>) {
    // A function that panicked may be broken, and is not called again.
    if matches!(refusal, Some(Answer::Panicked(_))) {
        return;
    }
    // A panic leaves the group as it was.
    *refusal = match catch_unwind(AssertUnwindSafe(|| group.add(unit, activity))) {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(SessionError::from(error).into()),
        Err(panic) => Some(Answer::Panicked(panic)),
    };
}

/// Asks the store for what the group needs. `None` if another process has written meanwhile.
async fn write_group(
    state: &State,
    group: Group,
    step: Result<InPlace, ChangeError>,
    lead: &mut Lead,
) -> Option<Outcome> {
    let (store, key) = (state.shared().store(), *group.key());
    let step = match step {
        Ok(step) => step,
        Err(error) => return Some(Outcome::Failed(error.into())),
    };
    lead.ask();
    // A touch does not tell whether the session is still the one that is known.
    let mut asked_at = lead.legacy.known.as_ref().and_then(|known| known.asked_at);
    let outcome = match step {
        InPlace::Nothing => Outcome::Stored(group.unchanged()),
        InPlace::Touch => match store.touch(Touch::new(&key, &group.meta())).await {
            Ok(Touched::Done(timing)) => Outcome::Stored(group.touched(timing)),
            Ok(Touched::Gone) => Outcome::Stored(group.unchanged()),
            Err(error) => {
                untouched(&error);
                Outcome::Stored(group.unchanged())
            }
        },
        InPlace::Extend => match store.touch(Touch::new(&key, &group.meta())).await {
            Ok(Touched::Done(timing)) => Outcome::Stored(group.touched(timing)),
            Ok(Touched::Gone) => Outcome::Gone,
            Err(error) => Outcome::Failed(error.into()),
        },
        InPlace::Commit(write, activity) => {
            let now = Instant::now();
            asked_at = Some(now);
            match store
                .commit(Commit::new(&key, group.expected(), &write, activity))
                .await
            {
                Ok(Committed::Done(CommittedSession {
                    timing, revision, ..
                })) => {
                    events::of_write(state, None, &Others::Stay, Vec::new(), write);
                    Outcome::Stored(group.written(timing, revision))
                }
                Ok(Committed::Conflict(stored)) => match adopt(lead, key, &stored, now) {
                    Ok(()) => {
                        lead.try_again();
                        return None;
                    }
                    Err(outcome) => outcome,
                },
                Ok(Committed::Gone) => Outcome::Gone,
                Err(error) => Outcome::Failed(error.into()),
            }
        }
    };
    note_outcome(lead, &outcome, asked_at);
    Some(outcome)
}

/// Reads the session anew, so that none who waits has seen a newer one. What came of all changes if there is none to be
/// read.
async fn reload(state: &State, key: &SessionIdHash, lead: &mut Lead) -> Option<Outcome> {
    let asked_at = Instant::now();
    let outcome = match state.reload(key).await {
        Ok(Loaded::Live(stored)) => match adopt(lead, *key, &stored, asked_at) {
            Ok(()) => return None,
            Err(outcome) => outcome,
        },
        Ok(Loaded::Damaged) => Outcome::Damaged,
        Ok(_) => Outcome::Gone,
        Err(error) => Outcome::Failed(error.into()),
    };
    note_outcome(lead, &outcome, None);
    Some(outcome)
}

/// Takes `stored` for what is known. The store was asked at this moment. What came of all changes if it cannot be read.
fn adopt(
    lead: &mut Lead,
    key: SessionIdHash,
    stored: &Stored,
    asked_at: Instant,
) -> Result<(), Outcome> {
    match Origin::read(key, stored) {
        Ok(origin) => {
            let asked_at = Some(asked_at);
            lead.legacy.known = Some(Known { origin, asked_at });
            Ok(())
        }
        Err(Unusable::Damaged) => Err(Outcome::Damaged),
        Err(unusable) => Err(Outcome::Failed(ChangeError::from(unusable).into())),
    }
}

/// What the outcome means for those who wait.
fn note_outcome(lead: &mut Lead, outcome: &Outcome, asked_at: Option<Instant>) {
    lead.legacy.known = match outcome {
        Outcome::Stored(origin) => Some(Known {
            origin: origin.clone(),
            asked_at,
        }),
        _ => None,
    };
    match outcome {
        Outcome::Gone => session_ended(lead),
        Outcome::Failed(SessionError::Store(error)) => note_failure(lead, error),
        _ => lead.legacy.unanswered = false,
    }
}

/// Takes note of what another request has done with the changes of this one.
pub(super) async fn apply_answer(state: &State, answer: Answer) -> Result<(), SessionError> {
    match answer {
        Answer::Outcome(Outcome::Stored(origin)) => {
            if let Some(mut copy) = state.working_copy() {
                copy.unit.written_as(&origin);
            }
            Ok(())
        }
        Answer::Outcome(Outcome::Gone) => {
            let key: Option<SessionIdHash> = state.working_copy().and_then(|copy| copy.unit.key());
            match key {
                Some(key) => refusing::gone(state, &key).await.map(drop),
                None => Ok(()),
            }
        }
        Answer::Outcome(Outcome::Damaged) => Err(refusing::damaged(state)),
        Answer::Outcome(Outcome::Failed(error)) => Err(error),
        Answer::Panicked(panic) => resume_unwind(panic),
    }
}

/// The session is not there any more and never will be: who waits for it need not ask the store.
pub(super) fn session_ended(lead: &mut Lead) {
    lead.legacy.known = None;
    lead.answer_waiting(|| Outcome::Gone.into());
}

/// What the result of a step means for those who wait.
pub(super) fn note_result<T>(lead: &mut Lead, result: &Result<T, SessionError>) {
    match result {
        Err(SessionError::Ended | SessionError::Replaced) => session_ended(lead),
        Err(SessionError::Store(error)) => note_failure(lead, error),
        _ => lead.legacy.unanswered = false,
    }
}

/// Nobody is kept waiting for a store that does not answer: after the second failure in a row all are refused.
fn note_failure(lead: &mut Lead, error: &StoreError) {
    lead.legacy.known = None;
    let unavailable = error.kind() == StoreErrorKind::Unavailable;
    if std::mem::replace(&mut lead.legacy.unanswered, unavailable) && unavailable {
        lead.answer_waiting(|| SessionError::Store(error.clone()).into());
    }
}
