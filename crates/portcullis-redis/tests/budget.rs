//! Visitors without a user leave room for those who sign in.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

mod support;

use std::time::Duration;

use portcullis_core::{
    Bucket, SessionId, SessionIdHash,
    store::{
        Activity, Create, Created, Deadline, Others, Replace, Replaced, ReplacedSession, Store,
        StoreError, StoreErrorKind,
    },
};
use portcullis_redis::{
    RedisStore,
    testing::{TestCluster, TestServer, wait_until},
};
use support::{
    Anonymous, LIMITS, anonymous, connect, connect_to, create, create_owned, key, key_of, live,
    nodes::{key_on, user_on},
    owned, payload, server_and_store, write_of,
};

fn number(server: &TestServer, name: &str) -> u64 {
    let info = server.cli(&["INFO", "memory"]).text();
    let value = info.lines().find_map(|line| line.strip_prefix(name));
    value.unwrap().trim().parse().unwrap()
}

/// Stores so much that what the server itself needs now and then does not matter.
fn fill(server: &TestServer, key: &str) {
    server.cli(&["SETRANGE", key, "20000000", "x"]);
}

/// Sets the limit of the memory so that this much of it is used, in percent.
fn use_of(server: &TestServer, percent: u64) {
    let limit = (number(server, "used_memory:") * 100 / percent).to_string();
    server.cli(&["CONFIG", "SET", "maxmemory", &limit]);
}

fn anywhere() -> SessionIdHash {
    SessionId::generate(Bucket::random().unwrap())
        .unwrap()
        .key()
}

/// How often the server has refused to tell of itself.
fn rejected(server: &TestServer) -> u64 {
    let stats = server.cli(&["INFO", "commandstats"]).text();
    let line = |line: &&str| line.starts_with("cmdstat_info:");
    let line = stats.lines().find(line).unwrap_or_default().to_owned();
    let rejected = line.split("rejected_calls=").nth(1);
    rejected.map_or(0, |it| it.split(',').next().unwrap().parse().unwrap())
}

async fn visit(store: &RedisStore, key: &SessionIdHash) -> Result<Created, StoreError> {
    store.create_anonymous(key, payload(), LIMITS).await
}

/// Waits until visitors are refused, or welcome.
async fn until_visitors_are(refused: bool, store: &RedisStore, key: impl Fn() -> SessionIdHash) {
    for _ in 0..2000 {
        match visit(store, &key()).await {
            Err(error) if refused => {
                assert_eq!(error.kind(), StoreErrorKind::Full);
                assert!(error.to_string().contains("kept for sign-ins"), "{error}");
                return;
            }
            Ok(_) if !refused => return,
            _ => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
    panic!("not yet");
}

#[tokio::test]
async fn above_the_line_visitors_are_refused_and_nobody_else_and_below_it_they_are_welcome_again() {
    let (server, store) = server_and_store().await;
    let visitor = key();
    let (_, revision) = create(&store, &visitor).await;
    fill(&server, "something else");
    use_of(&server, 80);
    until_visitors_are(true, &store, key).await;
    // Those who are in stay in, and may sign in.
    let committed = store
        .commit_anonymous(&visitor, revision, payload(), Activity::Active)
        .await;
    assert!(committed.is_ok(), "{committed:?}");
    create_owned(&store, "alice").await;
    let old = ReplacedSession {
        key: visitor,
        meta: anonymous(),
        expected: live(&store, &visitor).await.revision,
        note: None,
    };
    let write = write_of(&owned(&store, "bob"), payload());
    let (new, restart) = (key_of("bob"), Deadline::Restart(LIMITS));
    let signed_in = store.replace(Replace::new(&old, &new, &write, restart, &Others::Stay));
    let signed_in = signed_in.await.unwrap();
    assert!(matches!(signed_in, Replaced::Done(..)), "{signed_in:?}");
    use_of(&server, 60);
    until_visitors_are(false, &store, key).await;
}

#[tokio::test]
async fn a_flood_of_visitors_is_stopped_before_memory_is_full() {
    let server = TestServer::start_with(&["--maxmemory", "24mb"]);
    let store = connect(&server).await;
    let mut visitors = 0;
    let large = vec![b'v'; 4096];
    let refused = loop {
        let (meta, key) = (anonymous(), anywhere());
        match store
            .create(Create::new(
                &key,
                &write_of(&meta, large.clone()),
                LIMITS,
                &Others::Stay,
            ))
            .await
        {
            Ok(_) => visitors += 1,
            Err(refused) => break refused.error,
        }
    };
    assert!(
        refused.to_string().contains("kept for sign-ins"),
        "{refused}"
    );
    let percent = number(&server, "used_memory:") * 100 / (24 << 20);
    assert!((75..100).contains(&percent), "{percent} % after {visitors}");
    println!("visitors of 4 KiB let in to 24 MiB: {visitors}; then {percent} % are used");
    let (alice, ..) = create_owned(&store, "alice").await;
    live(&store, &alice).await;
    server.cli(&["FLUSHALL"]);
    until_visitors_are(false, &store, key).await;
}

#[tokio::test]
async fn where_there_is_no_limit_or_something_is_evicted_visitors_are_always_welcome() {
    let (server, store) = server_and_store().await;
    fill(&server, "something else");
    use_of(&server, 80);
    until_visitors_are(true, &store, key).await;
    server.cli(&["CONFIG", "SET", "maxmemory-policy", "volatile-ttl"]);
    until_visitors_are(false, &store, key).await;
    server.cli(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    until_visitors_are(true, &store, key).await;
    server.cli(&["CONFIG", "SET", "maxmemory", "0"]);
    until_visitors_are(false, &store, key).await;
}

#[tokio::test]
async fn a_server_that_does_not_tell_how_full_it_is_is_asked_seldom_and_refuses_nobody() {
    let server = TestServer::start();
    server.cli(&[
        "ACL", "SETUSER", "app", "on", ">secret", "~*", "&*", "+@all", "-info",
    ]);
    let url = format!("redis://app:secret@127.0.0.1:{}", server.port());
    // However busy the machine is, it does not look like an outage.
    let builder = RedisStore::builder(&url).wait(Duration::from_secs(5));
    let store = builder.connect().await.unwrap();
    fill(&server, "something else");
    use_of(&server, 80);
    // By the client library, at the start, and by who watches it.
    wait_until("it was asked", || rejected(&server) == 3).await;
    for _ in 0..1000 {
        assert!(visit(&store, &key()).await.is_ok());
    }
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(rejected(&server), 3);
}

#[tokio::test]
async fn in_a_cluster_each_node_counts_for_itself() {
    let cluster = TestCluster::start(3, 0);
    let store = connect_to(cluster.url()).await;
    let alice = user_on(&cluster, 0, "alice");
    let there = format!("{{{:x}}}", key_on(&cluster, 0).bucket().number());
    fill(&cluster.nodes[0], &there);
    use_of(&cluster.nodes[0], 80);
    until_visitors_are(true, &store, || key_on(&cluster, 0)).await;
    assert!(visit(&store, &key_on(&cluster, 1)).await.is_ok());
    create_owned(&store, alice).await;
}
