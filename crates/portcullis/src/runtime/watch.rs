//! The task that watches one session for all of its live connections.

use std::sync::{Arc, atomic::Ordering};

use portcullis_core::{
    EndReason, SessionIdHash, SessionMeta,
    store::{Expiry, Loaded, StoreError},
    unit_of_work::{SessionStatus, Unusable},
};
use tokio::{
    runtime::Handle as Runtime,
    time::{Instant, sleep, timeout_at},
};
use tracing::Instrument;

use crate::{
    reject::connection_ended::ConnectionEnded,
    runtime::{
        context::Context,
        listener,
        poll_schedule::{overdue, passed_deadline},
        watch_registry::{Joined, Listed, Observed, WatchHandle},
    },
};

/// Watches the session under `key` with this handle and owner. `None` without a runtime.
pub(crate) fn start(
    context: &Arc<Context>,
    key: SessionIdHash,
    meta: &SessionMeta,
) -> Option<WatchHandle> {
    let runtime = Runtime::try_current().ok()?;
    match context.watches.join(meta) {
        Joined::Watched(handle) => Some(handle),
        Joined::First(handle, listed) => {
            listener::keep(&runtime, &listed.watches, context);
            runtime.spawn(run(listed, Arc::clone(context), key).in_current_span());
            Some(handle)
        }
    }
}

/// Loads a session repeatedly, until it has ended or has no live connection.
async fn run(listed: Listed, context: Arc<Context>, mut key: SessionIdHash) {
    let (watch, schedule) = (&listed.watch, context.schedule);
    let mut seen: Option<Arc<SessionStatus>> = None;
    // The request that begins to watch the session has just loaded it.
    let mut verified = Instant::now();
    loop {
        listener::keep(&Runtime::current(), &listed.watches, &context);
        let (began, give_up) = (Instant::now(), verified + schedule.give_up_after());
        let number = watch.loads.fetch_add(1, Ordering::SeqCst) + 1;
        let found = timeout_at(give_up, load(&context, &mut key)).await;
        let now = context.now();
        let until_change = |seen: &SessionStatus| seen.next_change(now).since(now);
        let pause = match found {
            Ok(Ok(Found::Live(status))) => {
                verified = began;
                let pause = schedule.pause(until_change(&status));
                let observed = Observed::Live(number, Arc::clone(&status));
                watch.observed.send_replace(observed);
                seen = Some(status);
                pause
            }
            Ok(Ok(Found::Ended(reason))) => {
                let passed_deadline =
                    || seen.as_deref().and_then(|seen| passed_deadline(seen, now));
                let end = ConnectionEnded::Session(reason.or_else(passed_deadline));
                watch.observed.send_replace(Observed::Ended(end));
                return;
            }
            Ok(Err(_)) | Err(_) => {
                let certain = seen.as_deref().and_then(|seen| overdue(seen, now));
                let left = give_up.saturating_duration_since(Instant::now());
                let end =
                    certain.or_else(|| left.is_zero().then_some(ConnectionEnded::Unverifiable));
                if let Some(end) = end {
                    if end == ConnectionEnded::Unverifiable {
                        tracing::warn!(
                            "live connections of a session are closed because the store could not confirm that it is live"
                        );
                    }
                    watch.observed.send_replace(Observed::Ended(end));
                    return;
                }
                // Connections check their conditions again: an elevation may have ended.
                watch.observed.send_modify(|_| {});
                let until_change = seen.as_deref().map_or(left, until_change);
                schedule.retry(left, until_change)
            }
        };
        tokio::select! {
            () = sleep(pause) => {}
            () = watch.hint.notified() => {}
            () = watch.observed.closed() => {
                if listed.remove_if_unwatched() {
                    return;
                }
            }
        }
    }
}

enum Found {
    Live(Arc<SessionStatus>),
    Ended(Option<EndReason>),
}

/// How many successors are followed in one load: more than there can be since the last load.
const MAX_SUCCESSORS: usize = 64;

/// Loads a session, and sets `key` to its current key.
async fn load(context: &Context, key: &mut SessionIdHash) -> Result<Found, StoreError> {
    let policy = &context.policy.get_or_default(context.now());
    for _ in 0..MAX_SUCCESSORS {
        return Ok(match context.load(key).await? {
            Loaded::Live(stored) => match SessionStatus::read(&stored, policy) {
                Ok(status) if status.ended_by_policy(context.now()).is_some() => {
                    Found::Ended(Some(EndReason::PolicyTightened))
                }
                Ok(status) => Found::Live(Arc::new(status)),
                Err(Unusable::Newer(error)) => return Err(error),
                Err(Unusable::Damaged) => Found::Ended(None),
            },
            Loaded::Ended {
                successor: Some(successor),
                ..
            } => {
                *key = successor;
                continue;
            }
            Loaded::Ended { reason, .. } => Found::Ended(Some(reason)),
            Loaded::Expired(expired) => Found::Ended(match expired.what {
                Expiry::Session(reason) => Some(reason),
                Expiry::Elevation => None,
            }),
            Loaded::Absent | Loaded::Damaged => Found::Ended(None),
        });
    }
    Ok(Found::Ended(Some(EndReason::Replaced)))
}
