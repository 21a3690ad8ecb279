//! The memory store keeps the contract of every store, and its own promises.
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "the exemption for tests does not reach the helpers of an integration test"
)]

use std::{thread, time::Duration};

use portcullis_core::{
    Bucket, EndReason, EventKind, Note, SessionHandle, SessionId, SessionIdHash, SessionMeta,
    store::{
        Activity, Commit, Committed, CommittedSession, Create, Created, CreatedSession, Deadline,
        Ended, Limits, Loaded, LogLimits, LogQuery, ManualClock, MemoryStore, NewLimits,
        Observation, Others, RecordWrite, Replace, Replaced, ReplacedSession, Revision, Store,
        StoreError, StoreErrorKind, Termination, Touch, Touched, conformance::Harness,
    },
};

struct InMemory {
    clock: ManualClock,
    store: MemoryStore,
}

impl InMemory {
    async fn start() -> Self {
        let clock = ManualClock::new();
        let store = MemoryStore::with_clock(&clock);
        Self { clock, store }
    }
}

impl Harness for InMemory {
    type Store = MemoryStore;

    fn store(&self) -> MemoryStore {
        self.store.clone()
    }

    async fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }
}

mod conformance {
    portcullis_core::store_conformance!(super::InMemory::start());

    #[test]
    fn every_rule_of_the_suite_is_in_the_macro() {
        let suite = include_str!("../src/store/conformance/mod.rs");
        let (_, listed) = suite.split_once("@rules $harness;\n").unwrap();
        let (listed, _) = listed.split_once('}').unwrap();
        let mut listed: Vec<_> = listed.split_whitespace().collect();

        let mut written: Vec<_> = [
            include_str!("../src/store/conformance/activating.rs"),
            include_str!("../src/store/conformance/creating.rs"),
            include_str!("../src/store/conformance/ending.rs"),
            include_str!("../src/store/conformance/expiring.rs"),
            include_str!("../src/store/conformance/keeping.rs"),
            include_str!("../src/store/conformance/limiting.rs"),
            include_str!("../src/store/conformance/listening.rs"),
            include_str!("../src/store/conformance/listing.rs"),
            include_str!("../src/store/conformance/logging.rs"),
            include_str!("../src/store/conformance/privileged.rs"),
            include_str!("../src/store/conformance/racing.rs"),
            include_str!("../src/store/conformance/registering.rs"),
            include_str!("../src/store/conformance/replacing.rs"),
            include_str!("../src/store/conformance/resetting.rs"),
            include_str!("../src/store/conformance/revoking.rs"),
            include_str!("../src/store/conformance/settling.rs"),
            include_str!("../src/store/conformance/shortening.rs"),
            include_str!("../src/store/conformance/suspending.rs"),
            include_str!("../src/store/conformance/sweeping.rs"),
        ]
        .into_iter()
        .flat_map(|file| file.split("\npub async fn ").skip(1))
        .map(|rule| rule.split_once('<').unwrap().0)
        .collect();

        listed.sort_unstable();
        written.sort_unstable();
        assert_eq!(listed, written);
    }
}

const LIMITS: Limits = lasting(Duration::from_secs(1800));

const fn lasting(idle: Duration) -> Limits {
    Limits {
        idle,
        absolute: Duration::from_secs(86_400),
    }
}

const KEEP: Deadline = Deadline::Keep(Activity::Active);

fn key() -> SessionIdHash {
    SessionId::generate(Bucket::random().unwrap())
        .unwrap()
        .key()
}

const NAME: SessionHandle = SessionHandle::from_bytes([7; 12]);

const LABEL: SessionMeta = SessionMeta::new(NAME, None);

fn write(payload: &str) -> RecordWrite {
    RecordWrite {
        meta: LABEL,
        payload: payload.to_owned().into(),
        elevated_until: None,
        flagged: false,
        new_limits: NewLimits::default(),
        notes: Vec::new(),
    }
}

async fn create(store: &MemoryStore, limits: Limits) -> (SessionIdHash, Revision) {
    let key = key();
    match store
        .create(Create::new(&key, &write("0"), limits, &Others::Stay))
        .await
    {
        Ok(Created::Done(CreatedSession { revision, .. })) => (key, revision),
        other => panic!("create answered {other:?}"),
    }
}

