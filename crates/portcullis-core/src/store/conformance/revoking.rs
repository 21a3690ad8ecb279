//! Sessions that are revoked, and sign-ins that come too late.

use super::{
    Harness, LONG, MILLI, key,
    people::{Session, any_user, arriving, handles, key_of, name, sign_in},
    short,
    subject::{end_of, join, join_all, subject, yield_now},
};
use crate::{
    EndReason, SessionHandle,
    store::{Activity, Created, Deadline, Ended, Loaded, Replaced, RevokeScope, Touched},
};

const BY_USER: EndReason = EndReason::RevokedByUser;
const KEEP: Deadline = Deadline::Keep(Activity::Active);

fn revoked(handle: SessionHandle) -> Loaded {
    end_of(handle, BY_USER)
}

/// Lets time pass, so that the next step is later on any clock.
pub(super) async fn later<H: Harness>(harness: &H) {
    harness.advance(MILLI + H::TOLERANCE * 2).await;
}

/// S-063: that one ends, once, and no other.
pub async fn a_session_is_revoked_by_its_name<H: Harness>(harness: &H) {
    let (store, user) = (subject(harness), any_user());
    let [one, other] = [
        sign_in(harness, &user, LONG).await,
        sign_in(harness, &user, LONG).await,
    ];
    let which = RevokeScope::One(one.handle());
    assert_eq!(store.revoke(&user, which, BY_USER).await, [one.handle()]);
    assert_eq!(store.load(one.key).await, revoked(one.handle()));
    store.assert_listed(&user, [&other]).await;
    assert_eq!(store.live(other.key).await, other.stored);
    assert_eq!(store.revoke(&user, which, EndReason::SignedOut).await, []);
    assert_eq!(store.load(one.key).await, revoked(one.handle()));
}

/// Even if it moved after the list was shown.
pub async fn a_session_is_revoked_by_its_name_under_whatever_key_it_is_live<H: Harness>(
    harness: &H,
) {
    let (store, user) = (subject(harness), any_user());
    let mut session = sign_in(harness, &user, LONG).await;
    session.move_on(KEEP).await;
    session.move_on(Deadline::Restart(LONG)).await;
    let which = RevokeScope::One(session.handle());
    assert_eq!(
        store.revoke(&user, which, BY_USER).await,
        [session.handle()]
    );
    assert_eq!(store.load(session.key).await, revoked(session.handle()));
}

/// The name of another user's session, of none, or of one that has ended.
pub async fn a_name_of_no_live_session_of_the_user_revokes_nothing<H: Harness>(harness: &H) {
    let (store, user) = (subject(harness), any_user());
    let theirs = sign_in(harness, &user, LONG).await;
    let others = sign_in(harness, &any_user(), LONG).await;
    let signed_out = sign_in(harness, &user, LONG).await;
    let answer = signed_out
        .who
        .end(signed_out.key, EndReason::SignedOut)
        .await;
    assert_eq!(answer, Ended::Done);
    let over = sign_in(harness, &user, short::<H>()).await;
    harness.advance(short::<H>().idle + H::TOLERANCE * 2).await;

    for handle in [others.handle(), signed_out.handle(), over.handle(), name()] {
        assert_eq!(
            store.revoke(&user, RevokeScope::One(handle), BY_USER).await,
            []
        );
    }
    assert_eq!(store.live(theirs.key).await, theirs.stored);
    assert_eq!(store.live(others.key).await, others.stored);
    let end = end_of(signed_out.handle(), EndReason::SignedOut);
    assert_eq!(store.load(signed_out.key).await, end);
    store.over(over.key).await;
}

