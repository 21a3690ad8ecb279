//! The task that receives the store's hints about watched sessions, so that an end elsewhere is
//! noticed before the next load.

use std::{sync::Arc, time::Duration};

use portcullis_core::store::Hint;
use tokio::{runtime::Handle as Runtime, sync::Notify, time::sleep};

use crate::runtime::{context::Context, task::AbortOnDrop, watch_registry::Watches};

/// After a missed hint, all watched sessions are loaded: this many at a time with this pause
/// between, to limit the load on the store.
const AT_ONCE: usize = 100;
const PAUSE: Duration = Duration::from_millis(10);

/// Starts the task if it does not run. An earlier task may have stopped with its runtime.
pub(super) fn keep(runtime: &Runtime, watches: &Arc<Watches>, context: &Arc<Context>) {
    watches.keep_listening(|| {
        let (watches, context) = (Arc::clone(watches), Arc::clone(context));
        AbortOnDrop::new(runtime.spawn(listen(watches, context)).abort_handle())
    });
}

async fn listen(watches: Arc<Watches>, context: Arc<Context>) {
    let missed = Notify::new();
    let receive = |hint| match hint {
        Hint::Changed(handle) => watches.hint(handle),
        // The task that follows the policy has them loaded once it knows it.
        Hint::PolicyActivated => {}
        // All sessions are loaded once, however many hints were missed.
        _ => missed.notify_one(),
    };
    // The first ends at once if the store sends no hints. The second never ends.
    tokio::join!(
        context.store().listen(&receive),
        load_all(&watches, &missed)
    );
}

async fn load_all(watches: &Watches, missed: &Notify) {
    loop {
        missed.notified().await;
        for some in watches.handles().chunks(AT_ONCE) {
            for handle in some {
                watches.hint(*handle);
            }
            sleep(PAUSE).await;
        }
    }
}
