//! Tests that pause Tokio's clock.

use std::time::{Duration, Instant};

use tokio::{
    runtime::Handle,
    task::{AbortHandle, yield_now},
    time::sleep,
};

/// How long an answer may really take before a paused clock may jump on, to the end of the wait for it.
const ENOUGH: Duration = Duration::from_secs(2);

/// Keeps a paused clock from jumping ahead while it exists.
///
/// A paused clock jumps to the next timer as soon as the runtime has nothing to do but wait, also if it waits
/// for Redis: then every bound on an answer is over before the answer can be there. So the runtime is kept
/// busy until it is. In builds without debug assertions, and where the clock runs, this does nothing.
pub(super) struct StillClock(Option<AbortHandle>);

impl StillClock {
    /// To be held while Redis is waited for.
    pub(super) fn hold() -> Self {
        if !cfg!(debug_assertions) || is_running() {
            return Self(None);
        }
        let runtime = Handle::try_current().ok();
        Self(runtime.map(|runtime| runtime.spawn(stay_busy()).abort_handle()))
    }

    /// A pause that ends although time stands still.
    pub(super) async fn sleep(&self, pause: Duration) {
        match self.0 {
            Some(_) => yield_now().await,
            None => sleep(pause).await,
        }
    }
}

impl Drop for StillClock {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}

/// Whether Tokio's clock is the real one, which it is wherever nobody has paused it.
fn is_running() -> bool {
    let tokio_now = || tokio::time::Instant::now().into_std();
    let (before, now, after) = (tokio_now(), Instant::now(), tokio_now());
    before <= now && now <= after
}

async fn stay_busy() {
    let begun = Instant::now();
    while begun.elapsed() < ENOUGH {
        yield_now().await;
    }
}
