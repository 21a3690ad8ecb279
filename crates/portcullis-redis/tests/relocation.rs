//! Moving a session between buckets, which are different shards of a Redis Cluster: two steps that look like
//! one.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::time::Duration;

use bytes::Bytes;
use portcullis_core::{
    EndReason,
    store::{
        Activity, CreatedSession, Deadline, Loaded, Replaced, Revision, Store, StoreErrorKind,
    },
};
use portcullis_redis::RedisStore;
use support::{
    Anonymous, LIMITS, NAME, assert_came_to_nothing, assert_every_key_expires, create, create_with,
    in_lists, key_of, limits, lists, live, members, payload, server_and_store, sessions,
};

const RESTART: Deadline = Deadline::Restart(LIMITS);

#[tokio::test]
async fn a_session_moves_between_buckets_with_new_deadlines_and_the_old_key_is_dead() {
    let (server, store) = server_and_store().await;
    let (old, new) = (key_of("alice"), key_of("bob"));
    let (_, revision) = create_with(&store, &old, limits(60_000, 120_000)).await;
    let moved = store
        .replace_anonymous(&old, &new, revision, Bytes::from_static(b"new"), RESTART)
        .await;
    let Replaced::Done(CreatedSession {
        timing,
        revision: written,
        ..
    }) = moved.unwrap()
    else {
        panic!("not moved")
    };
    let stored = live(&store, &new).await;
    assert_eq!((stored.timing, stored.revision), (timing, written));
    assert_eq!(stored.payload, "new");
    assert_eq!(timing.idle_timeout, LIMITS.idle);
    assert_eq!(
        timing.absolute_deadline,
        timing.last_active_at.after(LIMITS.absolute)
    );
    assert_eq!(
        store.load(&old).await.unwrap(),
        support::ended(EndReason::ReplacedAtSignIn, NAME)
    );
    assert_every_key_expires(&server);
}

#[tokio::test]
async fn a_session_that_keeps_its_deadlines_keeps_them_in_another_bucket() {
    let (_server, store) = server_and_store().await;
    for (activity, other) in [(Activity::Passive, "bob"), (Activity::Active, "carol")] {
        let (old, new) = (key_of("alice"), key_of(other));
        let (before, revision) = create(&store, &old).await;
        tokio::time::sleep(Duration::from_millis(5)).await;
        let moved = store
            .replace_anonymous(&old, &new, revision, payload(), Deadline::Keep(activity))
            .await;
        let Replaced::Done(CreatedSession { timing: after, .. }) = moved.unwrap() else {
            panic!("not moved")
        };
        assert_eq!(after, live(&store, &new).await.timing);
        assert_eq!(after.absolute_deadline, before.absolute_deadline);
        assert_eq!(after.idle_timeout, before.idle_timeout);
        assert_eq!(
            after.last_active_at > before.last_active_at,
            activity == Activity::Active
        );
    }
}

#[tokio::test]
async fn somebody_else_s_write_is_a_conflict_and_leaves_no_trace_of_the_new_session() {
    let (server, store) = server_and_store().await;
    let (old, new) = (key_of("alice"), key_of("bob"));
    let (_, revision) = create(&store, &old).await;
    let stored = live(&store, &old).await;
    for deadline in [RESTART, Deadline::Keep(Activity::Passive)] {
        let outdated = Revision(revision.0.wrapping_add(1));
        let moved = store
            .replace_anonymous(&old, &new, outdated, Bytes::from_static(b"new"), deadline)
            .await;
        assert_eq!(moved.unwrap(), Replaced::Conflict(stored.clone()));
        assert_eq!(live(&store, &old).await, stored);
        assert_came_to_nothing(&server, &store, &new).await;
        assert_eq!(sessions(&server).len(), 1);
    }
}

