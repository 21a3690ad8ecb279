//! Only creation creates.

use super::{
    Harness, LONG, advance_to_just_before, advance_to_the_deadline, assert_close, key, moves,
    short, steps,
    subject::{ended, join_all, moved_to, subject, subjects},
};
use crate::{
    EndReason,
    store::{Activity, Created, CreatedSession, Deadline, Ended, Loaded, Revision, Store},
};

/// S-025: an identifier that was never issued opens nothing.
pub async fn a_key_that_was_never_issued_is_absent<H: Harness>(harness: &H) {
    assert_eq!(subject(harness).load(key()).await, Loaded::Absent);
}

/// The moments are on the store's clock and match the limits. The answer of `create` is what is
/// stored.
pub async fn a_created_session_is_live_and_is_what_was_asked_for<H: Harness>(harness: &H) {
    let (store, key) = (subject(harness), key());
    let created = store.create(key, "payload", LONG).await;
    assert_eq!(created.timing.idle_timeout, LONG.idle);
    assert_close::<H>(
        "the time of creation",
        created.timing.last_active_at,
        store.0.now(),
    );
    assert_close::<H>(
        "the absolute deadline",
        created.timing.absolute_deadline,
        created.timing.last_active_at.after(LONG.absolute),
    );
    let live = store.live(key).await;
    assert_eq!(live, created);
    assert_eq!(live.payload, "payload");
}

/// S-020: two sessions never share a key, however unlikely that is.
pub async fn creating_under_a_live_key_answers_taken_and_leaves_the_session<H: Harness>(
    harness: &H,
) {
    let (store, key) = (subject(harness), key());
    let first = store.create(key, "first", LONG).await;
    let second = subject(harness)
        .try_create(key, "second".into(), short::<H>())
        .await;
    assert_eq!(second, Created::Taken);
    assert_eq!(store.live(key).await, first);
}

/// S-064, T01: a key whose end is remembered cannot be used again.
pub async fn creating_under_an_ended_key_answers_taken_and_revives_nothing<H: Harness>(
    harness: &H,
) {
    let (store, signed_out) = (subject(harness), key());
    store.create(signed_out, "first", LONG).await;
    assert_eq!(
        store.end(signed_out, EndReason::SignedOut).await,
        Ended::Done
    );
    assert_eq!(
        store.try_create(signed_out, "second".into(), LONG).await,
        Created::Taken
    );
    assert_eq!(store.load(signed_out).await, ended(EndReason::SignedOut));

    for (old, new) in moves() {
        let first = store.create(old, "first", LONG).await;
        let keep = Deadline::Keep(Activity::Active);
        let moved = store
            .replace((old, new), first.revision, "first", keep)
            .await;
        assert_eq!(
            store.try_create(old, "second".into(), LONG).await,
            Created::Taken
        );
        assert_eq!(store.load(old).await, moved_to(new));
        assert_eq!(store.live(new).await, moved);
    }
}

/// S-020.
pub async fn of_many_creations_under_one_key_exactly_one_succeeds<H: Harness>(harness: &H) {
    let (stores, key) = (subjects(harness, 8), key());
    let payload = |number: usize| format!("written by {number}");
    let creations = stores.iter().enumerate().map(|(number, store)| async move {
        match store.try_create(key, payload(number).into(), LONG).await {
            Created::Done(CreatedSession { revision, .. }) => Some((number, revision)),
            _ => None,
        }
    });
    let winners: Vec<_> = join_all(creations).await.into_iter().flatten().collect();
    let [(winner, revision)] = *winners else {
        panic!("exactly one should have created the session, and these did: {winners:?}");
    };
    let live = subject(harness).live(key).await;
    assert_eq!(
        (live.payload, live.revision),
        (payload(winner).into(), revision)
    );
}

/// T05, T20.
pub async fn no_operation_creates_a_session_that_never_existed<H: Harness>(harness: &H) {
    let store = subject(harness);
    for revision in [0, 1, u32::MAX] {
        store
            .assert_dead(key(), Revision(revision), &Loaded::Absent)
            .await;
    }
}

/// T01, T02, T04, S-064.
pub async fn no_operation_revives_a_session_that_ended<H: Harness>(harness: &H) {
    let (store, key) = (subject(harness), key());
    let last = store.create(key, "first", LONG).await;
    assert_eq!(
        subject(harness).end(key, EndReason::SignedOut).await,
        Ended::Done
    );
    store
        .assert_dead(key, last.revision, &ended(EndReason::SignedOut))
        .await;
}

/// T01, T23: neither the revision before the move nor the one after it helps.
pub async fn no_operation_revives_a_session_that_was_replaced<H: Harness>(harness: &H) {
    let store = subject(harness);
    for (old, new) in moves() {
        let first = store.create(old, "first", LONG).await;
        let keep = Deadline::Keep(Activity::Active);
        let moved = subject(harness)
            .replace((old, new), first.revision, "first", keep)
            .await;
        for revision in [first.revision, moved.revision] {
            store.assert_dead(old, revision, &moved_to(new)).await;
        }
        assert_eq!(store.live(new).await, moved);
    }
}

/// T40, T43, T49: at the deadline itself, with the right revision in hand.
pub async fn no_operation_revives_a_session_that_idled_out<H: Harness>(harness: &H) {
    let (store, key) = (subject(harness), key());
    let last = store.create(key, "first", short::<H>()).await;
    let timing = last.timing;
    advance_to_just_before(harness, &store, timing.idle_deadline()).await;
    advance_to_the_deadline(harness).await;
    let over = store.over(key).await;
    store.assert_dead(key, last.revision, &over).await;
}

/// T40, T43, T49.
pub async fn no_operation_revives_a_session_past_its_absolute_deadline<H: Harness>(harness: &H) {
    let (store, key) = (subject(harness), key());
    let last = store.create(key, "first", short::<H>()).await;
    let mut timing = last.timing;
    for _ in 0..3 {
        harness.advance(steps::<H>(3)).await;
        timing = store.touch(key).await;
    }
    advance_to_just_before(harness, &store, timing.absolute_deadline).await;
    advance_to_the_deadline(harness).await;
    let over = store.over(key).await;
    store.assert_dead(key, last.revision, &over).await;
}
