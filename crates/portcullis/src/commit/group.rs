//! Writing what several requests ask of one session.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::Arc,
    time::Instant,
};

use portcullis_core::{
    ChangeError, EventKind, SessionIdHash,
    store::{
        Activity, Commit, Committed, CommittedSession, Loaded, Others, StoreError, StoreErrorKind,
        Stored, Touch, Touched,
    },
    unit_of_work::{Group, InPlace, Origin, Step, UnitOfWork, Unusable},
};

use super::{ATTEMPTS, Progress, attempt, gone, next_step, pause, refused};
use crate::{
    SessionError,
    state::{self, State},
    write_queue::{self, Known},
};

pub(crate) type WriteQueue = write_queue::WriteQueue<Member, Answer>;
pub(super) type Lead = write_queue::Lead<Member, Answer>;
pub(super) type Place = write_queue::Place<Member, Answer>;

/// A request for which another one may write.
#[derive(Debug)]
pub(crate) struct Member {
    pub(super) state: Arc<State>,
    pub(super) activity: Activity,
}

/// What became of the changes of one request.
#[derive(Debug)]
pub(crate) enum Answer {
    Outcome(Outcome),
    /// A function given to `update` panicked.
    Panicked(Box<dyn Any + Send>),
}

/// What became of the changes of all who were written together.
#[derive(Debug, Clone)]
pub(crate) enum Outcome {
    /// They are stored.
    Stored(Origin),
    /// The session is not there any more.
    Gone,
    /// The session cannot be read any more.
    Damaged,
    Failed(SessionError),
}

impl From<SessionError> for Answer {
    fn from(error: SessionError) -> Self {
        Self::Outcome(Outcome::Failed(error))
    }
}

impl From<Outcome> for Answer {
    fn from(outcome: Outcome) -> Self {
        Self::Outcome(outcome)
    }
}

/// The changes of the leader and the members.
struct Gathered {
    group: Group,
    step: Result<InPlace, ChangeError>,
    /// Somebody may have seen a newer session than the one that the group builds on.
    doubtful: bool,
}

impl Gathered {
    /// Whether it must not be taken for granted that the session is still the one that the group builds on. A commit
    /// says so itself, and then nobody is refused for it.
    fn needs_a_look(&self) -> bool {
        self.doubtful && !matches!(self.step, Ok(InPlace::Commit(..)))
    }
}

/// Writes the changes of the leader, and of those who wait behind it. `planned` is the leader's step, as long as nobody
/// else has written.
pub(super) async fn write(
    state: &Arc<State>,
    activity: Activity,
    mut planned: Option<Step>,
    lead: &mut Lead,
) -> Result<(), SessionError> {
    // Why the leader's own changes are refused.
    let mut own = None;
    for number in 0..ATTEMPTS {
        pause::before(number).await;
        lead.gather();
        if lead.is_alone() && lead.legacy.known.is_none() {
            let Some(step) = next_step(state, activity, planned.take())? else {
                return Ok(());
            };
            let asked_at = matches!(step, Step::Commit { .. }).then(Instant::now);
            let progress = attempt(state, step).await;
            note(lead, &progress);
            match progress? {
                Progress::Again => continue,
                Progress::Done => {
                    let origin = state
                        .working_copy()
                        .and_then(|copy| copy.unit.origin().cloned());
                    lead.legacy.known = origin.map(|origin| Known { origin, asked_at });
                    return Ok(());
                }
            }
        }
        let mut gathered = gather(state, activity, lead, &mut own);
        if let Some(doubtful) = gathered.take_if(|gathered| gathered.needs_a_look()) {
            if let Some(outcome) = look(state, doubtful.group.key(), lead).await {
                return emit(state, lead, own, outcome).await;
            }
            gathered = gather(state, activity, lead, &mut own);
        }
        let Some(Gathered { group, step, .. }) = gathered else {
            return emit(state, lead, own, Outcome::Gone).await;
        };
        if let Some(outcome) = ask(state, group, step, lead).await {
            return emit(state, lead, own, outcome).await;
        }
    }
    emit(state, lead, own, Outcome::Failed(SessionError::Contended)).await
}

