//! Writing what several requests ask of one session.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::Arc,
};

use portcullis_core::{
    DraftError, EventKind, SessionKey,
    draft::{Draft, Group, InPlace, Origin, Step, Unusable},
    store::{Activity, Committed, Others, StoreError, StoreErrorKind, Touched},
};

use super::{ATTEMPTS, Progress, attempt, gone, next_step, pause, refused};
use crate::{
    SessionError,
    state::{self, State},
    write_queue,
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
            let progress = attempt(state, step).await;
            note(lead, &progress);
            match progress? {
                Progress::Again => continue,
                Progress::Done => {
                    lead.legacy.known = state.used().and_then(|used| used.draft.origin().cloned());
                    return Ok(());
                }
            }
        }
        let Some(group) = gather(state, activity, lead, &mut own) else {
            return heed(state, own.unwrap_or(Outcome::Gone.into())).await;
        };
        if let Some(outcome) = ask(state, group, lead).await {
            lead.answer(|| outcome.clone().into());
            return heed(state, own.unwrap_or(outcome.into())).await;
        }
    }
    lead.answer(|| SessionError::Contended.into());
    heed(state, own.unwrap_or(SessionError::Contended.into())).await
}

/// The changes of the leader and the members, one after the other, on the session as it was last seen. Who cannot be
/// granted theirs is refused at once. `None` if that leaves nobody.
fn gather(
    state: &State,
    activity: Activity,
    lead: &mut Lead,
    own: &mut Option<Answer>,
) -> Option<Group> {
    let mut used = state.used()?;
    let mut group = match &lead.legacy.known {
        // The leader's draft was made on what it has seen itself.
        None => Group::of(&used.draft, activity)?,
        Some(known) => {
            let mut group = Group::on(known.clone());
            if own.is_none() {
                *own = add(&mut group, &mut used.draft, activity);
            }
            group
        }
    };
    drop(used);
    lead.each(|member| {
        let mut used = member.state.used()?;
        add(&mut group, &mut used.draft, member.activity)
    });
    let nobody = own.is_some() && lead.is_alone();
    (!nobody).then_some(group)
}

/// Adds the changes of a request to the group. What is said against it.
fn add(group: &mut Group, draft: &mut Draft, activity: Activity) -> Option<Answer> {
    // A panic leaves the group as it was.
    match catch_unwind(AssertUnwindSafe(|| group.add(draft, activity))) {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(SessionError::from(error).into()),
        Err(panic) => Some(Answer::Panicked(panic)),
    }
}

/// Asks the store for what the group needs. `None` if another process has written meanwhile.
async fn ask(state: &State, group: Group, lead: &mut Lead) -> Option<Outcome> {
    let (store, key) = (state.house().store(), *group.key());
    let step = match group.step(state.now()) {
        Ok(step) => step,
        Err(error) => return Some(Outcome::Failed(error.into())),
    };
    lead.ask();
    let outcome = match step {
        InPlace::Nothing => Outcome::Stored(group.unchanged()),
        InPlace::Touch => match store.touch(&key, &group.label()).await {
            Ok(Touched::Done(timing)) => Outcome::Stored(group.touched(timing)),
            Ok(Touched::Gone) => Outcome::Stored(group.unchanged()),
            Err(error) => {
                super::untouched(&error);
                Outcome::Stored(group.unchanged())
            }
        },
        InPlace::Extend => match store.touch(&key, &group.label()).await {
            Ok(Touched::Done(timing)) => Outcome::Stored(group.touched(timing)),
            Ok(Touched::Gone) => Outcome::Gone,
            Err(error) => Outcome::Failed(error.into()),
        },
        InPlace::Commit(write, activity) => {
            let expected = group.expected();
            match store.commit(&key, expected, &write, activity).await {
                Ok(Committed::Done(timing, revision)) => {
                    super::tell(state, None, &Others::Stay, Vec::new(), write);
                    Outcome::Stored(group.written(timing, revision))
                }
                Ok(Committed::Conflict(stored)) => match Origin::read(key, &stored) {
                    Ok(origin) => {
                        lead.try_again();
                        lead.legacy.known = Some(origin);
                        return None;
                    }
                    Err(Unusable::Damaged) => Outcome::Damaged,
                    Err(unusable) => Outcome::Failed(DraftError::from(unusable).into()),
                },
                Ok(Committed::Gone) => Outcome::Gone,
                Err(error) => Outcome::Failed(error.into()),
            }
        }
    };
    lead.legacy.known = match &outcome {
        Outcome::Stored(origin) => Some(origin.clone()),
        _ => None,
    };
    match &outcome {
        Outcome::Gone => over(lead),
        Outcome::Failed(SessionError::Store(error)) => failed(lead, error),
        _ => lead.legacy.unanswered = false,
    }
    Some(outcome)
}

/// Takes note of what another request has done with the changes of this one.
pub(super) async fn heed(state: &State, answer: Answer) -> Result<(), SessionError> {
    match answer {
        Answer::Outcome(Outcome::Stored(origin)) => {
            if let Some(mut used) = state.used() {
                used.draft.written_as(&origin);
            }
            Ok(())
        }
        Answer::Outcome(Outcome::Gone) => {
            let key: Option<SessionKey> = state.used().and_then(|used| used.draft.key());
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
        .used()
        .map_or((None, None), |used| state::subject(&used.draft));
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