#[tokio::test]
async fn a_session_that_is_gone_leaves_no_trace_of_the_new_one() {
    let (server, store) = server_and_store().await;
    let (old, new) = (key_of("alice"), key_of("bob"));
    let (_, revision) = create(&store, &old).await;
    store
        .end_anonymous(&old, EndReason::SignedOut)
        .await
        .unwrap();
    for deadline in [RESTART, Deadline::Keep(Activity::Passive)] {
        let moved = store
            .replace_anonymous(&old, &new, revision, payload(), deadline)
            .await;
        assert_eq!(moved.unwrap(), Replaced::Gone);
        assert_eq!(
            store.load(&old).await.unwrap(),
            support::ended(EndReason::SignedOut, NAME)
        );
        assert_came_to_nothing(&server, &store, &new).await;
        assert_eq!(sessions(&server).len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_sign_ins_at_once_from_one_session_one_wins_and_the_others_leave_no_trace() {
    let (server, store) = server_and_store().await;
    for _ in 0..20 {
        let old = key_of("alice");
        let (_, revision) = create(&store, &old).await;
        let moves: Vec<_> = (0..4)
            .map(|user| {
                let (store, new) = (store.clone(), key_of(format!("user {user}")));
                tokio::spawn(async move {
                    store
                        .replace_anonymous(&old, &new, revision, payload(), RESTART)
                        .await
                })
            })
            .collect();
        let mut done = 0;
        let mut refused = 0;
        for one in moves {
            match one.await.unwrap().unwrap() {
                Replaced::Done(..) => done += 1,
                Replaced::Gone => refused += 1,
                other => panic!("the old session was never written: {other:?}"),
            }
        }
        assert_eq!((done, refused), (1, 3));
        // The new session and the end of the old one.
        assert_eq!(sessions(&server).len(), 2);
        let listed: usize = lists(&server, "x")
            .iter()
            .map(|list| members(&server, list).len())
            .sum();
        assert_eq!(listed, 1);
        server.cli(&["FLUSHALL"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_that_nobody_waits_for_any_more_leaves_one_session_at_most() {
    let (server, store) = server_and_store().await;
    let store = &store;
    for after in [0, 1, 50, 100, 200, 400, 800] {
        server.cli(&["FLUSHALL"]);
        let (old, new) = (key_of("alice"), key_of("bob"));
        let (_, revision) = create(store, &old).await;
        let moving = store.replace_anonymous(&old, &new, revision, payload(), RESTART);
        let _ = tokio::time::timeout(Duration::from_micros(after), moving).await;
        let since = std::time::Instant::now();
        loop {
            let lives = |loaded| usize::from(matches!(loaded, Loaded::Live(_)));
            let (one, other) = (
                store.load(&old).await.unwrap(),
                store.load(&new).await.unwrap(),
            );
            if lives(one) + lives(other) <= 1 {
                break;
            }
            assert!(since.elapsed() < Duration::from_secs(1));
        }
    }
}

#[tokio::test]
async fn an_error_in_the_second_step_is_an_error_and_leaves_no_trace_of_the_new_session() {
    let (server, store) = server_and_store().await;
    let (old, new) = (key_of("alice"), key_of("bob"));
    let (_, revision) = create(&store, &old).await;
    let before = live(&store, &old).await;
    // This user may see the new bucket alone.
    let bucket = format!("~pc:id:{{{:x}}}*", new.bucket().number());
    let rule = ["ACL", "SETUSER", "app", "on", "nopass", "+@all", &bucket];
    assert_eq!(server.cli(&rule).text(), "OK");
    let url = format!("redis://app@127.0.0.1:{}", server.port());
    let halved = RedisStore::connect(url).await.unwrap();
    let moved = halved
        .replace_anonymous(&old, &new, revision, payload(), RESTART)
        .await;
    assert_eq!(support::kind(moved), StoreErrorKind::Misconfigured);
    let since = std::time::Instant::now();
    while store.load(&new).await.unwrap() != Loaded::Absent {
        assert!(since.elapsed() < Duration::from_secs(1));
    }
    assert_eq!(live(&store, &old).await, before);
    assert_eq!((in_lists(&server, &new), in_lists(&server, &old)), (0, 1));
}
