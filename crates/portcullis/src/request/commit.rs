//! The commit of a request's changes.
//!
//! [`plan`] turns the changes into a [`Work`]: the sessions to end, and one step. [`Work::commit`]
//! enters the queue of requests that write to the session. It continues on a task of its own, so
//! that a change and its event stay together. [`Work::run`] waits for its turn and ends sessions
//! (`ending`). Then it writes, alone ([`write_alone`]) or for other requests too (`group`). Each
//! attempt is one call of the store (`step`), and is planned anew if another process was faster.
//! [`conclude`] records the failure, if any, and the decision about the cookie.

mod ending;
mod events;
mod group;
mod pause;
mod progress;
mod refusing;
mod step;

use std::sync::Arc;

use portcullis_core::{
    ChangeError, SystemRandom,
    store::{Activity, StoreError, StoreErrorKind},
    unit_of_work::{Plan, Step},
};

use self::{
    ending::EndedSessions,
    progress::Progress,
    step::{attempt, touch},
};
use crate::{
    reject::error::SessionError,
    request::state::State,
    runtime::task,
    writing::{
        Lead, Place,
        member::Member,
        queue::{self, Full, Way},
        working_copy::{CommitFailure, CookieAction},
    },
};

/// The maximum number of attempts, if other processes are faster. One process wins each time, so
/// this many may change one session at the same moment.
const ATTEMPTS: usize = 32;

/// What is to be committed, and the right to do so.
#[derive(Debug)]
pub(crate) struct Work {
    plan: Plan,
    activity: Activity,
    /// A change that could not be planned. It is returned once the rest is done.
    failed: Option<ChangeError>,
    turn: Turn,
}

/// While it exists, the session is being committed, and nothing else changes its unit of work.
#[derive(Debug)]
struct Turn {
    state: Arc<State>,
    /// The commit has started and is not finished.
    under_way: bool,
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.state.end_turn(self.under_way);
    }
}

/// The work to commit, if there is any.
///
/// # Errors
///
/// [`SessionError::Committing`] while another commit of the request is not finished.
pub(crate) fn plan(state: &Arc<State>, activity: Activity) -> Result<Option<Work>, SessionError> {
    let Some(mut copy) = state.working_copy() else {
        return Ok(None);
    };
    if copy.committing {
        return Err(SessionError::Committing);
    }
    let (plan, failed) = match copy.unit.plan(activity, state.now(), &mut SystemRandom) {
        Ok(plan) => (plan, None),
        Err(error) => {
            // A change that cannot be written must not keep the session from ending.
            copy.unit.retain_only_the_end();
            copy.commit_failure = CommitFailure::Unknown;
            (
                copy.unit
                    .plan(Activity::Passive, state.now(), &mut SystemRandom)?,
                Some(error),
            )
        }
    };
    if matches!(plan.step, Step::Nothing | Step::Touch(_)) {
        copy.unit.retain_only_the_end();
    }
    if plan.ends.is_empty() && matches!(plan.step, Step::Nothing) {
        return failed.map_or(Ok(None), |error| Err(error.into()));
    }
    copy.committing = true;
    drop(copy);
    Ok(Some(Work {
        plan,
        activity,
        failed,
        turn: Turn {
            state: Arc::clone(state),
            under_way: false,
        },
    }))
}

impl Work {
    /// Whether only the activity is to be written.
    pub(crate) fn is_only_a_touch(&self) -> bool {
        self.plan.ends.is_empty() && matches!(self.plan.step, Step::Touch(_))
    }

    /// Commits. It finishes, and its events are emitted, even if the caller stops waiting.
    pub(crate) async fn commit(mut self) -> Result<(), SessionError> {
        if let ([], Step::Touch(step)) = (&*self.plan.ends, &self.plan.step) {
            touch(&self.turn.state, step).await;
            return Ok(());
        }
        self.turn.under_way = true;
        // Entered here and not on the task, so that requests are served in order of arrival.
        match self.enter() {
            Ok(place) => task::run_detached(self.run(place)).await?,
            Err(Full) => {
                let refused = Err(SessionError::Contended);
                conclude(self.turn, false, self.failed, refused)
            }
        }
    }

    /// A place in the queue of the session, if there is a session to write to.
    fn enter(&self) -> Result<Option<Place>, Full> {
        let state = &self.turn.state;
        let (key, way) = match (self.plan.ends.first(), &self.plan.step) {
            (Some(ending), _) => (ending.key, Way::Alone),
            (None, Step::Commit { key, .. }) => (*key, Way::Together),
            (None, Step::Replace { old, .. }) => (old.key, Way::Alone),
            (None, _) => return Ok(None),
        };
        let member = Member {
            request: Arc::<State>::clone(state),
            activity: self.activity,
        };
        match state.shared().writes().enter(key, member, way) {
            Ok(place) => Ok(Some(place)),
            // An end needs no turn, so a full queue does not prevent it.
            Err(Full) if !self.plan.ends.is_empty() => Ok(None),
            Err(Full) => Err(Full),
        }
    }