/// Tells all what came of their changes, and the leader as well.
async fn emit(
    state: &State,
    lead: &mut Lead,
    own: Option<Answer>,
    outcome: Outcome,
) -> Result<(), SessionError> {
    let answer = |refusal: Option<Answer>| match (refusal, &outcome) {
        // Why a change was refused is true only of a session that the store was found to have.
        (Some(refusal), Outcome::Stored(_)) => refusal,
        (Some(panicked @ Answer::Panicked(_)), _) => panicked,
        (_, outcome) => outcome.clone().into(),
    };
    lead.answer(answer);
    heed(state, answer(own)).await
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
    let mut doubtful = may_have_seen_a_newer_one(&group, &copy.unit, lead.since());
    drop(copy);
    lead.each(|member, since, refusal| {
        if let Some(mut copy) = member.state.working_copy() {
            add(&mut group, &mut copy.unit, member.activity, refusal);
            doubtful |= may_have_seen_a_newer_one(&group, &copy.unit, since);
        }
    });
    Some(Gathered {
        step: group.step(state.now()),
        group,
        doubtful,
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
async fn ask(
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
                super::untouched(&error);
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
                    super::emit(state, None, &Others::Stay, Vec::new(), write);
                    Outcome::Stored(group.written(timing, revision))
                }
                Ok(Committed::Conflict(stored)) => match learn(lead, key, &stored, now) {
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
    settle(lead, &outcome, asked_at);
    Some(outcome)
}

/// Reads the session anew, so that none who waits has seen a newer one. What came of all changes if there is none to be
/// read.
async fn look(state: &State, key: &SessionIdHash, lead: &mut Lead) -> Option<Outcome> {
    let asked_at = Instant::now();
    let outcome = match state.look_again(key).await {
        Ok(Loaded::Live(stored)) => match learn(lead, *key, &stored, asked_at) {
            Ok(()) => return None,
            Err(outcome) => outcome,
        },
        Ok(Loaded::Damaged) => Outcome::Damaged,
        Ok(_) => Outcome::Gone,
        Err(error) => Outcome::Failed(error.into()),
    };
    settle(lead, &outcome, None);
    Some(outcome)
}

/// Takes `stored` for what is known. The store was asked at this moment. What came of all changes if it cannot be read.
fn learn(
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
fn settle(lead: &mut Lead, outcome: &Outcome, asked_at: Option<Instant>) {
    lead.legacy.known = match outcome {
        Outcome::Stored(origin) => Some(Known {
            origin: origin.clone(),
            asked_at,
        }),
        _ => None,
    };
    match outcome {
        Outcome::Gone => over(lead),
        Outcome::Failed(SessionError::Store(error)) => failed(lead, error),
        _ => lead.legacy.unanswered = false,
    }
}

/// Takes note of what another request has done with the changes of this one.
pub(super) async fn heed(state: &State, answer: Answer) -> Result<(), SessionError> {
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
                Some(key) => gone(state, &key).await.map(drop),
                None => Ok(()),
            }
        }
        Answer::Outcome(Outcome::Damaged) => Err(damaged(state)),
        Answer::Outcome(Outcome::Failed(error)) => Err(error),
        Answer::Panicked(panic) => resume_unwind(panic),
    }
}

/// The session is none any more that can be read.
pub(super) fn damaged(state: &State) -> SessionError {
    let subject = state
        .working_copy()
        .map_or((None, None), |copy| state::subject(&copy.unit));
    state.observe(EventKind::RecordDamaged, subject);
    refused(state, SessionError::Ended, None)
}

/// The session is not there any more and never will be: who waits for it need not ask the store.
pub(super) fn over(lead: &mut Lead) {
    lead.legacy.known = None;
    lead.answer_waiting(|| Outcome::Gone.into());
}

/// What the result of a step means for those who wait.
pub(super) fn note<T>(lead: &mut Lead, result: &Result<T, SessionError>) {
    match result {
        Err(SessionError::Ended | SessionError::Replaced) => over(lead),
        Err(SessionError::Store(error)) => failed(lead, error),
        _ => lead.legacy.unanswered = false,
    }
}

/// Nobody is kept waiting for a store that does not answer: after the second failure in a row all are refused.
fn failed(lead: &mut Lead, error: &StoreError) {
    lead.legacy.known = None;
    let unavailable = error.kind() == StoreErrorKind::Unavailable;
    if std::mem::replace(&mut lead.legacy.unanswered, unavailable) && unavailable {
        lead.answer_waiting(|| SessionError::Store(error.clone()).into());
    }
}
