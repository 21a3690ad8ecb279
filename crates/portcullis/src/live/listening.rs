//! Hears of what others do to sessions, while any is watched, so that nobody waits for the next look.

use std::{sync::Arc, time::Duration};

use portcullis_core::store::Hint;
use tokio::{
    runtime::Handle as Runtime,
    sync::Notify,
    task::AbortHandle,
    time::{Instant, sleep},
};

use super::Watches;
use crate::shared::Shared;

/// When anything may have happened, so many sessions are looked at with this pause in between: the store has other things
/// to do as well.
const AT_ONCE: usize = 100;
const BREATH: Duration = Duration::from_millis(10);

/// A store that makes every task panic is not asked more often than this.
const AGAIN: Duration = Duration::from_secs(1);

/// The task that listens. It ends with this.
pub(super) struct Listening {
    task: AbortHandle,
    since: Instant,
}

impl Listening {
    /// Starts it.
    pub(super) fn start(runtime: &Runtime, watches: &Arc<Watches>, shared: &Arc<Shared>) -> Self {
        let (watches, shared) = (Arc::clone(watches), Arc::clone(shared));
        Self {
            task: runtime.spawn(listen(watches, shared)).abort_handle(),
            since: Instant::now(),
        }
    }

    /// Whether another one has to take its place. It ends by itself with its runtime only, or where the store panics, and
    /// others may watch on another runtime.
    pub(super) fn has_died(&self) -> bool {
        self.task.is_finished() && self.since.elapsed() > AGAIN
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn listen(watches: Arc<Watches>, shared: Arc<Shared>) {
    let missed = Notify::new();
    let told = |hint| match hint {
        Hint::Changed(name) => watches.hint(name),
        // One for however many there were meanwhile.
        _ => missed.notify_one(),
    };
    // The first ends at once where the store does not hear of others, the second never.
    tokio::join!(shared.store().listen(&told), look_around(&watches, &missed));
}

async fn look_around(watches: &Watches, missed: &Notify) {
    loop {
        missed.notified().await;
        for some in watches.names().chunks(AT_ONCE) {
            for name in some {
                watches.hint(*name);
            }
            sleep(BREATH).await;
        }
    }
}