async fn create_error(store: &MemoryStore) -> StoreError {
    let create = store
        .create(Create::new(&key(), &write(""), LIMITS, &Others::Stay))
        .await;
    create.unwrap_err().error
}

async fn sign_out(store: &MemoryStore, key: &SessionIdHash) {
    let reason = EndReason::SignedOut;
    let termination = Termination {
        key: *key,
        meta: LABEL,
        reason,
        note: Note::of_system(EventKind::Ended(reason)),
        live_until: None,
        version: None,
    };
    let answer = store.end(&termination).await;
    assert_eq!(answer.unwrap(), Ended::Done);
}

#[tokio::test]
async fn s140_a_full_store_refuses_a_new_session_rather_than_end_a_live_one() {
    let store = MemoryStore::new().with_capacity(3);
    let mut sessions = Vec::new();
    for _ in 0..3 {
        sessions.push(create(&store, LIMITS).await);
    }
    let error = create_error(&store).await;
    assert_eq!(error.kind(), StoreErrorKind::Full);
    assert!(error.to_string().contains("raise its capacity"), "{error}");
    assert_eq!(store.live(), 3);
    for (key, _) in sessions {
        assert!(matches!(store.load(&key).await, Ok(Loaded::Live(_))));
    }
}

#[tokio::test]
async fn s026_a_full_store_still_signs_users_in_and_out() {
    let store = MemoryStore::new().with_capacity(1);
    let (old, revision) = create(&store, LIMITS).await;
    let new = key();
    let old = ReplacedSession {
        key: old,
        meta: LABEL,
        expected: revision,
        note: None,
    };
    let moved = store
        .replace(Replace::new(&old, &new, &write("1"), KEEP, &Others::Stay))
        .await;
    let Ok(Replaced::Done(CreatedSession { revision, .. })) = moved else {
        panic!("replace answered {moved:?}");
    };
    let committed = store
        .commit(Commit::new(&new, revision, &write("2"), Activity::Active))
        .await;
    assert!(matches!(committed, Ok(Committed::Done(..))));
    assert!(matches!(
        store
            .touch(Touch::new(&new, &LABEL, Activity::Active))
            .await,
        Ok(Touched::Done(_))
    ));
    sign_out(&store, &new).await;
    create(&store, LIMITS).await;
}

#[tokio::test]
async fn expired_sessions_are_dropped_for_new_ones_and_live_ones_stay() {
    let clock = ManualClock::new();
    let store = MemoryStore::with_clock(&clock).with_capacity(3);
    create(&store, lasting(Duration::from_secs(10))).await;
    let (staying, _) = create(&store, LIMITS).await;
    create(&store, lasting(Duration::from_secs(10))).await;

    clock.advance(Duration::from_millis(9_999));
    assert_eq!(create_error(&store).await.kind(), StoreErrorKind::Full);
    clock.advance(Duration::from_millis(1));
    assert_eq!(store.live(), 1);
    create(&store, LIMITS).await;
    create(&store, LIMITS).await;
    assert_eq!(create_error(&store).await.kind(), StoreErrorKind::Full);
    assert!(matches!(store.load(&staying).await, Ok(Loaded::Live(_))));
}

#[tokio::test]
async fn a_session_that_was_touched_does_not_count_as_expired() {
    let clock = ManualClock::new();
    let store = MemoryStore::with_clock(&clock).with_capacity(1);
    let (key, _) = create(&store, lasting(Duration::from_secs(10))).await;
    clock.advance(Duration::from_secs(9));
    assert!(matches!(
        store
            .touch(Touch::new(&key, &LABEL, Activity::Active))
            .await,
        Ok(Touched::Done(_))
    ));
    clock.advance(Duration::from_secs(9));
    assert_eq!(create_error(&store).await.kind(), StoreErrorKind::Full);
    assert!(matches!(store.load(&key).await, Ok(Loaded::Live(_))));
}

