//! Waits for tasks of the test's own runtime.

use std::time::{Duration, Instant};

/// Waits until a condition holds, and lets other tasks run meanwhile. `what` names the condition.
///
/// # Panics
///
/// When it does not hold within 20 seconds.
pub async fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let since = Instant::now();
    while !is_so() {
        assert!(since.elapsed() < Duration::from_secs(20), "not yet: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
