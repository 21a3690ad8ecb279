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
use tracing::Instrument;

use crate::{
    EventKind, SessionError,
    state::{CookieAction, Doubt, State},
};

/// How often a write is tried again because another request was faster. Each time one of them wins, so
/// this is how many may change one session at the same moment.
const ATTEMPTS: usize = 64;

/// What is to be carried out, and the turn to do so.
#[derive(Debug)]
pub(crate) struct Work {
    plan: Plan,
    activity: Activity,
    /// What could not even be planned. Told once the rest is done.
    failed: Option<DraftError>,
    turn: Turn,
}

/// While it exists, the session is being committed, and nobody else changes its draft.
#[derive(Debug)]
struct Turn {
    state: Arc<State>,
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.state.end_turn();
    }
}

/// What there is to do, if anything.
///
/// # Errors
///
/// [`SessionError::Committing`] while other work is not done.
pub(crate) fn prepare(
    state: &Arc<State>,
    activity: Activity,
) -> Result<Option<Work>, SessionError> {
    let Some(mut used) = state.used() else {
        return Ok(None);
    };
    if used.committing {
        return Err(SessionError::Committing);
    }
    let (plan, failed) = match used.draft.plan(activity, state.now()) {
        Ok(plan) => (plan, None),
        Err(error) => {
            // What cannot be written must not keep the session from ending.
            used.draft.keep_only_the_end();
            used.doubt = Doubt::Unknown;
            (
                used.draft.plan(Activity::Passive, state.now())?,
                Some(error),
            )
        }
    };
    if matches!(plan.step, Step::Nothing | Step::Touch { .. }) {
        used.draft.keep_only_the_end();
    }
    if plan.end.is_none() && matches!(plan.step, Step::Nothing) {
        return failed.map_or(Ok(None), |error| Err(error.into()));
    }
    used.committing = true;
    drop(used);
    Ok(Some(Work {
        plan,
        activity,
        failed,
        turn: Turn {
            state: Arc::clone(state),
        },
    }))
}

impl Work {
    /// Whether all there is to do is to write down that there was activity.
    pub(crate) fn is_only_a_touch(&self) -> bool {
        self.plan.end.is_none() && matches!(self.plan.step, Step::Touch { .. })
    }

    /// Does the work. It is finished, and told to the audit, even when the caller goes away meanwhile.
    pub(crate) async fn carry_out(self) -> Result<(), SessionError> {
        if let (None, Step::Touch { key }) = (&self.plan.end, &self.plan.step) {
            touch(&self.turn.state, key).await;
            return Ok(());
        }
        let Ok(runtime) = Runtime::try_current() else {
            return self.finished().await;
        };
        match runtime.spawn(self.finished().in_current_span()).await {
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
        match (result, self.failed) {
            (Ok(()), Some(failed)) => Err(failed.into()),
            (result, _) => result,
        }
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
                used.draft.keep_only_the_end();
            }
            Ok(Progress::Done)
        }
        Step::Refuse => Err(refused(state, SessionError::Replaced)),
        Step::Touch { key } => {
            touch(state, &key).await;
            Ok(Progress::Done)
        }
        Step::Create {
            id,
            payload,
            limits,
        } => match store.create(&id.key(), payload, limits).await? {
            Created::Done(timing, revision) => {
                let key = id.key();
                written(state, key, Some(id), timing, revision);
                Ok(Progress::Done)
            }
            Created::Taken => Ok(Progress::Again),
        },
        Step::Commit {
            key,
            expected,
            payload,
            activity,
        } => {
            let committed = store.commit(&key, expected, payload, activity).await?;
            settle(state, key, None, committed)
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
            settle(state, key, Some(id), committed)
        }
    }
}

fn settle(
    state: &State,
    key: SessionKey,
    id: Option<SessionId>,
    committed: Committed,
) -> Result<Progress, SessionError> {
    let stored = match committed {
        Committed::Done(timing, revision) => {
            written(state, key, id, timing, revision);
            return Ok(Progress::Done);
        }
        Committed::Gone => return Err(refused(state, SessionError::Ended)),
        Committed::Conflict(stored) => stored,
    };
    let Some(mut used) = state.used() else {
        return Ok(Progress::Done);
    };
    match used.draft.rebase(&stored) {
        Ok(()) => Ok(Progress::Again),
        Err(DraftError::Unusable(None)) => {
            let subject = owned(used.draft.subject());
            drop(used);
            state.note(EventKind::RecordDamaged, borrowed(&subject));
            Err(refused(state, SessionError::Ended))
        }
        Err(error) => Err(error.into()),
    }
}

