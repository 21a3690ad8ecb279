//! Ended means ended, and is told apart from never having been.

use super::{
    Harness, LONG, advance_to_just_before, advance_to_the_deadline, key,
    subject::{join_all, subject, subjects},
};
use crate::{
    EndReason,
    store::{Activity, Deadline, Ended, Loaded, Store},
};

/// S-059, S-062: the second is told so, and does not change the reason.
pub async fn a_session_is_ended_once<H: Harness>(harness: &H) {
    let (store, key) = (subject(harness), key());
    store.create(key, "first", LONG).await;
    assert_eq!(store.end(key, EndReason::SignedOut).await, Ended::Done);
    for reason in [EndReason::SignedOut, EndReason::Replaced] {
        assert_eq!(subject(harness).end(key, reason).await, Ended::AlreadyGone);
        assert_eq!(store.load(key).await, Loaded::Ended(EndReason::SignedOut));
    }
}

/// Rule: one change, one event. So exactly one is told that it made the change.
pub async fn of_many_who_end_one_session_exactly_one_does<H: Harness>(harness: &H) {
    let (stores, key) = (subjects(harness, 8), key());
    subject(harness).create(key, "first", LONG).await;
    let answers = join_all(
        stores
            .iter()
            .map(|store| store.end(key, EndReason::SignedOut)),
    )
    .await;
    let done = answers
        .iter()
        .filter(|answer| **answer == Ended::Done)
        .count();
    assert_eq!(done, 1, "of those who ended one session, this many did");
    assert_eq!(
        subject(harness).load(key).await,
        Loaded::Ended(EndReason::SignedOut)
    );
}

/// A sign-out does not lose against writes.
pub async fn an_end_does_not_ask_for_the_revision<H: Harness>(harness: &H) {
    let (store, other, key) = (subject(harness), subject(harness), key());
    let mut last = store.create(key, "first", LONG).await.revision;
    for _ in 0..3 {
        last = other
            .commit(key, last, "again", Activity::Active)
            .await
            .revision;
    }
    assert_eq!(store.end(key, EndReason::SignedOut).await, Ended::Done);
    assert_eq!(store.load(key).await, Loaded::Ended(EndReason::SignedOut));
}

/// For as long as [`EndReason::remembered_for`] says, and nothing is left behind afterwards.
pub async fn the_reason_of_an_end_is_remembered_and_then_forgotten<H: Harness>(harness: &H) {
    for reason in [EndReason::SignedOut, EndReason::Replaced] {
        let (store, key, new) = (subject(harness), key(), key());
        let created = store.create(key, "first", LONG).await;
        if reason == EndReason::Replaced {
            let keep = Deadline::Keep(Activity::Active);
            store
                .replace((key, new), created.revision, "moved", keep)
                .await;
        } else {
            assert_eq!(store.end(key, reason).await, Ended::Done);
        }
        assert_eq!(store.load(key).await, Loaded::Ended(reason));
        if H::PATIENCE < reason.remembered_for() + H::TOLERANCE * 2 {
            continue;
        }
        let ended_at = store.0.now();
        advance_to_just_before(harness, ended_at, ended_at.after(reason.remembered_for())).await;
        assert_eq!(store.load(key).await, Loaded::Ended(reason));
        advance_to_the_deadline(harness).await;
        assert_eq!(store.load(key).await, Loaded::Absent);
        store
            .assert_dead(key, created.revision, &Loaded::Absent)
            .await;
    }
}
