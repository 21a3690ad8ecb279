//! Other limits of a session that keeps its deadlines otherwise.

use std::time::Duration;

use super::{
    Harness, LONG, assert_close, key, key_in, moves,
    people::{any_user, arriving, key_of, sign_in},
    steps,
    subject::{Subject, subject},
};
use crate::{
    EndReason, SessionIdHash, Timestamp,
    store::{
        Activity, Created, Expiry, Limits, NewLimits, RecordWrite, Store, Timing, Touch, Touched,
    },
};

fn idle(idle_timeout: Duration) -> NewLimits {
    NewLimits {
        idle_timeout: Some(idle_timeout),
        ..NewLimits::default()
    }
}

fn absolute(absolute_deadline: Timestamp) -> NewLimits {
    NewLimits {
        absolute_deadline: Some(absolute_deadline),
        ..NewLimits::default()
    }
}

/// With a write and with a new identifier. The absolute deadline stays.
pub async fn another_idle_timeout_holds_from_the_write_on<H: Harness>(harness: &H) {
    let store = subject(harness);
    for (old, new) in moves() {
        let before = store.create(old, "", LONG).await;
        let write = RecordWrite {
            new_limits: idle(steps::<H>(40)),
            ..store.write("")
        };
        let written = store
            .commit_as(old, before.revision, &write, Activity::Active)
            .await;
        assert_eq!(written.idle_timeout, steps::<H>(40));
        let write = RecordWrite {
            new_limits: idle(steps::<H>(4)),
            ..store.write("")
        };
        let revision = store.live(old).await.revision;
        let moved = store.replace_write((old, new), revision, &write).await;
        assert_eq!(moved.idle_timeout, steps::<H>(4));
        assert_eq!(store.live(new).await.timing, moved);
        let deadline = before.timing.absolute_deadline;
        assert_close::<H>("the absolute deadline", moved.absolute_deadline, deadline);
        harness.advance(steps::<H>(5)).await;
        store.over(new).await;
    }
}

/// A session that has been inactive for longer than its new idle timeout ends with that write.
pub async fn an_idle_timeout_that_has_passed_ends_the_session<H: Harness>(harness: &H) {
    let store = subject(harness);
    let key = key();
    let limits = Limits {
        idle: steps::<H>(30),
        absolute: steps::<H>(60),
    };
    let before = store.create(key, "", limits).await;
    harness.advance(steps::<H>(3)).await;
    let write = RecordWrite {
        new_limits: idle(steps::<H>(1)),
        ..store.write("")
    };
    store
        .commit_as(key, before.revision, &write, Activity::Passive)
        .await;
    store.over(key).await;
}

/// Writes these limits to a live session, under its key or under another.
async fn limited<S: Store>(
    who: &Subject<S>,
    (old, new): (SessionIdHash, SessionIdHash),
    new_limits: NewLimits,
) -> Timing {
    let revision = who.live(old).await.revision;
    let write = RecordWrite {
        elevated_until: Some(who.0.now().after(LONG.idle)),
        new_limits,
        ..who.write("")
    };
    match old == new {
        true => {
            who.commit_as(old, revision, &write, Activity::Passive)
                .await
        }
        false => who.replace_write((old, new), revision, &write).await,
    }
}

/// With a write and with a new identifier. The session and its elevation end then, once, and for
/// that reason.
pub async fn an_earlier_absolute_deadline_holds_from_the_write_on<H: Harness>(harness: &H) {
    let store = subject(harness);
    let mut waiting = Vec::new();
    for is_moved in [false, true] {
        let session = sign_in(harness, &any_user(), LONG).await;
        let key = match is_moved {
            true => key_in(session.key.bucket()),
            false => session.key,
        };
        let earlier = store.0.now().after(steps::<H>(4));
        let timing = limited(&session.who, (session.key, key), absolute(earlier)).await;
        assert_eq!(timing.absolute_deadline, earlier);
        assert_eq!(store.live(key).await.timing, timing);
        waiting.push((session, key, earlier));
    }
    harness.advance(steps::<H>(6)).await;
    let mut swept = store.sweep().await;
    swept.extend(store.sweep().await);
    for (session, key, earlier) in waiting {
        let handle = session.handle();
        let mut ends = swept.iter().filter(|end| end.handle == handle);
        let end = ends.next().expect("an expiry of the session");
        assert_eq!(end.what, Expiry::Session(EndReason::AbsoluteTimeout));
        assert_close::<H>("its end", end.at, earlier);
        assert_eq!(ends.next(), None);
        session.who.over(key).await;
        let user = session.who.1.user().expect("a user");
        assert_eq!(store.list(user).await, []);
    }
}

/// With a write under the same key, as an operator makes it. Their expiry is not reported then.
pub async fn elevations_that_end_with_a_write_do_not_expire_later<H: Harness>(harness: &H) {
    let who = arriving(harness, &any_user());
    let key = key_of(who.1.user().expect("a user"));
    let write = RecordWrite {
        elevated_until: Some(who.0.now().after(steps::<H>(3))),
        ..who.write("elevated")
    };
    let created = who.create_with(key, write.clone(), LONG, None).await;
    let Created::Done(created) = created else {
        panic!("create answered {created:?}");
    };
    let write = RecordWrite {
        new_limits: NewLimits {
            elevations_end: true,
            ..NewLimits::default()
        },
        ..who.write("not elevated")
    };
    who.commit_as(key, created.revision, &write, Activity::Passive)
        .await;
    harness.advance(steps::<H>(5)).await;
    let swept = who.sweep().await;
    assert!(swept.iter().all(|expired| expired.handle != who.1.handle));
    assert_eq!(who.live(key).await.payload, "not elevated");
    let user = who.1.user().expect("a user");
    assert_eq!(who.list(user).await.len(), 1, "it stays in the list");
}

/// Only a full authentication moves it to a later time.
pub async fn a_later_absolute_deadline_changes_nothing<H: Harness>(harness: &H) {
    for (old, new) in moves() {
        let store = subject(harness);
        let before = store.create(old, "", LONG).await.timing;
        let later = before.absolute_deadline.after(steps::<H>(1));
        let written = limited(&store, (old, old), absolute(later)).await;
        assert_eq!(written.absolute_deadline, before.absolute_deadline);
        let moved = limited(&store, (old, new), absolute(later)).await;
        let deadline = before.absolute_deadline;
        assert_close::<H>("the absolute deadline", moved.absolute_deadline, deadline);
    }
}

/// With activity alone. It holds from then on.
pub async fn a_touch_can_bring_another_idle_timeout<H: Harness>(harness: &H) {
    let store = subject(harness);
    let key = key();
    store.create(key, "", LONG).await;
    for idle in [40, 4] {
        let idle = Some(steps::<H>(idle));
        let touch = Touch::new(&key, &store.1, Activity::Active).idle_timeout(idle);
        let touched = store.0.touch(touch).await;
        let Ok(Touched::Done(timing)) = touched else {
            panic!("the touch of a live session answered {touched:?}");
        };
        assert_eq!(Some(timing.idle_timeout), idle);
        assert_eq!(store.live(key).await.timing, timing);
    }
    harness.advance(steps::<H>(5)).await;
    store.over(key).await;
}
