//! Work that is finished also when nobody waits for it any more.

use std::future::Future;

use portcullis_core::store::{StoreError, StoreErrorKind};
use tokio::runtime::Handle as Runtime;
use tracing::Instrument;

/// Does `work` on a task of its own, where there is a runtime: a change and the event that tells of it stay
/// together when the client goes away in the middle.
///
/// # Errors
///
/// [`StoreErrorKind::Unavailable`] when the runtime stops first.
pub(crate) async fn finished<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> Result<T, StoreError> {
    let Ok(runtime) = Runtime::try_current() else {
        return Ok(work.await);
    };
    match runtime.spawn(work.in_current_span()).await {
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
