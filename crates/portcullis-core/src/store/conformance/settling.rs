//! Sessions to which a version of the policy is applied in the background.

use std::{collections::HashSet, num::NonZeroUsize, panic::Location};

use super::{
    Harness, LONG,
    activating::{InRealm, some_realm},
    people::{any_user, begin, sign_in, stranger},
    steps,
    subject::{answered, end_of},
};
use crate::{
    BUCKETS, Bucket, ClassCode, EndReason, SessionIdHash,
    store::{
        Activity, BucketPage, Deadline, Ended, Limits, PolicyEnds, SettlePolicy, Settling, Store,
        Termination, Touch, Touched,
    },
};

/// Reads the sessions of a bucket, some at a time.
async fn all_in<S: Store>(store: &S, bucket: Bucket, most: usize) -> HashSet<SessionIdHash> {
    let most = NonZeroUsize::new(most).expect("a page has room");
    let (mut keys, mut next) = (HashSet::new(), Some(BucketPage::first(bucket, most)));
    while let Some(page) = next {
        let found = store.sessions_in(page).await;
        let found = answered(found, "sessions_in", Location::caller());
        keys.extend(found.sessions.into_iter().map(|listed| listed.key));
        next = found.next;
    }
    keys
}

/// Sessions of users and of visitors, however many fit on a page. What has ended is left out.
pub async fn the_live_sessions_of_a_bucket_are_read_page_by_page<H: Harness>(harness: &H) {
    let user = any_user();
    let mut sessions = Vec::new();
    for _ in 0..5 {
        sessions.push(sign_in(harness, &user, LONG).await);
    }
    let bucket = Bucket::of(&user);
    sessions.push(begin(stranger(harness), super::key_in(bucket), LONG).await);
    let ended = sign_in(harness, &user, LONG).await;
    ended.who.end(ended.key, EndReason::SignedOut).await;
    for session in sessions.iter_mut().take(1) {
        session.move_on(Deadline::Keep(Activity::Passive)).await;
    }
    let expected: HashSet<_> = sessions.iter().map(|session| session.key).collect();
    for most in [1, 2, 100] {
        let found = all_in(&harness.store(), bucket, most).await;
        // Other rules may use the same store and the same bucket.
        assert!(found.is_superset(&expected), "{most} on a page");
        assert!(!found.contains(&ended.key));
    }
}

impl<S: Store> InRealm<S> {
    async fn settle(&self, settle: SettlePolicy<'_>) -> Settling {
        let answer = self.0.settle_policy(settle).await;
        answered(answer, "settle_policy", Location::caller())
    }

    async fn ends(&self, number: u64) -> PolicyEnds {
        let ends = self.0.policy_ends(number).await;
        answered(ends, "policy_ends", Location::caller())
    }
}

fn bucket(number: u16) -> Bucket {
    Bucket::from_number(number).expect("there is such a bucket")
}

/// And it goes on where it was.
pub async fn one_caller_at_a_time_settles_a_policy<H: Harness>(harness: &H) {
    let realm = some_realm(harness);
    realm.done(None, 3, "three").await;
    let one = |done| SettlePolicy::new(3, "one", done);
    let other = |done| SettlePolicy::new(3, "other", done);
    assert_eq!(realm.settle(one(0)).await, Settling::Yours(bucket(0)));
    assert_eq!(realm.settle(other(0)).await, Settling::Others(bucket(0)));
    assert_eq!(realm.settle(one(8)).await, Settling::Yours(bucket(8)));
    // What it did not do, it does not move.
    assert_eq!(realm.settle(other(900)).await, Settling::Others(bucket(8)));
    assert_eq!(realm.settle(one(2)).await, Settling::Yours(bucket(8)));
    let Settling::Done(at) = realm.settle(one(BUCKETS)).await else {
        panic!("the last bucket is done");
    };
    assert_eq!(realm.settle(other(0)).await, Settling::Done(at));
}

/// A caller that died is replaced, at the bucket up to which it had come.
pub async fn another_caller_goes_on_where_one_has_stopped<H: Harness>(harness: &H) {
    let realm = some_realm(harness);
    realm.done(None, 1, "one").await;
    for done in [0, 40] {
        realm.settle(SettlePolicy::new(1, "one", done)).await;
    }
    if H::PATIENCE < SettlePolicy::TURN {
        return;
    }
    harness.advance(SettlePolicy::TURN).await;
    let other = SettlePolicy::new(1, "other", 0);
    assert_eq!(realm.settle(other).await, Settling::Yours(bucket(40)));
    // It comes back too late.
    let one = SettlePolicy::new(1, "one", 60);
    assert_eq!(realm.settle(one).await, Settling::Others(bucket(40)));
}

