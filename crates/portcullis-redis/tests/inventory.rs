//! A user's sessions, listed and ended from outside.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::time::Duration;

use portcullis_core::{
    Bucket, EndReason, EventKind,
    store::{
        Activity, Commit, Create, Created, Expiry, Loaded, LogQuery, OnLimit, Others, ReplicaAcks,
        RevokeScope, SessionLimit, Store, StoreErrorKind, Touch, Touched, UsersAfter,
    },
};
use portcullis_redis::{
    RedisStore,
    testing::{TestServer, TestWire, wait_until},
};
use support::{
    LIMITS, all_of, calls, create_owned, healed, key_of, kind, limits, lists, owned, owned_since,
    payload, revocation, server_and_store, write_of,
};

#[tokio::test]
async fn s066_all_sessions_of_a_user_are_ended_and_those_of_others_are_not() {
    let (_server, store) = server_and_store().await;
    let mut keys = Vec::new();
    for _ in 0..250 {
        keys.push(create_owned(&store, "alice").await.0);
    }
    let (other, ..) = create_owned(&store, "bob").await;
    let receipt = store.revoke(&all_of("alice")).await.unwrap();
    assert_eq!((receipt.ended.len(), receipt.copies), (250, None));
    for key in keys {
        let loaded = store.load(&key).await.unwrap();
        assert!(matches!(
            loaded,
            Loaded::Ended {
                reason: EndReason::RevokedByOperator,
                ..
            }
        ));
    }
    assert!(store.list(&"alice".into()).await.unwrap().is_empty());
    assert!(matches!(store.load(&other).await.unwrap(), Loaded::Live(_)));
}

#[tokio::test]
async fn t07_a_session_that_a_lost_list_does_not_name_does_not_survive_a_revocation_of_all() {
    for lost in [&["u"][..], &["x"], &["u", "x"]] {
        let (server, store) = server_and_store().await;
        let (key, meta, revision) = create_owned(&store, "alice").await;
        for kind in lost {
            for list in lists(&server, kind) {
                server.cli(&["DEL", &list]);
            }
        }
        let receipt = store.revoke(&all_of("alice")).await.unwrap();
        if lost.len() == 1 {
            assert_eq!(receipt.ended, [meta.handle]);
            assert!(matches!(
                store.load(&key).await.unwrap(),
                Loaded::Ended { .. }
            ));
        }
        let write = write_of(&meta, payload());
        let active = Activity::Active;
        let committed = store
            .commit(Commit::new(&key, revision, &write, active))
            .await;
        assert_eq!(committed.unwrap(), portcullis_core::store::Committed::Gone);
        assert!(matches!(
            store.load(&key).await.unwrap(),
            Loaded::Ended { .. }
        ));
    }
}

/// Lists strangers in front of the only session that is listed, due one after the other or all at the same moment as it; and the
/// end of an elevation of `bob`.
const FILL: &str = r"
local due = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')[2]
for i = 0, 2499 do
  local member = 's' .. string.rep('\0', 24) .. string.format('%04d', i) .. '0019a000000'
  redis.call('ZADD', KEYS[1], ARGV[1] == 'at once' and due or due - i, member)
end
redis.call('ZADD', KEYS[1], due, 'e' .. string.rep('\0', 28) .. '0019a000000bob')
";

#[tokio::test]
async fn s068_a_user_is_found_on_whatever_page_of_the_list_of_their_bucket() {
    for due in ["one by one", "at once"] {
        let (server, store) = server_and_store().await;
        create_owned(&store, "alice").await;
        let [list] = lists(&server, "x").try_into().unwrap();
        server.cli(&["EVAL", FILL, "1", &list, due]);
        server.cli(&["CONFIG", "RESETSTAT"]);
        let found = store.users(Bucket::of(&"alice".into())).await.unwrap();
        assert_eq!(found, ["alice"], "{due}");
        assert!(calls(&server, "zrangebyscore") <= 4, "{due}");
    }
}

/// Lists 2500 visitors and 2500 sessions of `bob` around the only session that is listed, due one after the other or all at
/// the same moment as it; and something of a later version.
const CROWD: &str = r"
local due = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')[2]
for i = 0, 4999 do
  local user = i % 2 == 0 and 'bob' or ''
  local member = 'sla' .. string.rep('\0', 24) .. string.format('%04d', i) .. '0019a000000' .. user
  redis.call('ZADD', KEYS[1], ARGV[1] == 'at once' and due or due - 2500 + i, member)
end
redis.call('ZADD', KEYS[1], due, 'sz' .. string.rep('\0', 50))
";

