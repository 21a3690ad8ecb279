//! What stands in Redis, and what becomes of a record that is not as it should be.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::time::Duration;

use bytes::Bytes;
use portcullis_core::{
    Bucket, EndReason, SessionId, SessionIdHash, UserId,
    store::{
        Activity, Committed, CommittedSession, Create, Created, CreatedSession, Deadline, Ended,
        Expiry, Loaded, Others, Replace, Replaced, ReplacedSession, Revision, Store,
        StoreErrorKind, Termination, Touched,
    },
};
use portcullis_redis::{
    RedisStore,
    testing::{Answer, TestServer},
};
use support::{
    Anonymous, LIMITS, NAME, anonymous, assert_came_to_nothing, assert_every_key_expires, create,
    create_owned, create_with, end_of, key, key_of, kind, limits, live, owned, payload,
    server_and_store, sessions, spelled, write_of,
};

#[tokio::test]
async fn a_record_is_stored_as_documented_with_the_deadline_as_its_ttl() {
    let (server, store) = server_and_store().await;
    let key = key();
    let (timing, revision) = create(&store, &key).await;
    let header = format!(
        "1{:011x}{:09x}{:011x}{:011x}000{:08x}",
        timing.absolute_deadline.as_millis(),
        timing.idle_timeout.as_millis(),
        timing.last_active_at.as_millis(),
        // A session begins with its first privileged activity.
        timing.last_active_at.as_millis(),
        revision.0
    );
    let Answer::Bytes(value) = server.cli(&["GET", &spelled(&key)]) else {
        panic!("nothing under the documented key")
    };
    assert_eq!(value, [header.as_bytes(), &payload()].concat());
    let expires = server.cli(&["PEXPIRETIME", &spelled(&key)]).integer();
    assert_eq!(
        u64::try_from(expires).unwrap(),
        timing.idle_deadline().as_millis()
    );
}

/// The format of the tombstone, written a second time.
fn tombstone(successor: &SessionIdHash, revision: Revision) -> String {
    use base64::Engine;
    let digest = base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(successor.digest());
    let (bucket, revision) = (successor.bucket().number(), revision.0);
    format!("-rtwelve bytes>{bucket:03x}{digest}={revision:08x}")
}

#[tokio::test]
async fn the_mark_of_a_replaced_session_names_the_new_key_and_that_of_another_end_does_not() {
    let (server, store) = server_and_store().await;
    let (first, second, elsewhere) = (key(), key(), key_of("bob"));
    let (_, mut revision) = create(&store, &first).await;
    for (old, new) in [(first, second), (second, elsewhere)] {
        let keep = Deadline::Keep(Activity::Active);
        let moved = store
            .replace_anonymous(&old, &new, revision, payload(), keep)
            .await;
        let Replaced::Done(CreatedSession { revision: next, .. }) = moved.unwrap() else {
            panic!("not replaced")
        };
        revision = next;
        let found = server.cli(&["GET", &spelled(&old)]).text();
        assert_eq!(found, tombstone(&new, revision));
        let ttl = server.cli(&["PTTL", &spelled(&old)]).integer();
        assert!((59_000..=60_000).contains(&ttl), "{ttl}");
    }
    for (key, successor) in [(first, second), (second, elsewhere)] {
        let moved = Loaded::Ended {
            reason: EndReason::Replaced,
            handle: NAME,
            successor: Some(successor),
        };
        assert_eq!(store.load(&key).await.unwrap(), moved);
    }
    store
        .end_anonymous(&first, EndReason::SignedOut)
        .await
        .unwrap();
    let signed_out = server.cli(&["GET", &spelled(&elsewhere)]).text();
    assert_eq!(signed_out, "-otwelve bytes");
    for (old, new) in [(first, second), (second, elsewhere)] {
        let found = server.cli(&["GET", &spelled(&old)]).text();
        let key = tombstone(&new, revision);
        assert_eq!(found[..40], key[..40]);
    }
}

