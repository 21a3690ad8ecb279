//! Both deadlines hold on the store's clock, to the millisecond, whatever is written in between.

use std::time::Duration;

use super::{
    Harness, LONG, MILLI, advance_to_just_before, advance_to_the_deadline, assert_close,
    assert_is_now, key, key_in, moves, short, steps,
    subject::{join_all, subject, subjects},
};
use crate::{
    SessionIdHash,
    store::{Activity, Deadline, Limits, Timing},
};

/// S-036, T49.
pub async fn a_session_is_live_until_its_idle_deadline_and_not_at_it<H: Harness>(harness: &H) {
    let (store, key) = (subject(harness), key());
    let created = store.create(key, "first", short::<H>()).await;
    let start = created.timing.last_active_at;
    assert_close::<H>(
        "the idle deadline",
        created.timing.idle_deadline(),
        start.after(steps::<H>(4)),
    );
    advance_to_just_before(harness, &store, created.timing.idle_deadline()).await;
    assert_eq!(store.live(key).await, created);
    advance_to_the_deadline(harness).await;
    store.over(key).await;
}

/// S-037, T49: even if it was active.
pub async fn a_session_is_live_until_its_absolute_deadline_and_not_at_it<H: Harness>(harness: &H) {
    let (store, key) = (subject(harness), key());
    let created = store.create(key, "first", short::<H>()).await;
    let mut timing = created.timing;
    for _ in 0..3 {
        harness.advance(steps::<H>(3)).await;
        timing = store.touch(key).await;
    }
    let deadline = created.timing.absolute_deadline;
    advance_to_just_before(harness, &store, deadline).await;
    assert_eq!(store.live(key).await.timing, timing);
    advance_to_the_deadline(harness).await;
    store.over(key).await;
}

/// S-036: a touch, an active commit and an active move each do.
pub async fn activity_moves_the_idle_deadline<H: Harness>(harness: &H) {
    let store = subject(harness);
    let limits = Limits {
        idle: steps::<H>(4),
        absolute: steps::<H>(40),
    };
    let [inside, between] = moves();
    let touched = key();
    let committed = key();
    let mut revisions = Vec::new();
    for key in [touched, committed, inside.0, between.0] {
        revisions.push(store.create(key, "first", limits).await);
    }
    let [_, of_committed, of_inside, of_between] = &*revisions else {
        panic!("as many as were created");
    };
    harness.advance(steps::<H>(3)).await;
    let active = Activity::Active;
    let keep = Deadline::Keep(active);
    let moved = [
        (touched, store.touch(touched).await),
        (
            committed,
            store
                .commit(committed, of_committed.revision, "", active)
                .await
                .timing,
        ),
        (
            inside.1,
            store
                .replace(inside, of_inside.revision, "", keep)
                .await
                .timing,
        ),
        (
            between.1,
            store
                .replace(between, of_between.revision, "", keep)
                .await
                .timing,
        ),
    ];
    for ((_, timing), before) in moved.iter().zip(&revisions) {
        let earliest = before.timing.last_active_at.after(steps::<H>(3));
        assert_is_now::<H>("last activity", timing.last_active_at, &store.0, earliest);
        assert_eq!(timing.idle_timeout, limits.idle);
    }
    harness.advance(steps::<H>(3)).await;
    for (key, timing) in moved {
        assert_eq!(
            store.live(key).await.timing,
            timing,
            "it outlives the first idle deadline"
        );
    }
    harness.advance(steps::<H>(1) + H::TOLERANCE * 2).await;
    for (key, _) in moved {
        store.over(key).await;
    }
}

/// T36, S-041: polling does not keep a session alive.
pub async fn reads_and_passive_writes_are_no_activity<H: Harness>(harness: &H) {
    let store = subject(harness);
    for (old, new) in moves() {
        let created = store.create(old, "first", short::<H>()).await;
        let mut last = created.revision;
        for _ in 0..2 {
            harness.advance(steps::<H>(1)).await;
            assert_eq!(store.live(old).await.timing, created.timing);
            let committed = store.commit(old, last, "passive", Activity::Passive).await;
            assert_eq!(committed.timing, created.timing);
            last = committed.revision;
        }
        let passive = Deadline::Keep(Activity::Passive);
        let moved = store.replace((old, new), last, "passive", passive).await;
        assert_eq!(moved.timing, created.timing);

        advance_to_just_before(harness, &store, created.timing.idle_deadline()).await;
        store.live(new).await;
        advance_to_the_deadline(harness).await;
        store.over(new).await;
    }
}

