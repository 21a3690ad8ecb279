//! A server that answers, but says no.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::time::Duration;

use bytes::Bytes;
use portcullis_core::{
    EndReason,
    store::{Activity, Committed, Deadline, Ended, Loaded, Store, StoreErrorKind, Touched},
};
use portcullis_redis::{ConnectError, RedisStore, testing::TestServer};
use support::{
    LIMITS, assert_every_key_expires, create, healed, key, key_of, kind, live, payload,
    server_and_store,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_is_read_but_takes_no_writes_and_says_so() {
    let (server, store) = server_and_store().await;
    let key = key();
    let (_, revision) = create(&store, &key).await;
    server.cli(&["REPLICAOF", "127.0.0.1", "1"]);
    let read_only = StoreErrorKind::ReadOnly;
    for _ in 0..3 {
        assert_eq!(
            kind(store.create(&support::key(), payload(), LIMITS).await),
            read_only
        );
        assert_eq!(kind(store.touch(&key).await), read_only);
        assert_eq!(
            kind(
                store
                    .commit(&key, revision, payload(), Activity::Active)
                    .await
            ),
            read_only
        );
        assert_eq!(kind(store.end(&key, EndReason::SignedOut).await), read_only);
        live(&store, &key).await;
    }
    server.cli(&["REPLICAOF", "NO", "ONE"]);
    assert!(matches!(store.touch(&key).await.unwrap(), Touched::Done(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_demoted_server_is_connected_to_anew_because_the_address_may_lead_elsewhere_by_now() {
    let (server, store) = server_and_store().await;
    let client = || {
        let list = server.cli(&["CLIENT", "LIST", "TYPE", "normal"]).text();
        let ids = list.lines().filter(|line| !line.contains("cmd=client"));
        ids.filter_map(|line| line.split(' ').next().map(str::to_owned))
            .collect::<Vec<_>>()
    };
    let key = key();
    create(&store, &key).await;
    let before = client();
    server.cli(&["REPLICAOF", "127.0.0.1", "1"]);
    // Not in the first second after the last connection.
    let since = std::time::Instant::now();
    loop {
        assert_eq!(kind(store.touch(&key).await), StoreErrorKind::ReadOnly);
        let after = client();
        if after.len() == 1 && after != before {
            break;
        }
        assert!(since.elapsed() < Duration::from_secs(5));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn with_memory_full_nothing_new_is_stored_but_sessions_are_read_touched_and_ended() {
    let (server, store) = server_and_store().await;
    let (key, other, elsewhere) = (key(), key(), key_of("bob"));
    let (_, revision) = create(&store, &key).await;
    create(&store, &other).await;
    server.cli(&["CONFIG", "SET", "maxmemory", "1"]);
    let before = live(&store, &key).await;
    let full = StoreErrorKind::Full;
    let large = Bytes::from(vec![0; 10_000]);
    let restart = Deadline::Restart(LIMITS);
    assert_eq!(
        kind(store.create(&support::key(), payload(), LIMITS).await),
        full
    );
    assert_eq!(
        kind(
            store
                .commit(&key, revision, large.clone(), Activity::Active)
                .await
        ),
        full
    );
    assert_eq!(
        kind(
            store
                .replace(&key, &support::key(), revision, large.clone(), restart)
                .await
        ),
        full
    );
    assert_eq!(
        kind(
            store
                .replace(&key, &elsewhere, revision, large, restart)
                .await
        ),
        full
    );
    assert_eq!(live(&store, &key).await, before);
    assert_eq!(server.cli(&["DBSIZE"]).integer(), 2);
    assert!(matches!(store.touch(&key).await.unwrap(), Touched::Done(_)));
    assert_eq!(
        store.end(&key, EndReason::SignedOut).await.unwrap(),
        Ended::Done
    );
    assert_eq!(
        store.load(&key).await.unwrap(),
        Loaded::Ended(EndReason::SignedOut)
    );
    assert_every_key_expires(&server);
    server.cli(&["CONFIG", "SET", "maxmemory", "0"]);
    create(&store, &support::key()).await;
}

/// Everything this crate sends, and nothing else. The README has the same list.
const RIGHTS: &str =
    "+ping +time +info +client|id +get +del +eval +evalsha +set +getrange +setrange +pexpireat";

fn limited(server: &TestServer, user: &str, rights: &str) -> String {
    let rule: Vec<_> = [
        "ACL",
        "SETUSER",
        user,
        "on",
        "resetkeys",
        "~pc:*",
        "resetchannels",
        "nocommands",
    ]
    .into_iter()
    .chain([">s3cret/p:ss"])
    .chain(rights.split(' '))
    .collect();
    assert_eq!(server.cli(&rule).text(), "OK");
    format!("redis://{user}:s3cret%2Fp%3Ass@127.0.0.1:{}", server.port())
}

async fn everything(store: &RedisStore) {
    let (first, second, elsewhere) = (key(), key(), key_of("bob"));
    let (_, revision) = create(store, &first).await;
    live(store, &first).await;
    assert!(matches!(
        store.touch(&first).await.unwrap(),
        Touched::Done(_)
    ));
    let committed = store
        .commit(&first, revision, payload(), Activity::Active)
        .await
        .unwrap();
    let Committed::Done(_, revision) = committed else {
        panic!("{committed:?}")
    };
    let conflict = store.commit(
        &first,
        portcullis_core::store::Revision(revision.0 ^ 1),
        payload(),
        Activity::Active,
    );
    assert!(matches!(conflict.await.unwrap(), Committed::Conflict(_)));
    let keep = Deadline::Keep(Activity::Active);
    let replaced = store
        .replace(&first, &second, revision, payload(), keep)
        .await
        .unwrap();
    let Committed::Done(_, revision) = replaced else {
        panic!("{replaced:?}")
    };
    let restart = Deadline::Restart(LIMITS);
    let gone = store
        .replace(&first, &elsewhere, revision, payload(), restart)
        .await
        .unwrap();
    assert_eq!(gone, Committed::Gone);
    let replaced = store
        .replace(&second, &elsewhere, revision, payload(), restart)
        .await
        .unwrap();
    assert!(matches!(replaced, Committed::Done(..)), "{replaced:?}");
    assert_eq!(
        store.end(&elsewhere, EndReason::SignedOut).await.unwrap(),
        Ended::Done
    );
    assert_eq!(
        store.load(&elsewhere).await.unwrap(),
        Loaded::Ended(EndReason::SignedOut)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_with_the_documented_rights_and_no_others_is_enough() {
    let server = TestServer::start();
    let url = limited(&server, "app", RIGHTS);
    let store = RedisStore::connect(&url).await.unwrap();
    everything(&store).await;
    server.cli(&["CLIENT", "KILL", "TYPE", "normal"]);
    healed(&store).await;
    everything(&store).await;
    assert_eq!(
        server.cli(&["ACL", "LOG"]),
        portcullis_redis::testing::Answer::List(vec![])
    );
}

#[tokio::test]
async fn each_documented_right_is_needed() {
    let server = TestServer::start();
    // PING only for a user without a password; INFO and CLIENT ID are missed without harm.
    for right in RIGHTS
        .split(' ')
        .filter(|right| !["+ping", "+info", "+client|id"].contains(right))
    {
        let rights: Vec<_> = RIGHTS.split(' ').filter(|other| *other != right).collect();
        let url = limited(&server, "app", &rights.join(" "));
        server.cli(&["SCRIPT", "FLUSH"]);
        let refused = match RedisStore::connect(&url).await {
            Err(ConnectError::Refused { .. }) => true,
            Err(other) => panic!("{right}: {other}"),
            Ok(store) => refuses_something(&store).await,
        };
        assert!(refused, "{right}");
    }
}

/// Whether one of the operations fails for want of rights, or an end is not remembered.
async fn refuses_something(store: &RedisStore) -> bool {
    let misconfigured = |error: portcullis_core::store::StoreError| {
        assert_eq!(error.kind(), StoreErrorKind::Misconfigured, "{error}");
        assert!(error.to_string().contains("no right"), "{error}");
    };
    let key = key();
    let revision = match store.create(&key, payload(), LIMITS).await {
        Ok(portcullis_core::store::Created::Done(_, revision)) => revision,
        Ok(other) => panic!("{other:?}"),
        Err(error) => {
            return {
                misconfigured(error);
                true
            };
        }
    };
    let results = [
        store.load(&key).await.map(drop),
        store.touch(&key).await.map(drop),
        store
            .commit(
                &key,
                portcullis_core::store::Revision(revision.0 ^ 1),
                payload(),
                Activity::Active,
            )
            .await
            .map(drop),
        store.end(&key, EndReason::SignedOut).await.map(drop),
    ];
    results
        .into_iter()
        .filter_map(Result::err)
        .map(misconfigured)
        .count()
        > 0
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_changes_under_way_is_an_error_that_heals_when_it_is_changed_back() {
    let server = TestServer::start();
    let url = limited(&server, "app", RIGHTS);
    let store = RedisStore::connect(&url).await.unwrap();
    server.cli(&["ACL", "SETUSER", "app", "resetpass", ">other"]);
    server.cli(&["CLIENT", "KILL", "USER", "app"]);
    support::known_down(&store).await;
    server.cli(&["ACL", "SETUSER", "app", ">s3cret/p:ss"]);
    healed(&store).await;
    everything(&store).await;
}

#[tokio::test]
async fn an_end_holds_even_where_its_reason_cannot_be_written_down() {
    let (server, store) = server_and_store().await;
    let key = key();
    create(&store, &key).await;
    let rights: Vec<_> = RIGHTS.split(' ').filter(|right| *right != "+set").collect();
    let url = limited(&server, "app", &rights.join(" "));
    let limited = RedisStore::connect(&url).await.unwrap();
    assert_eq!(
        limited.end(&key, EndReason::SignedOut).await.unwrap(),
        Ended::Done
    );
    assert_eq!(store.load(&key).await.unwrap(), Loaded::Absent);
}
