//! The last privileged activity.

use super::{
    Harness, LONG, assert_close, assert_is_now, key, key_in, moves, steps,
    subject::{Subject, subject},
};
use crate::{
    SessionIdHash,
    store::{Activity, Deadline, Store, Stored},
};

/// The ways to write activity to a live session. Each returns the session afterwards.
async fn by_every_operation<S: Store>(
    store: &Subject<S>,
    (old, new): (SessionIdHash, SessionIdHash),
    before: Stored,
    activity: Activity,
) -> [Stored; 3] {
    let touched = Stored {
        timing: store.touch_as(old, activity).await,
        ..before
    };
    let written = store.commit(old, touched.revision, "", activity).await;
    let keep = Deadline::Keep(activity);
    let moved = store.replace((old, new), written.revision, "", keep).await;
    [touched, written, moved]
}

/// A sign-in is a proof of identity.
pub async fn a_session_begins_with_privileged_activity<H: Harness>(harness: &H) {
    let store = subject(harness);
    for (old, new) in moves() {
        let created = store.create(old, "", LONG).await;
        assert_eq!(created.timing.privileged_at, created.timing.last_active_at);
        harness.advance(steps::<H>(1)).await;
        let restart = Deadline::Restart(LONG);
        let signed_in = store
            .replace((old, new), created.revision, "", restart)
            .await;
        let earliest = created.timing.privileged_at.after(steps::<H>(1));
        let moment = signed_in.timing.privileged_at;
        assert_is_now::<H>("privileged activity", moment, &store.0, earliest);
    }
}

/// P08: use of ordinary routes does not keep privileged ones open.
pub async fn ordinary_activity_is_no_privileged_activity<H: Harness>(harness: &H) {
    let store = subject(harness);
    for (old, _) in moves() {
        let created = store.create(old, "", LONG).await;
        harness.advance(steps::<H>(1)).await;
        let move_to = key_in(old.bucket());
        let begun = created.timing.privileged_at;
        for after in by_every_operation(&store, (old, move_to), created, Activity::Active).await {
            assert_eq!(after.timing.privileged_at, begun);
        }
    }
}

/// By a touch, a write and a new identifier.
pub async fn privileged_activity_moves_both_moments<H: Harness>(harness: &H) {
    let store = subject(harness);
    let activity = Activity::Privileged {
        idle: steps::<H>(20),
    };
    for kind in [activity, Activity::Proof] {
        let old = key();
        let before = store.create(old, "", LONG).await;
        let begun = before.timing.privileged_at;
        harness.advance(steps::<H>(1)).await;
        let moves = (old, key_in(old.bucket()));
        for after in by_every_operation(&store, moves, before, kind).await {
            let earliest = begun.after(steps::<H>(1));
            let timing = after.timing;
            assert_is_now::<H>("privileged", timing.privileged_at, &store.0, earliest);
            assert_is_now::<H>("last", timing.last_active_at, &store.0, earliest);
        }
    }
}

/// It counts as ordinary activity, and only a proof of identity restores what has ended.
pub async fn privileged_activity_that_comes_too_late_restores_nothing<H: Harness>(harness: &H) {
    let store = subject(harness);
    let old = key();
    let before = store.create(old, "", LONG).await;
    let begun = before.timing.privileged_at;
    harness.advance(steps::<H>(2)).await;
    let late = Activity::Privileged {
        idle: steps::<H>(1),
    };
    let new = key_in(old.bucket());
    let [.., last] = by_every_operation(&store, (old, new), before, late).await;
    assert_eq!(last.timing.privileged_at, begun);
    let moment = last.timing.last_active_at;
    assert_close::<H>("last activity", moment, store.0.now());

    let proved = store.touch_as(new, Activity::Proof).await;
    assert_close::<H>("privileged", proved.privileged_at, store.0.now());
}

/// It neither moves back, nor with what is passive.
pub async fn passive_operations_are_no_privileged_activity<H: Harness>(harness: &H) {
    let store = subject(harness);
    let old = key();
    let before = store.create(old, "", LONG).await;
    harness.advance(steps::<H>(1)).await;
    let written = store
        .commit(old, before.revision, "", Activity::Passive)
        .await;
    let keep = Deadline::Keep(Activity::Passive);
    let moved = store
        .replace((old, key_in(old.bucket())), written.revision, "", keep)
        .await;
    assert_eq!(moved.timing.privileged_at, before.timing.privileged_at);
}