/// T45.
pub async fn last_activity_never_moves_back<H: Harness>(harness: &H) {
    let stores = subjects(harness, 4);
    let mut key = key();
    let store = subject(harness);
    let mut stored = store.create(key, "", LONG).await;
    let mut latest = stored.timing.last_active_at;
    let mut check = |timing: Timing| {
        assert!(
            latest <= timing.last_active_at,
            "last activity went back from {latest:?} to {:?}",
            timing.last_active_at
        );
        latest = timing.last_active_at;
    };
    for (activity, (_, new)) in [Activity::Active, Activity::Passive]
        .into_iter()
        .cycle()
        .zip([moves(), moves()].concat())
    {
        let touches = join_all(stores.iter().map(|store| store.touch(key))).await;
        let now = store.live(key).await.timing;
        assert!(
            touches
                .iter()
                .all(|touch| touch.last_active_at <= now.last_active_at)
        );
        check(now);
        harness.advance(steps::<H>(1)).await;
        stored = store.commit(key, stored.revision, "", activity).await;
        check(stored.timing);
        harness.advance(steps::<H>(1)).await;
        stored = store
            .replace((key, new), stored.revision, "", Deadline::Keep(activity))
            .await;
        check(stored.timing);
        key = new;
    }
}

/// T39, S-037: touches, commits and moves do not change it, and the session ends there.
pub async fn the_absolute_deadline_survives_every_activity<H: Harness>(harness: &H) {
    let store = subject(harness);
    let [inside, between] = moves();
    let [mut key, other] = [between.0, between.1];
    let mut stored = store.create(key, "", short::<H>()).await;
    let (deadline, idle) = (stored.timing.absolute_deadline, stored.timing.idle_timeout);
    let moves = [other, inside.1, key_in(between.0.bucket())];
    for new in moves {
        harness.advance(steps::<H>(1)).await;
        stored = store
            .commit(key, stored.revision, "", Activity::Active)
            .await;
        assert_eq!(stored.timing.absolute_deadline, deadline, "after a commit");

        harness.advance(steps::<H>(1)).await;
        let keep = Deadline::Keep(Activity::Active);
        stored = store.replace((key, new), stored.revision, "", keep).await;
        assert_eq!(stored.timing.absolute_deadline, deadline, "after a move");

        harness.advance(steps::<H>(1)).await;
        stored.timing = store.touch(new).await;
        assert_eq!(stored.timing.absolute_deadline, deadline, "after a touch");
        assert_eq!(stored.timing.idle_timeout, idle);
        key = new;
    }
    advance_to_just_before(harness, &store, deadline).await;
    let live = store
        .commit(key, stored.revision, "at the last moment", Activity::Active)
        .await;
    assert_eq!(live.timing.absolute_deadline, deadline);
    assert_eq!(live.timing.idle_deadline(), deadline);
    advance_to_the_deadline(harness).await;
    let over = store.over(key).await;
    store.assert_dead(key, live.revision, &over).await;
}

/// Even if the limits ask for it.
pub async fn the_idle_deadline_never_exceeds_the_absolute_one<H: Harness>(harness: &H) {
    let store = subject(harness);
    let limits = Limits {
        idle: steps::<H>(10),
        absolute: steps::<H>(4),
    };
    let [restarted, elsewhere] = moves();
    let touched = key();
    store.create(touched, "", limits).await;
    for (old, new) in [restarted, elsewhere] {
        let long = store.create(old, "", LONG).await;
        store
            .replace((old, new), long.revision, "", Deadline::Restart(limits))
            .await;
    }
    harness.advance(steps::<H>(3)).await;
    let timing = store.touch(touched).await;
    assert_eq!(timing.idle_deadline(), timing.absolute_deadline);
    harness.advance(steps::<H>(1) + H::TOLERANCE * 2).await;
    for key in [touched, restarted.1, elsewhere.1] {
        store.over(key).await;
    }
}