/// Only the active version is settled.
pub async fn a_later_version_is_settled_from_the_first_bucket<H: Harness>(harness: &H) {
    let realm = some_realm(harness);
    let later = SettlePolicy::new(2, "other", 0);
    assert_eq!(realm.settle(later).await, Settling::Superseded);
    realm.done(None, 1, "one").await;
    realm.settle(SettlePolicy::new(1, "one", 0)).await;
    realm.settle(SettlePolicy::new(1, "one", 40)).await;
    assert_eq!(realm.settle(later).await, Settling::Superseded);
    realm.done(Some(1), 2, "two").await;
    assert_eq!(realm.settle(later).await, Settling::Yours(bucket(0)));
    let earlier = SettlePolicy::new(1, "one", 50);
    assert_eq!(realm.settle(earlier).await, Settling::Superseded);
}

/// For sessions that a limit reaches later.
pub async fn what_was_settled_is_settled_again_after_a_time<H: Harness>(harness: &H) {
    let realm = some_realm(harness);
    realm.done(None, 1, "one").await;
    let after = steps::<H>(4);
    let settle = |done| SettlePolicy::new(1, "one", done).again_after(Some(after));
    realm.settle(settle(0)).await;
    let done = realm.settle(settle(BUCKETS)).await;
    assert!(matches!(done, Settling::Done(_)));
    assert_eq!(realm.settle(settle(0)).await, done);
    harness.advance(after).await;
    let once = SettlePolicy::new(1, "one", 0);
    assert_eq!(realm.settle(once).await, done);
    assert_eq!(realm.settle(settle(0)).await, Settling::Yours(bucket(0)));
}

/// Each once, by its class, in its realm.
pub async fn sessions_that_a_version_has_ended_are_counted<H: Harness>(harness: &H) {
    let realm = some_realm(harness);
    let admin = ClassCode::from_char('a').expect("a class has this character");
    for (class, version) in [
        (ClassCode::NONE, Some(4)),
        (admin, Some(4)),
        (admin, Some(4)),
        (admin, Some(5)),
        (admin, None),
    ] {
        let user = any_user();
        let mut who = super::people::arriving(harness, &user);
        who.0 = realm.0.in_realm(&realm.0.realm());
        who.1.class = class;
        let session = begin(who, super::people::key_of(&user), LONG).await;
        let termination = Termination {
            version,
            ..session
                .who
                .termination(session.key, EndReason::PolicyTightened)
        };
        let end = realm.0.end(&termination).await;
        assert_eq!(answered(end, "end", Location::caller()), Ended::Done);
        let again = realm.0.end(&termination).await;
        assert_eq!(
            answered(again, "end", Location::caller()),
            Ended::AlreadyGone
        );
        let over = end_of(session.handle(), EndReason::PolicyTightened);
        assert_eq!(session.who.load(session.key).await, over);
    }
    assert_eq!(realm.ends(4).await, [(ClassCode::NONE, 1), (admin, 2)]);
    assert_eq!(realm.ends(5).await, [(admin, 1)]);
    assert_eq!(realm.ends(6).await, []);
    assert_eq!(some_realm(harness).ends(4).await, []);
}

/// Whoever shortens it in the background does not undo what another request has shortened.
pub async fn without_activity_an_idle_timeout_becomes_no_longer<H: Harness>(harness: &H) {
    let limits = Limits {
        idle: steps::<H>(20),
        absolute: steps::<H>(60),
    };
    let session = sign_in(harness, &any_user(), limits).await;
    let touch = |steps_of_idle, activity| {
        let touch = Touch::new(&session.key, &session.who.1, activity);
        touch.idle_timeout(Some(steps::<H>(steps_of_idle)))
    };
    let idle_after = async |touch| match session.who.0.touch(touch).await {
        Ok(Touched::Done(timing)) => timing.idle_timeout,
        answer => panic!("touch answered {answer:?}"),
    };
    assert_eq!(idle_after(touch(30, Activity::Passive)).await, limits.idle);
    assert_eq!(
        idle_after(touch(10, Activity::Passive)).await,
        steps::<H>(10)
    );
    let stored = session.who.live(session.key).await;
    assert_eq!(
        stored.timing.last_active_at,
        session.stored.timing.last_active_at
    );
    assert_eq!(
        idle_after(touch(30, Activity::Active)).await,
        steps::<H>(30)
    );
}
