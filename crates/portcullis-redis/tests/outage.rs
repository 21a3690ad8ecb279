//! What happens while Redis is away, and after.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

mod support;

use std::time::{Duration, Instant};

use portcullis_core::{
    EndReason,
    store::{
        Activity, Deadline, Loaded, Others, Replace, ReplacedSession, Store, StoreErrorKind, Touch,
    },
};
use portcullis_redis::{
    RedisStore,
    testing::{TestServer, wait_until},
};
use support::{
    Anonymous, LIMITS, WAIT, connect_hastily, create, create_owned, healed, key, kind, known_down,
    live, payload, server_and_hasty_store, write_of,
};
use tokio::task::JoinSet;

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_is_an_error_in_bounded_time_then_at_once_and_the_store_heals_by_itself() {
    let (mut server, store) = server_and_hasty_store().await;
    server.kill();
    let down = known_down(&store).await;
    println!("known to be down after {down:?}");
    assert!(down < Duration::from_millis(1500), "{down:?}");
    for _ in 0..3 {
        let asked = Instant::now();
        assert_eq!(
            kind(store.create_anonymous(&key(), payload(), LIMITS).await),
            StoreErrorKind::Unavailable
        );
        assert_eq!(
            kind(store.touch_anonymous(&key()).await),
            StoreErrorKind::Unavailable
        );
        assert_eq!(
            kind(store.end_anonymous(&key(), EndReason::SignedOut).await),
            StoreErrorKind::Unavailable
        );
        assert!(
            asked.elapsed() < Duration::from_millis(50),
            "{:?}",
            asked.elapsed()
        );
    }
    server.restart();
    let up = healed(&store).await;
    println!("healed after {up:?}");
    assert!(up < Duration::from_secs(3), "{up:?}");
    let key = key();
    create(&store, &key).await;
    live(&store, &key).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hung_server_is_noticed_under_traffic_and_the_store_heals_when_it_goes_on() {
    let (server, store) = server_and_hasty_store().await;
    let key = key();
    create(&store, &key).await;
    server.pause();
    let asked = Instant::now();
    assert_eq!(
        kind(store.touch_anonymous(&key).await),
        StoreErrorKind::Unavailable
    );
    assert!(asked.elapsed() < 2 * WAIT, "{:?}", asked.elapsed());
    println!("known to be down after {:?}", known_down(&store).await);
    // It stays down, whatever comes in, and fails at once.
    let asked = Instant::now();
    for _ in 0..1000 {
        assert_eq!(kind(store.load(&key).await), StoreErrorKind::Unavailable);
    }
    assert!(asked.elapsed() < WAIT, "{:?}", asked.elapsed());
    server.resume();
    println!("healed after {:?}", healed(&store).await);
    live(&store, &key).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_takes_over_from_a_hung_one_is_found() {
    let (mut server, store) = server_and_hasty_store().await;
    server.pause();
    known_down(&store).await;
    server.restart();
    healed(&store).await;
    let key = key();
    create(&store, &key).await;
    live(&store, &key).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_cut_is_restored_within_the_wait_of_the_next_call_or_two() {
    let (server, store) = server_and_hasty_store().await;
    let key = key();
    create(&store, &key).await;
    for _ in 0..3 {
        server.cli(&["CLIENT", "KILL", "TYPE", "normal"]);
        let up = healed(&store).await;
        assert!(up < 2 * WAIT, "{up:?}");
        live(&store, &key).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn time_that_passed_while_the_server_was_away_has_passed() {
    let (server, store) = server_and_hasty_store().await;
    let key = key();
    support::create_with(&store, &key, support::limits(400, 60_000)).await;
    server.pause();
    tokio::time::sleep(Duration::from_millis(450)).await;
    server.resume();
    healed(&store).await;
    assert!(matches!(
        store.load(&key).await.unwrap(),
        Loaded::Expired(_)
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_running_after_the_last_clone_is_dropped() {
    let server = TestServer::start();
    let clients = || {
        let list = server.cli(&["CLIENT", "LIST"]).text();
        // The one that asks is one of them.
        list.lines().count() - 1
    };
    let alive = || {
        tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks()
    };
    let before = alive();
    let store = connect_hastily(&server).await;
    let clone = store.clone();
    drop(store);
    assert!(matches!(clone.load(&key()).await, Ok(Loaded::Absent)));
    assert_eq!(clients(), 1);
    drop(clone);
    let since = Instant::now();
    while clients() > 0 || alive() > before {
        assert!(
            since.elapsed() < Duration::from_secs(2),
            "{} tasks left",
            alive()
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn old_connections_do_not_pile_up_over_outages() {
    let (server, store) = server_and_hasty_store().await;
    for _ in 0..3 {
        server.pause();
        known_down(&store).await;
        server.resume();
        healed(&store).await;
    }
    let since = Instant::now();
    loop {
        let clients = server.cli(&["CLIENT", "LIST"]).text().lines().count() - 1;
        if clients == 1 {
            break;
        }
        assert!(
            since.elapsed() < Duration::from_secs(3),
            "{clients} connections"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_was_not_answered_is_not_sent_a_second_time() {
    let (server, store) = server_and_hasty_store().await;
    let key = key();
    let (_, revision) = create(&store, &key).await;
    server.pause();
    let refused = store
        .commit_anonymous(&key, revision, payload(), Activity::Passive)
        .await;
    assert_eq!(kind(refused), StoreErrorKind::Unavailable);
    server.resume();
    // Not by a key that is not there: why that is so is asked by a script.
    while store.load(&key).await.is_err() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    live(&store, &key).await;
    // One for `create`, one for the commit.
    let calls = support::calls(&server, "evalsha");
    assert!(calls <= 2, "{calls}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_identifier_that_was_asked_for_in_an_outage_leaves_the_session_what_it_was() {
    let (server, store) = server_and_hasty_store().await;
    let (key, meta, expected) = create_owned(&store, "alice").await;
    let before = live(&store, &key).await;
    let old = ReplacedSession {
        key,
        meta: meta.clone(),
        expected,
        note: None,
    };
    server.pause();
    let (new, write) = (support::key(), write_of(&meta, payload()));
    let keep = Deadline::Keep(Activity::Active);
    let failed = store
        .replace(Replace::new(&old, &new, &write, keep, &Others::Stay))
        .await;
    assert_eq!(kind(failed), StoreErrorKind::Unavailable);
    known_down(&store).await;
    server.resume();
    healed(&store).await;
    wait_until("what came of it is undone", || {
        format!("{store:?}").contains("to_withdraw: 0")
    })
    .await;
    assert_eq!(live(&store, &key).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_hangs_for_less_than_the_wait_is_no_outage_for_anybody() {
    let server = TestServer::start();
    let builder = RedisStore::builder(server.url()).wait(Duration::from_secs(5));
    let store = builder.connect().await.unwrap();
    let (key, meta, _) = create_owned(&store, "alice").await;
    server.pause();
    let mut asked = JoinSet::new();
    // Longer than two probes of a store with the usual wait, and than the client library waits by itself.
    for _ in 0..25 {
        let (store, meta) = (store.clone(), meta.clone());
        asked.spawn(async move {
            store.load(&key).await?;
            store
                .touch(Touch::new(&key, &meta, Activity::Active))
                .await?;
            // Over a connection that was not there before.
            store.list(&"alice".into()).await
        });
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(format!("{store:?}").contains("down: false"));
    server.resume();
    while let Some(listed) = asked.join_next().await {
        assert_eq!(listed.unwrap().unwrap().len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_hangs_for_longer_than_a_long_wait_is_an_outage_and_heals() {
    let server = TestServer::start();
    let wait = Duration::from_secs(1);
    let builder = RedisStore::builder(server.url()).wait(wait);
    let store = builder.connect().await.unwrap();
    let (key, meta, _) = create_owned(&store, "alice").await;
    server.pause();
    let asked = Instant::now();
    let refused = store.touch(Touch::new(&key, &meta, Activity::Active)).await;
    assert_eq!(kind(refused), StoreErrorKind::Unavailable);
    assert!(asked.elapsed() >= wait * 9 / 10, "{:?}", asked.elapsed());
    wait_until("it is known", || {
        format!("{store:?}").contains("down: true")
    })
    .await;
    server.resume();
    healed(&store).await;
    live(&store, &key).await;
}

#[test]
fn a_store_whose_runtime_has_ended_says_so_and_what_to_do() {
    let server = TestServer::start();
    let runtime = || tokio::runtime::Runtime::new().unwrap();
    let short = runtime();
    let store = short.block_on(connect_hastily(&server));
    let lasting = runtime();
    let key = lasting.block_on(async {
        let (key, ..) = create_owned(&store, "alice").await;
        store.list(&"alice".into()).await.unwrap();
        key
    });
    drop(short);
    lasting.block_on(async {
        for _ in 0..2 {
            let error = store.load(&key).await.unwrap_err();
            assert_eq!(error.kind(), StoreErrorKind::Misconfigured);
            let says = error.to_string();
            assert!(says.contains("runtime"), "{says}");
            assert!(says.contains("connect on a runtime that lives"), "{says}");
            let error = store.list(&"alice".into()).await.unwrap_err();
            assert_eq!(error.to_string(), says);
        }
        let anew = connect_hastily(&server).await;
        live(&anew, &key).await;
    });
}

#[test]
fn what_a_runtime_began_that_has_ended_since_is_of_no_matter_to_a_store_of_another() {
    let server = TestServer::start();
    let runtime = || tokio::runtime::Runtime::new().unwrap();
    let lasting = runtime();
    let store = lasting.block_on(connect_hastily(&server));
    for _ in 0..3 {
        let passing = runtime();
        let listed = passing.block_on(async {
            create_owned(&store, "alice").await;
            store.list(&"alice".into()).await
        });
        assert!(!listed.unwrap().is_empty());
        drop(passing);
    }
    let connections = server.cli(&["CLIENT", "LIST"]).text().lines().count() - 1;
    assert_eq!(connections, 2);
}
