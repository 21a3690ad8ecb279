//! What the tests share.
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    dead_code,
    unreachable_pub,
    reason = "each test uses its part"
)]

pub mod nodes;
pub mod snapshot;

use std::time::{Duration, Instant};

use bytes::Bytes;
use portcullis_core::{
    Actor, Bucket, EndReason, EventKind, Note, Owner, SessionHandle, SessionId, SessionIdHash,
    SessionMeta, Timestamp, UserId,
    store::{
        Activity, Commit, Committed, Create, Created, CreatedSession, Deadline, Ended, Interrupted,
        Limits, Loaded, NewLimits, Others, RecordWrite, Replace, Replaced, ReplacedSession,
        Revision, Revocation, RevokeScope, Store, StoreError, StoreErrorKind, Stored, Termination,
        Timing, Touch, Touched,
    },
};
use portcullis_redis::{
    RedisStore,
    testing::{Answer, TestServer},
};

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
pub fn key_of(user: impl Into<UserId>) -> SessionIdHash {
    SessionId::generate(Bucket::of(&user.into())).unwrap().key()
}

pub fn key() -> SessionIdHash {
    key_of("alice")
}

/// How the key is spelled in Redis: the documentation of the format, written a second time.
pub fn spelled(key: &SessionIdHash) -> String {
    use base64::Engine;
    let digest = base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(key.digest());
    format!("pc:id:{{{:x}}}{digest}", key.bucket().number())
}

/// What is tested with it is what the store answers, not how fast a busy machine lets it.
pub async fn connect(server: &TestServer) -> RedisStore {
    connect_to(server.url()).await
}

/// As patient as a busy machine asks for.
pub async fn connect_to(url: impl Into<String>) -> RedisStore {
    let builder = RedisStore::builder(url).wait(Duration::from_secs(5));
    builder.connect().await.unwrap()
}

pub async fn server_and_store() -> (TestServer, RedisStore) {
    let server = TestServer::start();
    let store = connect(&server).await;
    (server, store)
}

/// Where the server fails: the store gives up after [`WAIT`].
pub async fn connect_hastily(server: &TestServer) -> RedisStore {
    let builder = RedisStore::builder(server.url()).wait(WAIT);
    builder.connect().await.unwrap()
}

pub async fn server_and_hasty_store() -> (TestServer, RedisStore) {
    let server = TestServer::start();
    let store = connect_hastily(&server).await;
    (server, store)
}

pub fn payload() -> Bytes {
    Bytes::from_static(b"payload\xff\0\r\n")
}

/// The name of every session that has no name of its own.
pub const NAME: SessionHandle = SessionHandle::from_bytes(*b"twelve bytes");

pub fn anonymous() -> SessionMeta {
    SessionMeta::new(NAME, None)
}

/// A session of its own for this user, who authenticated then.
pub fn owned_since(user: impl Into<UserId>, authenticated_at: Timestamp) -> SessionMeta {
    let owner = Owner {
        user: user.into(),
        authenticated_at,
    };
    SessionMeta::new(SessionHandle::from_bytes(rand::random()), Some(owner))
}

pub fn owned(store: &RedisStore, user: impl Into<UserId>) -> SessionMeta {
    owned_since(user, store.clock().earliest)
}

pub fn write_of(meta: &SessionMeta, payload: impl Into<Bytes>) -> RecordWrite {
    RecordWrite {
        meta: meta.clone(),
        payload: payload.into(),
        elevated_until: None,
        flagged: false,
        new_limits: NewLimits::default(),
        notes: vec![Note::new(EventKind::Created, Actor::Client, None)],
    }
}

/// A revocation of all sessions of this user.
pub fn all_of(user: impl Into<UserId>) -> Revocation {
    revocation(user, RevokeScope::All)
}

pub fn revocation(user: impl Into<UserId>, which: RevokeScope) -> Revocation {
    let reason = EndReason::RevokedByOperator;
    Revocation {
        user: user.into(),
        which,
        reason,
        note: Note::new(
            EventKind::Ended(reason),
            Actor::Operator("test".into()),
            None,
        ),
        longest: Some(LIMITS.absolute),
    }
}

pub fn ended(reason: EndReason, handle: SessionHandle) -> Loaded {
    Loaded::Ended {
        reason,
        handle,
        successor: None,
    }
}

/// An end by somebody who has not looked at the session.
pub fn end_of(key: &SessionIdHash, meta: &SessionMeta, reason: EndReason) -> Termination {
    Termination {
        key: *key,
        meta: meta.clone(),
        reason,
        note: ended_note(reason),
        live_until: None,
        version: None,
    }
}

pub fn ended_note(reason: EndReason) -> Note {
    Note::of_system(EventKind::Ended(reason))
}

/// What every test does with sessions without a user, in few words.
pub trait Anonymous {
    async fn create_anonymous(
        &self,
        key: &SessionIdHash,
        payload: Bytes,
        limits: Limits,
    ) -> Result<Created, StoreError>;
    async fn commit_anonymous(
        &self,
        key: &SessionIdHash,
        expected: Revision,
        payload: Bytes,
        activity: Activity,
    ) -> Result<Committed, StoreError>;
    async fn replace_anonymous(
        &self,
        old: &SessionIdHash,
        new: &SessionIdHash,
        expected: Revision,
        payload: Bytes,
        deadline: Deadline,
    ) -> Result<Replaced, StoreError>;
    async fn touch_anonymous(&self, key: &SessionIdHash) -> Result<Touched, StoreError>;
    async fn end_anonymous(
        &self,
        key: &SessionIdHash,
        reason: EndReason,
    ) -> Result<Ended, StoreError>;
}