#[tokio::test]
async fn each_session_is_counted_once_on_whatever_page_of_the_list_of_its_bucket() {
    for due in ["one by one", "at once"] {
        let (server, store) = server_and_store().await;
        create_owned(&store, "alice").await;
        let [list] = lists(&server, "x").try_into().unwrap();
        server.cli(&["EVAL", CROWD, "1", &list, due]);
        let counted = store.count().await.unwrap();
        assert_eq!(
            (counted.of_users, counted.of_visitors),
            (2501, 2500),
            "{due}"
        );
        server.cli(&["CONFIG", "RESETSTAT"]);
        let most = 100.try_into().unwrap();
        let users = store
            .users_after(UsersAfter::new(None, most))
            .await
            .unwrap();
        assert_eq!(users, ["alice", "bob"], "{due}");
        // One for each list, and for each further page of the one that has sessions.
        assert!(calls(&server, "zrangebyscore") <= 1024 + 6, "{due}");
    }
}

#[tokio::test]
async fn to_count_takes_one_script_for_each_bucket_and_answers_of_a_few_bytes() {
    let (server, store) = server_and_store().await;
    create_owned(&store, "alice").await;
    store.count().await.unwrap();
    server.cli(&["CONFIG", "RESETSTAT"]);
    store.count().await.unwrap();
    assert_eq!(calls(&server, "evalsha"), 1024);
    assert_eq!(calls(&server, "zrangebyscore"), 1024);
}

#[tokio::test]
async fn t07_a_session_that_its_users_list_has_lost_is_found_on_whatever_page() {
    for due in ["one by one", "at once"] {
        let (server, store) = server_and_store().await;
        let (_, meta, _) = create_owned(&store, "alice").await;
        let [list] = lists(&server, "x").try_into().unwrap();
        server.cli(&["EVAL", FILL, "1", &list, due]);
        for lost in lists(&server, "u") {
            server.cli(&["DEL", &lost]);
        }
        let listed = revocation("alice", RevokeScope::Listed);
        assert_eq!(store.revoke(&listed).await.unwrap().ended, []);
        let receipt = store.revoke(&all_of("alice")).await.unwrap();
        assert_eq!(receipt.ended, [meta.handle], "{due}");
    }
}

#[tokio::test]
async fn whoever_is_active_makes_a_lost_list_anew() {
    let (server, store) = server_and_store().await;
    let (_, meta, _) = create_owned(&store, "alice").await;
    let key = store.list(&"alice".into()).await.unwrap()[0].key;
    for list in [lists(&server, "u"), lists(&server, "x")].concat() {
        server.cli(&["DEL", &list]);
    }
    assert!(store.list(&"alice".into()).await.unwrap().is_empty());
    store
        .touch(Touch::new(&key, &meta, Activity::Active))
        .await
        .unwrap();
    assert_eq!(store.list(&"alice".into()).await.unwrap().len(), 1);
    assert_eq!(lists(&server, "x").len(), 1);
}

#[tokio::test]
async fn a_list_of_a_hundred_sessions_takes_two_round_trips() {
    let (server, store) = server_and_store().await;
    for _ in 0..100 {
        create_owned(&store, "alice").await;
    }
    server.cli(&["CONFIG", "RESETSTAT"]);
    assert_eq!(store.list(&"alice".into()).await.unwrap().len(), 100);
    assert_eq!(
        (calls(&server, "zrange"), calls(&server, "getrange")),
        (1, 100)
    );
    assert_eq!(calls(&server, "get") + calls(&server, "evalsha"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn t76_of_twenty_sign_ins_at_once_under_a_limit_of_three_never_more_can_be_used_and_exactly_three_stay()
 {
    let (_server, store) = server_and_store().await;
    let limit = SessionLimit {
        most: 3.try_into().unwrap(),
        excess: OnLimit::Displace,
    };
    let sign_ins: Vec<_> = (0..20)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move {
                let write = write_of(&owned(&store, "alice"), payload());
                let key = key_of("alice");
                let created = store
                    .create(Create::new(&key, &write, LIMITS, &Others::Limited(limit)))
                    .await;
                assert!(matches!(created.unwrap(), Created::Done(..)));
                key
            })
        })
        .collect();
    let mut answered = Vec::new();
    for sign_in in sign_ins {
        answered.push(sign_in.await.unwrap());
        // Those whose identifier was returned; others are still being created.
        let mut usable = 0;
        for key in &answered {
            usable += usize::from(matches!(store.load(key).await, Ok(Loaded::Live(_))));
        }
        assert!(usable <= 3, "{usable}");
    }
    assert_eq!(store.list(&"alice".into()).await.unwrap().len(), 3);
}

#[tokio::test]
async fn s066_a_sign_in_that_was_under_way_does_not_survive_a_revocation_of_all() {
    let (_server, store) = server_and_store().await;
    let under_way = owned(&store, "alice");
    tokio::time::sleep(Duration::from_millis(5)).await;
    store.revoke(&all_of("alice")).await.unwrap();
    let write = write_of(&under_way, payload());
    let created = store
        .create(Create::new(&key_of("alice"), &write, LIMITS, &Others::Stay))
        .await;
    assert_eq!(created.unwrap(), Created::Revoked);
    create_owned(&store, "alice").await;
}