#[tokio::test]
async fn an_end_follows_a_replacement_for_a_minute() {
    let (server, store) = server_and_store().await;
    for (user, age, expected) in [
        ("alice", 59, Ended::Done),
        ("alice", 61, Ended::AlreadyGone),
        ("bob", 59, Ended::Done),
        ("bob", 61, Ended::AlreadyGone),
    ] {
        let (old, new) = (key(), key_of(user));
        let (_, revision) = create(&store, &old).await;
        let keep = Deadline::Keep(Activity::Active);
        let moved = store
            .replace_anonymous(&old, &new, revision, payload(), keep)
            .await;
        assert!(matches!(moved.unwrap(), Replaced::Done(..)));
        server.age_sessions(Duration::from_secs(age));
        let ended = store.end_anonymous(&old, EndReason::SignedOut).await;
        assert_eq!(ended.unwrap(), expected, "{user} after {age} s");
        let lives = matches!(store.load(&new).await.unwrap(), Loaded::Live(_));
        assert_eq!(lives, expected == Ended::AlreadyGone);
    }
}

/// It was evicted, or its time was over: a caller that found the session live ends it by its name, or is told that it may live on.
#[tokio::test]
async fn an_end_without_a_mark_finds_an_owned_session_by_its_name() {
    let (server, store) = server_and_store().await;
    let (owned, meta, of_owned) = create_owned(&store, "alice").await;
    let nobodys = key();
    let (_, of_nobodys) = create(&store, &nobodys).await;
    for (old, meta, expected, is_found) in [
        (owned, meta, of_owned, true),
        (nobodys, anonymous(), of_nobodys, false),
    ] {
        let live_until = live(&store, &old).await.timing.idle_deadline();
        let termination = Termination {
            live_until: Some(live_until),
            ..end_of(&old, &meta, EndReason::SignedOut)
        };
        let (new, write) = (key(), write_of(&meta, payload()));
        let (note, keep) = (None, Deadline::Keep(Activity::Active));
        let replaced = ReplacedSession {
            key: old,
            meta,
            expected,
            note,
        };
        let moved = store.replace(Replace::new(&replaced, &new, &write, keep, &Others::Stay));
        assert!(matches!(moved.await.unwrap(), Replaced::Done(..)));
        assert_eq!(server.cli(&["DEL", &spelled(&old)]).integer(), 1);
        let ended = store.end(&termination).await;
        match is_found {
            true => assert_eq!(ended.unwrap(), Ended::Done),
            false => assert!(ended.is_err(), "{ended:?}"),
        }
        let lives = matches!(store.load(&new).await.unwrap(), Loaded::Live(_));
        assert_eq!(lives, !is_found);
    }
}

#[tokio::test]
async fn a_mark_without_a_successor_leads_nowhere_and_one_that_leads_in_circles_ends() {
    let (server, store) = server_and_store().await;
    let (one, other) = (key(), key_of("bob"));
    let set = |key: &SessionIdHash, value: &str| {
        server.cli(&["SET", &spelled(key), value, "PX", "60000"]);
    };
    set(&one, "-rtwelve bytes");
    assert_eq!(
        store.load(&one).await.unwrap(),
        support::ended(EndReason::Replaced, NAME)
    );
    assert_nothing_works(&server, &store, &one).await;

    set(&one, &tombstone(&other, Revision(1)));
    assert_nothing_works(&server, &store, &one).await;
    set(&other, &tombstone(&one, Revision(1)));
    assert_eq!(
        kind(store.end_anonymous(&one, EndReason::SignedOut).await),
        StoreErrorKind::Unavailable
    );
}

#[tokio::test]
async fn keys_show_neither_the_identifier_nor_the_user() {
    let (server, store) = server_and_store().await;
    let user = UserId::from("alice@example.com");
    let id = SessionId::generate(Bucket::of(&user)).unwrap();
    create(&store, &id.key()).await;
    store
        .end_anonymous(&id.key(), EndReason::SignedOut)
        .await
        .unwrap();
    let secret = id.expose();
    for key in server.cli(&["KEYS", "*"]).texts() {
        assert!(!key.contains("alice"));
        assert!(
            (0..secret.len() - 6).all(|at| !key.contains(&secret[at..at + 6])),
            "{key}"
        );
    }
}