/// S-039: to longer limits and to shorter ones.
pub async fn a_restart_sets_both_deadlines_anew<H: Harness>(harness: &H) {
    let store = subject(harness);
    for (old, new) in moves() {
        let created = store.create(old, "", short::<H>()).await;
        harness.advance(steps::<H>(3)).await;
        let longer = Limits {
            idle: steps::<H>(6),
            absolute: steps::<H>(30),
        };
        let restart = Deadline::Restart(longer);
        let restarted = store
            .replace((old, new), created.revision, "", restart)
            .await;
        let earliest = created.timing.last_active_at.after(steps::<H>(3));
        let moment = restarted.timing.last_active_at;
        assert_is_now::<H>("last activity", moment, &store.0, earliest);
        assert_eq!(restarted.timing.idle_timeout, longer.idle);
        assert_close::<H>(
            "the absolute deadline",
            restarted.timing.absolute_deadline,
            restarted.timing.last_active_at.after(longer.absolute),
        );
        for _ in 0..2 {
            harness.advance(steps::<H>(5)).await;
            store.touch(new).await;
        }
        let shorter = Limits {
            idle: steps::<H>(2),
            absolute: steps::<H>(3),
        };
        let newest = key_in(new.bucket());
        let restart = Deadline::Restart(shorter);
        let timing = store
            .replace((new, newest), restarted.revision, "", restart)
            .await
            .timing;
        assert_eq!(timing.idle_timeout, shorter.idle);
        assert_close::<H>(
            "the absolute deadline",
            timing.absolute_deadline,
            timing.last_active_at.after(shorter.absolute),
        );
        advance_to_just_before(harness, &store, timing.idle_deadline()).await;
        store.live(newest).await;
        advance_to_the_deadline(harness).await;
        store.over(newest).await;
    }
}

/// T40, T42, T44: no kind of write leaves something that never expires.
pub async fn every_write_leaves_a_session_that_expires<H: Harness>(harness: &H) {
    let (store, limits) = (subject(harness), short::<H>());
    let created = key();
    store.create(created, "", limits).await;
    let mut written: Vec<SessionIdHash> = vec![created];

    let touched = key();
    store.create(touched, "", limits).await;
    store.touch(touched).await;
    written.push(touched);

    for activity in [Activity::Active, Activity::Passive] {
        let committed = key();
        let created = store.create(committed, "", limits).await;
        store
            .commit(committed, created.revision, "longer than before", activity)
            .await;
        written.push(committed);
    }
    for deadline in [
        Deadline::Keep(Activity::Active),
        Deadline::Keep(Activity::Passive),
        Deadline::Restart(limits),
    ] {
        for (old, new) in moves() {
            let created = store.create(old, "", limits).await;
            let moved = store
                .replace((old, new), created.revision, "moved", deadline)
                .await;
            store
                .commit(new, moved.revision, "and written", Activity::Passive)
                .await;
            written.push(new);
        }
    }
    harness.advance(limits.idle + H::TOLERANCE * 2).await;
    for key in written {
        store.over(key).await;
    }
}

/// T41: a lifetime close to zero does not become zero, which would mean for ever.
pub async fn the_shortest_lifetimes_end<H: Harness>(harness: &H) {
    let store = subject(harness);
    for (idle, absolute) in [
        (MILLI, MILLI),
        (MILLI, LONG.absolute),
        (LONG.idle, MILLI),
        (MILLI * 2, MILLI),
    ] {
        let limits = Limits { idle, absolute };
        let created = key();
        store.create(created, "", limits).await;
        let mut keys = vec![created];
        for (old, new) in moves() {
            let long = store.create(old, "", LONG).await;
            store
                .replace((old, new), long.revision, "", Deadline::Restart(limits))
                .await;
            keys.push(new);
        }
        harness.advance(MILLI + H::TOLERANCE * 2).await;
        for key in keys {
            store.over(key).await;
        }
    }
}

/// T41, S-040: neither up, which would be late, nor down by as much as a second. A harness with a
/// [`TOLERANCE`](Harness::TOLERANCE) of half a second or more cannot show this. Its store needs a
/// test of its own for it.
pub async fn lifetimes_are_not_rounded_to_seconds<H: Harness>(harness: &H) {
    let store = subject(harness);
    for millis in [900, 1500, 1999] {
        let lifetime = Duration::from_millis(millis).max(steps::<H>(2));
        for limits in [
            Limits {
                idle: lifetime,
                absolute: LONG.absolute,
            },
            Limits {
                idle: LONG.idle,
                absolute: lifetime,
            },
        ] {
            let key = key();
            let timing = store.create(key, "", limits).await.timing;
            advance_to_just_before(harness, &store, timing.idle_deadline()).await;
            store.live(key).await;
            advance_to_the_deadline(harness).await;
            store.over(key).await;
        }
    }
}
