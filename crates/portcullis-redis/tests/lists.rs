//! Lists of users: whose names are anything, how long they may get, and what they cost.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout
)]

mod support;

use std::time::Duration;

use portcullis_core::{
    Bucket, EndReason, EventKind, SessionId, UserId,
    store::{
        Create, Created, CreatedSession, Deadline, Loaded, LogLimits, LogQuery, OnLimit, Others,
        Replace, Replaced, ReplacedSession, RevokeScope, SessionLimit, Store,
    },
};
use portcullis_redis::{RedisStore, testing::TestServer};
use support::{
    Anonymous, LIMITS, all_of, anonymous, calls, create, create_owned, key, key_of, limits, lists,
    owned, payload, revocation, server_and_store, write_of,
};

#[tokio::test]
async fn t72_users_of_any_bytes_are_kept_apart_in_lists_revocations_and_the_log() {
    let (_server, store) = server_and_store().await;
    let every: Vec<u8> = (0..=u8::MAX).collect();
    let users: Vec<UserId> = [
        &b"\0"[..],
        b"\0\0",
        b"a",
        b"a\0",
        b"a*",
        b"{a}",
        b"pc:id:{1}:x",
        b"\r\n$1\r\n",
        b"\xff\xfe",
        "аlice".as_bytes(),
        b"alice",
        b"alice ",
        &every,
        &every.repeat(40),
    ]
    .map(UserId::from)
    .into();
    let mut names = Vec::new();
    for user in &users {
        let (_, meta, _) = create_owned(&store, user.clone()).await;
        names.push(meta.handle);
    }
    for (user, name) in users.iter().zip(&names) {
        let listed = store.list(user).await.unwrap();
        assert_eq!(listed.len(), 1, "{user}");
        let receipt = store.revoke(&all_of(user.clone())).await.unwrap();
        assert_eq!(receipt.ended, [*name], "{user}");
        let query = LogQuery {
            user: Some(user.clone()),
            ..LogQuery::default()
        };
        let events = store.read_log(&query).await.unwrap().into_iter();
        let events: Vec<_> = events.map(|logged| logged.event.unwrap()).collect();
        assert!(events.iter().all(|event| event.user.as_ref() == Some(user)));
        let kinds: Vec<_> = events.into_iter().map(|event| event.kind).collect();
        let revoked = EventKind::Ended(EndReason::RevokedByOperator);
        assert_eq!(kinds, [revoked, EventKind::Created], "{user}");
        assert!(store.list(user).await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn t72_a_user_of_any_bytes_is_told_when_a_session_expires() {
    let (server, store) = server_and_store().await;
    let every: Vec<u8> = (0..=u8::MAX).collect();
    let user = UserId::from(&every[..]);
    create_owned(&store, user.clone()).await;
    server.age_sessions(Duration::from_secs(31 * 60));
    let swept = store.sweep().await.unwrap();
    assert_eq!(swept.expired[0].user, Some(user));
    assert!(lists(&server, "u").is_empty());
}

#[tokio::test]
async fn s066_a_thousand_sessions_are_listed_and_revoked_in_short_steps() {
    let (server, store) = server_and_store().await;
    let store = &store;
    for _ in 0..1000 {
        create_owned(store, "alice").await;
    }
    let (kept, meta, _) = create_owned(store, "alice").await;
    server.cli(&["CONFIG", "RESETSTAT"]);
    assert_eq!(store.list(&"alice".into()).await.unwrap().len(), 1001);
    assert_eq!(
        (calls(&server, "zrange"), calls(&server, "getrange")),
        (1, 1001)
    );

    // The first use sends the scripts.
    store.revoke(&all_of("bob")).await.unwrap();
    support::later(store).await;
    create_owned(store, "bob").await;
    store.revoke(&all_of("bob")).await.unwrap();
    server.cli(&["CONFIG", "RESETSTAT"]);
    let others = revocation("alice", RevokeScope::AllBut(meta.handle));
    let receipt = store.revoke(&others).await.unwrap();
    assert_eq!(receipt.ended.len(), 1000);
    // The mark, what the list of the bucket has besides (two pages), and ten times a hundred.
    assert_eq!(calls(&server, "evalsha"), 1 + 2 + 10);
    assert_eq!(calls(&server, "eval"), 0);
    assert!(matches!(store.load(&kept).await.unwrap(), Loaded::Live(_)));
    assert_eq!(store.list(&"alice".into()).await.unwrap().len(), 1);
}

/// What an application sends for a sign-in: a look at the visitor's session, and its replacement.
async fn sign_in(store: &RedisStore, limit: SessionLimit) -> Vec<portcullis_core::SessionHandle> {
    // Not in the bucket of the user, as nearly every visitor is.
    let elsewhere = Bucket::from_number((Bucket::of(&"alice".into()).number() + 1) % 1024);
    let key = SessionId::generate(elsewhere.unwrap()).unwrap().key();
    let (_, expected) = create(store, &key).await;
    assert!(matches!(store.load(&key).await.unwrap(), Loaded::Live(_)));
    let old = ReplacedSession {
        key,
        meta: anonymous(),
        expected,
        note: None,
    };
    let write = write_of(&owned(store, "alice"), payload());
    let (new, restart) = (key_of("alice"), Deadline::Restart(LIMITS));
    let others = Others::Limited(limit);
    let replaced = store.replace(Replace::new(&old, &new, &write, restart, &others));
    match replaced.await.unwrap() {
        Replaced::Done(CreatedSession { displaced, .. }) => displaced,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_sign_in_is_a_read_and_two_scripts_and_one_more_for_each_who_has_to_go() {
    let (server, store) = server_and_store().await;
    let limit = SessionLimit {
        most: 2.try_into().unwrap(),
        excess: OnLimit::Displace,
    };
    // The first use of each script sends it.
    sign_in(&store, limit).await;
    store
        .end_anonymous(&key(), EndReason::SignedOut)
        .await
        .unwrap();
    for (displaced, scripts) in [(0, 2), (1, 3), (1, 3)] {
        server.cli(&["CONFIG", "RESETSTAT"]);
        assert_eq!(sign_in(&store, limit).await.len(), displaced);
        // Without the one that makes the visitor's session.
        assert_eq!(calls(&server, "evalsha") - 1, scripts);
        assert_eq!(calls(&server, "eval") + calls(&server, "zrange"), 0);
    }
}

#[tokio::test]
async fn a_session_with_a_user_takes_at_most_twice_the_memory_of_a_bare_record() {
    const SESSIONS: i64 = 2000;
    let server = TestServer::start();
    let builder = RedisStore::builder(server.url()).log(LogLimits {
        events: 0,
        age: Duration::from_secs(60),
    });
    let store = builder.connect().await.unwrap();
    let used = || {
        let info = server.cli(&["INFO", "memory"]).text();
        let used = info
            .lines()
            .find_map(|line| line.strip_prefix("used_memory:"));
        let keys = server.cli(&["DBSIZE"]).integer();
        (used.unwrap().trim().parse::<i64>().unwrap(), keys)
    };
    // What a session of an application holds: user, name, moments, a value or two.
    let payload = vec![b'p'; 150];
    let filled = async |of_users: bool| {
        server.cli(&["FLUSHALL"]);
        let (before, _) = used();
        for number in 0..SESSIONS {
            let user = format!("user-{number:06}");
            let meta = if of_users {
                owned(&store, &*user)
            } else {
                anonymous()
            };
            let write = write_of(&meta, payload.clone());
            let created = store
                .create(Create::new(&key_of(&*user), &write, LIMITS, &Others::Stay))
                .await;
            assert!(matches!(created.unwrap(), Created::Done(..)));
        }
        if !of_users {
            // Nothing but the record.
            for list in lists(&server, "x") {
                server.cli(&["DEL", &list]);
            }
        }
        let (after, keys) = used();
        (after - before, keys)
    };
    // The scripts and the connection are not part of it.
    filled(true).await;
    let (bare, _) = filled(false).await;
    let (signed_in, keys) = filled(true).await;
    let (bare, signed_in) = (bare / SESSIONS, signed_in / SESSIONS);
    println!("bytes of a bare record: {bare}, with its lists: {signed_in}, keys: {keys}");
    assert!(signed_in <= 2 * bare, "{signed_in} {bare}");
}

#[tokio::test]
async fn sessions_of_one_user_are_listed_while_others_of_the_bucket_come_and_go() {
    let (_server, store) = server_and_store().await;
    let (_, meta, _) = create_owned(&store, "alice").await;
    for _ in 0..5 {
        // A visitor in the same bucket.
        let key = key_of("alice");
        store
            .create_anonymous(&key, payload(), limits(60_000, 60_000))
            .await
            .unwrap();
    }
    assert_eq!(store.list(&"alice".into()).await.unwrap().len(), 1);
    let receipt = store.revoke(&all_of("alice")).await.unwrap();
    assert_eq!(receipt.ended, [meta.handle]);
}
