//! Nodes of a cluster whose clocks do not agree. Each is made to read another time by a library that is put in front of
//! the one of the system.
#![cfg(target_os = "linux")]
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod support;

use std::{
    fs,
    process::Command,
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use portcullis_core::store::{Activity, Deadline, Loaded, Replaced, Store};
use portcullis_redis::{RedisStore, Subject, Verdict, testing::TestCluster};
use support::{
    Anonymous, create, create_with, limits,
    nodes::{key_on, revokes_what_is_older, user_on},
    payload, spelled,
};
use tokio::sync::Mutex;

/// By how many seconds the clock of each node is ahead.
const AHEAD: [&str; 3] = ["0", "5", "-7"];

const LIBRARY: &str = r#"
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
static struct timespec shifted(void) {
    struct timespec now;
    syscall(SYS_clock_gettime, CLOCK_REALTIME, &now);
    const char *ahead = getenv("CLOCK_AHEAD");
    now.tv_sec += ahead ? atol(ahead) : 0;
    return now;
}
int gettimeofday(struct timeval *tv, void *tz) {
    struct timespec now = shifted();
    tv->tv_sec = now.tv_sec;
    tv->tv_usec = now.tv_nsec / 1000;
    return 0;
}
time_t time(time_t *told) {
    time_t now = shifted().tv_sec;
    if (told) *told = now;
    return now;
}
"#;

async fn cluster() -> Arc<TestCluster> {
    static CLUSTER: Mutex<Weak<TestCluster>> = Mutex::const_new(Weak::new());
    let mut cluster = CLUSTER.lock().await;
    if let Some(cluster) = cluster.upgrade() {
        return cluster;
    }
    let directory = std::env::temp_dir().join(format!("portcullis-skew-{}", std::process::id()));
    fs::create_dir_all(&directory).unwrap();
    let [source, library] = ["clock.c", "clock.so"].map(|name| directory.join(name));
    fs::write(&source, LIBRARY).unwrap();
    let compiled = Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .args([&library, &source])
        .status();
    let compiled = compiled.expect("this test needs a C compiler, as the linker of Rust does");
    assert!(compiled.success());
    let library = library.to_str().unwrap();
    let environments = AHEAD.map(|ahead| [("LD_PRELOAD", library), ("CLOCK_AHEAD", ahead)]);
    let environments = environments.each_ref().map(|environment| &environment[..]);
    let started = Arc::new(TestCluster::start_in(&environments));
    fs::remove_dir_all(&directory).unwrap();
    *cluster = Arc::downgrade(&started);
    started
}

async fn connect(cluster: &TestCluster) -> RedisStore {
    RedisStore::connect(cluster.url()).await.unwrap()
}

/// In ms.
fn clock_of(cluster: &TestCluster, node: usize) -> u64 {
    let time = cluster.nodes[node].cli(&["TIME"]).texts();
    let [seconds, micros] = [0, 1].map(|part: usize| time[part].parse::<u64>().unwrap());
    seconds * 1000 + micros / 1000
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
    assert!(together.says.contains(&says), "{together:?}");
}
