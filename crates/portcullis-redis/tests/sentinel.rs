//! A primary that is found through Sentinels, and found again when it is another one.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout
)]

mod support;

use std::time::{Duration, Instant};

use portcullis_core::{
    EndReason, SessionIdHash,
    store::{Activity, Commit, Committed, Loaded, RevokeScope, Store, StoreErrorKind, Touch},
};
use portcullis_redis::{ConnectError, RedisStore, Subject, Verdict, testing::TestSentinels};
use support::{
    WAIT, all_of, calls, create_owned, live, nodes::stays_ended, payload, revocation, write_of,
};

async fn connect(watched: &TestSentinels) -> RedisStore {
    let builder = RedisStore::builder(watched.url()).wait(WAIT);
    builder.connect().await.unwrap()
}

fn is_primary(watched: &TestSentinels, server: usize) -> bool {
    let info = watched.servers[server].try_cli(&["INFO", "replication"]);
    let info = info.map_or(String::new(), |info| info.text());
    info.contains("role:master")
}

/// Waits until this session can be loaded and touched again, and returns how long that took. No failure on the way
/// takes longer than the wait, and none says that there is no session.
async fn healed(
    store: &RedisStore,
    key: &SessionIdHash,
    meta: &portcullis_core::SessionMeta,
) -> Duration {
    let since = Instant::now();
    while since.elapsed() < Duration::from_secs(20) {
        let asked = Instant::now();
        let kind = match store.load(key).await {
            Ok(Loaded::Live(_)) => match store.touch(Touch::new(key, meta, Activity::Active)).await
            {
                Ok(_) => return since.elapsed(),
                Err(error) => error.kind(),
            },
            Ok(other) => panic!("a wrong answer: {other:?}"),
            Err(error) => error.kind(),
        };
        assert!(
            matches!(kind, StoreErrorKind::Unavailable | StoreErrorKind::ReadOnly),
            "{kind:?}"
        );
        assert!(asked.elapsed() < 3 * WAIT, "{:?}", asked.elapsed());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("the store does not heal");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_is_killed_is_followed_by_the_replica_that_took_its_place() {
    let mut watched = TestSentinels::start();
    let builder = RedisStore::builder(watched.url()).confirm_by_replicas(1);
    let store = builder.connect().await.unwrap();
    let (key, meta, revision) = create_owned(&store, "alice").await;
    let (gone, ..) = create_owned(&store, "alice").await;
    let others = revocation("alice", RevokeScope::AllBut(meta.handle));
    let receipt = store.revoke(&others).await.unwrap();
    assert!(receipt.copies.unwrap().are_enough());
    // One that is away is no matter.
    watched.sentinels[0].pause();
    watched.servers[0].kill();
    println!(
        "healed {:?} after the kill",
        healed(&store, &key, &meta).await
    );
    watched.sentinels[0].resume();
    assert!(is_primary(&watched, 1));
    assert!(matches!(
        store.load(&gone).await.unwrap(),
        Loaded::Ended {
            reason: EndReason::RevokedByOperator,
            ..
        }
    ));
    let write = write_of(&meta, payload());
    let committed = store.commit(Commit::new(&key, revision, &write, Activity::Active));
    assert!(matches!(committed.await.unwrap(), Committed::Done(..)));
    // What comes back at the old address is a replica, and nobody asks it.
    watched.servers[0].restart();
    watched.wait_until("the old primary follows", |all| !is_primary(all, 0));
    let until = Instant::now() + Duration::from_millis(1500);
    while Instant::now() < until {
        live(&store, &key).await;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(calls(&watched.servers[0], "get"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_come_from_whoever_is_the_primary() {
    let watched = TestSentinels::start();
    let store = connect(&watched).await;
    let (key, meta, _) = create_owned(&store, "alice").await;
    assert_eq!(store.list(&"alice".into()).await.unwrap().len(), 1);
    let elsewhere = || calls(&watched.servers[1], "zrange");
    assert_eq!((calls(&watched.servers[0], "zrange"), elsewhere()), (1, 0));
    watched.servers[0].pause();
    healed(&store, &key, &meta).await;
    let before = elsewhere();
    assert_eq!(store.list(&"alice".into()).await.unwrap().len(), 1);
    assert_eq!(elsewhere(), before + 1);
    watched.servers[0].resume();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_hangs_is_left_and_not_returned_to_when_it_goes_on() {
    let watched = TestSentinels::start();
    let store = connect(&watched).await;
    let (key, meta, _) = create_owned(&store, "alice").await;
    watched.servers[0].pause();
    println!(
        "healed {:?} after the hang",
        healed(&store, &key, &meta).await
    );
    store.revoke(&all_of("alice")).await.unwrap();
    watched.servers[0].resume();
    stays_ended(&store, &key).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_was_replaced_while_it_could_still_be_reached_is_left() {
    let watched = TestSentinels::start();
    let store = connect(&watched).await;
    let (key, meta, _) = create_owned(&store, "alice").await;
    let answer = watched.sentinels[0].cli(&["SENTINEL", "FAILOVER", "mymaster"]);
    assert_eq!(answer.text(), "OK");
    watched.wait_until("the replica is the primary", |all| is_primary(all, 1));
    println!("healed after {:?}", healed(&store, &key, &meta).await);
    watched.wait_until("the old primary follows", |all| !is_primary(all, 0));
    healed(&store, &key, &meta).await;
    let before = calls(&watched.servers[0], "get");
    for _ in 0..20 {
        live(&store, &key).await;
    }
    assert_eq!(calls(&watched.servers[0], "get"), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_breaks_is_not_restored_to_a_server_that_became_a_replica() {
    let watched = TestSentinels::start();
    let store = connect(&watched).await;
    let (key, meta, _) = create_owned(&store, "alice").await;
    let demoted = &watched.servers[0];
    // What Sentinel does to a primary that comes back too late. It still has the session.
    demoted.cli(&["REPLICAOF", "127.0.0.1", "1"]);
    demoted.cli(&["CONFIG", "RESETSTAT"]);
    demoted.cli(&["CLIENT", "KILL", "TYPE", "normal"]);
    let since = Instant::now();
    while since.elapsed() < Duration::from_millis(500) {
        let answer = store.load(&key).await;
        assert_eq!(answer.unwrap_err().kind(), StoreErrorKind::Unavailable);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(calls(demoted, "get"), 0);
    demoted.cli(&["REPLICAOF", "NO", "ONE"]);
    healed(&store, &key, &meta).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_sentinels_do_not_name_is_an_error_that_says_so_and_a_check_says_whom_they_name() {
    let watched = TestSentinels::start();
    let url = watched.url();
    let other = RedisStore::connect(url.replace("mymaster", "another")).await;
    let error = other.unwrap_err();
    assert!(matches!(error, ConnectError::Sentinel { .. }), "{error}");
    assert!(error.to_string().contains("another"), "{error}");
    let nobody = "redis-sentinel://127.0.0.1:1?sentinelServiceName=mymaster";
    let error = RedisStore::connect(nobody).await.unwrap_err();
    assert!(matches!(error, ConnectError::Unreachable { .. }), "{error}");
    // One of them is enough to find the primary.
    let mut last = nobody.to_owned();
    last.push_str(&format!("&node=127.0.0.1:{}", watched.sentinels[2].port()));
    RedisStore::connect(last).await.unwrap();
    let findings = RedisStore::builder(&url).check().await.unwrap();
    let mode = findings.iter().find(|found| found.about == Subject::Mode);
    let mode = mode.unwrap();
    assert_eq!(mode.verdict, Verdict::Fine);
    assert!(mode.message.contains("the Sentinels name"), "{mode:?}");
    // A user needs one right more, and Sentinels may ask for a user of their own.
    let primary = &watched.servers[0];
    let limited = async |user: &str, more: &str| {
        let rule = format!(
            "ACL SETUSER {user} on >secret resetkeys ~pc:* resetchannels nocommands +time +info +get {more}"
        );
        let rule: Vec<_> = rule.split_whitespace().collect();
        assert_eq!(primary.cli(&rule).text(), "OK");
        for sentinel in &watched.sentinels {
            let rule = "ACL SETUSER watcher on >other nocommands +sentinel|get-master-addr-by-name";
            let rule: Vec<_> = rule.split_whitespace().collect();
            assert_eq!(sentinel.cli(&rule).text(), "OK");
        }
        let url = url.replacen("://", &format!("://{user}:secret@"), 1);
        let url = format!("{url}&sentinelUsername=watcher&sentinelPassword=other");
        RedisStore::connect(url).await
    };
    let refused = limited("less", "").await;
    assert!(
        matches!(refused, Err(ConnectError::Refused { .. })),
        "{refused:?}"
    );
    limited("enough", "+role").await.unwrap();
}
