//! Writes to sessions without moving them: commits and touches.

use portcullis_core::store::{Commit, Committed, CommittedSession, StoreError, Touch, Touched};

use super::{context::Context, revision};
use crate::{
    driver::{Reply, wrong_reply},
    layout::Record,
    scripts,
};

/// Writes the payload of a session.
pub(super) async fn commit(context: &Context, commit: Commit<'_>) -> Result<Committed, StoreError> {
    let Commit {
        key,
        expected,
        write,
        activity,
        ..
    } = commit;
    let revision = revision::random_after(expected);
    let call = scripts::Commit {
        prefix: context.prefix(),
        key,
        write,
        expected,
        revision,
        activity,
        log_size: context.log_size(),
    };
    match context.run_timed(&call).await? {
        Reply::Done(timing, _) => Ok(Committed::Done(CommittedSession::new(timing, revision))),
        Reply::Gone => Ok(Committed::Gone),
        Reply::Conflict(value) => Ok(match Record::parse(&value) {
            Record::Session(current) => Committed::Conflict(current),
            // Unreachable: the script has found a live session in it. "Gone" is the safe answer.
            _ => Committed::Gone,
        }),
        Reply::Newer => Err(StoreError::newer_format()),
        _ => Err(wrong_reply()),
    }
}

/// Moves the moments of activity of a session to now.
pub(super) async fn touch(context: &Context, touch: Touch<'_>) -> Result<Touched, StoreError> {
    let Touch {
        key,
        meta,
        activity,
        idle_timeout,
        ..
    } = touch;
    let call = scripts::Touch {
        prefix: context.prefix(),
        key,
        meta,
        activity,
        idle_timeout,
        log_size: context.log_size(),
    };
    match context.run_timed(&call).await? {
        Reply::Done(timing, _) => Ok(Touched::Done(timing)),
        Reply::Gone => Ok(Touched::Gone),
        Reply::Newer => Err(StoreError::newer_format()),
        _ => Err(wrong_reply()),
    }
}
