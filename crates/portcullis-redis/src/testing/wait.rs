//! For what happens in tasks of the test's own runtime.

use std::time::{Duration, Instant};

/// Waits until something is so, and lets other tasks run meanwhile.
///
/// # Panics
///
/// When it is not within 20 seconds.
pub async fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let since = Instant::now();
    while !is_so() {
        assert!(since.elapsed() < Duration::from_secs(20), "not yet: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
