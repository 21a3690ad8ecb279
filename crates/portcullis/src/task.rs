//! Work that is finished also when nobody waits for it any more.

use std::{future::Future, pin::Pin};

use portcullis_core::store::{StoreError, StoreErrorKind};
use tokio::{runtime::Handle as Runtime, task::JoinHandle};
use tracing::Instrument;

/// Where the work is done.
enum Place<T> {
    Task(JoinHandle<T>),
    /// Where there is no runtime to have tasks.
    Here(Pin<Box<dyn Future<Output = T> + Send>>),
}

/// Begins `work` on a task of its own, where there is a runtime: a change and the event that tells of it stay
/// together when the client goes away in the middle. What is returned waits for it.
///
/// # Errors
///
/// [`StoreErrorKind::Unavailable`] when the runtime stops first.
pub(crate) fn finished<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> impl Future<Output = Result<T, StoreError>> + Send {
    // Put in its place at once, rather than carried along by whoever waits and copied by who spawns it: it is large.
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
                // Only what the application has given to us can have panicked.
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Err(StoreError::new(
                    StoreErrorKind::Unavailable,
                    "the server is shutting down, so it is not known whether the session was written",
                )),
            },
        }
    }
}
