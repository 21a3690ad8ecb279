//! Carrying out what a request operations of its session.

mod group;
mod pause;

use std::sync::Arc;

use portcullis_core::{
    ChangeError, EndReason, EventKind, SessionHandle, SessionId, SessionIdHash, SessionMeta,
    SystemRandom, UserId,
    store::{
        Activity, Commit, Committed, CommittedSession, Create, Created, CreatedSession, Ended,
        Interrupted, Others, RecordWrite, Replace, Replaced, ReplacedSession, Revision, StoreError,
        StoreErrorKind, Stored, Termination, Timing, Touch, Touched,
    },
    unit_of_work::{Plan, Step},
};

use crate::{
    SessionError,
    state::{self, CommitFailure, CookieAction, State, Subject, WorkingCopy},
    task,
    write_queue::{self, Full, Way},
};

pub(crate) use self::group::WriteQueue;
use self::group::{Lead, Member, Place};

/// How often a write is tried because another process was faster. Each time one of them wins, so this is how many may
/// change one session at the same moment.
const ATTEMPTS: usize = 32;

/// What is to be carried out, and the turn to do so.
#[derive(Debug)]
pub(crate) struct Work {
    plan: Plan,
    activity: Activity,
    /// What could not even be planned. Told once the rest is done.
    failed: Option<ChangeError>,
    turn: Turn,
}

