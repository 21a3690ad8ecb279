//! What cannot be seen from outside: nothing accumulates.

use std::{num::NonZeroUsize, time::Duration};

use super::*;
use crate::{
    Bucket, EndReason, EventKind, Note, Owner, SessionHandle, SessionId, SessionMeta,
    store::{
        Activity, Create, CreatedSession, Deadline, Expiry, Limits, NewLimits, OnLimit,
        RecordWrite, Replace, ReplacedSession, Revision, RevokeScope, SessionLimit,
    },
};

const LIMITS: Limits = Limits {
    idle: Duration::from_secs(1800),
    absolute: Duration::from_secs(86_400),
};

fn key() -> SessionIdHash {
    let id = SessionId::generate(Bucket::random().unwrap()).unwrap();
    id.key()
}

fn end_of(key: SessionIdHash, meta: &SessionMeta, reason: EndReason) -> Termination {
    Termination {
        key,
        meta: meta.clone(),
        reason,
        note: Note::of_system(EventKind::Ended(reason)),
        live_until: None,
        version: None,
    }
}

fn write(user: Option<&UserId>, now: Timestamp) -> RecordWrite {
    let owner = |user: &UserId| Owner {
        user: user.clone(),
        authenticated_at: now,
    };
    RecordWrite {
        meta: SessionMeta::new(SessionHandle::generate().unwrap(), user.map(owner)),
        payload: "0".into(),
        elevated_until: None,
        flagged: false,
        new_limits: NewLimits::default(),
        notes: Vec::new(),
    }
}

async fn create(
    store: &MemoryStore,
    write: &RecordWrite,
    limits: Limits,
) -> (SessionIdHash, Revision) {
    let key = key();
    match store
        .create(Create::new(&key, write, limits, &Others::Stay))
        .await
    {
        Ok(Created::Done(CreatedSession { revision, .. })) => (key, revision),
        other => panic!("create answered {other:?}"),
    }
}

async fn revoke_all(store: &MemoryStore, user: &UserId) -> Vec<SessionHandle> {
    let reason = EndReason::RevokedByUser;
    let revocation = Revocation {
        user: user.clone(),
        which: RevokeScope::All,
        reason,
        note: Note::of_system(EventKind::Ended(reason)),
        longest: Some(LIMITS.absolute),
    };
    store.revoke(&revocation).await.unwrap().ended
}

/// A store in which a session moves every ten seconds, and the keys it had.
async fn moving(times: usize) -> (MemoryStore, Vec<SessionIdHash>, SessionMeta) {
    let clock = ManualClock::new();
    let store = MemoryStore::with_clock(&clock);
    let write = write(None, clock.now());
    let (mut current, mut expected) = create(&store, &write, LIMITS).await;
    let mut keys = vec![current];
    for _ in 0..times {
        clock.advance(Duration::from_secs(10));
        let (new, keep) = (key(), Deadline::Keep(Activity::Active));
        let old = ReplacedSession {
            key: current,
            meta: write.meta.clone(),
            expected,
            note: None,
        };
        let moved = store
            .replace(Replace::new(&old, &new, &write, keep, &Others::Stay))
            .await;
        let Ok(Replaced::Done(CreatedSession { revision: next, .. })) = moved else {
            panic!("replace answered {moved:?}");
        };
        (current, expected) = (new, next);
        keys.push(new);
    }
    (store, keys, write.meta)
}

#[tokio::test]
async fn an_end_follows_as_many_moves_as_are_remembered() {
    let reason = EndReason::SignedOut;
    // The first of seven moves is a minute ago.
    for (from, ended) in [(0, Ended::AlreadyGone), (1, Ended::Done)] {
        let (store, keys, meta) = moving(7).await;
        let answer = store.end(&end_of(keys[from], &meta, reason)).await;
        assert_eq!(answer.unwrap(), ended);
        assert_eq!(store.live(), usize::from(ended == Ended::AlreadyGone));
        if ended == Ended::Done {
            let expected = Loaded::Ended {
                reason,
                handle: meta.handle,
                successor: None,
            };
            assert_eq!(store.load(&keys[7]).await.unwrap(), expected);
        }
    }
}

#[tokio::test]
async fn replaced_identifiers_do_not_accumulate_while_no_session_is_created() {
    let (store, ..) = moving(100).await;
    let (slots, listed) = store.lock().slots.counts();
    assert!(slots <= 7, "{slots} slots");
    assert_eq!(slots, listed);
}

#[tokio::test]
async fn nothing_is_left_of_sessions_that_ended_long_ago() {
    let clock = ManualClock::new();
    let store = MemoryStore::with_clock(&clock);
    let alice = UserId::from("alice");
    for round in 0..10 {
        for user in [None, Some(&alice)] {
            let mut write = write(user, clock.now());
            write.elevated_until = Some(clock.now().after(Duration::from_secs(60)));
            create(&store, &write, LIMITS).await;
        }
        if round % 3 == 0 {
            revoke_all(&store, &alice).await;
        }
        clock.advance(Duration::from_secs(20));
    }
    clock.advance(LIMITS.absolute);
    while store.sweep().await.unwrap().more {}
    clock.advance(LIMITS.absolute);
    store.sweep().await.unwrap();
    let state = store.lock();
    assert!(state.slots.is_empty() && state.nothing_is_pending());
}

