//! Lists and logs come over a connection of their own, so that nothing waits behind them.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::time::Duration;

use portcullis_core::{
    Bucket,
    store::{Activity, Create, Listed, Loaded, LogQuery, Others, Store, StoreErrorKind, Touch},
};
use portcullis_redis::{
    RedisStore,
    testing::{TestCluster, TestServer, TestWire, wait_until},
};
use support::{
    LIMITS, connect_to, create_owned, key_of, kind, live, nodes::user_on, owned, server_and_store,
    write_of,
};

/// The numbers of all connections but the one that asks.
fn connections(server: &TestServer) -> Vec<String> {
    let list = server.cli(&["CLIENT", "LIST"]).text();
    let others = list
        .lines()
        .filter(|line| !line.contains(" cmd=client|list "));
    let number = |line: &str| line.split([' ', '=']).nth(1).map(str::to_owned);
    others.filter_map(number).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_short_goes_through_while_a_long_answer_is_waited_for() {
    let server = TestServer::start();
    let wire = TestWire::to(&server);
    // Longer than a busy machine takes for all of this.
    let builder = RedisStore::builder(wire.url()).wait(Duration::from_secs(10));
    let store = builder.connect().await.unwrap();
    let (key, meta, _) = create_owned(&store, "alice").await;
    for (mark, long) in [
        ("ZRANGE", 0),
        ("GETRANGE", 0),
        ("ZRANGEBYSCORE", 1),
        ("ZRANGEBYSCORE", 2),
        ("XREVRANGE", 3),
    ] {
        let held = wire.hold(mark);
        let asking = store.clone();
        let answer = tokio::spawn(async move {
            match long {
                0 => asking.list(&"alice".into()).await.map(drop),
                1 => asking.users(Bucket::of(&"alice".into())).await.map(drop),
                2 => asking.sweep().await.map(drop),
                _ => asking.read_log(&LogQuery::default()).await.map(drop),
            }
        });
        held.reached();
        live(&store, &key).await;
        store
            .touch(Touch::new(&key, &meta, Activity::Active))
            .await
            .unwrap();
        assert!(!answer.is_finished(), "{mark} {long}");
        drop(held);
        answer.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn the_second_connection_is_there_when_it_is_needed_for_all_and_half_a_minute_longer() {
    let (server, store) = server_and_store().await;
    let (key, ..) = create_owned(&store, "alice").await;
    live(&store, &key).await;
    assert_eq!(store.load(&support::key()).await.unwrap(), Loaded::Absent);
    let first = connections(&server);
    assert_eq!(first.len(), 1);
    let alice = "alice".into();
    let (sessions, users, swept) = tokio::join!(
        store.list(&alice),
        store.users(Bucket::of(&alice)),
        store.sweep(),
    );
    assert_eq!((sessions.unwrap().len(), users.unwrap().len()), (1, 1));
    swept.unwrap();
    let both = connections(&server);
    assert_eq!(both.len(), 2);
    for passed in [20, 20, 20] {
        pass(Duration::from_secs(passed)).await;
        store.list(&alice).await.unwrap();
        assert_eq!(connections(&server), both);
    }
    pass(Duration::from_secs(31)).await;
    wait_until("it is closed", || connections(&server) == first).await;
    store.list(&alice).await.unwrap();
    assert_eq!(connections(&server).len(), 2);
}

#[tokio::test]
async fn a_second_connection_that_the_server_has_closed_is_opened_anew() {
    let (server, store) = server_and_store().await;
    let (key, ..) = create_owned(&store, "alice").await;
    let first = connections(&server);
    for _ in 0..5 {
        assert_eq!(store.list(&"alice".into()).await.unwrap().len(), 1);
        for second in connections(&server) {
            if !first.contains(&second) {
                server.cli(&["CLIENT", "KILL", "ID", &second]);
            }
        }
    }
    live(&store, &key).await;
}

#[tokio::test]
async fn where_there_can_be_no_second_connection_lists_fail_and_nothing_else() {
    let (server, store) = server_and_store().await;
    let (key, meta, _) = create_owned(&store, "alice").await;
    server.cli(&["CONFIG", "SET", "maxclients", "1"]);
    for _ in 0..3 {
        let listed = store.list(&"alice".into()).await;
        let error = listed.as_ref().unwrap_err().to_string();
        assert!(error.contains("second connection"), "{error}");
        assert_eq!(kind(listed), StoreErrorKind::Unavailable);
        live(&store, &key).await;
        store
            .touch(Touch::new(&key, &meta, Activity::Active))
            .await
            .unwrap();
        assert!(format!("{store:?}").contains("down: false"));
    }
}

#[tokio::test]
async fn an_answer_that_does_not_come_fails_alone_and_in_time() {
    let server = TestServer::start();
    let wire = TestWire::to(&server);
    let store = RedisStore::builder(wire.url()).wait(Duration::from_secs(1));
    let store = store.connect().await.unwrap();
    let (key, ..) = create_owned(&store, "alice").await;
    store.list(&"alice".into()).await.unwrap();
    let held = wire.hold("ZRANGE");
    let listed = store.list(&"alice".into()).await;
    assert_eq!(kind(listed), StoreErrorKind::Unavailable);
    live(&store, &key).await;
    // Over another connection.
    assert_eq!(store.list(&"alice".into()).await.unwrap().len(), 1);
    drop(held);
}

#[tokio::test]
async fn of_large_sessions_a_list_has_the_beginning() {
    let (server, store) = server_and_store().await;
    let large = vec![b'p'; 60_000];
    for _ in 0..10 {
        let write = write_of(&owned(&store, "alice"), large.clone());
        let key = key_of("alice");
        store
            .create(Create::new(&key, &write, LIMITS, &Others::Stay))
            .await
            .unwrap();
    }
    server.cli(&["CONFIG", "RESETSTAT"]);
    let listed = store.list(&"alice".into()).await.unwrap();
    assert_eq!(listed.len(), 10);
    for one in &listed {
        assert_eq!(one.stored.payload, large.split_at(Listed::PAYLOAD).0);
    }
    let stats = server.cli(&["INFO", "stats"]).text();
    let sent = |line: &str| line.strip_prefix("total_net_output_bytes:")?.parse().ok();
    let sent: usize = stats.lines().find_map(sent).unwrap();
    assert!(sent < 40_000, "{sent}");
}

#[tokio::test]
async fn a_list_of_many_sessions_is_whole_and_leaves_out_what_is_none() {
    let (server, store) = server_and_store().await;
    for _ in 0..1203 {
        create_owned(&store, "alice").await;
    }
    let gone = store.list(&"alice".into()).await.unwrap();
    assert_eq!(gone.len(), 1203);
    let spelled = |at: usize| support::spelled(&gone.get(at).unwrap().key);
    server.cli(&["DEL", &spelled(0)]);
    server.cli(&["SET", &spelled(600), "no session"]);
    server.cli(&["DEL", &spelled(1202)]);
    server.cli(&["LPUSH", &spelled(1202), "of another type"]);
    assert_eq!(store.list(&"alice".into()).await.unwrap().len(), 1200);
}

#[tokio::test]
async fn in_a_cluster_each_node_has_a_second_connection_when_it_is_needed() {
    let cluster = TestCluster::start(3, 0);
    let store = connect_to(cluster.url()).await;
    let count = || {
        let nodes = cluster.nodes.iter();
        nodes
            .map(|node| connections(node).len())
            .collect::<Vec<_>>()
    };
    let before = count();
    let user = user_on(&cluster, 1, "alice");
    create_owned(&store, user.clone()).await;
    assert_eq!(count(), before);
    for _ in 0..2 {
        assert_eq!(store.list(&user).await.unwrap().len(), 1);
        let [first, second, third] = before[..] else {
            panic!("{before:?}")
        };
        assert_eq!(count(), [first, second + 1, third]);
    }
    store.sweep().await.unwrap();
    assert_eq!(count(), before.iter().map(|it| it + 1).collect::<Vec<_>>());
}

/// Lets this much time pass for tasks, and none for the server.
async fn pass(time: Duration) {
    tokio::time::sleep(Duration::from_millis(20)).await;
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}
