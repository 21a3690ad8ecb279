//! An ended session stays ended, and differs from one that never existed.

use super::{
    Harness, LONG, advance_to_just_before, advance_to_the_deadline, key, key_in, moves,
    people::{Session, any_user, begin, sign_in, stranger},
    subject::{Subject, end_of, ended, join_all, moved_to, subject, subjects},
};
use crate::{
    EndReason, EventKind, SessionIdHash,
    store::{Activity, Deadline, Ended, Loaded, Store, Stored, Termination},
};

/// S-059, S-062: a second end is answered as such, and does not change the reason.
pub async fn a_session_is_ended_once<H: Harness>(harness: &H) {
    let (store, key) = (subject(harness), key());
    store.create(key, "first", LONG).await;
    assert_eq!(store.end(key, EndReason::SignedOut).await, Ended::Done);
    for reason in [EndReason::SignedOut, EndReason::Replaced] {
        assert_eq!(subject(harness).end(key, reason).await, Ended::AlreadyGone);
        assert_eq!(store.load(key).await, ended(EndReason::SignedOut));
    }
}

/// One change is one event, so exactly one call is answered that it made the change.
pub async fn of_many_ends_of_one_session_exactly_one_succeeds<H: Harness>(harness: &H) {
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
        ended(EndReason::SignedOut)
    );
}

/// Concurrent writes do not stop a sign-out.
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
    assert_eq!(store.load(key).await, ended(EndReason::SignedOut));
}

const KEEP: Deadline = Deadline::Keep(Activity::Active);

/// Creates a session and moves it from each of the keys to the next.
pub(super) async fn moved_along<S: Store>(store: &Subject<S>, keys: &[SessionIdHash]) -> Stored {
    let mut keys = keys.iter().copied();
    let mut current = keys.next().expect("a key to begin with");
    let mut stored = store.create(current, "carried along", LONG).await;
    for new in keys {
        stored = store
            .replace((current, new), stored.revision, stored.payload, KEEP)
            .await;
        current = new;
    }
    stored
}

/// T04: a sign-out with the identifier before the move ends the session, inside a bucket and
/// between two, for the given reason. The old identifier stays replaced.
pub async fn an_end_follows_a_session_that_was_replaced<H: Harness>(harness: &H) {
    let (store, other) = (subject(harness), subject(harness));
    for reason in [EndReason::SignedOut, EndReason::Replaced] {
        for (old, new) in moves() {
            let neighbour = key_in(new.bucket());
            let untouched = store.create(neighbour, "untouched", LONG).await;
            let last = moved_along(&store, &[old, new]).await;
            assert_eq!(other.end(old, reason).await, Ended::Done);
            assert_eq!(store.load(new).await, ended(reason));
            store.assert_dead(new, last.revision, &ended(reason)).await;
            assert_eq!(store.load(old).await, moved_to(new));
            assert_eq!(store.live(neighbour).await, untouched);
        }
    }
}

/// An authentication begins another session, perhaps of another user. The earlier session has no
/// power over it.
pub async fn an_end_does_not_follow_an_authentication<H: Harness>(harness: &H) {
    let store = subject(harness);
    for (old, new) in moves() {
        let anonymous = store.create(old, "anonymous", LONG).await;
        let restart = Deadline::Restart(LONG);
        let signed_in = store
            .replace((old, new), anonymous.revision, anonymous.payload, restart)
            .await;
        assert_eq!(
            store.end(old, EndReason::SignedOut).await,
            Ended::AlreadyGone
        );
        assert_eq!(store.live(new).await, signed_in);
        assert_eq!(store.load(old).await, ended(EndReason::ReplacedAtSignIn));
    }
}

/// From the first key and from one in the middle, inside buckets and between them.
pub async fn an_end_follows_a_session_however_often_it_was_replaced<H: Harness>(harness: &H) {
    let (store, other) = (subject(harness), subject(harness));
    for (there, here) in moves() {
        for times in [2, 3, 12] {
            for from in [0, 1] {
                let keys: Vec<_> = [here, here, there, there]
                    .iter()
                    .cycle()
                    .take(times + 1)
                    .map(|key| key_in(key.bucket()))
                    .collect();
                let [before @ .., last] = &*keys else {
                    panic!("as many keys as were asked for");
                };
                moved_along(&store, &keys).await;
                let from = before.get(from).expect("more than one move");
                assert_eq!(other.end(*from, EndReason::SignedOut).await, Ended::Done);
                assert_eq!(store.load(*last).await, ended(EndReason::SignedOut));
                for (key, next) in keys.iter().zip(keys.iter().skip(1)) {
                    assert_eq!(store.load(*key).await, moved_to(*next));
                }
            }
        }
    }
}

/// One change is one event, whichever key of the session the callers know.
pub async fn of_many_ends_of_a_replaced_session_exactly_one_succeeds<H: Harness>(harness: &H) {
    let stores = subjects(harness, 8);
    for (old, new) in moves() {
        moved_along(&subject(harness), &[old, new]).await;
        let ends = stores.iter().zip([old, new].into_iter().cycle());
        let ends = ends.map(|(store, key)| store.end(key, EndReason::SignedOut));
        let answers = join_all(ends).await;
        let done = answers.iter().filter(|answer| **answer == Ended::Done);
        assert_eq!(done.count(), 1, "of those who ended one session, these did");
        assert_eq!(
            subject(harness).load(new).await,
            ended(EndReason::SignedOut)
        );
    }
}