    async fn run(self, place: Option<Place>) -> Result<(), SessionError> {
        let Self {
            plan,
            activity,
            failed,
            turn,
        } = self;
        let ends = !plan.ends.is_empty();
        let written = end_and_write(&turn.state, plan, activity, place).await;
        conclude(turn, ends, failed, written)
    }
}

/// Ends what is to be ended, and writes the step. Returns what the step decided about the cookie;
/// `None` leaves an earlier decision as it is, such as that of the ends.
async fn end_and_write(
    state: &Arc<State>,
    plan: Plan,
    activity: Activity,
    place: Option<Place>,
) -> Result<Option<CookieAction>, SessionError> {
    let Plan { ends, step, .. } = plan;
    let together = matches!(step, Step::Commit { .. });
    let waits = matches!(place, Some(Place::Behind(_)));
    // A waiting step is dropped, because it may be large, and many may wait. It is planned anew
    // later, on what others have written.
    let step = (!waits || !ends.is_empty()).then_some(step);
    let mut lead = None;
    if let Some(place) = place {
        match place.turn().await {
            queue::Turn::Lead(first) => lead = Some(first),
            // An end needs no turn. It waited for the changes before it.
            _ if !ends.is_empty() => {}
            queue::Turn::Answered(answer) => {
                return group::apply_answer(state, answer).await.map(|()| None);
            }
            queue::Turn::Lost => return Err(writer_stopped()),
            queue::Turn::TooLate => return Err(SessionError::Contended),
        }
    }
    if !ends.is_empty() {
        // Boxed, because ends are rare and their future would enlarge that of every write.
        let ended = Box::pin(ending::end_all(state, ends)).await;
        if let Some(mut lead) = lead.take() {
            match &ended {
                Ok(_) => group::session_ended(&mut lead),
                failed => group::note_result(&mut lead, failed),
            }
        }
        let EndedSessions { cookie, both } = ended?;
        // Recorded at once, so that it holds even if the step panics or is dropped.
        if let Some(mut copy) = state.working_copy() {
            copy.cookie = cookie;
            copy.ended_two = both;
        }
    }
    match lead {
        Some(mut lead) if together => group::write(state, activity, step, &mut lead).await,
        lead => write_alone(state, activity, step, lead).await,
    }
}

fn writer_stopped() -> SessionError {
    let text = "the request that wrote for this one was stopped, so it is unknown whether the session was written";
    StoreError::new(StoreErrorKind::Unavailable, text).into()
}

/// Writes the changes of this request only.
async fn write_alone(
    state: &State,
    activity: Activity,
    mut step: Option<Step>,
    mut lead: Option<Lead>,
) -> Result<Option<CookieAction>, SessionError> {
    let known = lead.as_ref().and_then(|lead| lead.handover.known.clone());
    if let (Some(known), Some(mut copy)) = (known, state.working_copy()) {
        // The known session may be older than the one that the request has loaded, so a conflict
        // with it refuses nothing. The step then builds on the loaded session, and the store
        // decides.
        let _ = copy.unit.rebase_on(known.origin);
        step = None;
    }
    for number in 0..ATTEMPTS {
        pause::before(number).await;
        let Some(step) = next_step(state, activity, step.take())? else {
            return Ok(None);
        };
        let progress = attempt(state, step).await;
        if let Some(lead) = &mut lead {
            match &progress {
                // The session continues under another identifier.
                Ok(Progress::Done(_)) => group::session_ended(lead),
                progress => group::note_result(lead, progress),
            }
        }
        if let Progress::Done(cookie) = progress? {
            return Ok(cookie);
        }
    }
    Err(SessionError::Contended)
}

/// The planned step, or a step planned now.
fn next_step(
    state: &State,
    activity: Activity,
    planned: Option<Step>,
) -> Result<Option<Step>, SessionError> {
    match (planned, state.working_copy()) {
        (None, Some(copy)) => Ok(Some(
            copy.unit
                .plan(activity, state.now(), &mut SystemRandom)?
                .step,
        )),
        (planned, _) => Ok(planned),
    }
}

/// Records the decision about the cookie and the failure, if any.
fn conclude(
    mut turn: Turn,
    ends: bool,
    failed: Option<ChangeError>,
    written: Result<Option<CookieAction>, SessionError>,
) -> Result<(), SessionError> {
    let state = &turn.state;
    let result = match written {
        // The next request writes the observation. It stays in the unit of work, because dropping
        // it would restore rights.
        Err(error @ (SessionError::Store(_) | SessionError::Contended))
            if !ends && state.working_copy().is_some_and(|copy| copy.only_read()) =>
        {
            tracing::warn!(error = %error, "the change of a session's device could not be written");
            Ok(None)
        }
        result => result,
    };
    let (cookie, result) = match result {
        Ok(cookie) => (cookie, Ok(())),
        Err(error) => {
            refusing::report(state, &error);
            let is_end = matches!(error, SessionError::Ended | SessionError::Replaced);
            (is_end.then_some(CookieAction::Keep), Err(error))
        }
    };
    if let Some(cookie) = cookie
        && let Some(mut copy) = state.working_copy()
    {
        copy.cookie = cookie;
    }
    turn.under_way = false;
    match (result, failed) {
        (Ok(()), Some(failed)) => Err(failed.into()),
        (result, _) => result,
    }
}
