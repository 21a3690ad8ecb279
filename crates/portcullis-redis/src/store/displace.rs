//! Ends the sessions that a new session displaces: over the limit, or because its user asked for
//! it.
//!
//! The script that creates the new session names them, since it may only use keys that it was
//! given. They are ended before any client is given the new identifier.

use bytes::Bytes;
use portcullis_core::{
    SessionHandle, SessionIdHash, SessionMeta,
    store::{
        Ended, Interrupted, Others, RecordWrite, Revocation, RevokeScope, StoreError,
        StoreErrorKind, Termination,
    },
};
use tokio::task::JoinSet;

use super::{
    context::{Attempts, Context},
    end::{end, end_twice},
    revoke::end_entries,
};
use crate::{
    driver::{Fetched, wrong_reply},
    layout::{Entry, Record},
};

/// Ends the sessions that the new session under `key` displaces, all in one round trip. Returns the
/// names of the ended sessions. No client may be given the new identifier before.
pub(super) async fn displace(
    context: &Context,
    key: &SessionIdHash,
    write: &RecordWrite,
    others: &Others,
    displaced: &[Bytes],
) -> Result<Vec<SessionHandle>, Interrupted> {
    if let (Others::End(end), Some(user)) = (others, write.meta.user()) {
        let revocation = Revocation {
            user: user.clone(),
            which: RevokeScope::AllBut(write.meta.handle),
            reason: end.reason,
            note: end.note.clone(),
            longest: end.longest,
        };
        return end_entries(context, &revocation, displaced).await;
    }
    let (reason, note) = others.end_of_one();
    let mut ends = JoinSet::new();
    for entry in displaced
        .iter()
        .filter_map(|it| Entry::parse(key.bucket(), it))
    {
        let termination = Termination {
            key: entry.key,
            meta: SessionMeta {
                handle: entry.handle,
                owner: write.meta.owner.clone(),
                class: entry.class,
                source: entry.source,
            },
            reason,
            note: note.clone(),
            live_until: None,
            version: None,
        };
        let context = context.clone();
        ends.spawn(async move { end_displaced(&context, &termination).await });
    }
    let (mut ended, mut failed) = (Vec::new(), None);
    // Every end is waited for, even after one failed: those that were started are reported.
    while let Some(end) = ends.join_next().await {
        match end {
            Ok(Ok(handle)) => ended.extend(handle),
            // A session of a newer version is left alone. It is one too many until the upgrade is
            // complete.
            Ok(Err(error)) if error.kind() == StoreErrorKind::NewerFormat => {}
            Ok(Err(error)) => failed = Some(error),
            Err(_) => failed = Some(wrong_reply()),
        }
    }
    match failed {
        None => Ok(ended),
        Some(error) => Err(Interrupted { ended, error }),
    }
}

/// Ends one session. Returns its name if this ended it, and not another request.
async fn end_displaced(
    context: &Context,
    termination: &Termination,
) -> Result<Option<SessionHandle>, StoreError> {
    let handle = termination.meta.handle;
    let attempt = || async move {
        Ok(match end(context, termination).await? {
            Ended::Done => vec![handle],
            Ended::AlreadyGone => Vec::new(),
        })
    };
    let (ended, attempts) = end_twice(attempt)
        .await
        .map_err(|interrupted| interrupted.error)?;
    if !ended.is_empty() || attempts == Attempts::Once {
        return Ok(ended.first().copied());
    }
    // The first attempt may have ended it, and its answer was lost. The tombstone has the reason
    // then. A load would report an expiry in place of another caller.
    let key = context.prefix().session(&termination.key);
    let Fetched::Value(value) = context.driver().get(key).await? else {
        return Ok(None);
    };
    let is_ours = match Record::parse(&value) {
        Record::Ended(tombstone) => tombstone.reason == Some(termination.reason),
        _ => false,
    };
    Ok(is_ours.then_some(handle))
}