#[tokio::test]
async fn every_key_expires_after_every_operation() {
    let (server, store) = server_and_store().await;
    let (first, second, elsewhere) = (key(), key(), key_of("bob"));
    let (_, revision) = create(&store, &first).await;
    assert_every_key_expires(&server);
    let Committed::Done(CommittedSession { revision, .. }) = store
        .commit_anonymous(&first, revision, payload(), Activity::Passive)
        .await
        .unwrap()
    else {
        panic!("not committed")
    };
    assert_every_key_expires(&server);
    store.touch_anonymous(&first).await.unwrap();
    assert_every_key_expires(&server);
    let keep = Deadline::Keep(Activity::Active);
    let Replaced::Done(CreatedSession { revision, .. }) = store
        .replace_anonymous(&first, &second, revision, payload(), keep)
        .await
        .unwrap()
    else {
        panic!("not replaced")
    };
    assert_every_key_expires(&server);
    let restart = Deadline::Restart(LIMITS);
    store
        .replace_anonymous(&second, &elsewhere, revision, payload(), restart)
        .await
        .unwrap();
    assert_every_key_expires(&server);
    store
        .end_anonymous(&elsewhere, EndReason::SignedOut)
        .await
        .unwrap();
    assert_every_key_expires(&server);
    assert_eq!(sessions(&server).len(), 3);
}

#[tokio::test]
async fn a_session_that_lost_its_ttl_still_ends_in_time_for_every_operation() {
    let (server, store) = server_and_store().await;
    let key = key();
    let (_, revision) = create_with(&store, &key, limits(300, 60_000)).await;
    assert_eq!(server.cli(&["PERSIST", &spelled(&key)]).integer(), 1);
    live(&store, &key).await;
    tokio::time::sleep(Duration::from_millis(310)).await;
    assert_eq!(store.touch_anonymous(&key).await.unwrap(), Touched::Gone);
    let committed = store
        .commit_anonymous(&key, revision, payload(), Activity::Active)
        .await;
    assert_eq!(committed.unwrap(), Committed::Gone);
    for user in ["alice", "bob"] {
        for deadline in [Deadline::Restart(LIMITS), Deadline::Keep(Activity::Active)] {
            let to = key_of(user);
            let replaced = store
                .replace_anonymous(&key, &to, revision, payload(), deadline)
                .await;
            assert_eq!(replaced.unwrap(), Replaced::Gone);
            assert_came_to_nothing(&server, &store, &to).await;
        }
    }
    assert_eq!(
        store
            .end_anonymous(&key, EndReason::SignedOut)
            .await
            .unwrap(),
        Ended::AlreadyGone
    );
    assert_eq!(
        store
            .create_anonymous(&key, payload(), LIMITS)
            .await
            .unwrap(),
        Created::Taken
    );
    // The first load reports it, and the rest expires.
    let Loaded::Expired(expired) = store.load(&key).await.unwrap() else {
        panic!("not reported")
    };
    assert_eq!(expired.handle, NAME);
    assert_eq!(expired.what, Expiry::Session(EndReason::IdleTimeout));
    assert_eq!(
        store.load(&key).await.unwrap(),
        support::ended(EndReason::IdleTimeout, NAME)
    );
    assert_every_key_expires(&server);
}

#[tokio::test]
async fn a_sweep_removes_a_session_that_lost_its_ttl() {
    let (server, store) = server_and_store().await;
    for (key, owner) in [(key(), None), (key_of("bob"), Some("bob"))] {
        let meta = owner.map_or_else(anonymous, |user| owned(&store, user));
        let write = write_of(&meta, payload());
        let created = store
            .create(Create::new(&key, &write, limits(30, 60_000), &Others::Stay))
            .await;
        assert!(matches!(created.unwrap(), Created::Done(..)));
        server.cli(&["PERSIST", &spelled(&key)]);
    }
    tokio::time::sleep(Duration::from_millis(40)).await;
    assert_eq!(store.sweep().await.unwrap().expired.len(), 2);
    // The end of the one with a user.
    assert_eq!(sessions(&server).len(), 1);
    assert_every_key_expires(&server);
}