#[tokio::test]
async fn sessions_are_revoked_while_redis_is_out_of_memory() {
    let (server, store) = server_and_store().await;
    let (key, ..) = create_owned(&store, "alice").await;
    server.cli(&["CONFIG", "SET", "maxmemory", "1"]);
    let write = write_of(&owned(&store, "alice"), payload());
    let created = store
        .create(Create::new(&key_of("alice"), &write, LIMITS, &Others::Stay))
        .await;
    assert_eq!(kind(created), StoreErrorKind::Full);
    let receipt = store.revoke(&all_of("alice")).await.unwrap();
    assert_eq!(receipt.ended.len(), 1);
    assert!(matches!(
        store.load(&key).await.unwrap(),
        Loaded::Ended { .. }
    ));
    let query = LogQuery {
        user: Some("alice".into()),
        ..LogQuery::default()
    };
    let events = store.read_log(&query).await.unwrap();
    assert_eq!(
        events[0].event.as_ref().unwrap().kind,
        EventKind::Ended(EndReason::RevokedByOperator)
    );
}

/// A server, a replica that follows it, and a store that asks for the confirmation of one replica.
async fn replicated(wait: Duration) -> (TestServer, TestServer, RedisStore) {
    let primary = TestServer::start();
    let port = primary.port().to_string();
    let replica = TestServer::start_with(&["--replicaof", "127.0.0.1", &port]);
    let builder = RedisStore::builder(primary.url()).confirm_by_replicas(1);
    let store = builder.wait(wait).connect().await.unwrap();
    wait_until("the replica follows", || {
        let info = replica.cli(&["INFO", "replication"]).text();
        info.contains("master_link_status:up")
    })
    .await;
    (primary, replica, store)
}

#[tokio::test]
async fn a_receipt_tells_how_many_replicas_have_the_revocation() {
    let (_primary, replica, store) = replicated(Duration::from_secs(3)).await;
    create_owned(&store, "alice").await;
    let receipt = store.revoke(&all_of("alice")).await.unwrap();
    let all = ReplicaAcks {
        asked: 1,
        confirmed: 1,
    };
    assert_eq!(receipt.copies, Some(all));
    replica.pause();
    create_owned(&store, "alice").await;
    let receipt = store.revoke(&all_of("alice")).await.unwrap();
    assert_eq!(receipt.ended.len(), 1);
    assert!(!receipt.copies.unwrap().are_enough());
    replica.resume();
}

#[tokio::test]
async fn replicas_are_waited_for_as_long_as_operations_are() {
    let (_primary, replica, store) = replicated(Duration::from_secs(10)).await;
    create_owned(&store, "alice").await;
    replica.pause();
    let revoking = store.clone();
    let receipt = tokio::spawn(async move { revoking.revoke(&all_of("alice")).await });
    // Longer than the client library waits by itself.
    tokio::time::sleep(Duration::from_millis(2600)).await;
    assert!(!receipt.is_finished());
    replica.resume();
    assert!(receipt.await.unwrap().unwrap().copies.unwrap().are_enough());
}

#[tokio::test(flavor = "multi_thread")]
async fn t74_a_backlog_is_told_once_each_though_many_sweep() {
    let (server, store) = server_and_store().await;
    for user in 0..300 {
        let meta = owned_since(format!("user {user}"), store.now());
        let write = write_of(&meta, payload());
        let key = key_of(format!("user {user}"));
        store
            .create(Create::new(
                &key,
                &write,
                limits(60_000, 600_000),
                &Others::Stay,
            ))
            .await
            .unwrap();
    }
    server.age_sessions(Duration::from_secs(61));
    let sweeps: Vec<_> = (0..5)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move { store.sweep().await.unwrap().expired })
        })
        .collect();
    let mut reported = Vec::new();
    for sweep in sweeps {
        reported.extend(sweep.await.unwrap());
    }
    assert_eq!(reported.len(), 300);
    let idle = Expiry::Session(EndReason::IdleTimeout);
    assert!(reported.iter().all(|expired| expired.what == idle));
    assert!(lists(&server, "x").is_empty() && lists(&server, "u").is_empty());
    assert!(store.sweep().await.unwrap().expired.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_that_failed_does_not_touch_who_signed_in_since_however_soon() {
    let (server, store) = server_and_store().await;
    let wire = TestWire::to(&server);
    // Between the end of its patience and that of its wait are 100 ms.
    let slow = RedisStore::builder(wire.url()).wait(Duration::from_secs(2));
    let slow = slow.connect().await.unwrap();
    // The server knows the scripts, so that one message is all.
    store.revoke(&all_of("bob")).await.unwrap();
    let marks = wire.hold("}:e");
    assert_eq!(
        kind(slow.revoke(&all_of("alice")).await),
        StoreErrorKind::Unavailable
    );
    let (key, meta, _) = create_owned(&store, "alice").await;
    drop(marks);
    healed(&slow).await;
    let touched = store
        .touch(Touch::new(&key, &meta, Activity::Active))
        .await
        .unwrap();
    assert!(matches!(touched, Touched::Done(_)), "{touched:?}");
}