/// What is remembered of its end does not change.
pub async fn an_end_finds_a_replaced_session_that_ended_since_already_gone<H: Harness>(
    harness: &H,
) {
    let (store, other) = (subject(harness), subject(harness));
    for (old, new) in moves() {
        let newest = key_in(old.bucket());
        moved_along(&store, &[old, new, newest]).await;
        assert_eq!(store.end(newest, EndReason::SignedOut).await, Ended::Done);
        for key in [old, new, newest] {
            for reason in [EndReason::Replaced, EndReason::SignedOut] {
                assert_eq!(other.end(key, reason).await, Ended::AlreadyGone);
            }
        }
        for (key, next) in [(old, new), (new, newest)] {
            assert_eq!(store.load(key).await, moved_to(next));
        }
        assert_eq!(store.load(newest).await, ended(EndReason::SignedOut));
    }
}

/// The store no longer knows the old key, so an end under it changes nothing.
pub async fn an_end_does_not_follow_a_replacement_that_is_forgotten<H: Harness>(harness: &H) {
    let memory = EndReason::Replaced.remembered_for() + H::TOLERANCE * 2;
    if H::PATIENCE < memory {
        return;
    }
    let store = subject(harness);
    for (old, new) in moves() {
        let moved = moved_along(&store, &[old, new]).await;
        harness.advance(memory).await;
        for reason in [EndReason::Replaced, EndReason::SignedOut] {
            assert_eq!(store.end(old, reason).await, Ended::AlreadyGone);
        }
        assert_eq!(store.live(new).await, moved);
    }
}

/// Rule 8: a sign-out by a caller that found the session live ends it, or returns an error that it
/// may be live. A session without an owner is in no list where the store could find it. A session
/// that would no longer be live is gone.
pub async fn an_end_finds_a_session_by_its_name_if_the_replacement_is_forgotten<H: Harness>(
    harness: &H,
) {
    let memory = EndReason::Replaced.remembered_for() + H::TOLERANCE * 2;
    if H::PATIENCE < memory {
        return;
    }
    let (store, user, reason) = (subject(harness), any_user(), EndReason::SignedOut);
    let mut owned = sign_in(harness, &user, LONG).await;
    let mut nobodys = begin(stranger(harness), key(), LONG).await;
    let neighbour = sign_in(harness, &user, LONG).await;
    let found = |session: &Session<H::Store>| Termination {
        live_until: Some(session.stored.timing.idle_deadline()),
        ..session.who.termination(session.key, reason)
    };
    let ends = [found(&owned), found(&nobodys)];
    owned.move_on(KEEP).await;
    nobodys.move_on(KEEP).await;
    harness.advance(memory).await;

    let [of_owned, of_nobodys] = &ends;
    assert!(matches!(store.0.end(of_owned).await, Ok(Ended::Done)));
    assert_eq!(store.load(owned.key).await, end_of(owned.handle(), reason));
    store.assert_listed(&user, [&neighbour]).await;
    let reported = owned.who.logged().await;
    assert_eq!(reported.last(), Some(&EventKind::Ended(reason)));

    let answer = store.0.end(of_nobodys).await;
    assert!(
        answer.is_err(),
        "an end that found nothing answered {answer:?}"
    );
    assert_eq!(store.live(nobodys.key).await, nobodys.stored);
    let over = Termination {
        live_until: Some(store.0.clock().earliest),
        ..of_nobodys.clone()
    };
    assert!(matches!(store.0.end(&over).await, Ok(Ended::AlreadyGone)));
    assert_eq!(store.live(nobodys.key).await, nobodys.stored);
}

/// For [`EndReason::remembered_for`]. Afterwards nothing is left.
pub async fn the_reason_of_an_end_is_remembered_and_then_forgotten<H: Harness>(harness: &H) {
    for reason in [EndReason::SignedOut, EndReason::Replaced] {
        let (store, key, new) = (subject(harness), key(), key());
        let created = store.create(key, "first", LONG).await;
        let expected = if reason == EndReason::Replaced {
            let keep = Deadline::Keep(Activity::Active);
            store
                .replace((key, new), created.revision, "moved", keep)
                .await;
            moved_to(new)
        } else {
            assert_eq!(store.end(key, reason).await, Ended::Done);
            ended(reason)
        };
        assert_eq!(store.load(key).await, expected);
        if H::PATIENCE < reason.remembered_for() + H::TOLERANCE * 2 {
            continue;
        }
        let ended_at = store.0.now();
        advance_to_just_before(harness, &store, ended_at.after(reason.remembered_for())).await;
        assert_eq!(store.load(key).await, expected);
        advance_to_the_deadline(harness).await;
        assert_eq!(store.load(key).await, Loaded::Absent);
        store
            .assert_dead(key, created.revision, &Loaded::Absent)
            .await;
    }
}
