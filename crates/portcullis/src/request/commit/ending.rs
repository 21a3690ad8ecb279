//! Ends of sessions that a request asked for.

use portcullis_core::{
    EndReason,
    store::{Ended, Termination},
};

use super::refusing;
use crate::{
    reject::error::SessionError,
    request::state::State,
    runtime::ending::end_surely,
    writing::working_copy::{CommitFailure, CookieAction},
};

/// The result of ending the sessions of a request.
pub(super) struct EndedSessions {
    pub(super) cookie: CookieAction,
    /// This request ended both sessions of its cookies.
    pub(super) both: bool,
}

/// Ends one session, or both of two candidates. The second is ended even if the end of the first
/// failed.
pub(super) async fn end_all(
    state: &State,
    ends: Vec<Termination>,
) -> Result<EndedSessions, SessionError> {
    let two = ends.len() > 1;
    let mut ended = Ok(true);
    for ending in ends {
        let done = end(state, ending).await.map(|it| it == Ended::Done);
        ended = ended.and_then(|all| done.map(|done| all && done));
    }
    let by_this_request = ended?;
    Ok(EndedSessions {
        cookie: match by_this_request {
            true => CookieAction::Remove,
            // Another request ended it, and may have set a new cookie since.
            false => CookieAction::Keep,
        },
        both: two && by_this_request,
    })
}

/// Ends a session of the request.
async fn end(state: &State, ending: Termination) -> Result<Ended, SessionError> {
    let (ended, asked_twice) = end_surely(state.shared().store(), &ending).await?;
    let Termination {
        key,
        meta,
        reason,
        note,
        ..
    } = ending;
    let by_the_user = reason == EndReason::SignedOut;
    if ended == Ended::AlreadyGone
        && by_the_user
        && state
            .load_end_reason(&key)
            .await?
            .is_some_and(EndReason::is_replacement)
    {
        // The user authenticated again in the meantime, so another session exists: the sign-out
        // failed.
        return Err(refusing::refused(state, SessionError::Replaced, None));
    }
    let Some(mut copy) = state.working_copy() else {
        return Ok(ended);
    };
    // An earlier commit of this request may have ended it.
    let asked_twice = asked_twice || matches!(copy.commit_failure, CommitFailure::Unknown);
    copy.unit.ended(&key);
    drop(copy);
    if ended == Ended::Done || asked_twice {
        state.emit(note, &meta);
    }
    Ok(ended)
}