#[tokio::test]
async fn the_reasons_of_ended_sessions_are_kept_until_the_store_is_full() {
    let store = MemoryStore::new().with_capacity(2);
    let (ended, _) = create(&store, LIMITS).await;
    sign_out(&store, &ended).await;

    let (staying, _) = create(&store, LIMITS).await;
    assert_eq!(
        store.load(&ended).await.unwrap(),
        Loaded::Ended {
            reason: EndReason::SignedOut,
            handle: NAME,
            successor: None,
        }
    );
    create(&store, LIMITS).await;
    assert_eq!(store.load(&ended).await.unwrap(), Loaded::Absent);
    assert!(matches!(store.load(&staying).await, Ok(Loaded::Live(_))));
}

async fn read_all(store: &MemoryStore, most: usize) -> Vec<EventKind> {
    let query = LogQuery {
        most,
        ..LogQuery::default()
    };
    let logged = store.read_log(&query).await.unwrap();
    let events = logged.into_iter().map(|logged| logged.event.unwrap().kind);
    events.collect()
}

async fn observe(store: &MemoryStore, kind: EventKind, user: Option<&str>) {
    let observation = Observation {
        session: None,
        user: user.map(Into::into),
        note: Note::of_system(kind),
    };
    store.observe(&observation).await.unwrap();
}

#[tokio::test]
async fn s102_events_without_a_user_do_not_displace_those_of_users_from_the_log() {
    let limits = LogLimits {
        events: 8,
        age: Duration::from_secs(60),
    };
    let store = MemoryStore::new().with_log_limits(limits);
    observe(&store, EventKind::Authenticated, Some("alice")).await;
    for number in 0..100 {
        observe(&store, EventKind::Elevated(number.to_string()), None).await;
    }
    let read = read_all(&store, 1000).await;
    assert_eq!(read.len(), 3, "two without a user and one with");
    assert_eq!(read.last(), Some(&EventKind::Authenticated));
}

#[tokio::test]
async fn of_the_users_with_the_most_events_the_oldest_are_forgotten() {
    let limits = LogLimits {
        events: 8,
        age: Duration::from_secs(60),
    };
    let store = MemoryStore::new().with_log_limits(limits);
    let scope = |user: &str, number: u32| EventKind::Elevated(format!("{user} {number}"));
    for (user, count) in [("alice", 2), ("bob", 100), ("carol", 1), ("dora", 100)] {
        for number in 0..count {
            observe(&store, scope(user, number), Some(user)).await;
        }
    }
    // Each user has three, or fewer if there are no more. The rest of the room is for the newest
    // events.
    let expected = [
        scope("dora", 99),
        scope("dora", 98),
        scope("dora", 97),
        scope("carol", 0),
        scope("bob", 99),
        scope("bob", 98),
        scope("alice", 1),
        scope("alice", 0),
    ];
    assert_eq!(read_all(&store, 1000).await, expected);
    // With more users than the log has room for, each has one at most.
    for number in 0..20 {
        observe(&store, scope("user", number), Some(&number.to_string())).await;
    }
    let newest = (12..20).rev().map(|number| scope("user", number));
    assert_eq!(read_all(&store, 1000).await, newest.collect::<Vec<_>>());
}

#[tokio::test]
async fn a_line_of_the_log_covers_one_day_at_most() {
    let clock = ManualClock::new();
    let store = MemoryStore::with_clock(&clock);
    for _ in 0..50 {
        observe(&store, EventKind::WriteRefused, Some("alice")).await;
        clock.advance(Duration::from_secs(60 * 60));
    }
    let lines = store.read_log(&LogQuery::default()).await.unwrap();
    let counts: Vec<_> = lines.iter().map(|line| line.count).collect();
    assert_eq!(counts, [25, 25]);
}

#[tokio::test]
async fn an_event_that_is_too_old_is_dropped_from_the_log() {
    let clock = ManualClock::new();
    let limits = LogLimits {
        events: 100,
        age: Duration::from_secs(60),
    };
    let store = MemoryStore::with_clock(&clock).with_log_limits(limits);
    for kind in [EventKind::Created, EventKind::Regenerated] {
        observe(&store, kind, None).await;
        clock.advance(Duration::from_secs(30));
    }
    assert_eq!(read_all(&store, 0).await, [EventKind::Regenerated]);
    clock.advance(Duration::from_secs(30));
    assert_eq!(read_all(&store, 0).await, []);
}

