//! Concurrent writes: none is lost, and none outlives the session.

use super::{
    Harness, LONG, key, moves, steps,
    subject::{Subject, ended, join, join_all, moved_to, subject, subjects, yield_now},
};
use crate::{
    EndReason, SessionIdHash,
    store::{
        Activity, Committed, CommittedSession, CreatedSession, Deadline, Ended, Loaded, Replaced,
        Revision, Store, Stored, Touched,
    },
};

/// T80: a writer that did not see the last write does not overwrite it. The answer is the present
/// state.
pub async fn a_commit_on_an_outdated_revision_conflicts_and_changes_nothing<H: Harness>(
    harness: &H,
) {
    let (store, other, key) = (subject(harness), subject(harness), key());
    let read = store.create(key, "first", LONG).await;
    let current = other
        .commit(key, read.revision, "second", Activity::Passive)
        .await;
    harness.advance(steps::<H>(1)).await;
    for activity in [Activity::Active, Activity::Passive] {
        let answer = store
            .try_commit(key, read.revision, "third", activity)
            .await;
        assert_eq!(answer, Committed::Conflict(current.clone()));
        assert_eq!(
            store.live(key).await,
            current,
            "a conflict changed something"
        );
    }
}

/// Even two writes of the same bytes differ: a reader of the first must notice the second.
pub async fn no_two_writes_of_a_session_share_a_revision<H: Harness>(harness: &H) {
    let store = subject(harness);
    for (old, new) in moves() {
        let mut seen = vec![store.create(old, "same", LONG).await.revision];
        let mut is_new = |revision: Revision| {
            assert!(
                !seen.contains(&revision),
                "a write has a revision that was there before"
            );
            seen.push(revision);
            revision
        };
        let mut last = store.live(old).await.revision;
        for _ in 0..10 {
            last = is_new(
                store
                    .commit(old, last, "same", Activity::Active)
                    .await
                    .revision,
            );
        }
        let keep = Deadline::Keep(Activity::Active);
        is_new(store.replace((old, new), last, "same", keep).await.revision);
    }
}

/// A revision belongs to a payload. Last activity may move without it.
pub async fn reads_and_touches_make_no_conflict<H: Harness>(harness: &H) {
    let (store, other, key) = (subject(harness), subject(harness), key());
    let read = store.create(key, "first", LONG).await;
    harness.advance(steps::<H>(1)).await;
    other.touch(key).await;
    assert_eq!(other.live(key).await.revision, read.revision);
    store
        .commit(key, read.revision, "second", Activity::Active)
        .await;
}

/// T80.
pub async fn of_two_writers_on_one_revision_exactly_one_wins<H: Harness>(harness: &H) {
    let (one, two) = (subject(harness), subject(harness));
    for _ in 0..10 {
        let key = key();
        let read = one.create(key, "first", LONG).await.revision;
        let (by_one, by_two) = join(
            one.try_commit(key, read, "one", Activity::Active),
            two.try_commit(key, read, "two", Activity::Active),
        )
        .await;
        let live = one.live(key).await;
        match (by_one, by_two) {
            (Committed::Done(CommittedSession { revision, .. }), Committed::Conflict(reported)) => {
                assert_eq!(
                    (&*live.payload, live.revision),
                    (b"one".as_slice(), revision)
                );
                assert_eq!(reported, live);
            }
            (Committed::Conflict(reported), Committed::Done(CommittedSession { revision, .. })) => {
                assert_eq!(
                    (&*live.payload, live.revision),
                    (b"two".as_slice(), revision)
                );
                assert_eq!(reported, live);
            }
            answers => panic!("one should win and one conflict, and they got {answers:?}"),
        }
    }
}

