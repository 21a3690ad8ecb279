//! A session moves as a whole: the old key dies in the step in which the new one becomes live.

use super::{
    Harness, LONG, assert_is_now,
    ending::moved_along,
    key, key_in, moves, short, steps,
    subject::{ended, join, join_all, moved_to, subject, subjects},
};
use crate::{
    EndReason,
    store::{Activity, Deadline, Ended, Loaded, Replaced},
};

/// T23, T24, S-026, S-031: inside a bucket and between two.
pub async fn a_replaced_session_is_live_under_the_new_key_alone<H: Harness>(harness: &H) {
    let store = subject(harness);
    for (old, new) in moves() {
        for (deadline, activity) in [
            (Deadline::Keep(Activity::Active), Activity::Active),
            (Deadline::Keep(Activity::Passive), Activity::Passive),
            (Deadline::Restart(short::<H>()), Activity::Active),
        ] {
            let (old, new) = (key_in(old.bucket()), key_in(new.bucket()));
            let before = store.create(old, "before", LONG).await;
            harness.advance(steps::<H>(1)).await;
            let moved = store
                .replace((old, new), before.revision, "after", deadline)
                .await;

            match activity {
                Activity::Active | Activity::Privileged { .. } | Activity::Proof => {
                    let earliest = before.timing.last_active_at.after(steps::<H>(1));
                    let moment = moved.timing.last_active_at;
                    assert_is_now::<H>("last activity", moment, &store.0, earliest);
                }
                Activity::Passive => {
                    assert_eq!(moved.timing.last_active_at, before.timing.last_active_at);
                }
            }

            let end = match deadline {
                Deadline::Keep(_) => moved_to(new),
                Deadline::Restart(_) => ended(EndReason::ReplacedAtSignIn),
            };
            assert_eq!(store.load(old).await, end);
            assert_eq!(store.live(new).await, moved);
            assert_eq!(moved.payload, "after");
        }
    }
}

/// Every key but the last one is dead, and names the next one.
pub async fn a_session_can_be_replaced_again_and_again<H: Harness>(harness: &H) {
    let store = subject(harness);
    let mut current = key();
    let mut stored = store.create(current, "carried along", LONG).await;
    let mut dead = Vec::new();
    for (elsewhere, _) in [moves(), moves(), moves()].into_iter().flatten() {
        for new in [elsewhere, key_in(elsewhere.bucket())] {
            let keep = Deadline::Keep(Activity::Active);
            stored = store
                .replace((current, new), stored.revision, stored.payload, keep)
                .await;
            dead.push((std::mem::replace(&mut current, new), new));
        }
    }
    assert_eq!(store.live(current).await, stored);
    assert_eq!(stored.payload, "carried along");
    for (key, next) in dead {
        assert_eq!(store.load(key).await, moved_to(next));
    }
}

/// A caller that watches a session which others move can follow it from any of its keys, even to
/// its end.
pub async fn a_session_that_was_replaced_is_found_from_every_key_it_had<H: Harness>(harness: &H) {
    let (store, other) = (subject(harness), subject(harness));
    for (there, here) in moves() {
        let last = key_in(there.bucket());
        let mut keys: Vec<_> = [here, there, here, here]
            .map(|key| key_in(key.bucket()))
            .into();
        keys.push(last);
        let stored = moved_along(&store, &keys).await;
        for from in &keys {
            assert_eq!(other.follow(*from).await, Loaded::Live(stored.clone()));
        }
        assert_eq!(store.end(last, EndReason::SignedOut).await, Ended::Done);
        for from in &keys {
            assert_eq!(other.follow(*from).await, ended(EndReason::SignedOut));
        }
    }
}

