//! A user never has more sessions than the limit allows.

use super::{
    Harness, LONG, key, moves,
    people::{Session, any_user, arriving, at_most, handles, key_of, sign_in},
    short, steps,
    subject::{end_of, join_all, subject},
};
use crate::{
    ClassCode, EndReason, EventKind,
    store::{
        Activity, Created, CreatedSession, Deadline, Ended, Limits, Loaded, OnLimit, Replaced,
    },
};

/// T76: even if all begin at the same moment.
pub async fn of_many_sign_ins_at_once_as_many_stay_as_the_limit_allows<H: Harness>(harness: &H) {
    for excess in [OnLimit::Displace, OnLimit::Refuse] {
        let (store, user) = (subject(harness), any_user());
        let arrivals: Vec<_> = (0..20)
            .map(|_| (arriving(harness, &user), key_of(&user)))
            .collect();
        let answers = join_all(
            arrivals
                .iter()
                .map(|(who, key)| who.create_with(*key, who.write(""), LONG, at_most(3, excess))),
        )
        .await;
        let mut live = 0;
        for ((who, key), answer) in arrivals.iter().zip(answers) {
            let expected = match (&answer, excess) {
                (Created::Done(..), OnLimit::Displace) => {
                    end_of(who.1.handle, EndReason::Displaced)
                }
                (Created::AtLimit, OnLimit::Refuse) => Loaded::Absent,
                (Created::Done(..), OnLimit::Refuse) => Loaded::Live(store.live(*key).await),
                _ => panic!("a sign-in answered {answer:?}"),
            };
            match store.load(*key).await {
                Loaded::Live(_) => live += 1,
                other => assert_eq!(other, expected),
            }
        }
        assert_eq!(live, 3, "with {excess:?}");
        assert_eq!(store.list(&user).await.len(), 3, "with {excess:?}");
    }
}

/// The least recently used, or the one closest to its absolute deadline. No session of another
/// user.
pub async fn the_session_that_would_end_first_is_displaced<H: Harness>(harness: &H) {
    let (store, user) = (subject(harness), any_user());
    let other_user = sign_in(harness, &any_user(), short::<H>()).await;
    let mut oldest = sign_in(harness, &user, LONG).await;
    harness.advance(steps::<H>(1)).await;
    let idle_for_longest = sign_in(harness, &user, LONG).await;
    harness.advance(steps::<H>(1)).await;
    oldest.stored.timing = oldest.who.touch(oldest.key).await;
    let limits = Limits {
        absolute: steps::<H>(30),
        ..LONG
    };
    let soonest_over = sign_in(harness, &user, limits).await;

    let limit = at_most(3, OnLimit::Displace);
    let (first, displaced) = arriving(harness, &user).sign_in_within(limit).await;
    assert_eq!(displaced, [soonest_over.handle()]);
    store
        .assert_listed(&user, [&oldest, &idle_for_longest, &first])
        .await;

    harness.advance(steps::<H>(1)).await;
    let (second, displaced) = arriving(harness, &user).sign_in_within(limit).await;
    assert_eq!(displaced, [idle_for_longest.handle()]);
    store.assert_listed(&user, [&oldest, &first, &second]).await;
    assert_eq!(store.live(other_user.key).await, other_user.stored);
}

/// One after the other, and after the limit was lowered.
pub async fn as_many_sessions_are_displaced_as_exceed_the_limit<H: Harness>(harness: &H) {
    let (store, user) = (subject(harness), any_user());
    let mut sessions = Vec::new();
    for number in 0..6 {
        let (session, displaced) = arriving(harness, &user)
            .sign_in_within(at_most(4, OnLimit::Displace))
            .await;
        assert_eq!(displaced.len(), usize::from(number >= 4));
        sessions.push(session);
        harness.advance(steps::<H>(1)).await;
    }
    let (last, mut displaced) = arriving(harness, &user)
        .sign_in_within(at_most(2, OnLimit::Displace))
        .await;
    displaced.sort_unstable();
    let [_, _, three @ .., staying] = &*sessions else {
        panic!("as many as signed in");
    };
    assert_eq!(displaced, handles(three));
    store.assert_listed(&user, [staying, &last]).await;
}

