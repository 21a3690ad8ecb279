//! Expired sessions are reported once, by the first call that meets them.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::time::Duration;

use portcullis_core::{
    EndReason, EventKind, SessionIdHash, SessionMeta,
    store::{
        Activity, Create, Created, Expired, Expiry, Loaded, LogQuery, NewLimits, Others,
        RecordWrite, Store, Touch, Touched,
    },
};
use portcullis_redis::RedisStore;
use support::{
    anonymous, connect, create_owned, create_with, end_of, in_lists, key, key_of, limits, lists,
    members, owned, payload, server_and_store, sessions, spelled, write_of,
};

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A session of this user, with timeouts in minutes.
async fn sign_in(
    store: &RedisStore,
    user: &str,
    idle: u64,
    absolute: u64,
) -> (SessionIdHash, SessionMeta) {
    let (key, meta) = (key_of(user), owned(store, user));
    let write = write_of(&meta, payload());
    let limits = limits(idle * 60_000, absolute * 60_000);
    let created = store
        .create(Create::new(&key, &write, limits, &Others::Stay))
        .await;
    assert!(matches!(created.unwrap(), Created::Done(..)));
    (key, meta)
}

async fn sweep(store: &RedisStore) -> Vec<Expired> {
    store.sweep().await.unwrap().expired
}

async fn ends_in_log(store: &RedisStore, user: &str) -> Vec<EndReason> {
    let query = LogQuery {
        user: Some(user.into()),
        ..LogQuery::default()
    };
    let logged = store.read_log(&query).await.unwrap().into_iter();
    logged
        .filter_map(|logged| match logged.event?.kind {
            EventKind::Ended(reason) => Some(reason),
            _ => None,
        })
        .collect()
}

#[tokio::test]
async fn t75_what_was_over_while_no_application_was_connected_is_told_once_when_some_come_back() {
    let (server, store) = server_and_store().await;
    for user in ["alice", "bob", "carol"] {
        sign_in(&store, user, 30, 60).await;
    }
    create_with(&store, &key(), limits(60_000, 60_000)).await;
    drop(store);
    server.age_sessions(3 * DAY);
    // Redis itself has forgotten them.
    assert!(sessions(&server).is_empty());
    let (one, other) = (connect(&server).await, connect(&server).await);
    let (first, second) = tokio::join!(sweep(&one), sweep(&other));
    let reported = [first, second].concat();
    assert_eq!(reported.len(), 4);
    for user in ["alice", "bob", "carol"] {
        let of_user = reported.iter().filter(|one| one.user == Some(user.into()));
        assert_eq!(of_user.count(), 1, "{user}");
        assert_eq!(ends_in_log(&one, user).await, [EndReason::IdleTimeout]);
    }
    assert!(sweep(&one).await.is_empty() && sweep(&other).await.is_empty());
}

#[tokio::test]
async fn t75_whoever_comes_back_with_the_key_is_told_once_and_for_a_day_everybody_knows_why() {
    let (server, store) = server_and_store().await;
    let (key, meta) = sign_in(&store, "alice", 30, 600).await;
    let visitor = support::key();
    create_with(&store, &visitor, limits(30 * 60_000, 600 * 60_000)).await;
    server.age_sessions(40 * MINUTE);
    for (key, handle) in [(key, meta.handle), (visitor, anonymous().handle)] {
        let Loaded::Expired(expired) = store.load(&key).await.unwrap() else {
            panic!("not reported")
        };
        assert_eq!(expired.handle, handle);
        assert_eq!(expired.what, Expiry::Session(EndReason::IdleTimeout));
        let ago = store.now().since(expired.at);
        assert!(
            ago.abs_diff(10 * MINUTE) < Duration::from_secs(5),
            "{ago:?}"
        );
        let ended = support::ended(EndReason::IdleTimeout, handle);
        assert_eq!(store.load(&key).await.unwrap(), ended);
        assert_eq!(in_lists(&server, &key), 0);
    }
    assert!(sweep(&store).await.is_empty());
    server.age_sessions(DAY - MINUTE);
    assert!(matches!(
        store.load(&key).await.unwrap(),
        Loaded::Ended { .. }
    ));
    server.age_sessions(2 * MINUTE);
    assert_eq!(store.load(&key).await.unwrap(), Loaded::Absent);
    assert_eq!(ends_in_log(&store, "alice").await, [EndReason::IdleTimeout]);
}

#[tokio::test]
async fn of_many_who_come_back_with_one_key_one_is_told_and_the_others_know_why() {
    let (server, store) = server_and_store().await;
    let (key, meta) = sign_in(&store, "alice", 30, 600).await;
    server.age_sessions(31 * MINUTE);
    let tasks: Vec<_> = (0..20)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move { store.load(&key).await.unwrap() })
        })
        .collect();
    let mut reported = 0;
    for task in tasks {
        match task.await.unwrap() {
            Loaded::Expired(_) => reported += 1,
            other => assert_eq!(other, support::ended(EndReason::IdleTimeout, meta.handle)),
        }
    }
    assert_eq!(reported, 1);
}

