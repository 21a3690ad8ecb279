//! Carrying out what a request wishes of its session.

use std::sync::Arc;

use portcullis_core::{
    DraftError, EndReason, Handle, SessionId, SessionKey, UserId,
    draft::{Change, Plan, Step},
    store::{
        Activity, Committed, Created, Ended, Loaded, Revision, StoreError, StoreErrorKind, Timing,
        Touched,
    },
};
use tokio::runtime::Handle as Runtime;

use crate::{
    EventKind, SessionError,
    state::{CookieAction, Phase, State},
};

/// How often a write is tried again because another request was faster. Each time one of them wins, so
/// this is how many may change one session at the same moment.
const ATTEMPTS: usize = 64;

/// What is to be carried out, and the turn to do so.
#[derive(Debug)]
pub(crate) struct Work {
    plan: Plan,
    activity: Activity,
    turn: Turn,
}

/// Holds the session in `Phase::Committing`, and puts it into another phase whatever happens.
#[derive(Debug)]
struct Turn {
    state: Arc<State>,
    then: Phase,
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(mut used) = self.state.used() {
            used.phase = self.then;
        }
    }
}

/// What there is to do, if anything. The session's phase becomes `then` once it is done.
pub(crate) fn prepare(
    state: &Arc<State>,
    activity: Activity,
    then: Phase,
) -> Result<Option<Work>, SessionError> {
    let Some(mut used) = state.used() else {
        return Ok(None);
    };
    match used.phase {
        Phase::Open => {}
        Phase::Committing => return Err(SessionError::Committing),
        Phase::Sealed => return Err(SessionError::ResponseSent),
    }
    let plan = used.draft.plan(activity, state.now())?;
    if plan.end.is_none() && matches!(plan.step, Step::Nothing) {
        used.draft.settled();
        used.phase = then;
        return Ok(None);
    }
    used.phase = Phase::Committing;
    Ok(Some(Work {
        plan,
        activity,
        turn: Turn {
            state: Arc::clone(state),
            then,
        },
    }))
}

impl Work {
    /// Does the work. It is finished, and told to the audit, even when the caller goes away meanwhile.
    pub(crate) async fn carry_out(self) -> Result<(), SessionError> {
        if let (None, Step::Touch { key }) = (&self.plan.end, &self.plan.step) {
            touch(&self.turn.state, key).await;
            return Ok(());
        }
        let Ok(runtime) = Runtime::try_current() else {
            return self.finished().await;
        };
        match runtime.spawn(self.finished()).await {
            Ok(result) => result,
            Err(stopped) => match stopped.try_into_panic() {
                // Only a function of the application's, given to `update`, can have panicked.
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Err(StoreError::new(
                    StoreErrorKind::Unavailable,
                    "the server is shutting down, so it is not known whether the session was written",
                )
                .into()),
            },
        }
    }

    async fn finished(self) -> Result<(), SessionError> {
        let state = &self.turn.state;
        let result = carry_out(state, self.plan, self.activity).await;
        if let Err(error) = &result {
            report(state, error);
        }
        result
    }
}

async fn carry_out(state: &Arc<State>, plan: Plan, activity: Activity) -> Result<(), SessionError> {
    if let Some((key, reason)) = plan.end {
        end(state, &key, reason).await?;
    }
    let mut step = plan.step;
    for _ in 0..ATTEMPTS {
        if attempt(state, step).await? == Progress::Done {
            return Ok(());
        }
        step = match state.used() {
            Some(used) => used.draft.plan(activity, state.now())?.step,
            None => return Ok(()),
        };
    }
    Err(SessionError::Contended)
}

#[derive(PartialEq, Eq)]
enum Progress {
    Done,
    /// Something changed meanwhile; plan anew.
    Again,
}

async fn attempt(state: &Arc<State>, step: Step) -> Result<Progress, SessionError> {
    let store = &state.config.store;
    match step {
        Step::Nothing => {
            if let Some(mut used) = state.used() {
                used.draft.settled();
            }
            Ok(Progress::Done)
        }
        Step::Refuse => refused(state),
        Step::Touch { key } => {
            touch(state, &key).await;
            Ok(Progress::Done)
        }
        Step::Create {
            id,
            payload,
            limits,
        } => match store.create(&id.key(), payload, limits).await? {
            Created::Done(timing, revision) => written(state, Some(id), None, timing, revision),
            Created::Taken => Ok(Progress::Again),
        },
        Step::Commit {
            key,
            expected,
            payload,
            activity,
        } => {
            let committed = store.commit(&key, expected, payload, activity).await?;
            settle(state, None, key, committed)
        }
        Step::Replace {
            old,
            id,
            expected,
            payload,
            deadline,
        } => {
            let key = id.key();
            let committed = store
                .replace(&old, &key, expected, payload, deadline)
                .await?;
            settle(state, Some(id), key, committed)
        }
    }
}

