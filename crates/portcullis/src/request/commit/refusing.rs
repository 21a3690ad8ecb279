//! Changes that a commit cannot carry out.

use portcullis_core::{ChangeError, EventKind, SessionIdHash, SessionMeta, UserId};

use super::progress::Progress;
use crate::{
    reject::error::SessionError,
    request::state::{self, State, Subject},
    writing::working_copy::CommitFailure,
};

/// Handles a session that has ended. A request that only read it is not refused.
pub(super) async fn ended(state: &State, key: &SessionIdHash) -> Result<Progress, SessionError> {
    if let Some(mut copy) = state.working_copy()
        && copy.only_read()
    {
        copy.unit.lost();
        return Ok(Progress::Done(None));
    }
    // The refusal names the reason, if the store knows it.
    let _ = state.load_end_reason(key).await;
    Err(refused(state, SessionError::Ended, None))
}

/// Refuses the request's changes, because its session has ended. `user` wanted to sign in, for an
/// event without a session.
pub(super) fn refused(state: &State, error: SessionError, user: Option<UserId>) -> SessionError {
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
    drop(copy);
    state.observe(EventKind::WriteRefused, subject);
    error
}

/// Refuses data, because the request has no session to write it to.
pub(super) fn not_written(state: &State) -> SessionError {
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

/// Refuses the sign-in of a user with as many sessions as the limit allows.
pub(super) fn at_limit(state: &State, meta: &SessionMeta) -> SessionError {
    sign_in(state, meta, EventKind::LimitReached, SessionError::AtLimit)
}

/// Refuses the sign-in of a suspended user.
pub(super) fn suspended(state: &State, meta: &SessionMeta) -> SessionError {
    sign_in(
        state,
        meta,
        EventKind::SuspendedSignIn,
        SessionError::Suspended,
    )
}

/// Refuses the sign-in. The session and the cookie stay as they were.
fn sign_in(
    state: &State,
    meta: &SessionMeta,
    event: EventKind,
    error: SessionError,
) -> SessionError {
    if let Some(mut copy) = state.working_copy() {
        copy.unit.retain_only_the_end();
        copy.commit_failure = CommitFailure::Refused(error.clone());
    }
    let subject: Subject = (None, meta.user().cloned());
    state.observe(event, subject);
    error
}

/// Refuses the request's changes, because its session can no longer be read.
pub(super) fn damaged(state: &State) -> SessionError {
    let subject = state.subject();
    state.observe(EventKind::RecordDamaged, subject);
    refused(state, SessionError::Ended, None)
}

/// Logs a failure, and drops the failed changes, so that no later commit writes them.
pub(super) fn report(state: &State, error: &SessionError) {
    let store = match error {
        SessionError::Ended
        | SessionError::Replaced
        | SessionError::Ambiguous
        | SessionError::AtLimit
        | SessionError::Suspended => return,
        // The user, or an attacker, has sent the operation twice.
        SessionError::Change(ChangeError::NotApproved) => {
            drop_refused(state, error);
            return;
        }
        SessionError::Store(store) => store,
        error => {
            tracing::error!(error = %error, "a session could not be written");
            drop_refused(state, error);
            return;
        }
    };
    let subject = state.subject();
    if let Some(mut copy) = state.working_copy() {
        // The changes may be stored. To write them again could apply them twice.
        copy.commit_failure = CommitFailure::Unknown;
        copy.unit.retain_only_the_end();
    }
    state.failed(store, subject);
}

/// Drops refused changes, so that no later commit writes them.
fn drop_refused(state: &State, error: &SessionError) {
    if let Some(mut copy) = state.working_copy() {
        copy.commit_failure = CommitFailure::Refused(error.clone());
        copy.unit.retain_only_the_end();
    }
}
