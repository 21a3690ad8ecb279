//! The contract of every store, on a real server and in real time.
#![allow(clippy::unwrap_used)]

mod support;

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use portcullis_core::store::conformance::Harness;
use portcullis_redis::{RedisStore, testing::TestServer};

/// Two connections to one server, handed out in turns.
struct InRedis {
    _server: TestServer,
    stores: [RedisStore; 2],
    turn: AtomicBool,
}

impl InRedis {
    async fn start() -> Self {
        let server = TestServer::start();
        let stores = [connect(&server).await, connect(&server).await];
        Self {
            _server: server,
            stores,
            turn: AtomicBool::new(false),
        }
    }
}

async fn connect(server: &TestServer) -> RedisStore {
    // What is tested here is what the store answers, not how fast a busy machine lets it.
    let builder = RedisStore::builder(server.url()).wait(Duration::from_secs(5));
    builder.connect().await.unwrap()
}

impl Harness for InRedis {
    type Store = RedisStore;

    const TOLERANCE: Duration = Duration::from_millis(30);
    const PATIENCE: Duration = Duration::from_secs(15);

    fn store(&self) -> RedisStore {
        let [first, second] = &self.stores;
        if self.turn.fetch_xor(true, Ordering::Relaxed) {
            first
        } else {
            second
        }
        .clone()
    }

    async fn advance(&self, by: Duration) {
        tokio::time::sleep(by).await;
    }
}

portcullis_core::store_conformance!(InRedis::start());
