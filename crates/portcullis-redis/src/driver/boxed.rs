//! Futures on the heap.

use std::{future::Future, pin::Pin};

/// Boxes a future. It takes no room in the future of the caller, and the compiler need not look
/// inside: the futures that applications build around it are deep already. The one `GET` of every
/// request is not boxed.
pub(super) fn boxed<'f, T>(
    future: impl Future<Output = T> + Send + 'f,
) -> Pin<Box<dyn Future<Output = T> + Send + 'f>> {
    Box::pin(future)
}
