//! How soon live connections notice an end, and checks that they do in time.

use std::time::Duration;

use portcullis::SessionLayer;
use tokio::time::Instant;

use crate::seconds;

/// The shortest interval that can be set.
pub fn soon(layer: SessionLayer) -> SessionLayer {
    layer.revalidation_interval(seconds(1)).expect("a period")
}

/// The longest interval that can be set, so that polling notices nothing during a test.
pub fn late(layer: SessionLayer) -> SessionLayer {
    layer.revalidation_interval(seconds(15)).expect("a period")
}

/// Waits for several polls of a session with [`soon`].
pub async fn some_polls() {
    tokio::time::sleep(seconds(3)).await;
}

/// Expects that this takes no longer.
#[track_caller]
pub fn within<T>(limit: Duration, work: impl Future<Output = T>) -> impl Future<Output = T> {
    let place = std::panic::Location::caller();
    async move {
        let began = Instant::now();
        let done = work.await;
        let taken = began.elapsed();
        assert!(taken < limit, "took {taken:?} ({place})");
        done
    }
}
