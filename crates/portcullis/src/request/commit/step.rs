//! One step of a commit: one call of the store.

use portcullis_core::{
    ChangeError, SessionId, SessionIdHash, SessionMeta,
    store::{
        Commit, Committed, CommittedSession, Create, Created, CreatedSession, Interrupted, Others,
        Replace, Replaced, Revision, StoreError, Stored, Timing, Touched,
    },
    unit_of_work::{Step, TouchStep},
};

use super::{events, progress::Progress, refusing};
use crate::{
    reject::error::SessionError, request::state::State, writing::working_copy::CookieAction,
};

/// Carries out a step: one call of the store.
pub(super) async fn attempt(state: &State, step: Step) -> Result<Progress, SessionError> {
    let store = state.shared().store();
    match step {
        Step::Nothing => {
            if let Some(mut copy) = state.working_copy() {
                copy.unit.retain_only_the_end();
            }
            Ok(Progress::Done(None))
        }
        Step::Refuse => Err(refusing::not_written(state)),
        Step::Touch(step) => {
            touch(state, &step).await;
            Ok(Progress::Done(None))
        }
        Step::Extend(step) => match touched(state, &step).await? {
            Touched::Done(_) => Ok(Progress::Done(None)),
            Touched::Gone => refusing::ended(state, step.key()).await,
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
            match or_displaced(state, &write.meta, &others, created)? {
                Created::Done(CreatedSession {
                    timing,
                    revision,
                    displaced,
                    ..
                }) => {
                    record(state, key, timing, revision);
                    events::of_write(state, None, &others, displaced, write);
                    Ok(Progress::Done(set_cookie(id, timing)))
                }
                Created::Taken => Ok(Progress::Again),
                Created::AtLimit => Err(refusing::at_limit(state, &write.meta)),
                Created::Suspended => Err(refusing::suspended(state, &write.meta)),
                Created::Revoked => {
                    let user = write.meta.user().cloned();
                    Err(refusing::refused(state, SessionError::Ended, user))
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
                record(state, key, timing, revision);
                events::of_write(state, None, &Others::Stay, Vec::new(), write);
                Ok(Progress::Done(None))
            }
            Committed::Conflict(stored) => rebase(state, &stored),
            Committed::Gone => refusing::ended(state, &key).await,
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
            match or_displaced(state, &write.meta, &others, replaced)? {
                Replaced::Done(CreatedSession {
                    timing,
                    revision,
                    displaced,
                    ..
                }) => {
                    record(state, key, timing, revision);
                    events::of_write(state, Some(old), &others, displaced, write);
                    Ok(Progress::Done(set_cookie(id, timing)))
                }
                Replaced::Conflict(stored) => rebase(state, &stored),
                Replaced::Gone => refusing::ended(state, &old.key).await,
                Replaced::AtLimit => Err(refusing::at_limit(state, &write.meta)),
                Replaced::Suspended => Err(refusing::suspended(state, &write.meta)),
                Replaced::Overtaken(displaced) => {
                    events::of_displaced(state, &write.meta, &others, displaced);
                    Ok(Progress::Again)
                }
            }
        }
    }
}

/// Applies the changes to the session that another process has stored.
fn rebase(state: &State, stored: &Stored) -> Result<Progress, SessionError> {
    let Some(mut copy) = state.working_copy() else {
        return Ok(Progress::Done(None));
    };
    match copy.unit.rebase(stored) {
        Ok(()) => Ok(Progress::Again),
        Err(ChangeError::Unusable(None)) => {
            drop(copy);
            Err(refusing::damaged(state))
        }
        Err(error) => Err(error.into()),
    }
}

/// Records that the changes are stored.
fn record(state: &State, key: SessionIdHash, timing: Timing, revision: Revision) {
    if let Some(mut copy) = state.working_copy() {
        copy.unit.written(key, timing, revision);
    }
}

fn set_cookie(id: SessionId, timing: Timing) -> Option<CookieAction> {
    Some(CookieAction::set((id, timing.absolute_deadline)))
}

/// The store's answer. If the sign-in as `meta` failed after it had displaced sessions, their ends
/// are reported.
fn or_displaced<T>(
    state: &State,
    meta: &SessionMeta,
    others: &Others,
    answer: Result<T, Interrupted>,
) -> Result<T, SessionError> {
    answer.map_err(|Interrupted { ended, error }| {
        events::of_displaced(state, meta, others, ended);
        error.into()
    })
}

/// A touch that fails costs at most one step of the idle timeout, so it fails no request.
pub(super) async fn touch(state: &State, step: &TouchStep) {
    if let Err(error) = touched(state, step).await {
        warn_of_failed_touch(&error);
    }
}

/// Logs a touch that failed.
pub(super) fn warn_of_failed_touch(error: &StoreError) {
    tracing::warn!(error = %error, "the activity of a session could not be written");
}

async fn touched(state: &State, step: &TouchStep) -> Result<Touched, StoreError> {
    let touched = state.shared().store().touch(step.touch()).await?;
    if let (Touched::Done(timing), Some(mut copy)) = (touched, state.working_copy()) {
        copy.unit.touched(timing);
    }
    Ok(touched)
}
