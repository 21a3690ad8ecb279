//! Ends sessions.

use std::{future::Future, time::Duration};

use bytes::Bytes;
use portcullis_core::{
    SessionHandle, SessionIdHash,
    store::{Ended, Interrupted, StoreError, StoreErrorKind, Termination},
};

use super::context::{Attempts, Context};
use crate::{
    driver::{Reply, wrong_reply},
    layout::{entry, record},
    scripts::End,
};

/// How many moves of a session an end follows. A session moves less often within the minute in
/// which its moves are remembered, unless a client moves it on purpose. More moves are an error,
/// never "gone".
const MOVES: usize = 64;

/// Ends a session and remembers the reason for its usual time.
pub(super) async fn end(context: &Context, termination: &Termination) -> Result<Ended, StoreError> {
    let memory = termination.reason.remembered_for();
    end_remembered(context, termination, memory).await
}

/// Ends a session and remembers the reason for `memory`.
///
/// It takes one atomic step under each key that the session was moved to meanwhile. Those may be on
/// different servers. Only the last step changes something, and moves in between are followed too.
pub(super) async fn end_remembered(
    context: &Context,
    termination: &Termination,
    memory: Duration,
) -> Result<Ended, StoreError> {
    let mut key = termination.key;
    for _ in 0..=MOVES {
        let call = End {
            prefix: context.prefix(),
            key: &key,
            termination,
            memory,
            log_size: context.log_size(),
        };
        match context.run(&call).await? {
            Reply::Done(..) => return Ok(Ended::Done),
            Reply::Gone => return Ok(Ended::AlreadyGone),
            Reply::Moved(to) => match moved_to(&key, &to) {
                Some(successor) => key = successor,
                // This crate did not write it. There is no key to follow.
                None => return Ok(Ended::AlreadyGone),
            },
            Reply::Lost => return Err(StoreError::session_lost()),
            Reply::Newer => return Err(StoreError::newer_format()),
            _ => return Err(wrong_reply()),
        }
    }
    Err(StoreError::new(
        StoreErrorKind::Unavailable,
        "a session was given new identifiers faster than it could be ended, and is still live; try \
         again",
    ))
}

/// The key that a session was moved to: a digest in the same bucket, or a key of another bucket.
fn moved_to(key: &SessionIdHash, to: &Bytes) -> Option<SessionIdHash> {
    let digest = entry::digest_of(to);
    let here = digest.map(|digest| SessionIdHash::from_parts(key.bucket(), digest));
    here.or_else(|| record::successor(to))
}

/// Ends sessions, and once more if the answer was lost. Returns the names of all sessions that
/// either attempt reports as ended.
pub(super) async fn end_twice<F>(
    attempt: impl Fn() -> F,
) -> Result<(Vec<SessionHandle>, Attempts), Interrupted>
where
    F: Future<Output = Result<Vec<SessionHandle>, Interrupted>>,
{
    let Interrupted { mut ended, error } = match attempt().await {
        Err(interrupted) if interrupted.error.kind() == StoreErrorKind::Unavailable => interrupted,
        answered => return Ok((answered?, Attempts::Once)),
    };
    tracing::debug!(%error, "the answer to an end of sessions was lost; ending them once more");
    match attempt().await {
        Ok(more) => {
            ended.extend(more);
            Ok((ended, Attempts::Twice))
        }
        Err(again) => {
            ended.extend(again.ended);
            let error = again.error;
            Err(Interrupted { ended, error })
        }
    }
}
