//! Each expiry is returned once, to one caller.

use super::{
    Harness, LONG, key, key_in,
    people::{Session, any_user, arriving, at_most, begin, key_of, sign_in, stranger},
    short, steps,
    subject::{Subject, end_of, join_all, subject, subjects},
};
use crate::{
    EndReason, SessionHandle, SessionIdHash,
    store::{
        Activity, Deadline, Ended, Expired, Expiry, Limits, Loaded, NewLimits, OnLimit,
        RecordWrite, RevokeScope, Store,
    },
};

const KEEP: Deadline = Deadline::Keep(Activity::Active);

/// The expiry of a session that stays as it is.
fn expected<S: Store>(session: &Session<S>) -> Expired {
    let timing = session.stored.timing;
    let at = timing.idle_deadline();
    let reason = match at == timing.absolute_deadline {
        true => EndReason::AbsoluteTimeout,
        false => EndReason::IdleTimeout,
    };
    Expired {
        handle: session.handle(),
        user: session.who.1.user().cloned(),
        what: Expiry::Session(reason),
        at,
    }
}

fn elevation<S: Store>(session: &Session<S>, write: &RecordWrite) -> Expired {
    Expired {
        handle: session.handle(),
        user: session.who.1.user().cloned(),
        what: Expiry::Elevation,
        at: write.elevated_until.expect("it is elevated"),
    }
}

/// The expiries with these names, sorted by name and moment.
fn reported_of(mut expired: Vec<Expired>, handles: &[SessionHandle]) -> Vec<Expired> {
    expired.retain(|one| handles.contains(&one.handle));
    expired.sort_by_key(|one| (one.handle, one.at));
    expired
}

/// T74, T75: however many callers sweep at once, and however long ago the last sweep was.
pub async fn every_expiry_is_reported_exactly_once<H: Harness>(harness: &H) {
    let mut waiting = Vec::new();
    for _ in 0..3 {
        for _ in 0..5 {
            waiting.push(sign_in(harness, &any_user(), short::<H>()).await);
            waiting.push(begin(stranger(harness), key(), short::<H>()).await);
        }
        harness.advance(steps::<H>(3)).await;
    }
    harness.advance(steps::<H>(20)).await;
    let stores = subjects(harness, 5);
    let reported = join_all(stores.iter().map(Subject::sweep)).await.concat();

    let handles: Vec<_> = waiting.iter().map(Session::handle).collect();
    let expected = waiting.iter().map(expected).collect();
    assert_eq!(
        reported_of(reported, &handles),
        reported_of(expected, &handles)
    );
    let again = subject(harness).sweep().await;
    assert_eq!(reported_of(again, &handles), []);
}

/// S-036, S-037: users read the reason, so it must be the right one.
pub async fn idle_and_absolute_timeout_are_distinguished<H: Harness>(harness: &H) {
    let user = any_user();
    let idle = sign_in(harness, &user, short::<H>()).await;
    let mut absolute = sign_in(harness, &user, short::<H>()).await;
    for _ in 0..3 {
        harness.advance(steps::<H>(3)).await;
        absolute.stored.timing = absolute.who.touch(absolute.key).await;
    }
    harness.advance(steps::<H>(2)).await;
    let handles = [idle.handle(), absolute.handle()];
    let reported = reported_of(subject(harness).sweep().await, &handles);
    let expected = reported_of(vec![expected(&idle), expected(&absolute)], &handles);
    assert_eq!(reported, expected);
    let reasons: Vec<_> = expected.iter().map(|one| one.what).collect();
    for reason in [EndReason::IdleTimeout, EndReason::AbsoluteTimeout] {
        assert!(reasons.contains(&Expiry::Session(reason)));
    }
}

/// T75: the first load of an expired session returns the expiry, which the audit then receives.
pub async fn a_load_reports_an_expiry_and_remembers_it<H: Harness>(harness: &H) {
    let (store, user) = (subject(harness), any_user());
    for (who, key) in [
        (arriving(harness, &user), key_of(&user)),
        (stranger(harness), key()),
    ] {
        let session = begin(who, key, short::<H>()).await;
        harness.advance(short::<H>().idle + H::TOLERANCE * 2).await;
        let expected = expected(&session);
        let first = store.load(session.key).await;
        assert_eq!(first, Loaded::Expired(expected.clone()));
        let end = end_of(session.handle(), EndReason::IdleTimeout);
        for _ in 0..2 {
            assert_eq!(store.load(session.key).await, end);
            let again = store.sweep().await;
            assert_eq!(reported_of(again, &[expected.handle]), []);
        }
    }
}

