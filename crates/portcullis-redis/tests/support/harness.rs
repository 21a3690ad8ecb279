//! A server for the contract of every store, whose clock the test sets.
#![allow(clippy::unwrap_used, unreachable_pub)]

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use portcullis_core::{
    Bucket, SessionHandle, SessionId, SessionMeta,
    store::{Activity, ClockBounds, Store, Touch, conformance::Harness},
};
use portcullis_redis::RedisStore;
use tokio::task::yield_now;

use crate::clock::TestClock;

/// Longer than an answer takes on any machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// A Redis that a rule has to itself, and its clock.
pub trait Timed: Send + Sync {
    fn clock(&self) -> &TestClock;
}

/// Two stores on one server or cluster, handed out in turns.
pub struct InRedis {
    stores: [RedisStore; 2],
    turn: AtomicBool,
    server: Box<dyn Timed>,
}

impl InRedis {
    /// At this address, where `server` is.
    pub async fn on(server: impl Timed + 'static, url: &str, prefix: &str) -> Self {
        let connect = async || {
            // What is tested here is what the store answers, not how fast a busy machine lets it.
            let builder = RedisStore::builder(url).wait(Duration::from_secs(10));
            builder.key_prefix(prefix).connect().await.unwrap()
        };
        Self {
            stores: [connect().await, connect().await],
            turn: AtomicBool::new(false),
            server: Box::new(server),
        }
    }
}

/// Asks something of a random node. Each answer tells its time, also the first after a jump, which is that nobody waited
/// this long.
async fn ask(store: &RedisStore) {
    let unknown = SessionId::generate(Bucket::random().unwrap()).unwrap();
    let nobody = SessionMeta::new(SessionHandle::from_bytes(*b"twelve bytes"), None);
    let _ = store
        .touch(Touch::new(&unknown.key(), &nobody, Activity::Active))
        .await;
}

impl Harness for InRedis {
    type Store = RedisStore;

    /// The server's clock runs on while a rule is carried out, on a busy machine for long.
    const TOLERANCE: Duration = Duration::from_secs(3);

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
        const KNOWN_TO: Duration = Duration::from_millis(200);
        let until = self.stores.each_ref();
        let until = until.map(|store| (store, store.clock().earliest.after(by)));
        self.server.clock().advance(by);
        let since = Instant::now();
        for (store, until) in until {
            let knows = || {
                let ClockBounds { earliest, latest } = store.clock();
                earliest >= until && latest.since(earliest) <= KNOWN_TO
            };
            // After the answer, since one from before may just have come as well: it must not be read later.
            while !knows() {
                assert!(since.elapsed() < PATIENCE, "time does not pass");
                ask(store).await;
                yield_now().await;
            }
        }
    }
}
