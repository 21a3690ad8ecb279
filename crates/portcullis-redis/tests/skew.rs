//! Servers whose clocks were set, and nodes of a cluster whose clocks do not agree.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

#[path = "support/clock.rs"]
mod clock;
mod support;

use std::{
    ops::Deref,
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use clock::TestClock;
use portcullis_core::store::{Activity, Deadline, Loaded, Replaced, Store};
use portcullis_redis::{
    RedisStore, Subject, Verdict,
    testing::{TestCluster, TestServer},
};
use support::{
    Anonymous, create, create_with, limits,
    nodes::{key_on, revokes_what_is_older, user_on},
    payload, spelled,
};
use tokio::sync::Mutex;

/// By how many seconds the clock of each node is ahead.
const AHEAD: [i64; 3] = [0, 5, -7];

struct Skewed {
    cluster: TestCluster,
    _clocks: [TestClock; 3],
}

impl Deref for Skewed {
    type Target = TestCluster;

    fn deref(&self) -> &TestCluster {
        &self.cluster
    }
}

async fn cluster() -> Arc<Skewed> {
    static CLUSTER: Mutex<Weak<Skewed>> = Mutex::const_new(Weak::new());
    let mut cluster = CLUSTER.lock().await;
    if let Some(cluster) = cluster.upgrade() {
        return cluster;
    }
    let clocks = AHEAD.map(TestClock::ahead_by);
    let environments = clocks.each_ref().map(TestClock::environment);
    let started = Arc::new(Skewed {
        cluster: TestCluster::start_in(&environments.each_ref().map(|variables| &variables[..])),
        _clocks: clocks,
    });
    *cluster = Arc::downgrade(&started);
    started
}

async fn connect(cluster: &TestCluster) -> RedisStore {
    RedisStore::connect(cluster.url()).await.unwrap()
}

/// In ms.
fn clock_of(cluster: &TestCluster, node: usize) -> u64 {
    time_of(&cluster.nodes[node], &["TIME"])
}

/// In ms, as this command tells it.
fn time_of(server: &TestServer, command: &[&str]) -> u64 {
    let time = server.cli(command).texts();
    let [seconds, micros] = [0, 1].map(|part: usize| time[part].parse::<u64>().unwrap());
    seconds * 1000 + micros / 1000
}

#[test]
fn all_that_a_server_does_in_time_follows_the_clock_that_is_set() {
    const DAY: u64 = 24 * 60 * 60 * 1000;
    let clock = TestClock::new();
    let server = TestServer::start_in(&[], &clock.environment());
    let [asked, in_a_script] = [&["TIME"][..], &["EVAL", "return redis.call('TIME')", "0"]];
    let before = time_of(&server, asked);
    for (key, days) in [("first", 1), ("second", 2), ("third", 3)] {
        server.cli(&["SET", key, "", "PXAT", &(before + days * DAY).to_string()]);
    }
    server.cli(&["PEXPIREAT", "second", &(before + DAY).to_string()]);

    // A key expires after its millisecond, and all this may take less than one.
    clock.advance(Duration::from_millis(DAY + 1));
    for command in [asked, in_a_script] {
        let passed = time_of(&server, command) - before;
        assert!((DAY..DAY + 60_000).contains(&passed), "{passed}");
    }
    let there = server.cli(&["EXISTS", "first", "second", "third"]);
    assert_eq!(there.integer(), 1);
    clock.advance(Duration::from_millis(2 * DAY));
    // Nobody looks at the third.
    let since = Instant::now();
    while server.cli(&["DBSIZE"]).integer() > 0 {
        assert!(since.elapsed() < Duration::from_secs(20), "it is kept");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_time_of_all_is_that_of_the_clock_that_is_ahead() {
    let cluster = cluster().await;
    let store = connect(&cluster).await;
    let clocks = [0, 1, 2].map(|node| clock_of(&cluster, node));
    assert!(
        clocks[1] - clocks[0] > 4500 && clocks[0] - clocks[2] > 6500,
        "{clocks:?}"
    );
    let (before, now, after) = (
        clock_of(&cluster, 1),
        store.now().as_millis(),
        clock_of(&cluster, 1),
    );
    // Each clock is known to a few ms.
    assert!(
        (before - 5..=after + 50).contains(&now),
        "{before} {now} {after}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_by_the_clock_of_its_node_neither_early_nor_late() {
    let cluster = cluster().await;
    let store = connect(&cluster).await;
    for node in 0..3 {
        let key = key_on(&cluster, node);
        let created = Instant::now();
        create_with(&store, &key, limits(400, 60_000)).await;
        while matches!(store.load(&key).await.unwrap(), Loaded::Live(_)) {
            assert!(created.elapsed() < Duration::from_secs(2));
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let lived = created.elapsed();
        assert!(
            lived > Duration::from_millis(395),
            "on node {node}: {lived:?}"
        );
        assert!(
            lived < Duration::from_millis(700),
            "on node {node}: {lived:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn deadlines_that_move_from_one_clock_to_another_are_never_later() {
    let cluster = cluster().await;
    let store = connect(&cluster).await;
    for (from, to) in [(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)] {
        let (old, new) = (key_on(&cluster, from), key_on(&cluster, to));
        let (_, revision) = create(&store, &old).await;
        let left = |node: usize, key| cluster.nodes[node].cli(&["PTTL", &spelled(key)]).integer();
        let before = left(from, &old);
        let keep = Deadline::Keep(Activity::Passive);
        let replaced = store.replace_anonymous(&old, &new, revision, payload(), keep);
        assert!(matches!(replaced.await.unwrap(), Replaced::Done(..)));
        let after = left(to, &new);
        // Each clock is known to a few ms.
        assert!(
            after <= before + 5,
            "{from} to {to}: {before}, then {after}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_from_before_a_revocation_is_refused_whatever_the_clocks_show() {
    let cluster = cluster().await;
    let store = connect(&cluster).await;
    for node in 0..3 {
        let user = user_on(&cluster, node, "user");
        revokes_what_is_older(&store, &user).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_says_which_clock_is_ahead_of_which() {
    let cluster = cluster().await;
    let findings = RedisStore::builder(cluster.url()).check().await.unwrap();
    let mut clocks = findings
        .iter()
        .filter(|found| found.about == Subject::Clock);
    let together = clocks.next_back().unwrap();
    assert_eq!(together.verdict, Verdict::Warning);
    let [ahead, behind] = [1, 2].map(|node: usize| cluster.nodes[node].port());
    let says = format!("127.0.0.1:{ahead} is 12.0 s ahead of that of 127.0.0.1:{behind}");
    assert!(together.message.contains(&says), "{together:?}");
}