/// A sweep returned it, so no load does. A load of a user's session still returns the reason.
pub async fn an_expiry_that_was_swept_is_not_reported_by_a_load<H: Harness>(harness: &H) {
    let store = subject(harness);
    let session = sign_in(harness, &any_user(), short::<H>()).await;
    let nobodys = begin(stranger(harness), key(), short::<H>()).await;
    harness.advance(short::<H>().idle + H::TOLERANCE * 2).await;
    store.sweep().await;
    let end = end_of(session.handle(), EndReason::IdleTimeout);
    assert_eq!(store.load(session.key).await, end);
    session
        .who
        .assert_dead(session.key, session.stored.revision, &end)
        .await;
    let found = store.load(nobodys.key).await;
    let end = end_of(nobodys.handle(), EndReason::IdleTimeout);
    assert!(found == Loaded::Absent || found == end, "{found:?}");
}

/// One change is one event.
pub async fn a_session_that_ended_otherwise_is_never_reported_as_expired<H: Harness>(harness: &H) {
    let (store, user) = (subject(harness), any_user());
    let ended = sign_in(harness, &any_user(), short::<H>()).await;
    let answer = ended.who.end(ended.key, EndReason::SignedOut).await;
    assert_eq!(answer, Ended::Done);

    let displaced = sign_in(harness, &user, short::<H>()).await;
    arriving(harness, &user)
        .sign_in_within(at_most(1, OnLimit::Displace))
        .await;

    let mut revoked = sign_in(harness, &any_user(), short::<H>()).await;
    revoked.move_on(KEEP).await;
    let whose = revoked.who.1.user().cloned().expect("it is somebody's");
    let reason = EndReason::RevokedByUser;
    assert_eq!(
        store.revoke(&whose, RevokeScope::All, reason).await,
        [revoked.handle()]
    );

    let mut restarted = sign_in(harness, &any_user(), short::<H>()).await;
    restarted.move_on(Deadline::Restart(LONG)).await;

    harness.advance(steps::<H>(12)).await;
    let handles = [&ended, &displaced, &revoked, &restarted].map(Session::handle);
    assert_eq!(reported_of(store.sweep().await, &handles), []);
    store.live(restarted.key).await;
}

/// All its keys belong to one session.
pub async fn the_expiry_of_a_session_that_moved_is_reported_once<H: Harness>(harness: &H) {
    let store = subject(harness);
    let mut sessions = [
        sign_in(harness, &any_user(), short::<H>()).await,
        begin(stranger(harness), key(), short::<H>()).await,
    ];
    for session in &mut sessions {
        session.move_on(KEEP).await;
        session.move_on(Deadline::Restart(short::<H>())).await;
        session.move_on(KEEP).await;
    }
    harness.advance(steps::<H>(12)).await;
    let handles = sessions.each_ref().map(Session::handle);
    let expected = sessions.iter().map(expected).collect();
    assert_eq!(
        reported_of(store.sweep().await, &handles),
        reported_of(expected, &handles)
    );
}

/// Not even at the very moment at which it would have ended.
pub async fn a_session_that_was_active_meanwhile_is_not_reported_as_expired<H: Harness>(
    harness: &H,
) {
    let store = subject(harness);
    let limits = Limits {
        idle: steps::<H>(4),
        absolute: steps::<H>(100),
    };
    let mut touched = sign_in(harness, &any_user(), limits).await;
    let mut written = begin(stranger(harness), key(), limits).await;
    for _ in 0..3 {
        harness.advance(steps::<H>(3)).await;
        touched.stored.timing = touched.who.touch(touched.key).await;
        let Session { who, key, stored } = &mut written;
        *stored = who
            .commit(*key, stored.revision, "", Activity::Active)
            .await;
        let handles = [&touched, &written].map(Session::handle);
        assert_eq!(reported_of(store.sweep().await, &handles), []);
    }
    harness.advance(steps::<H>(5)).await;
    let handles = [&touched, &written].map(Session::handle);
    let expected = [&touched, &written].map(expected).into();
    assert_eq!(
        reported_of(store.sweep().await, &handles),
        reported_of(expected, &handles)
    );
}

/// A write by which a session is elevated for two steps.
fn elevating<H: Harness>(who: &Subject<H::Store>) -> RecordWrite {
    RecordWrite {
        elevated_until: Some(who.0.now().after(steps::<H>(2))),
        flagged: false,
        new_limits: NewLimits::default(),
        ..who.write("elevated")
    }
}

