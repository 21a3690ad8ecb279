//! Work that finishes even if its caller stops waiting, and tasks that end with their owner.

use std::{
    convert::Infallible,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    time::Duration,
};

use portcullis_core::store::{StoreError, StoreErrorKind};
use tokio::{
    runtime::Handle as Runtime,
    sync::oneshot,
    task::{AbortHandle, JoinHandle},
    time::{self, Instant},
};
use tracing::Instrument;

/// Where the work runs.
enum Place<T> {
    Task(JoinHandle<T>),
    /// Without a runtime, in the returned future.
    Here(Pin<Box<dyn Future<Output = T> + Send>>),
}

/// Begins `work` on its own task, if there is a runtime. So a change and its event stay together,
/// even if the client disconnects between them. The returned future waits for the result.
///
/// # Errors
///
/// [`StoreErrorKind::Unavailable`] when the runtime stops first.
pub(crate) fn run_detached<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> impl Future<Output = Result<T, StoreError>> + Send {
    // Boxed at once, because it is large and would be copied.
    let place = match Runtime::try_current() {
        Ok(runtime) => Place::Task(runtime.spawn(Box::pin(work).in_current_span())),
        Err(_) => Place::Here(Box::pin(work)),
    };
    async move {
        let task = match place {
            Place::Task(task) => task,
            Place::Here(work) => return Ok(work.await),
        };
        match task.await {
            Ok(result) => Ok(result),
            Err(stopped) => match stopped.try_into_panic() {
                // Only code of the application can have panicked.
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Err(StoreError::new(
                    StoreErrorKind::Unavailable,
                    "the server is shutting down, so it is unknown whether the session was written",
                )),
            },
        }
    }
}

/// The owner's handle of a background task, which ends when this is dropped.
pub(crate) type Alive = oneshot::Sender<Infallible>;

/// Whether the runtime has timers. Tokio reveals that only by a panic.
pub(crate) fn has_timers() -> bool {
    catch_unwind(AssertUnwindSafe(|| drop(time::sleep(Duration::ZERO)))).is_ok()
}

/// The shortest time between two starts of a task whose store panics.
const RESTART: Duration = Duration::from_secs(1);

/// A task that is aborted when this is dropped.
pub(crate) struct AbortOnDrop {
    task: AbortHandle,
    since: Instant,
}

impl AbortOnDrop {
    pub(crate) fn new(task: AbortHandle) -> Self {
        Self {
            task,
            since: Instant::now(),
        }
    }

    /// Whether another task must replace it. It ends by itself only with its runtime, or if the
    /// store panics.
    pub(crate) fn has_died(&self) -> bool {
        self.task.is_finished() && self.since.elapsed() > RESTART
    }
}

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.task.abort();
    }
}
