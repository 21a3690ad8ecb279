//! The contract of every store, on a primary with a replica that is found through Sentinels.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

#[path = "support/clock.rs"]
mod clock;
#[path = "support/harness.rs"]
mod harness;
#[path = "support/shared.rs"]
mod shared;

use std::time::Duration;

use clock::TestClock;
use harness::{InRedis, Timed};
use portcullis_redis::testing::TestSentinels;
use shared::{Shared, prefix};
use tokio::sync::OwnedMutexGuard;

struct Watched {
    servers: TestSentinels,
    /// Of the servers.
    clock: TestClock,
}

impl Watched {
    fn start() -> Self {
        let clock = TestClock::new();
        // However busy the machine is, no server takes another one's place meanwhile.
        let never = Duration::from_secs(60 * 60);
        let servers = TestSentinels::start_in(&clock.environment(), never);
        Self { servers, clock }
    }
}

impl Timed for OwnedMutexGuard<Watched> {
    fn clock(&self) -> &TestClock {
        &self.clock
    }
}

async fn start() -> InRedis {
    static WATCHED: Shared<Watched> = Shared::new();
    let watched = WATCHED.get(Watched::start).await;
    let url = watched.servers.url();
    InRedis::on(watched, &url, &prefix()).await
}

portcullis_core::store_conformance!(start());
