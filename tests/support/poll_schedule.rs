//! How soon live connections notice an end, and whether they do in time.

use std::time::Duration;

use portcullis::SessionLayer;
use tokio::time::Instant;

use crate::seconds;

/// As soon as it can be set.
pub fn soon(layer: SessionLayer) -> SessionLayer {
    layer.revalidation_interval(seconds(1)).expect("a period")
}

/// As late as it can be set, so that nothing is noticed by looking.
pub fn late(layer: SessionLayer) -> SessionLayer {
    layer.revalidation_interval(seconds(15)).expect("a period")
}

/// For as long as it takes to look at a session several times, where it is looked at [`soon`].
pub async fn some_looks() {
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
