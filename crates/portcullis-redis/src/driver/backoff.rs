//! How long to wait before the next attempt to connect.

use std::time::Duration;

use tokio::time::sleep;

const SHORTEST: Duration = Duration::from_millis(50);
pub(super) const LONGEST: Duration = Duration::from_secs(1);

/// Longer after each attempt.
#[derive(Debug)]
pub(super) struct Backoff(Duration);

impl Backoff {
    pub(super) fn new() -> Self {
        Self(SHORTEST)
    }

    /// The next pause. Not the same for all applications.
    pub(super) fn pause(&mut self) -> Duration {
        let pause = self.0.mul_f64(rand::random_range(0.5..1.0));
        self.0 = (self.0 * 2).min(LONGEST);
        pause
    }

    pub(super) async fn wait(&mut self) {
        sleep(self.pause()).await;
    }
}
