//! What the tests share.
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    dead_code,
    unreachable_pub,
    reason = "each test uses its part"
)]

use std::time::{Duration, Instant};

use bytes::Bytes;
use portcullis_core::{
    Bucket, SessionId, SessionKey, UserId,
    store::{Created, Limits, Loaded, Revision, Store, StoreError, StoreErrorKind, Stored, Timing},
};
use portcullis_redis::{RedisStore, testing::TestServer};

pub const WAIT: Duration = Duration::from_millis(250);

pub const LIMITS: Limits = Limits {
    idle: Duration::from_secs(30 * 60),
    absolute: Duration::from_secs(24 * 60 * 60),
};

pub fn limits(idle_ms: u64, absolute_ms: u64) -> Limits {
    Limits {
        idle: Duration::from_millis(idle_ms),
        absolute: Duration::from_millis(absolute_ms),
    }
}

/// A key in the bucket of this user.
pub fn key_of(user: &str) -> SessionKey {
    SessionId::generate(Bucket::of(&UserId::from(user)))
        .unwrap()
        .key()
}

pub fn key() -> SessionKey {
    key_of("alice")
}

/// How the key is spelled in Redis: the documentation of the format, written a second time.
pub fn spelled(key: &SessionKey) -> String {
    use base64::Engine;
    let digest = base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(key.digest());
    format!("pc:{{{:x}}}{digest}", key.bucket().number())
}

pub async fn connect(server: &TestServer) -> RedisStore {
    RedisStore::builder(server.url())
        .wait(WAIT)
        .connect()
        .await
        .unwrap()
}

pub async fn server_and_store() -> (TestServer, RedisStore) {
    let server = TestServer::start();
    let store = connect(&server).await;
    (server, store)
}

pub fn payload() -> Bytes {
    Bytes::from_static(b"payload\xff\0\r\n")
}

pub async fn create(store: &RedisStore, key: &SessionKey) -> (Timing, Revision) {
    create_with(store, key, LIMITS).await
}

pub async fn create_with(
    store: &RedisStore,
    key: &SessionKey,
    limits: Limits,
) -> (Timing, Revision) {
    match store.create(key, payload(), limits).await.unwrap() {
        Created::Done(timing, revision) => (timing, revision),
        Created::Taken => panic!("taken"),
    }
}

pub async fn live(store: &RedisStore, key: &SessionKey) -> Stored {
    match store.load(key).await.unwrap() {
        Loaded::Live(stored) => stored,
        other => panic!("not live: {other:?}"),
    }
}

pub fn kind<T: std::fmt::Debug>(result: Result<T, StoreError>) -> StoreErrorKind {
    result.unwrap_err().kind()
}

/// Asserts that the rest of Redis holds nothing without a TTL.
pub fn assert_every_key_expires(server: &TestServer) {
    for key in server.cli(&["KEYS", "*"]).texts() {
        let ttl = server.cli(&["PTTL", &key]).integer();
        assert!(ttl > 0, "{key} has the TTL {ttl}");
    }
}

/// Waits until the store answers again and returns how long that took.
pub async fn healed(store: &RedisStore) -> Duration {
    let since = Instant::now();
    while since.elapsed() < Duration::from_secs(10) {
        if store.load(&key()).await.is_ok() {
            return since.elapsed();
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("the store does not heal");
}

/// Waits until the store knows that it is cut off, and returns how long that took. Each failure on the way
/// is bounded.
pub async fn known_down(store: &RedisStore) -> Duration {
    let since = Instant::now();
    while since.elapsed() < Duration::from_secs(5) {
        let asked = Instant::now();
        assert_eq!(kind(store.load(&key()).await), StoreErrorKind::Unavailable);
        assert!(asked.elapsed() < 2 * WAIT, "{:?}", asked.elapsed());
        if format!("{store:?}").contains("down: true") {
            return since.elapsed();
        }
    }
    panic!("the store does not notice");
}

/// How often the server has carried out a command since it started or since `CONFIG RESETSTAT`.
pub fn calls(server: &TestServer, command: &str) -> u64 {
    let stats = server.cli(&["INFO", "commandstats"]).text();
    let start = format!("cmdstat_{command}:calls=");
    stats
        .lines()
        .find_map(|line| line.strip_prefix(&start)?.split(',').next()?.parse().ok())
        .unwrap_or(0)
}
