//! A server for the contract of every store, in real time.
#![allow(clippy::unwrap_used, unreachable_pub)]

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use portcullis_core::store::conformance::Harness;
use portcullis_redis::RedisStore;

/// Two stores on one server or cluster, handed out in turns.
pub struct InRedis {
    _server: Arc<dyn Send + Sync>,
    stores: [RedisStore; 2],
    turn: AtomicBool,
}

impl InRedis {
    /// At this address, where `server` is.
    pub async fn on(server: Arc<dyn Send + Sync>, url: &str, prefix: &str) -> Self {
        let connect = async || {
            // What is tested here is what the store answers, not how fast a busy machine lets it.
            let builder = RedisStore::builder(url).wait(Duration::from_secs(5));
            builder.key_prefix(prefix).connect().await.unwrap()
        };
        Self {
            stores: [connect().await, connect().await],
            _server: server,
            turn: AtomicBool::new(false),
        }
    }
}

impl Harness for InRedis {
    type Store = RedisStore;

    const TOLERANCE: Duration = Duration::from_millis(90);
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