/// S-063, and sessions of other users stay.
pub async fn revoking_all_ends_every_session_of_the_user<H: Harness>(harness: &H) {
    let (store, user) = (subject(harness), any_user());
    let others = sign_in(harness, &any_user(), LONG).await;
    let anonymous = (key_of(&user), key());
    store.create(anonymous.0, "", LONG).await;
    store.create(anonymous.1, "", LONG).await;
    for which in [RevokeScope::All, RevokeScope::Listed] {
        let mut sessions = Vec::new();
        for _ in 0..5 {
            sessions.push(sign_in(harness, &user, LONG).await);
        }
        let ended = store.revoke(&user, which, BY_USER).await;
        assert_eq!(ended, handles(&sessions));
        store.assert_listed(&user, []).await;
        for session in &sessions {
            assert_eq!(store.load(session.key).await, revoked(session.handle()));
        }
        assert_eq!(store.revoke(&user, which, BY_USER).await, []);
        later(harness).await;
    }
    assert_eq!(store.live(others.key).await, others.stored);
    store.live(anonymous.0).await;
    store.live(anonymous.1).await;
}

/// The kept session stays live and usable, until it is revoked itself.
pub async fn revoking_all_but_one_leaves_that_one<H: Harness>(harness: &H) {
    let (store, user) = (subject(harness), any_user());
    let mut kept = sign_in(harness, &user, LONG).await;
    let others = [
        sign_in(harness, &user, LONG).await,
        sign_in(harness, &user, LONG).await,
    ];
    later(harness).await;
    let which = RevokeScope::AllBut(kept.handle());
    assert_eq!(store.revoke(&user, which, BY_USER).await, handles(&others));
    store.assert_listed(&user, [&kept]).await;

    let Session { who, key, stored } = &mut kept;
    assert!(matches!(who.try_touch(*key).await, Touched::Done(_)));
    *stored = who
        .commit(*key, stored.revision, "goes on", Activity::Active)
        .await;
    kept.move_on(KEEP).await;
    kept.move_on(Deadline::Restart(LONG)).await;
    store.assert_listed(&user, [&kept]).await;

    assert_eq!(store.revoke(&user, which, BY_USER).await, []);
    let ended = store.revoke(&user, RevokeScope::All, BY_USER).await;
    assert_eq!(ended, [kept.handle()]);
    assert_eq!(store.load(kept.key).await, revoked(kept.handle()));
}

/// T01, S-064: the given reason is remembered.
pub async fn no_operation_revives_a_session_that_was_revoked<H: Harness>(harness: &H) {
    let (store, user) = (subject(harness), any_user());
    for (kept, reason) in [
        (None, EndReason::RevokedByOperator),
        (Some(name()), EndReason::RevokedByUser),
    ] {
        let Session { who, key, stored } = sign_in(harness, &user, LONG).await;
        later(harness).await;
        let which = kept.map_or(RevokeScope::All, RevokeScope::AllBut);
        assert_eq!(store.revoke(&user, which, reason).await, [who.1.handle]);
        let end = end_of(who.1.handle, reason);
        who.assert_dead(key, stored.revision, &end).await;
        later(harness).await;
    }
}

/// T06: a sign-in under way when all sessions were revoked does not succeed, whatever it starts
/// from.
pub async fn a_sign_in_from_before_a_revocation_of_all_is_refused<H: Harness>(harness: &H) {
    let store = subject(harness);
    for which in [
        RevokeScope::All,
        RevokeScope::AllBut(name()),
        RevokeScope::Listed,
    ] {
        let user = any_user();
        let (who, new) = (arriving(harness, &user), key_of(&user));
        later(harness).await;
        assert_eq!(store.revoke(&user, which, BY_USER).await, []);

        let answer = who.create_with(new, who.write(""), LONG, None).await;
        assert_eq!(answer, Created::Revoked);
        assert_eq!(store.load(new).await, Loaded::Absent);
        for old in [key_of(&user), key()] {
            let anonymous = store.create(old, "anonymous", LONG).await;
            let replaced = store.old(old, anonymous.revision);
            let restart = Deadline::Restart(LONG);
            let answer = who
                .replace_with(replaced, new, who.write(""), restart, None)
                .await;
            assert_eq!(answer, Replaced::Gone);
            assert_eq!(store.load(new).await, Loaded::Absent);
        }
        store.assert_listed(&user, []).await;
    }
}