#[tokio::test]
async fn without_a_log_everything_else_works() {
    let limits = LogLimits {
        events: 0,
        age: Duration::from_secs(60),
    };
    let store = MemoryStore::new().with_log_limits(limits);
    let (key, _) = create(&store, LIMITS).await;
    sign_out(&store, &key).await;
    observe(&store, EventKind::StoreFailed, Some("alice")).await;
    assert_eq!(read_all(&store, 0).await, []);
}

#[tokio::test]
async fn s099_debug_output_shows_no_session() {
    let store = MemoryStore::new();
    let (key, _) = create(&store, LIMITS).await;
    store
        .create(Create::new(
            &self::key(),
            &write("hunter2"),
            LIMITS,
            &Others::Stay,
        ))
        .await
        .unwrap();
    assert_eq!(
        format!("{store:?}"),
        "MemoryStore { capacity: 100000, realm: Realm(\"id\"), .. }"
    );
    let loaded = format!("{:?}", store.load(&key).await);
    assert!(
        !loaded.contains("payload") && !loaded.contains("hunter2"),
        "{loaded}"
    );
}

#[tokio::test]
async fn on_the_system_clock_sessions_end_by_themselves() {
    let store = MemoryStore::new();
    let (staying, _) = create(&store, LIMITS).await;
    let (ending, _) = create(&store, lasting(Duration::from_millis(20))).await;
    thread::sleep(Duration::from_millis(21));
    assert!(matches!(store.load(&ending).await, Ok(Loaded::Expired(_))));
    assert!(matches!(store.load(&staying).await, Ok(Loaded::Live(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn t80_threads_that_count_up_one_number_lose_nothing() {
    const TIMES: u32 = 500;
    let store = MemoryStore::new();
    let (key, _) = create(&store, LIMITS).await;
    let writers: Vec<_> = (0..4)
        .map(|_| tokio::spawn(count_up(store.clone(), key, TIMES)))
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    assert_eq!(number(&store, &key).await.0, 4 * TIMES);
}

async fn count_up(store: MemoryStore, key: SessionIdHash, times: u32) {
    let mut done = 0;
    while done < times {
        let (current, revision) = number(&store, &key).await;
        let next = (current + 1).to_string();
        match store
            .commit(Commit::new(&key, revision, &write(&next), Activity::Active))
            .await
            .unwrap()
        {
            Committed::Done(..) => done += 1,
            Committed::Conflict(_) => {}
            Committed::Gone => panic!("a commit did not find a live session"),
        }
    }
}

async fn number(store: &MemoryStore, key: &SessionIdHash) -> (u32, Revision) {
    match store.load(key).await {
        Ok(Loaded::Live(stored)) => (
            std::str::from_utf8(&stored.payload)
                .unwrap()
                .parse()
                .unwrap(),
            stored.revision,
        ),
        other => panic!("load answered {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn t01_no_thread_revives_a_session_that_another_ended() {
    for _ in 0..100 {
        let store = MemoryStore::new();
        let (key, revision) = create(&store, LIMITS).await;
        let writers: Vec<_> = (0..3)
            .map(|_| tokio::spawn(write_until_gone(store.clone(), key, revision)))
            .collect();
        tokio::task::yield_now().await;
        sign_out(&store, &key).await;
        for writer in writers {
            writer.await.unwrap();
        }
        assert_eq!(
            store.load(&key).await.unwrap(),
            Loaded::Ended {
                reason: EndReason::SignedOut,
                handle: NAME,
                successor: None,
            }
        );
        assert_eq!(store.live(), 0);
    }
}

async fn write_until_gone(store: MemoryStore, key: SessionIdHash, mut revision: Revision) {
    for _ in 0..1_000_000 {
        store
            .touch(Touch::new(&key, &LABEL, Activity::Active))
            .await
            .unwrap();
        let late = write("late");
        let answer = store.commit(Commit::new(&key, revision, &late, Activity::Active));
        match answer.await.unwrap() {
            Committed::Done(CommittedSession { revision: next, .. }) => revision = next,
            Committed::Conflict(stored) => revision = stored.revision,
            Committed::Gone => return,
        }
    }
    panic!("the session never ended");
}
