//! Lengths of time, and how exactly they can be told over HTTP.

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

/// Long enough to come after what went before on everybody's clock, also where one is known only to a round trip.
pub async fn a_moment() {
    tokio::time::sleep(Duration::from_millis(20)).await;
}

/// Some milliseconds are this length, give or take what a test takes.
#[track_caller]
pub fn about(milliseconds: u64, length: Duration) {
    let difference = Duration::from_millis(milliseconds).abs_diff(length);
    assert!(
        difference < seconds(10),
        "{milliseconds} ms is not about {length:?}"
    );
}
