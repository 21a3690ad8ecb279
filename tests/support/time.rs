//! Durations, and how precisely a test over HTTP can check them.

use std::time::Duration;

/// Seconds.
pub const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// Minutes.
pub const fn minutes(count: u64) -> Duration {
    seconds(count * 60)
}

/// Hours.
pub const fn hours(count: u64) -> Duration {
    minutes(count * 60)
}

/// Waits until the next event is later than the last one on every clock, also on one known only
/// within a round trip.
pub async fn a_moment() {
    tokio::time::sleep(Duration::from_millis(20)).await;
}

/// Checks that the milliseconds are this duration, give or take the time of a test.
#[track_caller]
pub fn about(milliseconds: u64, length: Duration) {
    let difference = Duration::from_millis(milliseconds).abs_diff(length);
    assert!(
        difference < seconds(10),
        "{milliseconds} ms is not about {length:?}"
    );
}