#[tokio::test]
async fn expired_sessions_without_a_user_are_remembered_only_if_they_were_loaded() {
    let clock = ManualClock::new();
    let store = MemoryStore::with_clock(&clock);
    let visitor = write(None, clock.now());
    let [(asked, _), (forgotten, _)] = [
        create(&store, &visitor, LIMITS).await,
        create(&store, &visitor, LIMITS).await,
    ];
    clock.advance(LIMITS.idle);
    assert!(matches!(store.load(&asked).await, Ok(Loaded::Expired(_))));
    let reason = EndReason::IdleTimeout;
    let expected = Loaded::Ended {
        reason,
        handle: visitor.meta.handle,
        successor: None,
    };
    assert_eq!(store.load(&asked).await.unwrap(), expected);
    assert_eq!(store.load(&forgotten).await.unwrap(), Loaded::Absent);
    assert_eq!(store.sweep().await.unwrap().expired.len(), 1);
    clock.advance(reason.remembered_for());
    assert_eq!(store.load(&asked).await.unwrap(), Loaded::Absent);
}

#[tokio::test]
async fn without_sweeps_the_number_of_pending_expiries_is_bounded() {
    let clock = ManualClock::new();
    let store = MemoryStore::with_clock(&clock);
    let visitor = write(None, clock.now());
    let limits = Limits {
        idle: Duration::from_millis(1),
        ..LIMITS
    };
    for _ in 0..state::MOST_PENDING + 5 {
        create(&store, &visitor, limits).await;
        clock.advance(limits.idle);
    }
    let mut returned = 0;
    loop {
        let swept = store.sweep().await.unwrap();
        assert!(swept.expired.len() <= 1000);
        returned += swept.expired.len();
        if !swept.more {
            break;
        }
    }
    assert_eq!(returned, state::MOST_PENDING);
}

#[tokio::test]
async fn t74_expiries_are_returned_in_the_order_of_their_deadlines() {
    let clock = ManualClock::new();
    let store = MemoryStore::with_clock(&clock);
    let alice = UserId::from("alice");
    for secs in [50, 30, 10, 40, 20] {
        let mut write = write(Some(&alice), clock.now());
        let idle = Duration::from_secs(secs);
        write.elevated_until = Some(clock.now().after(idle / 2));
        create(&store, &write, Limits { idle, ..LIMITS }).await;
    }
    clock.advance(LIMITS.idle);
    let expired = store.sweep().await.unwrap().expired;
    assert!(expired.is_sorted_by_key(|expired| expired.at));
    let elevations = expired.iter().filter(|one| one.what == Expiry::Elevation);
    assert_eq!((elevations.count(), expired.len()), (5, 10));
}

#[tokio::test]
async fn a_full_store_accepts_a_sign_in_that_displaces_a_session_of_the_same_user() {
    let clock = ManualClock::new();
    let store = MemoryStore::with_clock(&clock).with_capacity(2);
    let alice = UserId::from("alice");
    let limit = Some(SessionLimit {
        most: NonZeroUsize::MIN,
        excess: OnLimit::Displace,
    });
    create(&store, &write(None, clock.now()), LIMITS).await;
    let first = write(Some(&alice), clock.now());
    create(&store, &first, LIMITS).await;
    let second = write(Some(&alice), clock.now());
    let created = store
        .create(Create::new(&key(), &second, LIMITS, &limit.into()))
        .await
        .unwrap();
    let Created::Done(CreatedSession { displaced, .. }) = created else {
        panic!("create answered {created:?}");
    };
    assert_eq!(displaced, [first.meta.handle]);
    let bob = write(Some(&"bob".into()), clock.now());
    assert!(
        store
            .create(Create::new(&key(), &bob, LIMITS, &limit.into()))
            .await
            .is_err()
    );
    assert_eq!(store.live(), 2);
}

#[tokio::test]
async fn a_full_store_revokes_sessions() {
    let store = MemoryStore::new().with_capacity(2);
    let alice = UserId::from("alice");
    for _ in 0..2 {
        create(&store, &write(Some(&alice), store.now()), LIMITS).await;
    }
    assert_eq!(revoke_all(&store, &alice).await.len(), 2);
    assert_eq!(store.live(), 0);
}

#[tokio::test]
async fn a_sign_in_after_a_revocation_is_accepted_even_if_the_clock_stands_still() {
    for store in [
        MemoryStore::with_clock(&ManualClock::new()),
        MemoryStore::new(),
    ] {
        let alice = UserId::from("alice");
        for _ in 0..100 {
            let before = write(Some(&alice), store.clock().earliest);
            revoke_all(&store, &alice).await;
            let late = store
                .create(Create::new(&key(), &before, LIMITS, &Others::Stay))
                .await;
            assert!(matches!(late, Ok(Created::Revoked)), "{late:?}");
            create(&store, &write(Some(&alice), store.clock().earliest), LIMITS).await;
        }
    }
}