impl Anonymous for RedisStore {
    async fn create_anonymous(
        &self,
        key: &SessionIdHash,
        payload: Bytes,
        limits: Limits,
    ) -> Result<Created, StoreError> {
        let write = write_of(&anonymous(), payload);
        let created = self
            .create(Create::new(key, &write, limits, &Others::Stay))
            .await;
        created.map_err(|it| it.error)
    }

    async fn commit_anonymous(
        &self,
        key: &SessionIdHash,
        expected: Revision,
        payload: Bytes,
        activity: Activity,
    ) -> Result<Committed, StoreError> {
        let write = write_of(&anonymous(), payload);
        self.commit(Commit::new(key, expected, &write, activity))
            .await
    }

    async fn replace_anonymous(
        &self,
        old: &SessionIdHash,
        new: &SessionIdHash,
        expected: Revision,
        payload: Bytes,
        deadline: Deadline,
    ) -> Result<Replaced, StoreError> {
        let old = ReplacedSession {
            key: *old,
            meta: anonymous(),
            expected,
            note: None,
        };
        let write = write_of(&anonymous(), payload);
        let replaced = self
            .replace(Replace::new(&old, new, &write, deadline, &Others::Stay))
            .await;
        replaced.map_err(|it| it.error)
    }

    async fn touch_anonymous(&self, key: &SessionIdHash) -> Result<Touched, StoreError> {
        self.touch(Touch::new(key, &anonymous(), Activity::Active))
            .await
    }

    async fn end_anonymous(
        &self,
        key: &SessionIdHash,
        reason: EndReason,
    ) -> Result<Ended, StoreError> {
        self.end(&end_of(key, &anonymous(), reason)).await
    }
}

pub async fn create(store: &RedisStore, key: &SessionIdHash) -> (Timing, Revision) {
    create_with(store, key, LIMITS).await
}

pub async fn create_with(
    store: &RedisStore,
    key: &SessionIdHash,
    limits: Limits,
) -> (Timing, Revision) {
    done(store.create_anonymous(key, payload(), limits).await)
}

/// A session of this user, in their bucket.
pub async fn create_owned(
    store: &RedisStore,
    user: impl Into<UserId>,
) -> (SessionIdHash, SessionMeta, Revision) {
    let user = user.into();
    let (key, meta) = (key_of(user.clone()), owned(store, user));
    let write = write_of(&meta, payload());
    let (_, revision) = done(
        store
            .create(Create::new(&key, &write, LIMITS, &Others::Stay))
            .await,
    );
    (key, meta, revision)
}

fn done<E: std::fmt::Debug>(created: Result<Created, E>) -> (Timing, Revision) {
    match created.unwrap() {
        Created::Done(CreatedSession {
            timing, revision, ..
        }) => (timing, revision),
        other => panic!("not created: {other:?}"),
    }
}

pub async fn live(store: &RedisStore, key: &SessionIdHash) -> Stored {
    match store.load(key).await.unwrap() {
        Loaded::Live(stored) => stored,
        other => panic!("not live: {other:?}"),
    }
}

pub fn kind<T: std::fmt::Debug>(result: Result<T, impl Into<Interrupted>>) -> StoreErrorKind {
    let interrupted = result.map_err(Into::into).unwrap_err();
    interrupted.error.kind()
}

/// Asserts that no session and no mark is without a TTL. Lists and logs have none: a server that evicts what
/// has one must not lose them.
pub fn assert_every_key_expires(server: &TestServer) {
    for key in sessions(server) {
        let ttl = server.cli(&["PTTL", &key]).integer();
        assert!(ttl > 0, "{key} has the TTL {ttl}");
    }
}

/// The keys of sessions, and of marks of sessions that ended.
pub fn sessions(server: &TestServer) -> Vec<String> {
    let mut keys = server.cli(&["KEYS", "*"]).texts();
    keys.retain(|key| !key.contains("}:"));
    keys
}

/// The keys of this kind: `x` lists of buckets, `u` lists of users, `e` marks of revocations, `l` and `a` logs.
pub fn lists(server: &TestServer, kind: &str) -> Vec<String> {
    let mut keys = server.cli(&["KEYS", "*"]).texts();
    keys.retain(|key| key.contains(&format!("}}:{kind}")));
    keys
}

/// The members of a list, each with when it is due.
pub fn members(server: &TestServer, list: &str) -> Vec<(Vec<u8>, u64)> {
    let Answer::List(items) = server.cli(&["ZRANGE", list, "0", "-1", "WITHSCORES"]) else {
        panic!("{list} is no list")
    };
    items
        .chunks(2)
        .map(|pair| match pair {
            [Answer::Bytes(member), score] => (member.clone(), score.text().parse().unwrap()),
            other => panic!("{other:?}"),
        })
        .collect()
}

/// How many times a session is in any list.
pub fn in_lists(server: &TestServer, key: &SessionIdHash) -> usize {
    [lists(server, "x"), lists(server, "u")]
        .concat()
        .iter()
        .flat_map(|list| members(server, list))
        .filter(|(member, _)| {
            let mut parts = member.windows(key.digest().len());
            parts.any(|part| part == key.digest())
        })
        .count()
}

/// Asserts that nothing came of a move to this key: nothing is there, and no list knows of it.
pub async fn assert_came_to_nothing(server: &TestServer, store: &RedisStore, key: &SessionIdHash) {
    assert_eq!(store.load(key).await.unwrap(), Loaded::Absent);
    assert_eq!(in_lists(server, key), 0);
}

/// Waits until whatever the store's clock shows is later than all it may have shown before.
pub async fn later(store: &RedisStore) {
    let then = store.clock().latest;
    while store.clock().earliest <= then {
        tokio::time::sleep(Duration::from_millis(1)).await;
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
