//! The stores the suites run on, each with a way to let time pass.

use std::{fmt::Debug, future::Future, time::Duration};

use portcullis::{
    MemoryStore, RedisStore,
    store::{ManualClock, Store},
};
use portcullis_redis::testing::{Answer, TestServer, TestWire};

use crate::Monitor;

/// A store of its own for one test.
pub trait Backend: Sized + Send + Sync + 'static {
    /// The store's type.
    type Store: Store + Clone + Debug;

    /// An empty one.
    fn start() -> impl Future<Output = Self> + Send;

    /// The store. Clones of it hold the same sessions.
    fn store(&self) -> Self::Store;

    /// A store as another server of the same site would open it.
    fn other_store(&self) -> impl Future<Output = Self::Store> + Send;

    /// Lets `by` pass, as far as sessions are concerned.
    fn advance(&self, by: Duration);

    /// Lets enough time pass that the next change is certainly later than the last one, also where
    /// the clock is known only within bounds.
    fn later(&self) -> impl Future<Output = ()> + Send;

    /// How many sessions are live.
    fn live(&self) -> usize;

    /// All bytes that the store holds, as far as they can be read.
    fn contents(&self) -> Vec<u8>;
}

/// [`MemoryStore`], with a clock that moves only when the test advances it.
pub struct Memory {
    clock: ManualClock,
    store: MemoryStore,
}

impl Memory {
    /// With room for so many sessions.
    pub fn with_capacity(capacity: usize) -> Self {
        let clock = ManualClock::new();
        let store = MemoryStore::with_clock(&clock).with_capacity(capacity);
        Self { clock, store }
    }
}

impl Backend for Memory {
    type Store = MemoryStore;

    async fn start() -> Self {
        Self::with_capacity(100_000)
    }

    fn store(&self) -> MemoryStore {
        self.store.clone()
    }

    async fn other_store(&self) -> MemoryStore {
        self.store.clone()
    }

    fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }

    async fn later(&self) {
        self.clock.advance(Duration::from_millis(1));
    }

    fn live(&self) -> usize {
        self.store.live()
    }

    fn contents(&self) -> Vec<u8> {
        format!("{:?}", self.store).into_bytes()
    }
}

/// [`RedisStore`] on a server of its own.
pub struct Redis {
    server: TestServer,
    store: RedisStore,
}

/// The longest possible wait, so that a machine under load is no outage.
const PATIENT: Duration = Duration::from_secs(10);

impl Redis {
    /// With further options of the server.
    pub async fn with_options(options: &[&str]) -> Self {
        Self::on(TestServer::start_with(options), PATIENT).await
    }

    /// With the store's own bound on every wait.
    pub async fn with_default_wait(options: &[&str]) -> Self {
        let server = TestServer::start_with(options);
        let store = RedisStore::connect(server.url()).await.expect("Redis");
        Self { server, store }
    }

    /// With a wire between the store and the server. [Other stores](Backend::other_store) have
    /// their own.
    pub async fn on_a_wire() -> (Self, TestWire) {
        let server = TestServer::start();
        let wire = TestWire::to(&server);
        let store = Self::open(wire.url(), PATIENT).await;
        (Self { server, store }, wire)
    }

    async fn on(server: TestServer, wait: Duration) -> Self {
        let store = Self::open(server.url(), wait).await;
        Self { server, store }
    }

    async fn open(url: String, wait: Duration) -> RedisStore {
        let builder = RedisStore::builder(url).wait(wait);
        builder.connect().await.expect("Redis")
    }

    /// The server.
    pub fn server(&self) -> &TestServer {
        &self.server
    }

    /// The server, to be killed.
    pub fn server_mut(&mut self) -> &mut TestServer {
        &mut self.server
    }

    /// Changes a setting of the server.
    pub fn configure(&self, setting: &str, value: &str) {
        let answer = self.server.cli(&["CONFIG", "SET", setting, value]);
        assert_eq!(answer.text(), "OK");
    }

    /// The keys of sessions and of tombstones. Lists and logs have others.
    pub fn keys(&self) -> Vec<String> {
        let mut keys = self.all_keys();
        keys.retain(|key| !key.contains("}:"));
        keys
    }

    fn all_keys(&self) -> Vec<String> {
        self.server.cli(&["KEYS", "*"]).texts()
    }

    /// Starts to record the commands that are sent to the server.
    pub fn monitor(&self) -> Monitor<'_> {
        Monitor::of(&self.server)
    }

    /// The expiry lists and the lists of users' sessions.
    pub fn lists(&self) -> Vec<String> {
        let mut keys = self.all_keys();
        keys.retain(|key| key.contains("}:x") || key.contains("}:u"));
        keys
    }

    /// Removes a key, as eviction or an operator does.
    pub fn lose_lists_of_users(&self) {
        for key in self.lists().iter().filter(|key| key.contains("}:u")) {
            self.server.cli(&["DEL", key]);
        }
    }
}

impl Backend for Redis {
    type Store = RedisStore;

    async fn start() -> Self {
        Self::with_options(&[]).await
    }

    fn store(&self) -> RedisStore {
        self.store.clone()
    }

    async fn other_store(&self) -> RedisStore {
        Self::open(self.server.url(), PATIENT).await
    }

    fn advance(&self, by: Duration) {
        self.server.age_sessions(by);
    }

    async fn later(&self) {
        let then = self.store.clock().latest;
        while self.store.clock().earliest <= then {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    fn live(&self) -> usize {
        let is_live = |key: &&String| self.server.cli(&["GETRANGE", key, "0", "0"]).text() == "1";
        self.keys().iter().filter(is_live).count()
    }

    fn contents(&self) -> Vec<u8> {
        let mut all = Vec::new();
        for key in self.all_keys() {
            all.extend_from_slice(key.as_bytes());
            all.push(b'\n');
            for command in [
                &["GET", &key][..],
                &["ZRANGE", &key, "0", "-1", "WITHSCORES"],
                &["XRANGE", &key, "-", "+"],
            ] {
                gather(&self.server.cli(command), &mut all);
            }
        }
        all
    }
}

/// All bytes of an answer. The error for a key of another type has none.
fn gather(answer: &Answer, into: &mut Vec<u8>) {
    match answer {
        Answer::Bytes(bytes) => into.extend_from_slice(bytes),
        Answer::List(items) => items.iter().for_each(|item| gather(item, into)),
        Answer::Integer(_) | Answer::Nil | Answer::Error(_) => {}
    }
    into.push(b'\n');
}
