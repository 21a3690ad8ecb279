//! Sign-ins that end all other sessions of their user.

use super::{
    Harness, LONG, MILLI, key, key_in,
    people::{Session, any_user, arriving, handles, key_of, sign_in},
    subject::{Subject, end_of, note, subject},
};
use crate::{
    EndReason, EventKind, SessionHandle, SessionIdHash,
    store::{
        Activity, Created, CreatedSession, Deadline, EndOthers, Ended, Loaded, Others, Replaced,
        RevokeScope, Store, Touched,
    },
};

const BY_USER: EndReason = EndReason::RevokedByUser;
const RESTART: Deadline = Deadline::Restart(LONG);

/// The end of all other sessions, as after a password reset.
fn end_others() -> Others {
    Others::End(EndOthers {
        reason: BY_USER,
        note: note(EventKind::Ended(BY_USER)),
        longest: Some(LONG.absolute),
    })
}

/// Lets time pass, so that the next step is later on any clock.
async fn later<H: Harness>(harness: &H) {
    harness.advance(MILLI + H::TOLERANCE * 2).await;
}

/// S-067: it ends every other session of the user, each once and with its note, and stays live
/// itself. It may begin from no session, from an anonymous one in its bucket or in another, or from
/// one of the same user.
pub async fn a_sign_in_that_ends_all_others_leaves_itself_alone<H: Harness>(harness: &H) {
    let store = subject(harness);
    let other_user = sign_in(harness, &any_user(), LONG).await;
    let ways: [fn(SessionIdHash) -> Option<SessionIdHash>; 3] =
        [|_| None, |new| Some(key_in(new.bucket())), |_| Some(key())];
    for old in ways {
        let user = any_user();
        let anonymous = key_of(&user);
        store.create(anonymous, "", LONG).await;
        let others = [
            sign_in(harness, &user, LONG).await,
            sign_in(harness, &user, LONG).await,
            sign_in(harness, &user, LONG).await,
        ];
        later(harness).await;
        let (who, new) = (arriving(harness, &user), key_of(&user));
        let write = who.write("begun");
        let ended = match old(new) {
            None => match who.create_with(new, write, LONG, end_others()).await {
                Created::Done(CreatedSession {
                    displaced: ended, ..
                }) => ended,
                other => panic!("a sign-in answered {other:?}"),
            },
            Some(old) => {
                let before = store.create(old, "anonymous", LONG).await;
                let replaced = store.old(old, before.revision);
                let answer = who.replace_with(replaced, new, write, RESTART, end_others());
                match answer.await {
                    Replaced::Done(CreatedSession {
                        displaced: ended, ..
                    }) => ended,
                    other => panic!("a sign-in answered {other:?}"),
                }
            }
        };
        were_ended(ended, &others).await;
        let stored = who.live(new).await;
        let session = Session {
            who,
            key: new,
            stored,
        };
        goes_on(harness, session).await;
        store.live(anonymous).await;
    }
    assert_eq!(store.live(other_user.key).await, other_user.stored);

    let user = any_user();
    let mut own = sign_in(harness, &user, LONG).await;
    let others = [sign_in(harness, &user, LONG).await];
    later(harness).await;
    let (replaced, new) = (own.who.old(own.key, own.stored.revision), key_of(&user));
    let write = own.who.write("begun");
    let answer = own
        .who
        .replace_with(replaced, new, write, RESTART, end_others());
    let Replaced::Done(CreatedSession {
        displaced: ended, ..
    }) = answer.await
    else {
        panic!("to authenticate again was refused");
    };
    were_ended(ended, &others).await;
    own.stored = own.who.live(new).await;
    own.key = new;
    goes_on(harness, own).await;
}

/// Checks that these ended, and no others.
async fn were_ended<S: Store>(mut ended: Vec<SessionHandle>, sessions: &[Session<S>]) {
    ended.sort_unstable();
    assert_eq!(ended, handles(sessions));
    for Session { who, key, stored } in sessions {
        let end = end_of(who.1.handle, BY_USER);
        who.assert_dead(*key, stored.revision, &end).await;
        let reported = who.logged().await;
        let ends = reported
            .iter()
            .filter(|kind| **kind == EventKind::Ended(BY_USER));
        assert_eq!(ends.count(), 1, "{reported:?}");
    }
}