fn settle(
    state: &State,
    id: Option<SessionId>,
    key: SessionKey,
    committed: Committed,
) -> Result<Progress, SessionError> {
    match committed {
        Committed::Done(timing, revision) => written(state, id, Some(key), timing, revision),
        Committed::Gone => refused(state),
        Committed::Conflict(stored) => {
            if let Some(mut used) = state.used() {
                match used.draft.rebase(&stored) {
                    Err(DraftError::Unusable(None)) => {
                        let subject = used.draft.subject();
                        state.note(EventKind::RecordDamaged, subject);
                        drop(used);
                        return refused(state);
                    }
                    other => other?,
                }
            }
            Ok(Progress::Again)
        }
    }
}

fn written(
    state: &State,
    id: Option<SessionId>,
    key: Option<SessionKey>,
    timing: Timing,
    revision: Revision,
) -> Result<Progress, SessionError> {
    let (Some(mut used), Some(key)) = (state.used(), key.or(id.as_ref().map(SessionId::key)))
    else {
        return Ok(Progress::Done);
    };
    let changes = used.draft.changes();
    let before = used
        .draft
        .subject()
        .and_then(|(handle, user)| Some((handle, user?.clone())));
    used.draft.written(key, timing, revision);
    if let Some(id) = id {
        used.cookie = CookieAction::Set(id);
    }
    let view = used.draft.view().clone();
    drop(used);
    let session = view.info().map(|info| (info.handle, view.user()));
    if let Some((handle, user)) = &before
        && session.is_some_and(|(now, _)| now != *handle)
    {
        // Somebody else signed in over a session that had a user: that one is over.
        state.note(
            EventKind::Ended(EndReason::Replaced),
            Some((*handle, Some(user))),
        );
    }
    for change in changes {
        tell(state, change, session);
    }
    Ok(Progress::Done)
}

fn tell(state: &State, change: Change, session: Option<(Handle, Option<&UserId>)>) {
    let kind = match change {
        Change::Created => EventKind::Created,
        Change::Authenticated => EventKind::Authenticated,
        Change::Elevated { scope, .. } => EventKind::Elevated(scope),
        Change::ElevationDropped => EventKind::ElevationDropped,
        Change::Regenerated => EventKind::Regenerated,
        _ => return,
    };
    state.note(kind, session);
}

/// The request's writes were not applied, because its session is not there any more.
fn refused(state: &State) -> Result<Progress, SessionError> {
    if let Some(mut used) = state.used() {
        state.note(EventKind::WriteRefused, used.draft.subject());
        used.draft.lost();
        used.refused = true;
        used.cookie = CookieAction::Keep;
    }
    Err(SessionError::Ended)
}

async fn end(state: &State, key: &SessionKey, reason: EndReason) -> Result<(), SessionError> {
    let store = &state.config.store;
    let ended = store.end(key, reason).await?;
    if ended == Ended::AlreadyGone && store.load(key).await? == Loaded::Ended(EndReason::Replaced) {
        // It lives on under an identifier that this request does not know: nobody was signed out.
        return refused(state).map(drop);
    }
    let Some(mut used) = state.used() else {
        return Ok(());
    };
    used.cookie = match ended {
        Ended::Done => {
            state.note(EventKind::Ended(reason), used.draft.subject());
            CookieAction::Remove
        }
        // Somebody else ended it, and may have handed out a fresh cookie since.
        Ended::AlreadyGone => CookieAction::Keep,
    };
    used.draft.ended();
    Ok(())
}

/// A touch that fails costs at most one step of the idle timeout, so it fails no request.
async fn touch(state: &State, key: &SessionKey) {
    if let Some(mut used) = state.used() {
        used.draft.settled();
    }
    match state.config.store.touch(key).await {
        Ok(Touched::Done(timing)) => {
            if let Some(mut used) = state.used() {
                used.draft.touched(timing);
            }
        }
        Ok(Touched::Gone) => {}
        Err(error) => {
            tracing::warn!(error = %error, "the activity of a session could not be written down")
        }
    }
}

fn report(state: &State, error: &SessionError) {
    match error {
        SessionError::Ended => {}
        SessionError::Store(store) => {
            tracing::error!(error = %store, "a session could not be written");
            if let Some(used) = state.used() {
                state.note(EventKind::StoreFailed, used.draft.subject());
            }
        }
        error => tracing::error!(error = %error, "a session could not be written"),
    }
}
