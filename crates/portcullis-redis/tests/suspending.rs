//! Suspensions in Redis: what the suite for every store cannot see.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::{num::NonZeroUsize, time::Duration};

use portcullis_core::{
    Actor, Bucket, EndReason, EventKind, UserId,
    store::{
        Activity, Create, Created, Loaded, LogQuery, Others, Resume, Resumed, Store,
        StoreErrorKind, Suspend, Suspension, SuspensionReport, Touch, Touched, UsersAfter,
    },
};
use portcullis_redis::{
    RedisStore,
    testing::{TestServer, wait_until},
};
use support::{
    LIMITS, create_owned, healed, key_of, kind, lists, owned, payload, server_and_hasty_store,
    server_and_store, write_of,
};

async fn suspend(store: &RedisStore, user: &str) -> SuspensionReport {
    let (user, actor) = (UserId::from(user), Actor::Operator("ops".into()));
    let suspend = Suspend::new(&user, &actor).reason(Some("stolen laptop"));
    store.suspend(suspend).await.unwrap()
}

async fn resume(store: &RedisStore, user: &str) -> Resumed {
    let (user, actor) = (UserId::from(user), Actor::Operator("ops".into()));
    store.resume(Resume::new(&user, &actor)).await.unwrap()
}

async fn sign_in(store: &RedisStore, user: &str) -> Created {
    let write = write_of(&owned(store, user), payload());
    let key = key_of(user);
    let create = Create::new(&key, &write, LIMITS, &Others::Stay);
    store.create(create).await.unwrap()
}

async fn suspended(store: &RedisStore, most: usize) -> Vec<Suspension> {
    let most = NonZeroUsize::new(most).unwrap();
    let page = store.suspensions_after(UsersAfter::new(None, most)).await;
    page.unwrap()
}

#[tokio::test]
async fn users_are_suspended_and_resumed_while_redis_is_out_of_memory() {
    let (server, store) = server_and_store().await;
    let (key, ..) = create_owned(&store, "alice").await;
    server.cli(&["CONFIG", "SET", "maxmemory", "1"]);
    let write = write_of(&owned(&store, "bob"), payload());
    let full = store
        .create(Create::new(&key_of("bob"), &write, LIMITS, &Others::Stay))
        .await;
    assert_eq!(kind(full), StoreErrorKind::Full);

    let report = suspend(&store, "alice").await;
    assert!(!report.was_suspended);
    assert_eq!(report.ended.len(), 1);
    let loaded = store.load(&key).await.unwrap();
    assert!(matches!(loaded, Loaded::Ended { .. }), "{loaded:?}");
    assert_eq!(sign_in(&store, "alice").await, Created::Suspended);
    assert_eq!(suspended(&store, 10).await.len(), 1);
    assert_eq!(resume(&store, "alice").await, Resumed::Done);
    assert_eq!(suspended(&store, 10).await, []);

    let query = LogQuery {
        user: Some("alice".into()),
        ..LogQuery::default()
    };
    let logged = store.read_log(&query).await.unwrap();
    let kinds: Vec<_> = logged
        .into_iter()
        .map(|line| line.event.unwrap().kind)
        .collect();
    assert_eq!(
        kinds,
        [
            EventKind::UserResumed,
            EventKind::Ended(EndReason::RevokedByOperator),
            EventKind::UserSuspended(Some("stolen laptop".into())),
            EventKind::Created,
        ]
    );
}

/// Nobody finds a session that both lists have lost, until it is used.
#[tokio::test]
async fn a_session_that_the_lists_have_lost_ends_when_it_is_next_touched() {
    let (server, store) = server_and_store().await;
    let (key, meta, _) = create_owned(&store, "alice").await;
    for kind in ["u", "x"] {
        for list in lists(&server, kind) {
            server.cli(&["DEL", &list]);
        }
    }
    assert_eq!(suspend(&store, "alice").await.ended, []);
    assert!(matches!(store.load(&key).await.unwrap(), Loaded::Live(_)));
    // The marker of the revocation is not needed for it.
    for marker in lists(&server, "e") {
        server.cli(&["DEL", &marker]);
    }
    let touch = Touch::new(&key, &meta, Activity::Active);
    assert_eq!(store.touch(touch).await.unwrap(), Touched::Gone);
    assert!(matches!(
        store.load(&key).await.unwrap(),
        Loaded::Ended {
            reason: EndReason::RevokedByOperator,
            ..
        }
    ));
}

#[tokio::test]
async fn no_key_of_a_suspension_has_a_ttl() {
    let (server, store) = server_and_store().await;
    suspend(&store, "alice").await;
    let keys = server.cli(&["KEYS", "pc:id:*:s*"]).texts();
    assert_eq!(keys.len(), 2, "{keys:?}");
    for key in keys {
        assert_eq!(server.cli(&["PTTL", &key]).integer(), -1, "{key}");
    }
}

/// The list only serves operators. A user whom it has lost is still suspended.
#[tokio::test]
async fn a_lost_list_of_suspended_users_lets_nobody_in_and_is_restored() {
    let (server, store) = server_and_store().await;
    suspend(&store, "alice").await;
    let list = server.cli(&["KEYS", "pc:id:*:s"]).texts();
    server.cli(&["DEL", &list[0]]);
    assert_eq!(suspended(&store, 10).await, []);
    assert_eq!(sign_in(&store, "alice").await, Created::Suspended);
    assert!(suspend(&store, "alice").await.was_suspended);
    assert_eq!(suspended(&store, 10).await.len(), 1);
}

#[tokio::test]
async fn a_listed_user_whose_suspension_was_lost_is_on_no_page() {
    let (server, store) = server_and_store().await;
    for user in ["alice", "bob"] {
        suspend(&store, user).await;
    }
    let lost = suspended(&store, 1).await.remove(0);
    let keys = server.cli(&["KEYS", "pc:id:*:s?*"]).texts();
    let bucket = format!("{{{:x}}}", Bucket::of(&lost.user).number());
    let key = keys.iter().find(|key| key.contains(&bucket)).unwrap();
    server.cli(&["DEL", key]);
    assert_eq!(suspended(&store, 10).await.len(), 1);
    assert_eq!(store.suspension(&lost.user).await.unwrap(), None);
}

#[tokio::test]
async fn a_report_tells_how_many_replicas_have_the_suspension() {
    let primary = TestServer::start();
    let port = primary.port().to_string();
    let replica = TestServer::start_with(&["--replicaof", "127.0.0.1", &port]);
    let builder = RedisStore::builder(primary.url()).confirm_by_replicas(1);
    let store = builder
        .wait(Duration::from_secs(3))
        .connect()
        .await
        .unwrap();
    wait_until("the replica follows", || {
        let info = replica.cli(&["INFO", "replication"]).text();
        info.contains("master_link_status:up")
    })
    .await;
    let report = suspend(&store, "alice").await;
    assert!(report.copies.unwrap().are_enough());
}

/// The caller who was told of the failure can rely on it.
#[tokio::test]
async fn a_suspension_that_failed_does_not_begin_later() {
    let (server, store) = server_and_hasty_store().await;
    server.pause();
    let (user, actor) = (UserId::from("alice"), Actor::System);
    let failed = store.suspend(Suspend::new(&user, &actor)).await;
    assert!(failed.is_err());
    server.resume();
    healed(&store).await;
    assert_eq!(store.suspension(&user).await.unwrap(), None);
}
