//! The contract of every store, on a real server.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

#[path = "support/clock.rs"]
mod clock;
#[path = "support/harness.rs"]
mod harness;

use clock::TestClock;
use harness::{InRedis, Timed};
use portcullis_redis::testing::TestServer;

struct Server {
    _server: TestServer,
    clock: TestClock,
}

impl Timed for Server {
    fn clock(&self) -> &TestClock {
        &self.clock
    }
}

async fn start() -> InRedis {
    let clock = TestClock::new();
    let server = TestServer::start_in(&[], &clock.environment());
    let url = server.url();
    let server = Server {
        _server: server,
        clock,
    };
    InRedis::on(server, &url, "pc").await
}

portcullis_core::store_conformance!(start());