fn written(
    state: &State,
    key: SessionKey,
    id: Option<SessionId>,
    timing: Timing,
    revision: Revision,
) {
    let Some(mut used) = state.used() else {
        return;
    };
    let changes = used.draft.changes();
    let before = owned(used.draft.subject());
    used.draft.written(key, timing, revision);
    if let Some(id) = id {
        used.cookie = CookieAction::Set(Arc::new((id, timing.absolute_deadline)));
    }
    let view = used.draft.view().clone();
    drop(used);

    let session = view.info().map(|info| (info.handle, view.user()));
    if let Some((handle, Some(_))) = &before
        && session.is_some_and(|(now, _)| now != *handle)
    {
        // Somebody else signed in over a session that had a user: that one is over.
        state.note(EventKind::Ended(EndReason::Replaced), borrowed(&before));
    }
    for change in changes {
        tell(state, change, session);
    }
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

/// The request's wishes were not granted, because its session is not there any more.
fn refused(state: &State, error: SessionError) -> SessionError {
    let Some(mut used) = state.used() else {
        return error;
    };
    let subject = owned(used.draft.subject());
    used.doubt = match error {
        SessionError::Replaced => Doubt::Replaced,
        _ => Doubt::Ended,
    };
    used.draft.lost();
    used.cookie = CookieAction::Keep;
    drop(used);
    state.note(EventKind::WriteRefused, borrowed(&subject));
    error
}

async fn end(state: &State, key: &SessionKey, reason: EndReason) -> Result<(), SessionError> {
    let store = &state.config.store;
    let (ended, asked_twice) = match store.end(key, reason).await {
        // It may have been carried out all the same, and then nobody would ever hear of it.
        Err(error) if error.kind() == StoreErrorKind::Unavailable => {
            (store.end(key, reason).await?, true)
        }
        ended => (ended?, false),
    };
    if ended == Ended::AlreadyGone && store.load(key).await? == Loaded::Ended(EndReason::Replaced) {
        // Its user authenticated anew meanwhile, which began another session: nobody was signed out.
        return Err(refused(state, SessionError::Replaced));
    }
    let Some(mut used) = state.used() else {
        return Ok(());
    };
    // An earlier commit of this request may have been the one that ended it.
    let asked_twice = asked_twice || used.doubt == Doubt::Unknown;
    let subject = owned(used.draft.subject());
    used.draft.ended();
    used.cookie = match ended {
        Ended::Done => CookieAction::Remove,
        // Somebody else ended it, and may have handed out a fresh cookie since.
        Ended::AlreadyGone => CookieAction::Keep,
    };
    drop(used);
    if ended == Ended::Done || asked_twice {
        state.note(EventKind::Ended(reason), borrowed(&subject));
    }
    Ok(())
}

/// A touch that fails costs at most one step of the idle timeout, so it fails no request.
async fn touch(state: &State, key: &SessionKey) {
    match state.config.store.touch(key).await {
        Ok(Touched::Done(timing)) => {
            if let Some(mut used) = state.used() {
                used.draft.touched(timing);
            }
        }
        Ok(Touched::Gone) => {}
        Err(error) => {
            tracing::warn!(error = %error, "the activity of a session could not be written down");
        }
    }
}

fn report(state: &State, error: &SessionError) {
    let store = match error {
        SessionError::Ended | SessionError::Replaced => return,
        SessionError::Store(store) => store,
        error => {
            tracing::error!(error = %error, "a session could not be written");
            return;
        }
    };
    tracing::error!(error = %store, "a session could not be written");
    let Some(mut used) = state.used() else {
        return;
    };
    // What was asked for may have been carried out. To ask for it again could do it twice.
    used.doubt = Doubt::Unknown;
    let subject = owned(used.draft.subject());
    used.draft.keep_only_the_end();
    drop(used);
    state.note(EventKind::StoreFailed, borrowed(&subject));
}

type Subject = Option<(Handle, Option<UserId>)>;

/// A subject that outlives the lock: the audit is told without it.
fn owned(subject: Option<(Handle, Option<&UserId>)>) -> Subject {
    subject.map(|(handle, user)| (handle, user.cloned()))
}

fn borrowed(subject: &Subject) -> Option<(Handle, Option<&UserId>)> {
    subject
        .as_ref()
        .map(|(handle, user)| (*handle, user.as_ref()))
}