#[tokio::test]
async fn a_commit_or_a_touch_gives_a_lost_ttl_back() {
    let (server, store) = server_and_store().await;
    let key = key();
    let (_, revision) = create(&store, &key).await;
    server.cli(&["PERSIST", &spelled(&key)]);
    store
        .commit_anonymous(&key, revision, payload(), Activity::Passive)
        .await
        .unwrap();
    assert_every_key_expires(&server);
    server.cli(&["PERSIST", &spelled(&key)]);
    store.touch_anonymous(&key).await.unwrap();
    assert_every_key_expires(&server);
}

#[tokio::test]
async fn what_is_not_a_record_grants_nothing_and_is_left_alone() {
    let (server, store) = server_and_store().await;
    let key = key();
    create(&store, &key).await;
    let moved = tombstone(&key, Revision(7));
    let good = server.cli(&["GETRANGE", &spelled(&key), "0", "53"]).text();
    let mut hostile: Vec<String> = (0..54).map(|length| good[..length].to_owned()).collect();
    hostile.extend([
        good.replace('1', "g"),
        good.to_uppercase().replace('1', "A"),
        "-".into(),
        "-o".into(),
        "-otwelve byte".into(),
        moved.replace("bytes>", "bytes>fff"),
        format!("-rtwelve bytes>fff{}", &moved[18..]),
        moved[..39].into(),
        moved.replace("-r", "-R"),
        "0".into(),
    ]);
    for value in hostile.iter().filter(|value| !value.is_empty()) {
        server.cli(&["SET", &spelled(&key), value, "PX", "60000"]);
        assert_eq!(store.load(&key).await.unwrap(), Loaded::Damaged, "{value}");
        assert_nothing_works(&server, &store, &key).await;
        assert_eq!(server.cli(&["GET", &spelled(&key)]).text(), *value);
    }
}

#[tokio::test]
async fn a_key_of_another_type_grants_nothing_and_is_left_alone() {
    let (server, store) = server_and_store().await;
    let key = key();
    server.cli(&["HSET", &spelled(&key), "a", "b"]);
    assert_eq!(store.load(&key).await.unwrap(), Loaded::Damaged);
    assert_nothing_works(&server, &store, &key).await;
    assert_eq!(server.cli(&["HGET", &spelled(&key), "a"]).text(), "b");
}

async fn assert_nothing_works(server: &TestServer, store: &RedisStore, key: &SessionIdHash) {
    let revision = Revision(0);
    assert_eq!(store.touch_anonymous(key).await.unwrap(), Touched::Gone);
    assert_eq!(
        store
            .commit_anonymous(key, revision, payload(), Activity::Active)
            .await
            .unwrap(),
        Committed::Gone
    );
    for to in [support::key(), key_of("bob")] {
        let replaced = store
            .replace_anonymous(key, &to, revision, payload(), Deadline::Restart(LIMITS))
            .await;
        assert_eq!(replaced.unwrap(), Replaced::Gone);
        assert_came_to_nothing(server, store, &to).await;
    }
    assert_eq!(
        store
            .end_anonymous(key, EndReason::SignedOut)
            .await
            .unwrap(),
        Ended::AlreadyGone
    );
    assert_eq!(
        store
            .create_anonymous(key, payload(), LIMITS)
            .await
            .unwrap(),
        Created::Taken
    );
}