/// T06: a revocation counts for a moment, not for the user.
pub async fn a_sign_in_after_a_revocation_of_all_is_not_refused<H: Harness>(harness: &H) {
    let (store, user) = (subject(harness), any_user());
    store.revoke(&user, RevokeScope::All, BY_USER).await;
    later(harness).await;
    let created = sign_in(harness, &user, LONG).await;
    for old in [key_of(&user), key()] {
        let anonymous = store.create(old, "anonymous", LONG).await;
        let (who, new) = (arriving(harness, &user), key_of(&user));
        let (replaced, restart) = (store.old(old, anonymous.revision), Deadline::Restart(LONG));
        let answer = who
            .replace_with(replaced, new, who.write(""), restart, None)
            .await;
        assert!(matches!(answer, Replaced::Done(..)), "{answer:?}");
    }
    assert_eq!(store.live(created.key).await, created.stored);
    assert_eq!(store.list(&user).await.len(), 3);
}

/// The end of one session, or of another user's, does not affect the others.
pub async fn only_a_revocation_of_all_refuses_sign_ins<H: Harness>(harness: &H) {
    let (store, user) = (subject(harness), any_user());
    let early = arriving(harness, &user);
    let one = sign_in(harness, &user, LONG).await;
    later(harness).await;
    let which = RevokeScope::One(one.handle());
    assert_eq!(store.revoke(&user, which, BY_USER).await, [one.handle()]);
    assert_eq!(
        store.revoke(&any_user(), RevokeScope::All, BY_USER).await,
        []
    );
    let (early, _) = early.sign_in_within(None).await;
    store.assert_listed(&user, [&early]).await;
}

/// T06: each sign-in that races a revocation of all either comes before it and is ended, or after
/// it and is refused.
pub async fn nothing_is_left_of_sign_ins_that_race_a_revocation_of_all<H: Harness>(harness: &H) {
    let store = subject(harness);
    for head_start in [0, 2, 5] {
        let user = any_user();
        let arrivals: Vec<_> = (0..20)
            .map(|_| (arriving(harness, &user), key_of(&user)))
            .collect();
        later(harness).await;
        let sign_ins = join_all(arrivals.iter().enumerate().map(
            |(number, (who, key))| async move {
                for _ in 0..number / 2 {
                    yield_now().await;
                }
                who.create_with(*key, who.write(""), LONG, None).await
            },
        ));
        let revocation = async {
            for _ in 0..head_start {
                yield_now().await;
            }
            store.revoke(&user, RevokeScope::All, BY_USER).await
        };
        let (answers, ended) = join(sign_ins, revocation).await;
        for ((who, key), answer) in arrivals.iter().zip(answers) {
            let (found, reported) = match answer {
                Created::Done(..) => (revoked(who.1.handle), true),
                Created::Revoked => (Loaded::Absent, false),
                other => panic!("a sign-in answered {other:?}"),
            };
            assert_eq!(store.load(*key).await, found);
            assert_eq!(ended.contains(&who.1.handle), reported);
        }
        store.assert_listed(&user, []).await;
        later(harness).await;
        let next = sign_in(harness, &user, LONG).await;
        store.assert_listed(&user, [&next]).await;
    }
}

/// One change is one event, for the first caller.
pub async fn of_many_revocations_of_one_session_exactly_one_succeeds<H: Harness>(harness: &H) {
    let user = any_user();
    let ways: [fn(SessionHandle) -> RevokeScope; 4] = [
        RevokeScope::One,
        |_| RevokeScope::All,
        |_| RevokeScope::AllBut(name()),
        |_| RevokeScope::Listed,
    ];
    for which in ways {
        let session = sign_in(harness, &user, LONG).await;
        later(harness).await;
        let stores: Vec<_> = (0..8).map(|_| subject(harness)).collect();
        let which = which(session.handle());
        let answers = join_all(
            stores
                .iter()
                .map(|store| store.revoke(&user, which, BY_USER)),
        );
        assert_eq!(answers.await.concat(), [session.handle()]);
        later(harness).await;
    }
}
