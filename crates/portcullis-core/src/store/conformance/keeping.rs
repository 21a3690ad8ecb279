//! What is stored is what was written, for every handle.

use bytes::Bytes;

use super::{
    Harness, LONG, assert_close, key, key_in, moves, steps,
    subject::{ended, moved_to, subject},
};
use crate::{
    EndReason,
    store::{Activity, Committed, Deadline, Ended, Store},
};

/// Bytes that can break a store: none, every byte, what looks like a tombstone, a number or a line
/// of a protocol, and 64 KiB that do not compress.
fn payloads() -> Vec<Bytes> {
    let mut state = 1_u32;
    let noise = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    });
    let mut payloads = vec![
        (0..=u8::MAX).collect(),
        noise.take(64 * 1024).collect(),
        Bytes::from_static(&[0]),
        Bytes::from_static(&[0xff, 0xfe, 0xc0, 0x80]),
    ];
    payloads.extend(["", "r", "o", ">", "1", "-1", "nil", "\r\n+OK\r\n", "a\0b"].map(Bytes::from));
    payloads
}

/// Through every operation that writes and every answer that contains them.
pub async fn payloads_come_back_as_they_went_in<H: Harness>(harness: &H) {
    let store = subject(harness);
    for payload in payloads() {
        let what = format!("a payload of {} bytes", payload.len());
        for (old, new) in moves() {
            let created = store.create(old, payload.clone(), LONG).await;
            assert_eq!(store.live(old).await.payload, payload, "{what}, created");

            let other = store
                .commit(old, created.revision, "other", Activity::Active)
                .await;
            let back = store
                .commit(old, other.revision, payload.clone(), Activity::Passive)
                .await;
            assert_eq!(store.live(old).await.payload, payload, "{what}, committed");

            match store
                .try_commit(old, created.revision, "late", Activity::Active)
                .await
            {
                Committed::Conflict(current) => {
                    assert_eq!(current.payload, payload, "{what}, returned by a conflict");
                }
                answer => panic!("a commit on an outdated revision answered {answer:?}"),
            }

            let keep = Deadline::Keep(Activity::Active);
            store
                .replace((old, new), back.revision, payload.clone(), keep)
                .await;
            assert_eq!(store.live(new).await.payload, payload, "{what}, moved");
        }
    }
}

/// `create`, `commit`, `touch` and `replace` answer the moments and the revision that a load finds.
pub async fn every_answer_is_what_is_stored<H: Harness>(harness: &H) {
    let store = subject(harness);
    for (old, new) in moves() {
        let mut stored = store.create(old, "created", LONG).await;
        assert_eq!(store.live(old).await, stored, "after create");
        for activity in [Activity::Active, Activity::Passive] {
            harness.advance(steps::<H>(1)).await;
            stored = store
                .commit(old, stored.revision, "committed", activity)
                .await;
            assert_eq!(store.live(old).await, stored, "after commit");
        }
        harness.advance(steps::<H>(1)).await;
        stored.timing = store.touch(old).await;
        assert_eq!(store.live(old).await, stored, "after touch");

        harness.advance(steps::<H>(1)).await;
        let keep = Deadline::Keep(Activity::Active);
        stored = store
            .replace((old, new), stored.revision, "moved", keep)
            .await;
        assert_eq!(store.live(new).await, stored, "after replace");

        harness.advance(steps::<H>(1)).await;
        let newer = key_in(new.bucket());
        let restart = Deadline::Restart(LONG);
        stored = store
            .replace((new, newer), stored.revision, "restarted", restart)
            .await;
        assert_eq!(store.live(newer).await, stored, "after a restart");
    }
}

/// S-063: every server sees a change at once.
pub async fn every_handle_sees_the_same_sessions<H: Harness>(harness: &H) {
    let (here, there) = (subject(harness), subject(harness));
    for (old, new) in moves() {
        let created = here.create(old, "here", LONG).await;
        assert_eq!(there.live(old).await, created);
        let committed = there
            .commit(old, created.revision, "there", Activity::Active)
            .await;
        assert_eq!(here.live(old).await, committed);
        let keep = Deadline::Keep(Activity::Active);
        let moved = here
            .replace((old, new), committed.revision, "here", keep)
            .await;
        assert_eq!(there.load(old).await, moved_to(new));
        assert_eq!(there.live(new).await, moved);
        assert_eq!(there.end(new, EndReason::SignedOut).await, Ended::Done);
        assert_eq!(here.load(new).await, ended(EndReason::SignedOut));
    }
}

/// Neighbours in a bucket share a shard, and perhaps an index, but nothing else.
pub async fn sessions_of_one_bucket_do_not_affect_each_other<H: Harness>(harness: &H) {
    let (store, neighbour) = (subject(harness), key());
    let before = store.create(neighbour, "untouched", LONG).await;
    let [first, second] = [(); 2].map(|()| key_in(neighbour.bucket()));

    let created = store.create(first, "one", LONG).await;
    let committed = store
        .commit(first, created.revision, "two", Activity::Active)
        .await;
    store.touch(first).await;
    let restart = Deadline::Restart(LONG);
    store
        .replace((first, second), committed.revision, "three", restart)
        .await;
    assert_eq!(store.end(second, EndReason::SignedOut).await, Ended::Done);

    assert_eq!(store.live(neighbour).await, before);
}

/// S-043, T46: all handles show the store's clock.
pub async fn now_is_the_clock_of_the_store<H: Harness>(harness: &H) {
    let (one, other) = (subject(harness), subject(harness));
    let key = key();
    one.create(key, "", LONG).await;
    for _ in 0..3 {
        harness.advance(steps::<H>(3)).await;
        for store in [&one, &other] {
            let timing = store.touch(key).await;
            assert_close::<H>("now", store.0.now(), timing.last_active_at);
        }
    }
}