#[tokio::test]
async fn a_record_of_a_newer_version_is_an_error_and_is_left_alone() {
    let (server, store) = server_and_store().await;
    let (key, to, elsewhere) = (key(), key(), key_of("bob"));
    server.cli(&["SET", &spelled(&key), "2 whatever comes", "PX", "60000"]);
    let newer = StoreErrorKind::NewerFormat;
    let restart = Deadline::Restart(LIMITS);
    assert_eq!(kind(store.load(&key).await), newer);
    assert_eq!(kind(store.touch_anonymous(&key).await), newer);
    assert_eq!(
        kind(
            store
                .commit_anonymous(&key, Revision(0), payload(), Activity::Active)
                .await
        ),
        newer
    );
    assert_eq!(
        kind(
            store
                .replace_anonymous(&key, &to, Revision(0), payload(), restart)
                .await
        ),
        newer
    );
    assert_eq!(
        kind(
            store
                .replace_anonymous(&key, &elsewhere, Revision(0), payload(), restart)
                .await
        ),
        newer
    );
    assert_eq!(
        kind(store.end_anonymous(&key, EndReason::SignedOut).await),
        newer
    );
    assert_eq!(
        store
            .create_anonymous(&key, payload(), LIMITS)
            .await
            .unwrap(),
        Created::Taken
    );
    assert_eq!(
        server.cli(&["GET", &spelled(&key)]).text(),
        "2 whatever comes"
    );
    assert_came_to_nothing(&server, &store, &to).await;
    assert_came_to_nothing(&server, &store, &elsewhere).await;
}

#[tokio::test]
async fn payloads_of_any_bytes_and_size_come_back_as_they_were() {
    let (_server, store) = server_and_store().await;
    let all: Vec<u8> = (0..=u8::MAX).collect();
    for payload in [
        Bytes::new(),
        all.repeat(256).into(),
        Bytes::from_static(b"\r\n$5\r\n"),
    ] {
        let key = key();
        store
            .create_anonymous(&key, payload.clone(), LIMITS)
            .await
            .unwrap();
        let stored = live(&store, &key).await;
        assert_eq!(stored.payload, payload);
        let Committed::Conflict(current) = store
            .commit_anonymous(
                &key,
                Revision(stored.revision.0 ^ 1),
                payload.clone(),
                Activity::Active,
            )
            .await
            .unwrap()
        else {
            panic!("no conflict")
        };
        assert_eq!(current, stored);
    }
}

#[tokio::test]
async fn limits_out_of_all_bounds_are_cut_short_and_limits_of_nothing_last_no_time() {
    let (server, store) = server_and_store().await;
    let endless = portcullis_core::store::Limits {
        idle: Duration::MAX,
        absolute: Duration::MAX,
    };
    let long = key();
    create_with(&store, &long, endless).await;
    live(&store, &long).await;
    assert_every_key_expires(&server);
    for none in [limits(0, 1000), limits(1000, 0)] {
        let key = key();
        store.create_anonymous(&key, payload(), none).await.unwrap();
        assert!(matches!(
            store.load(&key).await.unwrap(),
            Loaded::Expired(_)
        ));
    }
}

#[tokio::test]
async fn time_can_be_made_to_pass_for_tests() {
    let (server, store) = server_and_store().await;
    let (idle, kept, ended) = (key(), key(), key());
    create_with(&store, &idle, limits(60_000, 600_000)).await;
    let (before, _) = create_with(&store, &kept, limits(600_000, 900_000)).await;
    create(&store, &ended).await;
    store
        .end_anonymous(&ended, EndReason::Replaced)
        .await
        .unwrap();
    server.age_sessions(Duration::from_secs(59));
    live(&store, &idle).await;
    assert_eq!(
        store.load(&ended).await.unwrap(),
        support::ended(EndReason::Replaced, NAME)
    );
    server.age_sessions(Duration::from_secs(2));
    assert!(matches!(
        store.load(&idle).await.unwrap(),
        Loaded::Expired(_)
    ));
    assert_eq!(store.load(&ended).await.unwrap(), Loaded::Absent);
    let after = live(&store, &kept).await.timing;
    let by = Duration::from_secs(61);
    assert_eq!(after.last_active_at, before.last_active_at.before(by));
    assert_eq!(after.absolute_deadline, before.absolute_deadline.before(by));
    assert_every_key_expires(&server);
}
