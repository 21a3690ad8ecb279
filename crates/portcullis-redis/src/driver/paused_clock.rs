//! Support for tests that pause Tokio's clock.

use std::time::{Duration, Instant};

use tokio::{
    runtime::Handle,
    task::{AbortHandle, yield_now},
    time::sleep,
};

/// How long an answer may take in real time. After that, a paused clock may jump to the end of the
/// wait for it.
const LONGEST: Duration = Duration::from_secs(2);

/// Keeps a paused clock from jumping ahead while it exists.
///
/// A paused clock jumps to the next timer as soon as the runtime only waits, even if it waits for
/// Redis. Then every timeout strikes before the answer can arrive. So this keeps the runtime busy
/// until it does. It does nothing in builds without debug assertions and while the clock runs.
pub(super) struct PausedClock(Option<AbortHandle>);

impl PausedClock {
    /// Hold the result for as long as an answer of Redis is awaited.
    pub(super) fn hold() -> Self {
        if !cfg!(debug_assertions) || is_running() {
            return Self(None);
        }
        let runtime = Handle::try_current().ok();
        Self(runtime.map(|runtime| runtime.spawn(stay_busy()).abort_handle()))
    }

    /// A pause that ends even while the clock is paused.
    pub(super) async fn sleep(&self, pause: Duration) {
        match self.0 {
            Some(_) => yield_now().await,
            None => sleep(pause).await,
        }
    }
}

impl Drop for PausedClock {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}

/// Whether Tokio's clock runs: it then shows the real time.
fn is_running() -> bool {
    let tokio_now = || tokio::time::Instant::now().into_std();
    let (before, now, after) = (tokio_now(), Instant::now(), tokio_now());
    before <= now && now <= after
}

async fn stay_busy() {
    let begun = Instant::now();
    while begun.elapsed() < LONGEST {
        yield_now().await;
    }
}