/// Checks that it is the user's only session, can be used, and refuses no sign-in that begins now.
async fn goes_on<H: Harness>(harness: &H, mut session: Session<H::Store>) {
    let store = subject(harness);
    let user = session.who.1.user().cloned();
    let user = user.expect("somebody signed in");
    store.assert_listed(&user, [&session]).await;
    let Session { who, key, stored } = &mut session;
    assert!(matches!(who.try_touch(*key).await, Touched::Done(_)));
    *stored = who
        .commit(*key, stored.revision, "goes on", Activity::Active)
        .await;
    session.move_on(Deadline::Keep(Activity::Active)).await;
    session.move_on(RESTART).await;
    later(harness).await;
    let next = sign_in(harness, &user, LONG).await;
    store.assert_listed(&user, [&session, &next]).await;
}

/// T06: no sign-in that was under way at that moment succeeds, of this kind or another.
pub async fn a_sign_in_that_ends_all_others_refuses_sign_ins_that_began_before<H: Harness>(
    harness: &H,
) {
    let (store, user) = (subject(harness), any_user());
    let early = [
        arriving(harness, &user),
        arriving(harness, &user),
        arriving(harness, &user),
    ];
    later(harness).await;
    let (reset, _) = arriving(harness, &user).sign_in_within(end_others()).await;

    let [one, another, third] = &early;
    let new = key_of(&user);
    for (who, others) in [(one, Others::Stay), (another, end_others())] {
        let answer = who.create_with(new, who.write(""), LONG, others).await;
        assert_eq!(answer, Created::Revoked);
        assert_eq!(store.load(new).await, Loaded::Absent);
    }
    for (old, others) in [
        (key_of(&user), Others::Stay),
        (key_of(&user), end_others()),
        (key(), Others::Stay),
        (key(), end_others()),
    ] {
        let anonymous = store.create(old, "anonymous", LONG).await;
        let replaced = store.old(old, anonymous.revision);
        let answer = third
            .replace_with(replaced, new, third.write(""), RESTART, others)
            .await;
        assert_eq!(answer, Replaced::Gone);
        assert_eq!(store.load(new).await, Loaded::Absent);
        assert_eq!(store.live(old).await, anonymous);
    }
    store.assert_listed(&user, [&reset]).await;
}

/// Whatever refuses it: a revocation since it began, a write to the session before it, or the end
/// of that session.
pub async fn a_refused_sign_in_ends_no_other<H: Harness>(harness: &H) {
    let (store, user) = (subject(harness), any_user());
    let early = arriving(harness, &user);
    later(harness).await;
    store.revoke(&user, RevokeScope::All, BY_USER).await;
    later(harness).await;
    let staying = sign_in(harness, &user, LONG).await;
    let waiting = arriving(harness, &user);
    later(harness).await;

    let new = key_of(&user);
    let answer = early
        .create_with(new, early.write(""), LONG, end_others())
        .await;
    assert_eq!(answer, Created::Revoked);
    for old in [key_of(&user), key()] {
        let outdated = store.create(old, "anonymous", LONG).await.revision;
        let sign_in = async |who: &Subject<H::Store>| {
            let replaced = store.old(old, outdated);
            let answer = who
                .replace_with(
                    replaced,
                    key_of(&user),
                    who.write(""),
                    RESTART,
                    end_others(),
                )
                .await;
            store.assert_listed(&user, [&staying]).await;
            answer
        };
        assert_eq!(sign_in(&early).await, Replaced::Gone);
        let written = store.commit(old, outdated, "", Activity::Active).await;
        let late = arriving(harness, &user);
        assert_eq!(sign_in(&late).await, Replaced::Conflict(written));
        assert_eq!(store.end(old, EndReason::SignedOut).await, Ended::Done);
        assert_eq!(sign_in(&late).await, Replaced::Gone);
    }
    let Session { who, key, stored } = &staying;
    assert!(matches!(who.try_touch(*key).await, Touched::Done(_)));
    who.commit(*key, stored.revision, "goes on", Activity::Active)
        .await;
    // It refuses no other sign-in either.
    waiting.sign_in_within(None).await;
}