#[tokio::test]
async fn the_two_timeouts_are_told_apart_also_long_after_both() {
    let (server, store) = server_and_store().await;
    let (_, idle) = sign_in(&store, "alice", 30, 600).await;
    let (key, absolute) = sign_in(&store, "alice", 30, 50).await;
    server.age_sessions(25 * MINUTE);
    // From here on it ends by its absolute timeout.
    store
        .touch(Touch::new(&key, &absolute, Activity::Active))
        .await
        .unwrap();
    server.age_sessions(3 * DAY);
    let reported = sweep(&store).await;
    let what: Vec<_> = reported.iter().map(|one| (one.handle, one.what)).collect();
    let session = Expiry::Session;
    assert_eq!(
        what,
        [
            (idle.handle, session(EndReason::IdleTimeout)),
            (absolute.handle, session(EndReason::AbsoluteTimeout)),
        ]
    );
    let apart = reported[1].at.since(reported[0].at);
    assert!(
        apart.abs_diff(20 * MINUTE) < Duration::from_secs(5),
        "{apart:?}"
    );
}

#[tokio::test]
async fn a_session_that_is_live_is_not_taken_for_over_whatever_a_list_says() {
    let (server, store) = server_and_store().await;
    let (key, meta) = sign_in(&store, "alice", 30, 600).await;
    server.cli(&["PERSIST", &spelled(&key)]);
    let list = lists(&server, "x").remove(0);
    let (member, due) = members(&server, &list).remove(0);
    server.cli_bytes(&[b"ZADD", list.as_bytes(), b"5", &member]);
    assert!(sweep(&store).await.is_empty());
    assert_eq!(members(&server, &list), [(member, due)]);
    assert!(matches!(store.load(&key).await.unwrap(), Loaded::Live(_)));
    let touched = store
        .touch(Touch::new(&key, &meta, Activity::Active))
        .await
        .unwrap();
    assert!(matches!(touched, Touched::Done(_)));
    assert_eq!(ends_in_log(&store, "alice").await, []);
}

#[tokio::test]
async fn activity_puts_off_what_a_sweep_finds() {
    let (server, store) = server_and_store().await;
    let (key, meta) = sign_in(&store, "alice", 30, 600).await;
    for _ in 0..3 {
        server.age_sessions(20 * MINUTE);
        assert!(sweep(&store).await.is_empty());
        store
            .touch(Touch::new(&key, &meta, Activity::Active))
            .await
            .unwrap();
    }
    server.age_sessions(31 * MINUTE);
    assert_eq!(sweep(&store).await.len(), 1);
}

#[tokio::test]
async fn a_record_that_an_operator_removed_is_told_of_at_its_deadline() {
    let (server, store) = server_and_store().await;
    let (key, meta) = sign_in(&store, "alice", 30, 600).await;
    server.cli(&["DEL", &spelled(&key)]);
    assert_eq!(store.load(&key).await.unwrap(), Loaded::Absent);
    assert!(sweep(&store).await.is_empty());
    assert!(store.list(&"alice".into()).await.unwrap().is_empty());
    server.age_sessions(31 * MINUTE);
    let reported = sweep(&store).await;
    assert_eq!(reported.len(), 1);
    assert_eq!(reported[0].handle, meta.handle);
    assert!(lists(&server, "x").is_empty() && lists(&server, "u").is_empty());
}

#[tokio::test]
async fn what_ended_otherwise_is_not_told_of_again() {
    let (server, store) = server_and_store().await;
    let (key, meta) = sign_in(&store, "alice", 30, 600).await;
    sign_in(&store, "bob", 30, 600).await;
    let reason = EndReason::SignedOut;
    store.end(&end_of(&key, &meta, reason)).await.unwrap();
    store.revoke(&support::all_of("bob")).await.unwrap();
    server.age_sessions(3 * DAY);
    assert!(sweep(&store).await.is_empty());
    assert_eq!(ends_in_log(&store, "alice").await, [EndReason::SignedOut]);
}