/// An authentication begins another session, perhaps of another user. No key leads to it.
pub async fn a_session_that_authenticated_has_no_successor<H: Harness>(harness: &H) {
    let store = subject(harness);
    for (old, new) in moves() {
        let first = key_in(old.bucket());
        let mut stored = store.create(first, "anonymous", LONG).await;
        let keep = Deadline::Keep(Activity::Active);
        for (from, to, deadline) in [(first, old, keep), (old, new, Deadline::Restart(LONG))] {
            stored = store
                .replace((from, to), stored.revision, "anonymous", deadline)
                .await;
        }
        for from in [first, old] {
            let found = store.follow(from).await;
            assert_eq!(found, ended(EndReason::ReplacedAtSignIn));
        }
        assert_eq!(store.live(new).await, stored);
    }
}

/// A move that did not see the last write would undo it. It does not take place, not even in part.
pub async fn replacing_on_an_outdated_revision_conflicts_and_changes_nothing<H: Harness>(
    harness: &H,
) {
    let (store, other) = (subject(harness), subject(harness));
    for (old, new) in moves() {
        let read = store.create(old, "first", LONG).await;
        let current = other
            .commit(old, read.revision, "second", Activity::Passive)
            .await;
        harness.advance(steps::<H>(1)).await;
        for deadline in [
            Deadline::Keep(Activity::Active),
            Deadline::Keep(Activity::Passive),
            Deadline::Restart(short::<H>()),
        ] {
            let answer = store
                .try_replace((old, new), read.revision, "third", deadline)
                .await;
            assert_eq!(answer, Replaced::Conflict(current.clone()));
            assert_eq!(
                store.live(old).await,
                current,
                "a conflict changed something"
            );
            assert_eq!(
                store.load(new).await,
                Loaded::Absent,
                "a conflict created something"
            );
        }
    }
}

/// T26, S-031: a session never becomes two.
pub async fn of_many_replacements_of_one_session_exactly_one_succeeds<H: Harness>(harness: &H) {
    let stores = subjects(harness, 8);
    for (old, new) in moves() {
        let read = subject(harness).create(old, "first", LONG).await.revision;
        let replacements = stores.iter().map(|store| async move {
            let new = key_in(new.bucket());
            let keep = Deadline::Keep(Activity::Active);
            match store.try_replace((old, new), read, "moved", keep).await {
                Replaced::Done(..) => (new, true),
                Replaced::Gone => (new, false),
                other => panic!("replace answered {other:?} where nobody wrote under the old key"),
            }
        });
        let answers = join_all(replacements).await;
        let winners = answers.iter().filter(|(_, done)| *done).count();
        assert_eq!(
            winners, 1,
            "of those who replaced one session, this many did"
        );

        let store = subject(harness);
        let winner = answers.iter().find_map(|(new, done)| done.then_some(*new));
        let goes_on = moved_to(winner.expect("one of them"));
        assert_eq!(store.load(old).await, goes_on);
        for (new, done) in answers {
            match done {
                true => assert_eq!(store.live(new).await.payload, "moved"),
                false => assert_eq!(store.load(new).await, Loaded::Absent),
            }
        }
    }
}

/// T01, T04: a sign-out concurrent with a move either comes first, and the move does not take
/// place, or follows it. No session stays live.
pub async fn an_end_that_meets_a_replacement_wins_whichever_comes_first<H: Harness>(harness: &H) {
    let (mover, ender) = (subject(harness), subject(harness));
    for end_first in [false, true, false, true] {
        for (old, new) in moves() {
            let read = mover.create(old, "first", LONG).await.revision;
            let keep = Deadline::Keep(Activity::Active);
            let replace = mover.try_replace((old, new), read, "moved", keep);
            let end = ender.end(old, EndReason::SignedOut);
            let (replaced, answer) = match end_first {
                false => join(replace, end).await,
                true => {
                    let (answer, replaced) = join(end, replace).await;
                    (replaced, answer)
                }
            };
            assert_eq!(answer, Ended::Done, "the session was live until it ended");
            let (old_is, new_is) = match replaced {
                Replaced::Done(..) => (moved_to(new), ended(EndReason::SignedOut)),
                Replaced::Gone => (ended(EndReason::SignedOut), Loaded::Absent),
                other => panic!("replace answered {other:?} where nobody wrote"),
            };
            assert_eq!(mover.load(old).await, old_is);
            assert_eq!(mover.load(new).await, new_is);
        }
    }
}