/// While it exists, the session is being committed, and nobody else changes its unit of work.
#[derive(Debug)]
struct Turn {
    state: Arc<State>,
    /// The work was begun and is not finished.
    under_way: bool,
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.state.end_turn(self.under_way);
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
    let Some(mut copy) = state.working_copy() else {
        return Ok(None);
    };
    if copy.committing {
        return Err(SessionError::Committing);
    }
    let (plan, failed) = match copy.unit.plan(activity, state.now(), &mut SystemRandom) {
        Ok(plan) => (plan, None),
        Err(error) => {
            // What cannot be written must not keep the session from ending.
            copy.unit.retain_only_the_end();
            copy.commit_failure = CommitFailure::Unknown;
            (
                copy.unit
                    .plan(Activity::Passive, state.now(), &mut SystemRandom)?,
                Some(error),
            )
        }
    };
    if matches!(plan.step, Step::Nothing | Step::Touch { .. }) {
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
    /// Whether all there is to do is to write down that there was activity.
    pub(crate) fn is_only_a_touch(&self) -> bool {
        self.plan.ends.is_empty() && matches!(self.plan.step, Step::Touch { .. })
    }

    /// Does the work. It is finished, and told to the audit, even when the caller goes away meanwhile.
    pub(crate) async fn carry_out(mut self) -> Result<(), SessionError> {
        if let ([], Step::Touch { key, meta }) = (&*self.plan.ends, &self.plan.step) {
            touch(&self.turn.state, key, meta).await;
            return Ok(());
        }
        self.turn.under_way = true;
        // Here and not on the task, so that requests are served in the order in which they come.
        match self.enter() {
            Ok(place) => task::finished(self.finished(place)).await?,
            Err(Full) => {
                let refused = Err(SessionError::Contended);
                conclude(self.turn, false, self.failed, refused)
            }
        }
    }

    /// A place among those who write to the session, if it is one that there is.
    fn enter(&self) -> Result<Option<Place>, Full> {
        let state = &self.turn.state;
        let (key, way) = match (self.plan.ends.first(), &self.plan.step) {
            (Some(ending), _) => (ending.key, Way::Alone),
            (None, Step::Commit { key, .. }) => (*key, Way::Together),
            (None, Step::Replace { old, .. }) => (old.key, Way::Alone),
            (None, _) => return Ok(None),
        };
        let member = Member {
            state: Arc::clone(state),
            activity: self.activity,
        };
        match state.shared().writes().enter(key, member, way) {
            Ok(place) => Ok(Some(place)),
            // An end needs no turn, and those who wait must not keep anybody from it.
            Err(Full) if !self.plan.ends.is_empty() => Ok(None),
            Err(Full) => Err(Full),
        }
    }

    async fn finished(self, place: Option<Place>) -> Result<(), SessionError> {
        let Self {
            plan,
            activity,
            failed,
            turn,
        } = self;
        let ends = !plan.ends.is_empty();
        let result = carry_out(&turn.state, plan, activity, place).await;
        conclude(turn, ends, failed, result)
    }
}

async fn carry_out(
    state: &Arc<State>,
    plan: Plan,
    activity: Activity,
    place: Option<Place>,
) -> Result<(), SessionError> {
    let Plan { ends, step, .. } = plan;
    let together = matches!(step, Step::Commit { .. });
    let waits = matches!(place, Some(Place::Behind(_)));
    // What others write meanwhile is not in it. It may be large, and many may wait.
    let step = (!waits || !ends.is_empty()).then_some(step);
    let mut lead = None;
    if let Some(place) = place {
        match place.turn().await {
            write_queue::Turn::Lead(first) => lead = Some(first),
            // An end needs no turn; it waited for what was asked for before it.
            _ if !ends.is_empty() => {}
            write_queue::Turn::Answered(answer) => return group::heed(state, answer).await,
            write_queue::Turn::ConnectionEnded => {
                let lost = "the request that wrote for this one was stopped, so it is not known whether the session was written";
                return Err(StoreError::new(StoreErrorKind::Unavailable, lost).into());
            }
            write_queue::Turn::TooLate => return Err(SessionError::Contended),
        }
    }
    if !ends.is_empty() {
        // Boxed, so that what is rare takes no room in the future of what there is most of.
        let ended = Box::pin(end_all(state, ends)).await;
        if let Some(mut lead) = lead.take() {
            match &ended {
                Ok(()) => group::over(&mut lead),
                failed => group::note(&mut lead, failed),
            }
        }
        ended?;
    }
    match lead {
        Some(mut lead) if together => group::write(state, activity, step, &mut lead).await,
        lead => alone(state, activity, step, lead).await,
    }
}

/// Carries out a step that is not written together with others.
async fn alone(
    state: &State,
    activity: Activity,
    mut step: Option<Step>,
    mut lead: Option<Lead>,
) -> Result<(), SessionError> {
    let known = lead.as_ref().and_then(|lead| lead.legacy.known.clone());
    if let (Some(known), Some(mut copy)) = (known, state.working_copy()) {
        // What is known may be older than what the request has seen, so it cannot refuse it. The step then builds on
        // what was seen, and the store decides.
        let _ = copy.unit.rebase_on(known.origin);
        step = None;
    }
    for number in 0..ATTEMPTS {
        pause::before(number).await;
        let Some(step) = next_step(state, activity, step.take())? else {
            return Ok(());
        };
        let progress = attempt(state, step).await;
        if let Some(lead) = &mut lead {
            match &progress {
                // The session goes on under another identifier.
                Ok(Progress::Done) => group::over(lead),
                progress => group::note(lead, progress),
            }
        }
        if progress? == Progress::Done {
            return Ok(());
        }
    }
    Err(SessionError::Contended)
}

/// The planned step, or what there is to do now.
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

/// Takes note of what became of a request's operations, and tells it.
fn conclude(
    mut turn: Turn,
    ends: bool,
    failed: Option<ChangeError>,
    result: Result<(), SessionError>,
) -> Result<(), SessionError> {
    let state = &turn.state;
    let result = match result {
        // It is noted with the next request. The unit of work stays as it is: to forget here what was noticed
        // would give rights back.
        Err(error @ (SessionError::Store(_) | SessionError::Contended))
            if !ends && state.working_copy().is_some_and(|copy| only_read(&copy)) =>
        {
            tracing::warn!(error = %error, "the change of a session's device could not be written down");
            Ok(())
        }
        result => result,
    };
    if let Err(error) = &result {
        report(state, error);
    }
    turn.under_way = false;
    match (result, failed) {
        (Ok(()), Some(failed)) => Err(failed.into()),
        (result, _) => result,
    }
}

#[derive(PartialEq, Eq)]
enum Progress {
    Done,
    /// Something changed meanwhile; plan anew.
    Again,
}

async fn attempt(state: &State, step: Step) -> Result<Progress, SessionError> {
    let store = state.shared().store();
    match step {
        Step::Nothing => {
            if let Some(mut copy) = state.working_copy() {
                copy.unit.retain_only_the_end();
            }
            Ok(Progress::Done)
        }
        Step::Refuse => Err(not_written(state)),
        Step::Touch { key, meta } => {
            touch(state, &key, &meta).await;
            Ok(Progress::Done)
        }
        Step::Extend { key, meta } => match touched(state, &key, &meta).await? {
            Touched::Done(_) => Ok(Progress::Done),
            Touched::Gone => gone(state, &key).await,
        },
        Step::Create {
            id,
            write,
            limits,
            others,
        } => {
            let key = id.key();
            let created = store
                .create(Create::new(&key, &write, limits, &others))
                .await;
            match told(state, &write.meta, &others, created)? {
                Created::Done(CreatedSession {
                    timing,
                    revision,
                    displaced,
                    ..
                }) => {
                    written(state, key, Some(id), timing, revision);
                    emit(state, None, &others, displaced, write);
                    Ok(Progress::Done)
                }
                Created::Taken => Ok(Progress::Again),
                Created::AtLimit => Err(at_limit(state, &write.meta)),
                Created::Revoked => {
                    let user = write.meta.user().cloned();
                    Err(refused(state, SessionError::Ended, user))
                }
            }
        }
        Step::Commit {
            key,
            expected,
            write,
            activity,
        } => match store
            .commit(Commit::new(&key, expected, &write, activity))
            .await?
        {
            Committed::Done(CommittedSession {
                timing, revision, ..
            }) => {
                written(state, key, None, timing, revision);
                emit(state, None, &Others::Stay, Vec::new(), write);
                Ok(Progress::Done)
            }
            Committed::Conflict(stored) => rebase(state, &stored),
            Committed::Gone => gone(state, &key).await,
        },
        Step::Replace {
            old,
            id,
            write,
            deadline,
            others,
        } => {
            let key = id.key();
            let replaced = store
                .replace(Replace::new(&old, &key, &write, deadline, &others))
                .await;
            match told(state, &write.meta, &others, replaced)? {
                Replaced::Done(CreatedSession {
                    timing,
                    revision,
                    displaced,
                    ..
                }) => {
                    written(state, key, Some(id), timing, revision);
                    emit(state, Some(old), &others, displaced, write);
                    Ok(Progress::Done)
                }
                Replaced::Conflict(stored) => rebase(state, &stored),
                Replaced::Gone => gone(state, &old.key).await,
                Replaced::AtLimit => Err(at_limit(state, &write.meta)),
                Replaced::Overtaken(displaced) => {
                    emit_displaced(state, &write.meta, &others, displaced);
                    Ok(Progress::Again)
                }
            }
        }
    }
}

fn rebase(state: &State, stored: &Stored) -> Result<Progress, SessionError> {
    let Some(mut copy) = state.working_copy() else {
        return Ok(Progress::Done);
    };
    match copy.unit.rebase(stored) {
        Ok(()) => Ok(Progress::Again),
        Err(ChangeError::Unusable(None)) => {
            drop(copy);
            Err(group::damaged(state))
        }
        Err(error) => Err(error.into()),
    }
}

fn written(
    state: &State,
    key: SessionIdHash,
    id: Option<SessionId>,
    timing: Timing,
    revision: Revision,
) {
    if let Some(mut copy) = state.working_copy() {
        copy.unit.written(key, timing, revision);
        if let Some(id) = id {
            copy.cookie = CookieAction::set((id, timing.absolute_deadline));
        }
    }
}

/// Tells of a write what the store's log tells of it, in the same order.
fn emit(
    state: &State,
    old: Option<ReplacedSession>,
    others: &Others,
    displaced: Vec<SessionHandle>,
    write: RecordWrite,
) {
    if let Some(ReplacedSession {
        meta,
        note: Some(note),
        ..
    }) = old
    {
        state.emit(note, &meta);
    }
    for note in write.notes {
        state.emit(note, &write.meta);
    }
    emit_displaced(state, &write.meta, others, displaced);
}

/// Reports which sessions ended for a sign-in as `meta`.
fn emit_displaced(
    state: &State,
    meta: &SessionMeta,
    others: &Others,
    displaced: Vec<SessionHandle>,
) {
    let (_, note) = others.end_of_one();
    for handle in displaced {
        let meta = SessionMeta {
            handle,
            ..meta.clone()
        };
        state.emit(note.clone(), &meta);
    }
}

/// What the store answered. The sessions that ended for a sign-in as `meta` which then failed are reported at once.
fn told<T>(
    state: &State,
    meta: &SessionMeta,
    others: &Others,
    answer: Result<T, Interrupted>,
) -> Result<T, SessionError> {
    answer.map_err(|Interrupted { ended, error }| {
        emit_displaced(state, meta, others, ended);
        error.into()
    })
}

/// Whether all that is changed_by_handler is the layer's: to take note of the device.
fn only_read(copy: &WorkingCopy) -> bool {
    !copy.changed_by_handler || copy.unit.only_observes()
}

/// The session that was to be written to is not there any more. Who only read is not told of it.
async fn gone(state: &State, key: &SessionIdHash) -> Result<Progress, SessionError> {
    if let Some(mut copy) = state.working_copy()
        && only_read(&copy)
    {
        copy.unit.lost();
        return Ok(Progress::Done);
    }
    // The refusal says why if it can be learned.
    let _ = state.why_gone(key).await;
    Err(refused(state, SessionError::Ended, None))
}

/// The request's operations were not granted, because its session is not there any more. `user` is who wanted to sign
/// in, where there is no session to name.
fn refused(state: &State, error: SessionError, user: Option<UserId>) -> SessionError {
    let Some(mut copy) = state.working_copy() else {
        return error;
    };
    let subject = match state::subject(&copy.unit) {
        (None, _) => (None, user),
        known => known,
    };
    copy.commit_failure = match error {
        SessionError::Replaced => CommitFailure::Replaced,
        _ => CommitFailure::Ended,
    };
    copy.unit.lost();
    copy.cookie = CookieAction::Keep;
    drop(copy);
    state.observe(EventKind::WriteRefused, subject);
    error
}

/// Data was not written, because the request has no session that it could be written to.
fn not_written(state: &State) -> SessionError {
    let two = state
        .working_copy()
        .filter(|copy| copy.unit.has_candidates());
    let Some(mut copy) = two else {
        return refused(state, SessionError::Replaced, None);
    };
    copy.unit.retain_only_the_end();
    copy.commit_failure = CommitFailure::Refused(SessionError::Ambiguous);
    drop(copy);
    state.observe(EventKind::WriteRefused, (None, None));
    SessionError::Ambiguous
}

/// The sign-in was not granted. The session stays what it was, and so does the cookie.
fn at_limit(state: &State, meta: &SessionMeta) -> SessionError {
    if let Some(mut copy) = state.working_copy() {
        copy.unit.retain_only_the_end();
        copy.commit_failure = CommitFailure::Refused(SessionError::AtLimit);
    }
    let subject: Subject = (None, meta.user().cloned());
    state.observe(EventKind::LimitReached, subject);
    SessionError::AtLimit
}

/// Ends one session, or both of two candidates: the second also where the first could not be ended.
async fn end_all(state: &State, ends: Vec<Termination>) -> Result<(), SessionError> {
    let two = ends.len() > 1;
    let mut ended = Ok(true);
    for ending in ends {
        let done = end(state, ending).await.map(|it| it == Ended::Done);
        ended = ended.and_then(|all| done.map(|done| all && done));
    }
    let by_this_request = ended?;
    if let Some(mut copy) = state.working_copy() {
        copy.cookie = match by_this_request {
            true => CookieAction::Remove,
            // Somebody else ended it, and may have handed out a fresh cookie since.
            false => CookieAction::Keep,
        };
        copy.ended_two = two && by_this_request;
    }
    Ok(())
}

async fn end(state: &State, ending: Termination) -> Result<Ended, SessionError> {
    let store = state.shared().store();
    let (ended, asked_twice) = match store.end(&ending).await {
        // It may have been carried out all the same, and then nobody would ever hear of it.
        Err(error) if error.kind() == StoreErrorKind::Unavailable => {
            (store.end(&ending).await?, true)
        }
        ended => (ended?, false),
    };
    let Termination {
        key,
        meta,
        reason,
        note,
        ..
    } = ending;
    let by_the_person = reason == EndReason::SignedOut;
    if ended == Ended::AlreadyGone
        && by_the_person
        && state
            .why_gone(&key)
            .await?
            .is_some_and(EndReason::is_replacement)
    {
        // Its user authenticated anew meanwhile, which began another session: nobody was signed out.
        return Err(refused(state, SessionError::Replaced, None));
    }
    let Some(mut copy) = state.working_copy() else {
        return Ok(ended);
    };
    // An earlier commit of this request may have been the one that ended it.
    let asked_twice = asked_twice || matches!(copy.commit_failure, CommitFailure::Unknown);
    copy.unit.ended(&key);
    drop(copy);
    if ended == Ended::Done || asked_twice {
        state.emit(note, &meta);
    }
    Ok(ended)
}

/// A touch that fails costs at most one step of the idle timeout, so it fails no request.
async fn touch(state: &State, key: &SessionIdHash, meta: &SessionMeta) {
    if let Err(error) = touched(state, key, meta).await {
        untouched(&error);
    }
}

fn untouched(error: &StoreError) {
    tracing::warn!(error = %error, "the activity of a session could not be written down");
}

async fn touched(
    state: &State,
    key: &SessionIdHash,
    meta: &SessionMeta,
) -> Result<Touched, StoreError> {
    let touched = state.shared().store().touch(Touch::new(key, meta)).await?;
    if let (Touched::Done(timing), Some(mut copy)) = (touched, state.working_copy()) {
        copy.unit.touched(timing);
    }
    Ok(touched)
}

fn report(state: &State, error: &SessionError) {
    let store = match error {
        SessionError::Ended
        | SessionError::Replaced
        | SessionError::Ambiguous
        | SessionError::AtLimit => return,
        SessionError::Store(store) => store,
        error => {
            tracing::error!(error = %error, "a session could not be written");
            if let Some(mut copy) = state.working_copy() {
                // What was refused is not written with what the handler may ask for later.
                copy.commit_failure = CommitFailure::Refused(error.clone());
                copy.unit.retain_only_the_end();
            }
            return;
        }
    };
    let subject = state.subject();
    if let Some(mut copy) = state.working_copy() {
        // What was asked for may have been carried out. To ask for it again could do it twice.
        copy.commit_failure = CommitFailure::Unknown;
        copy.unit.retain_only_the_end();
    }
    state.failed(store, subject);
}