/// Creates a session that is elevated for two steps.
async fn elevated<H: Harness>(
    harness: &H,
    key: SessionIdHash,
    who: Subject<H::Store>,
    limits: Limits,
) -> (Session<H::Store>, RecordWrite) {
    let session = begin(who, key, limits).await;
    let (write, new) = (elevating::<H>(&session.who), key_in(key.bucket()));
    let old = session.who.old(key, session.stored.revision);
    session
        .who
        .replace_with(old, new, write.clone(), KEEP, None)
        .await;
    let stored = subject(harness).live(new).await;
    let session = Session {
        who: session.who,
        key: new,
        stored,
    };
    (session, write)
}

/// S-055: while the session is live, whatever is written to it.
pub async fn the_end_of_an_elevation_is_reported_once<H: Harness>(harness: &H) {
    let (store, user) = (subject(harness), any_user());
    let who = arriving(harness, &user);
    let (session, write) = elevated(harness, key_of(&user), who, LONG).await;
    let handles = [session.handle()];
    let Session { who, key, stored } = &session;
    who.commit(*key, stored.revision, "", Activity::Active)
        .await;
    harness.advance(steps::<H>(1)).await;
    assert_eq!(reported_of(store.sweep().await, &handles), []);
    harness.advance(steps::<H>(2)).await;

    let stores = subjects(harness, 4);
    let reported = join_all(stores.iter().map(Subject::sweep)).await.concat();
    assert_eq!(
        reported_of(reported, &handles),
        [elevation(&session, &write)]
    );
    let live = store.live(*key).await;
    who.commit(*key, live.revision, "", Activity::Active).await;
    assert_eq!(reported_of(store.sweep().await, &handles), []);
}

/// Also for a session that is elevated when it is created.
pub async fn an_elevation_at_creation_is_reported_when_it_ends<H: Harness>(harness: &H) {
    let (store, user) = (subject(harness), any_user());
    let (who, key) = (arriving(harness, &user), key_of(&user));
    let write = elevating::<H>(&who);
    who.create_with(key, write.clone(), LONG, None).await;
    let stored = store.live(key).await;
    let session = Session { who, key, stored };
    harness.advance(steps::<H>(3)).await;
    let reported = reported_of(store.sweep().await, &[session.handle()]);
    assert_eq!(reported, [elevation(&session, &write)]);
}

/// It was dropped with a new identifier, or ended with its session. That was reported at that time.
pub async fn an_elevation_that_ended_early_is_not_reported<H: Harness>(harness: &H) {
    let store = subject(harness);
    let [first, second, third] = [any_user(), any_user(), any_user()];

    let who = arriving(harness, &first);
    let (mut dropped, _) = elevated(harness, key_of(&first), who, LONG).await;
    dropped.move_on(KEEP).await;

    let who = arriving(harness, &second);
    let (ended, _) = elevated(harness, key_of(&second), who, LONG).await;
    let answer = ended.who.end(ended.key, EndReason::SignedOut).await;
    assert_eq!(answer, Ended::Done);

    let who = arriving(harness, &third);
    let (revoked, _) = elevated(harness, key_of(&third), who, LONG).await;
    let reason = EndReason::RevokedByUser;
    let which = RevokeScope::One(revoked.handle());
    assert_eq!(
        store.revoke(&third, which, reason).await,
        [revoked.handle()]
    );

    harness.advance(steps::<H>(3)).await;
    let handles = [&dropped, &ended, &revoked].map(Session::handle);
    assert_eq!(reported_of(store.sweep().await, &handles), []);
}

/// The session expired first, and its elevation with it.
pub async fn no_elevation_of_an_expired_session_is_reported<H: Harness>(harness: &H) {
    let (store, user) = (subject(harness), any_user());
    let limits = Limits {
        idle: steps::<H>(1),
        absolute: steps::<H>(30),
    };
    let who = arriving(harness, &user);
    let (session, _) = elevated(harness, key_of(&user), who, limits).await;
    harness.advance(steps::<H>(4)).await;
    let reported = reported_of(store.sweep().await, &[session.handle()]);
    assert_eq!(reported, [expected(&session)]);
}

/// A further elevation replaces the one before.
pub async fn an_elevation_that_was_prolonged_is_reported_at_its_new_end<H: Harness>(harness: &H) {
    let (store, user) = (subject(harness), any_user());
    let who = arriving(harness, &user);
    let (mut session, _) = elevated(harness, key_of(&user), who, LONG).await;
    harness.advance(steps::<H>(1)).await;
    let (write, new) = (elevating::<H>(&session.who), key_of(&user));
    let old = session.who.old(session.key, session.stored.revision);
    session
        .who
        .replace_with(old, new, write.clone(), KEEP, None)
        .await;
    session.key = new;
    harness.advance(steps::<H>(3)).await;
    let reported = reported_of(store.sweep().await, &[session.handle()]);
    assert_eq!(reported, [elevation(&session, &write)]);
}