/// S-060: a load returns the reason, and no operation revives it.
pub async fn a_displaced_session_is_dead_and_its_reason_is_known<H: Harness>(harness: &H) {
    let user = any_user();
    let Session { who, key, stored } = sign_in(harness, &user, LONG).await;
    arriving(harness, &user)
        .sign_in_within(at_most(1, OnLimit::Displace))
        .await;
    let displaced = end_of(who.1.handle, EndReason::Displaced);
    who.assert_dead(key, stored.revision, &displaced).await;
}

/// Neither the existing sessions, nor the one to be replaced, nor the new key.
pub async fn a_sign_in_over_the_limit_that_is_refused_changes_nothing<H: Harness>(harness: &H) {
    let (store, user) = (subject(harness), any_user());
    let limit = at_most(2, OnLimit::Refuse);
    let sessions = [
        arriving(harness, &user).sign_in_within(limit).await.0,
        arriving(harness, &user).sign_in_within(limit).await.0,
    ];
    let (who, new) = (arriving(harness, &user), key_of(&user));
    let answer = who.create_with(new, who.write(""), LONG, limit).await;
    assert_eq!(answer, Created::AtLimit);
    assert_eq!(store.load(new).await, Loaded::Absent);

    for old in [key_of(&user), key(), moves()[0].0] {
        let anonymous = store.create(old, "anonymous", LONG).await;
        let replaced = store.old(old, anonymous.revision);
        let answer = who
            .replace_with(replaced, new, who.write(""), Deadline::Restart(LONG), limit)
            .await;
        assert_eq!(answer, Replaced::AtLimit);
        assert_eq!(store.live(old).await, anonymous);
        assert_eq!(store.load(new).await, Loaded::Absent);
    }
    store.assert_listed(&user, &sessions).await;
}

/// A sign-in that replaces an earlier session counts like any other.
pub async fn a_visitors_session_that_signs_in_displaces_another<H: Harness>(harness: &H) {
    let (store, user) = (subject(harness), any_user());
    let mut before = sign_in(harness, &user, LONG).await;
    for old in [key_of(&user), key()] {
        let anonymous = store.create(old, "anonymous", LONG).await;
        let (who, new) = (arriving(harness, &user), key_of(&user));
        let answer = who
            .replace_with(
                store.old(old, anonymous.revision),
                new,
                who.write("begun"),
                Deadline::Restart(LONG),
                at_most(1, OnLimit::Displace),
            )
            .await;
        let Replaced::Done(CreatedSession { displaced, .. }) = answer else {
            panic!("a sign-in answered {answer:?}");
        };
        assert_eq!(displaced, [before.handle()]);
        let stored = store.live(new).await;
        before = Session {
            who,
            key: new,
            stored,
        };
        store.assert_listed(&user, [&before]).await;
    }
}

/// A full authentication within a session does not add a session.
pub async fn a_session_that_authenticates_again_counts_once<H: Harness>(harness: &H) {
    let (store, user) = (subject(harness), any_user());
    for excess in [OnLimit::Displace, OnLimit::Refuse] {
        let limit = at_most(1, excess);
        let (session, _) = arriving(harness, &user)
            .sign_in_within(at_most(1, OnLimit::Displace))
            .await;
        let Session { who, key, stored } = &session;
        let new = key_of(&user);
        let answer = who
            .replace_with(
                who.old(*key, stored.revision),
                new,
                who.write(""),
                Deadline::Restart(LONG),
                limit,
            )
            .await;
        let Replaced::Done(CreatedSession { displaced, .. }) = answer else {
            panic!("to authenticate again answered {answer:?}");
        };
        assert_eq!(displaced, []);
        assert_eq!(store.list(&user).await.len(), 1);
    }
}