#[tokio::test]
async fn an_elevation_that_runs_out_is_told_of_once_and_the_session_lives_on() {
    let (server, store) = server_and_store().await;
    let (key, meta) = (key_of("alice"), owned(&store, "alice"));
    let write = RecordWrite {
        elevated_until: Some(store.now().after(15 * MINUTE)),
        flagged: false,
        new_limits: NewLimits::default(),
        ..write_of(&meta, payload())
    };
    let limits = limits(60 * 60_000, 600 * 60_000);
    store
        .create(Create::new(&key, &write, limits, &Others::Stay))
        .await
        .unwrap();
    server.age_sessions(14 * MINUTE);
    assert!(sweep(&store).await.is_empty());
    server.age_sessions(2 * MINUTE);
    let reported = sweep(&store).await;
    assert_eq!(reported.len(), 1);
    assert_eq!(
        (reported[0].handle, reported[0].what),
        (meta.handle, Expiry::Elevation)
    );
    assert!(sweep(&store).await.is_empty());
    assert!(matches!(store.load(&key).await.unwrap(), Loaded::Live(_)));
}

#[tokio::test]
async fn an_elevation_ends_with_its_session_without_a_word() {
    let (server, store) = server_and_store().await;
    let (key, meta) = (key_of("alice"), owned(&store, "alice"));
    let write = RecordWrite {
        elevated_until: Some(store.now().after(15 * MINUTE)),
        flagged: false,
        new_limits: NewLimits::default(),
        ..write_of(&meta, payload())
    };
    let limits = limits(10 * 60_000, 600 * 60_000);
    store
        .create(Create::new(&key, &write, limits, &Others::Stay))
        .await
        .unwrap();
    server.age_sessions(20 * MINUTE);
    let what: Vec<_> = sweep(&store).await.iter().map(|one| one.what).collect();
    assert_eq!(what, [Expiry::Session(EndReason::IdleTimeout)]);
    assert!(lists(&server, "x").is_empty());
}

#[tokio::test]
async fn t75_whoever_comes_back_is_told_also_behind_a_backlog() {
    let (server, store) = server_and_store().await;
    let (key, meta, _) = create_owned(&store, "alice").await;
    for _ in 0..450 {
        create_owned(&store, "alice").await;
    }
    server.age_sessions(DAY);
    let Loaded::Expired(expired) = store.load(&key).await.unwrap() else {
        panic!("not reported")
    };
    assert_eq!(expired.handle, meta.handle);
}

#[tokio::test]
async fn an_identifier_that_is_made_up_costs_a_short_answer_whatever_waits_to_be_swept() {
    const LOADS: usize = 100;
    let (server, store) = server_and_store().await;
    let (_, meta, _) = create_owned(&store, "alice").await;
    server.age_sessions(DAY);
    let list = &lists(&server, "x")[0];
    let (member, due) = &members(&server, list)[0];
    let more = "for i = 1, 10000 do
        local other = string.sub(ARGV[1], 1, 1) .. struct.pack('>I4', i) .. string.sub(ARGV[1], 6)
        redis.call('ZADD', KEYS[1], ARGV[2] + 1, other)
    end";
    let due = due.to_string();
    server.cli_bytes(&[
        b"EVAL",
        more.as_bytes(),
        b"1",
        list.as_bytes(),
        member,
        due.as_bytes(),
    ]);
    assert_eq!(members(&server, list).len(), 10_001);
    assert_eq!(store.load(&key()).await.unwrap(), Loaded::Absent);
    server.cli(&["CONFIG", "RESETSTAT"]);
    for _ in 0..LOADS {
        assert_eq!(store.load(&key()).await.unwrap(), Loaded::Absent);
    }
    let stats = server.cli(&["INFO", "stats"]).text();
    let sent = |line: &str| line.strip_prefix("total_net_output_bytes:")?.parse().ok();
    let sent: usize = stats.lines().find_map(sent).unwrap();
    assert!(sent / LOADS < 200, "{} bytes each", sent / LOADS);
    // A sweep reports the deeper ones.
    let reported = sweep(&store).await;
    assert!(reported.iter().any(|expired| expired.handle == meta.handle));
}

#[tokio::test]
async fn a_sweep_has_an_end_and_says_when_there_is_more() {
    let (server, store) = server_and_store().await;
    for _ in 0..250 {
        create_owned(&store, "alice").await;
    }
    server.age_sessions(DAY);
    let mut sizes = Vec::new();
    loop {
        let swept = store.sweep().await.unwrap();
        sizes.push(swept.expired.len());
        if !swept.more {
            break;
        }
    }
    assert_eq!(sizes, [100, 100, 50]);
}

#[tokio::test]
async fn a_sweep_while_memory_is_full_tells_what_is_over() {
    let (server, store) = server_and_store().await;
    sign_in(&store, "alice", 30, 600).await;
    server.age_sessions(31 * MINUTE);
    server.cli(&["CONFIG", "SET", "maxmemory", "1"]);
    assert_eq!(sweep(&store).await.len(), 1);
    assert!(sweep(&store).await.is_empty());
    assert_eq!(ends_in_log(&store, "alice").await, [EndReason::IdleTimeout]);
}
