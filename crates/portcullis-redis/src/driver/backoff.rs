//! Pauses between attempts to connect.

use std::time::Duration;

use tokio::time::sleep;

const SHORTEST: Duration = Duration::from_millis(50);
pub(super) const LONGEST: Duration = Duration::from_secs(1);

/// A pause that doubles with each attempt, up to [`LONGEST`].
#[derive(Debug)]
pub(super) struct Backoff(Duration);

impl Backoff {
    pub(super) fn new() -> Self {
        Self(SHORTEST)
    }

    /// The next pause, with jitter: not all servers of an application try at the same moment.
    pub(super) fn pause(&mut self) -> Duration {
        let pause = self.0.mul_f64(rand::random_range(0.5..1.0));
        self.0 = (self.0 * 2).min(LONGEST);
        pause
    }

    pub(super) async fn wait(&mut self) {
        sleep(self.pause()).await;
    }
}