/// An elevation or a new identifier is not a sign-in.
pub async fn a_session_that_moves_displaces_none<H: Harness>(harness: &H) {
    let (store, user) = (subject(harness), any_user());
    let other = sign_in(harness, &user, LONG).await;
    for excess in [OnLimit::Displace, OnLimit::Refuse] {
        let Session { who, key, stored } = sign_in(harness, &user, LONG).await;
        let (old, new) = (who.old(key, stored.revision), key_of(&user));
        let keep = Deadline::Keep(Activity::Active);
        let answer = who
            .replace_with(old, new, who.write(""), keep, at_most(1, excess))
            .await;
        let Replaced::Done(CreatedSession { displaced, .. }) = answer else {
            panic!("a move answered {answer:?}");
        };
        assert_eq!(displaced, []);
        assert_eq!(store.live(other.key).await, other.stored);
    }
}

/// Even if they have not been swept.
pub async fn sessions_past_their_deadline_do_not_count<H: Harness>(harness: &H) {
    let (store, user) = (subject(harness), any_user());
    let limits = short::<H>();
    for _ in 0..3 {
        sign_in(harness, &user, limits).await;
    }
    harness.advance(limits.idle + H::TOLERANCE * 2).await;
    let (first, _) = arriving(harness, &user)
        .sign_in_within(at_most(1, OnLimit::Refuse))
        .await;
    let (second, displaced) = arriving(harness, &user)
        .sign_in_within(at_most(2, OnLimit::Displace))
        .await;
    assert_eq!(displaced, []);
    store.assert_listed(&user, [&first, &second]).await;
}

/// The limit is one of users.
pub async fn sessions_without_a_user_have_no_limit<H: Harness>(harness: &H) {
    let store = subject(harness);
    for excess in [OnLimit::Displace, OnLimit::Refuse] {
        for _ in 0..3 {
            let answer = store
                .create_with(key(), store.write(""), LONG, at_most(1, excess))
                .await;
            assert!(
                matches!(&answer, Created::Done(CreatedSession { displaced, .. }) if displaced.is_empty()),
                "{answer:?}"
            );
        }
    }
}

/// A write to the session, or its end, refuses the sign-in, and no session ends for it. Inside a
/// bucket, and between two, where the session that was created for it is logged as withdrawn.
pub async fn a_sign_in_that_came_too_late_displaces_no_session<H: Harness>(harness: &H) {
    let (store, user) = (subject(harness), any_user());
    let staying = sign_in(harness, &user, LONG).await;
    for old in [key_of(&user), key()] {
        let outdated = store.create(old, "", LONG).await.revision;
        let sign_in = async || {
            let (who, new) = (arriving(harness, &user), key_of(&user));
            let (replaced, restart) = (store.old(old, outdated), Deadline::Restart(LONG));
            let limit = at_most(1, OnLimit::Displace);
            let answer = who
                .replace_with(replaced, new, who.write(""), restart, limit)
                .await;
            store.assert_listed(&user, [&staying]).await;
            let reported = who.logged().await;
            let taken_back = [EventKind::Created, EventKind::Ended(EndReason::Withdrawn)];
            assert!(
                reported.is_empty() || reported == taken_back,
                "{reported:?}"
            );
            answer
        };
        let written = store.commit(old, outdated, "", Activity::Active).await;
        assert_eq!(sign_in().await, Replaced::Conflict(written));
        assert_eq!(store.end(old, EndReason::SignedOut).await, Ended::Done);
        assert_eq!(sign_in().await, Replaced::Gone);
    }
}

/// Sessions of another class neither count nor end.
pub async fn a_limit_counts_the_sessions_of_one_class<H: Harness>(harness: &H) {
    let user = any_user();
    let as_admin = || {
        let mut who = arriving(harness, &user);
        who.1.class = ClassCode::from_char('a').unwrap_or_default();
        who
    };
    let one = at_most(1, OnLimit::Displace);
    let (ordinary, displaced) = arriving(harness, &user).sign_in_within(one).await;
    assert_eq!(displaced, []);
    let (admin, displaced) = as_admin().sign_in_within(one).await;
    assert_eq!(displaced, []);

    let (_, displaced) = as_admin().sign_in_within(one).await;
    assert_eq!(displaced, [admin.handle()]);
    let refuse = at_most(1, OnLimit::Refuse);
    let third = as_admin();
    let refused = third
        .create_with(key_of(&user), third.write(""), LONG, refuse)
        .await;
    assert_eq!(refused, Created::AtLimit);
    ordinary.who.live(ordinary.key).await;
}