/// T80: a counter that two writers increment has the right value at the end.
pub async fn concurrent_read_modify_writes_lose_nothing<H: Harness>(harness: &H) {
    const TIMES: u32 = 20;
    let (one, two, key) = (subject(harness), subject(harness), key());
    one.create(key, "0", LONG).await;
    join(count_up(&one, key, TIMES), count_up(&two, key, TIMES)).await;
    assert_eq!(
        number(&one.live(key).await),
        2 * TIMES,
        "increments were lost"
    );
}

async fn count_up<S: Store>(store: &Subject<S>, key: SessionIdHash, times: u32) {
    for _ in 0..times {
        let mut current = store.live(key).await;
        loop {
            yield_now().await;
            let next = (number(&current) + 1).to_string();
            match store
                .try_commit(key, current.revision, next, Activity::Active)
                .await
            {
                Committed::Done(..) => break,
                Committed::Conflict(newer) => current = newer,
                Committed::Gone => panic!("a live session was gone for a commit"),
            }
        }
    }
}

fn number(stored: &Stored) -> u32 {
    let text = std::str::from_utf8(&stored.payload).expect("the payload is what was written");
    text.parse().expect("the payload is what was written")
}

/// T01, T02, S-064: a session that ends during other operations stays ended.
pub async fn no_write_under_way_outlives_an_end<H: Harness>(harness: &H) {
    let (stores, ender) = (subjects(harness, 4), subject(harness));
    for head_start in 0..10 {
        let key = key();
        ender.create(key, "first", LONG).await;
        let writes = join_all(stores.iter().map(|store| write_until_gone(store, key)));
        let end = async {
            for _ in 0..head_start {
                yield_now().await;
            }
            let answer = ender.end(key, EndReason::SignedOut).await;
            assert_eq!(answer, Ended::Done);
            assert_eq!(ender.load(key).await, ended(EndReason::SignedOut));
        };
        join(writes, end).await;
        assert_eq!(ender.load(key).await, ended(EndReason::SignedOut));
    }
}

/// T01, T22, T23, S-031: the old key is dead for every request under way with it. Their writes do
/// not reach the session under its new key.
pub async fn no_write_under_way_outlives_a_replacement<H: Harness>(harness: &H) {
    let (stores, mover) = (subjects(harness, 4), subject(harness));
    for head_start in 0..10 {
        for (old, new) in moves() {
            let created = mover.create(old, "first", LONG).await;
            let writes = join_all(stores.iter().map(|store| write_until_gone(store, old)));
            let replace = async {
                for _ in 0..head_start {
                    yield_now().await;
                }
                let mut last = created.revision;
                loop {
                    let keep = Deadline::Keep(Activity::Active);
                    match mover.try_replace((old, new), last, "moved", keep).await {
                        Replaced::Done(CreatedSession {
                            timing, revision, ..
                        }) => return (timing, revision),
                        Replaced::Conflict(newer) => last = newer.revision,
                        other => panic!("replacing a live session answered {other:?}"),
                    }
                }
            };
            let (_, (timing, revision)) = join(writes, replace).await;
            assert_eq!(mover.load(old).await, moved_to(new));
            let live = mover.live(new).await;
            assert_eq!(
                (&*live.payload, live.revision),
                (b"moved".as_slice(), revision)
            );
            assert_eq!(live.timing, timing);
        }
    }
}

/// Reads, touches and commits until the session has ended. It must end during that.
async fn write_until_gone<S: Store>(store: &Subject<S>, key: SessionIdHash) {
    const ENOUGH: u32 = 10_000;
    for _ in 0..ENOUGH {
        let Loaded::Live(read) = store.load(key).await else {
            break;
        };
        yield_now().await;
        if store.try_touch(key).await == Touched::Gone {
            break;
        }
        yield_now().await;
        let answer = store
            .try_commit(key, read.revision, "late", Activity::Active)
            .await;
        if answer == Committed::Gone {
            break;
        }
    }
    assert!(
        !matches!(store.load(key).await, Loaded::Live(_)),
        "the session was gone for one operation and live for the next, or never ended"
    );
}
