//! Writing the changes of several requests to one session together.

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
    step::{attempt, warn_of_failed_touch},
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
    /// A request may have loaded a newer session than the one that the group builds on.
    may_be_stale: bool,
}

impl Gathered {
    /// Whether the session must be loaded again, because the group may build on an old one. A
    /// commit need not: the store reports a conflict, and no request is refused for it.
    fn needs_reload(&self) -> bool {
        self.may_be_stale && !matches!(self.step, Ok(InPlace::Commit(..)))
    }
}

/// Writes the changes of the leader and of the requests behind it. `planned` is the leader's step,
/// if no other request has written since it was planned.
pub(super) async fn write(
    state: &Arc<State>,
    activity: Activity,
    mut planned: Option<Step>,
    lead: &mut Lead,
) -> Result<Option<CookieAction>, SessionError> {
    // The refusal of the leader's own changes, if any.
    let mut own_refusal = None;
    for number in 0..ATTEMPTS {
        pause::before(number).await;
        lead.gather();
        if lead.is_alone() && lead.handover.known.is_none() {
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
                    lead.handover.known = origin.map(|origin| Known { origin, asked_at });
                    return Ok(cookie);
                }
            }
        }
        let mut gathered = gather(state, activity, lead, &mut own_refusal);
        if let Some(may_be_stale) = gathered.take_if(|gathered| gathered.needs_reload()) {
            if let Some(outcome) = reload(state, may_be_stale.group.key(), lead).await {
                return answer_all(state, lead, own_refusal, outcome).await;
            }
            gathered = gather(state, activity, lead, &mut own_refusal);
        }
        let Some(Gathered { group, step, .. }) = gathered else {
            return answer_all(state, lead, own_refusal, Outcome::Ended).await;
        };
        if let Some(outcome) = write_group(state, group, step, lead).await {
            return answer_all(state, lead, own_refusal, outcome).await;
        }
    }
    answer_all(
        state,
        lead,
        own_refusal,
        Outcome::Failed(SessionError::Contended),
    )
    .await
}

/// Answers all members and the leader.
async fn answer_all(
    state: &State,
    lead: &mut Lead,
    own_refusal: Option<Answer>,
    outcome: Outcome,
) -> Result<Option<CookieAction>, SessionError> {
    let answer = |refusal: Option<Answer>| match (refusal, &outcome) {
        // A refusal holds only for a session that the store has confirmed.
        (Some(refusal), Outcome::Stored(_)) => refusal,
        (Some(panicked @ Answer::Panicked(_)), _) => panicked,
        (_, outcome) => outcome.clone().into(),
    };
    lead.answer(answer);
    apply_answer(state, answer(own_refusal))
        .await
        .map(|()| None)
}

/// Applies the changes of the leader and the members in order, to the session as last known. A
/// change that fails is refused once the store has confirmed that session. `None` if the leader has
/// no session.
fn gather(
    state: &State,
    activity: Activity,
    lead: &mut Lead,
    own_refusal: &mut Option<Answer>,
) -> Option<Gathered> {
    let mut copy = state.working_copy()?;
    let mut asked_at = None;
    let mut group = match &lead.handover.known {
        // The leader's unit of work builds on the session that it has loaded.
        None => Group::of(&copy.unit, activity)?,
        Some(known) => {
            asked_at = known.asked_at;
            let mut group = Group::on(known.origin.clone());
            add(&mut group, &mut copy.unit, activity, own_refusal);
            group
        }
    };
    let may_have_loaded_a_newer_one = |group: &Group, unit: &UnitOfWork, since: Instant| {
        asked_at.is_none_or(|asked_at| asked_at < since) && !group.builds_on_what_was_seen_by(unit)
    };
    let mut may_be_stale = may_have_loaded_a_newer_one(&group, &copy.unit, lead.since());
    drop(copy);
    lead.each(|member, since, refusal| {
        if let Some(mut copy) = member.request.working_copy() {
            add(&mut group, &mut copy.unit, member.activity, refusal);
            may_be_stale |= may_have_loaded_a_newer_one(&group, &copy.unit, since);
        }
    });
    Some(Gathered {
        step: group.step(state.now()),
        group,
        may_be_stale,
    })
}

/// Adds the changes of a request to the group, and sets its refusal.
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

