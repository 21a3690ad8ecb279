//! Hears of what others do to sessions, while any is watched, so that nobody waits for the next look.

use std::{sync::Arc, time::Duration};

use portcullis_core::store::Hint;
use tokio::{runtime::Handle as Runtime, sync::Notify, task::AbortHandle, time::sleep};

use super::Watches;
use crate::house::House;

/// When anything may have happened, so many sessions are looked at with this pause in between: the store has other things
/// to do as well.
const AT_ONCE: usize = 100;
const BREATH: Duration = Duration::from_millis(10);

/// The task that listens. It ends with this.
pub(super) struct Listening(AbortHandle);

impl Drop for Listening {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Starts it.
pub(super) fn start(runtime: &Runtime, watches: &Arc<Watches>, house: &Arc<House>) -> Listening {
    let (watches, house) = (Arc::clone(watches), Arc::clone(house));
    Listening(runtime.spawn(listen(watches, house)).abort_handle())
}

async fn listen(watches: Arc<Watches>, house: Arc<House>) {
    let missed = Notify::new();
    let told = |hint| match hint {
        Hint::Changed(name) => watches.hint(name),
        // One for however many there were meanwhile.
        _ => missed.notify_one(),
    };
    tokio::select! {
        // At once, where the store does not hear of others.
        () = house.store().listen(&told) => {}
        () = look_around(&watches, &missed) => {}
    }
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