/// Writes the group. `None` if another process has written in the meantime.
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
    // A touch does not reveal whether the store still has the known session.
    let mut asked_at = lead
        .handover
        .known
        .as_ref()
        .and_then(|known| known.asked_at);
    let outcome = match step {
        InPlace::Nothing => Outcome::Stored(group.unchanged()),
        InPlace::Touch(activity, idle) => {
            let meta = group.meta();
            let touch = Touch::new(&key, &meta, activity).idle_timeout(idle);
            match store.touch(touch).await {
                Ok(Touched::Done(timing)) => Outcome::Stored(group.touched(timing)),
                Ok(Touched::Gone) => Outcome::Stored(group.unchanged()),
                Err(error) => {
                    warn_of_failed_touch(&error);
                    Outcome::Stored(group.unchanged())
                }
            }
        }
        InPlace::Extend(activity, idle) => {
            let meta = group.meta();
            let touch = Touch::new(&key, &meta, activity).idle_timeout(idle);
            match store.touch(touch).await {
                Ok(Touched::Done(timing)) => Outcome::Stored(group.touched(timing)),
                Ok(Touched::Gone) => Outcome::Ended,
                Err(error) => Outcome::Failed(error.into()),
            }
        }
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
                Ok(Committed::Gone) => Outcome::Ended,
                Err(error) => Outcome::Failed(error.into()),
            }
        }
    };
    note_outcome(lead, &outcome, asked_at);
    Some(outcome)
}

/// Loads the session again, so that no waiting request has seen a newer one. Returns the outcome
/// for all if it cannot be loaded.
async fn reload(state: &State, key: &SessionIdHash, lead: &mut Lead) -> Option<Outcome> {
    let asked_at = Instant::now();
    let outcome = match state.reload(key).await {
        Ok(Loaded::Live(stored)) => match adopt(lead, *key, &stored, asked_at) {
            Ok(()) => return None,
            Err(outcome) => outcome,
        },
        Ok(Loaded::Damaged) => Outcome::Damaged,
        Ok(_) => Outcome::Ended,
        Err(error) => Outcome::Failed(error.into()),
    };
    note_outcome(lead, &outcome, None);
    Some(outcome)
}

/// Makes `stored` the known session. The store was asked at `asked_at`. Returns the outcome for all
/// if it cannot be read.
fn adopt(
    lead: &mut Lead,
    key: SessionIdHash,
    stored: &Stored,
    asked_at: Instant,
) -> Result<(), Outcome> {
    match Origin::read(key, stored) {
        Ok(origin) => {
            let asked_at = Some(asked_at);
            lead.handover.known = Some(Known { origin, asked_at });
            Ok(())
        }
        Err(Unusable::Damaged) => Err(Outcome::Damaged),
        Err(unusable) => Err(Outcome::Failed(ChangeError::from(unusable).into())),
    }
}

/// Updates the handover from an outcome, and answers waiting requests if their result is certain.
fn note_outcome(lead: &mut Lead, outcome: &Outcome, asked_at: Option<Instant>) {
    lead.handover.known = match outcome {
        Outcome::Stored(origin) => Some(Known {
            origin: origin.clone(),
            asked_at,
        }),
        _ => None,
    };
    match outcome {
        Outcome::Ended => session_ended(lead),
        Outcome::Failed(SessionError::Store(error)) => note_failure(lead, error),
        _ => lead.handover.unanswered = false,
    }
}

/// Applies an answer of the leader to this request's own session.
pub(super) async fn apply_answer(state: &State, answer: Answer) -> Result<(), SessionError> {
    match answer {
        Answer::Outcome(Outcome::Stored(origin)) => {
            if let Some(mut copy) = state.working_copy() {
                copy.unit.written_as(&origin);
            }
            Ok(())
        }
        Answer::Outcome(Outcome::Ended) => {
            let key: Option<SessionIdHash> = state.working_copy().and_then(|copy| copy.unit.key());
            match key {
                Some(key) => refusing::ended(state, &key).await.map(drop),
                None => Ok(()),
            }
        }
        Answer::Outcome(Outcome::Damaged) => Err(refusing::damaged(state)),
        Answer::Outcome(Outcome::Failed(error)) => Err(error),
        Answer::Panicked(panic) => resume_unwind(panic),
    }
}

/// Answers all waiting requests: the session has ended for good, so they need not ask the store.
pub(super) fn session_ended(lead: &mut Lead) {
    lead.handover.known = None;
    lead.answer_waiting(|| Outcome::Ended.into());
}

/// Updates the handover from the result of a step, as [`note_outcome`] does.
pub(super) fn note_result<T>(lead: &mut Lead, result: &Result<T, SessionError>) {
    match result {
        Err(SessionError::Ended | SessionError::Replaced) => session_ended(lead),
        Err(SessionError::Store(error)) => note_failure(lead, error),
        _ => lead.handover.unanswered = false,
    }
}

/// Refuses all waiting requests after the second failure in a row, so that none waits for a store
/// that does not answer.
fn note_failure(lead: &mut Lead, error: &StoreError) {
    lead.handover.known = None;
    let unavailable = error.kind() == StoreErrorKind::Unavailable;
    if std::mem::replace(&mut lead.handover.unanswered, unavailable) && unavailable {
        lead.answer_waiting(|| SessionError::Store(error.clone()).into());
    }
}
