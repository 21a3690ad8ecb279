//! Users who are suspended and resumed.

use std::{future::Future, num::NonZeroUsize, panic::Location, time::Duration};

use super::{
    Harness, LONG, key,
    people::{any_realm, any_user, arriving, handles, key_of, kind_of, name, sign_in},
    revoking::later,
    subject::{Subject, answered, end_of, join, join_all, subject, yield_now},
};
use crate::{
    Actor, EventKind, Owner, SessionMeta, UserId,
    store::{
        Created, Deadline, Loaded, LogQuery, Replaced, Resume, Resumed, Store, Suspend, Suspension,
        SuspensionReport, UsersAfter,
    },
};

const RESTART: Deadline = Deadline::Restart(LONG);

fn operator() -> Actor {
    Actor::Operator("ops".to_owned())
}

impl<S: Store> Subject<S> {
    /// Suspends a user. The names of the ended sessions are sorted.
    #[track_caller]
    fn suspend_for<'a>(
        &'a self,
        user: &'a UserId,
        reason: Option<&'a str>,
    ) -> impl Future<Output = SuspensionReport> + 'a {
        let place = Location::caller();
        async move {
            let actor = operator();
            let suspend = Suspend::new(user, &actor).reason(reason);
            let suspend = suspend.longest(Some(LONG.absolute));
            let mut report = answered(self.0.suspend(suspend).await, "suspend", place);
            report.ended.sort_unstable();
            report
        }
    }

    #[track_caller]
    fn suspend<'a>(&'a self, user: &'a UserId) -> impl Future<Output = SuspensionReport> + 'a {
        self.suspend_for(user, None)
    }

    #[track_caller]
    fn resume<'a>(&'a self, user: &'a UserId) -> impl Future<Output = Resumed> + 'a {
        let place = Location::caller();
        async move {
            let actor = operator();
            let resume = Resume::new(user, &actor).longest(Some(LONG.absolute));
            answered(self.0.resume(resume).await, "resume", place)
        }
    }

    #[track_caller]
    fn suspension<'a>(&'a self, user: &'a UserId) -> impl Future<Output = Option<Suspension>> + 'a {
        let place = Location::caller();
        async move { answered(self.0.suspension(user).await, "suspension", place) }
    }

    /// All suspended users, in pages of at most `most`. None is empty.
    #[track_caller]
    fn pages_of_suspensions(&self, most: usize) -> impl Future<Output = Vec<Vec<Suspension>>> + '_ {
        let place = Location::caller();
        let most = NonZeroUsize::new(most).expect("a page of at least one");
        async move {
            let (mut pages, mut after) = (Vec::new(), None);
            loop {
                let page = UsersAfter::new(after.as_ref(), most);
                let page = self.0.suspensions_after(page).await;
                let page = answered(page, "suspensions_after", place);
                let is_last = page.len() < most.get();
                after = page.last().map(|last| last.user.clone());
                if !page.is_empty() {
                    pages.push(page);
                }
                if is_last {
                    return pages;
                }
            }
        }
    }

    /// Tries to sign this user in, as a new session and in place of sessions of visitors.
    #[track_caller]
    fn assert_refused<'a, H: Harness<Store = S>>(
        &'a self,
        harness: &'a H,
        user: &'a UserId,
    ) -> impl Future<Output = ()> + 'a {
        let place = Location::caller();
        async move {
            let (who, new) = (arriving(harness, user), key_of(user));
            let answer = who.create_with(new, who.write(""), LONG, None).await;
            assert_eq!(answer, Created::Suspended, "({place})");
            for old in [key_of(user), key()] {
                let visitor = self.create(old, "of a visitor", LONG).await;
                let replaced = self.old(old, visitor.revision);
                let write = who.write("");
                let answer = who.replace_with(replaced, new, write, RESTART, None).await;
                assert_eq!(answer, Replaced::Suspended, "({place})");
                assert_eq!(self.live(old).await, visitor, "({place})");
            }
            assert_eq!(self.load(new).await, Loaded::Absent, "({place})");
            self.assert_listed(user, []).await;
        }
    }
}

/// And no session of another user, or of a visitor.
pub async fn suspending_ends_every_session_of_the_user<H: Harness>(harness: &H) {
    let (store, user, visitors) = (subject(harness), any_user(), key());
    let others = sign_in(harness, &any_user(), LONG).await;
    let visitor = store.create(visitors, "of a visitor", LONG).await;
    let sessions = [
        sign_in(harness, &user, LONG).await,
        sign_in(harness, &user, LONG).await,
    ];
    let report = store.suspend(&user).await;
    assert!(!report.was_suspended);
    assert_eq!(report.ended, handles(&sessions));
    store.assert_listed(&user, []).await;
    for session in &sessions {
        let end = end_of(session.handle(), Suspend::END);
        let last = session.stored.revision;
        session.who.assert_dead(session.key, last, &end).await;
    }
    assert_eq!(store.live(others.key).await, others.stored);
    assert_eq!(store.live(visitors).await, visitor);
    assert_eq!(
        store.suspension(others.who.1.user().expect("a user")).await,
        None
    );
}

/// Whatever it starts from. The session of the visitor stays as it was.
pub async fn a_suspended_user_is_not_signed_in<H: Harness>(harness: &H) {
    let (store, user) = (subject(harness), any_user());
    store.suspend(&user).await;
    later(harness).await;
    store.assert_refused(harness, &user).await;
    // Another user is.
    sign_in(harness, &any_user(), LONG).await;
}

/// Longer than any session and any revocation lasts.
pub async fn a_suspension_does_not_expire<H: Harness>(harness: &H) {
    const AGES: Duration = Duration::from_secs(500 * 24 * 60 * 60);
    let (store, user) = (subject(harness), any_user());
    store.suspend(&user).await;
    let before = store.suspension(&user).await;
    harness.advance(AGES.min(H::PATIENCE)).await;
    store.sweep().await;
    store.assert_refused(harness, &user).await;
    assert_eq!(store.suspension(&user).await, before);
}

/// Since when, by whom and why.
pub async fn a_suspension_is_read_as_it_was_written<H: Harness>(harness: &H) {
    let (store, user) = (subject(harness), any_user());
    for reason in [None, Some("Laptop gestohlen \u{1f511}\n\0")] {
        assert_eq!(store.suspension(&user).await, None);
        let before = store.0.clock().earliest.before(H::TOLERANCE);
        store.suspend_for(&user, reason).await;
        let suspension = store.suspension(&user).await.expect("they are suspended");
        let moments = before..=store.0.now().after(H::TOLERANCE);
        assert!(moments.contains(&suspension.since), "{suspension:?}");
        let expected = Suspension {
            user: user.clone(),
            since: suspension.since,
            actor: Some(operator()),
            reason: reason.map(str::to_owned),
        };
        assert_eq!(suspension, expected);
        assert_eq!(store.resume(&user).await, Resumed::Done);
    }
}

/// Who suspended the user, when and why stays, and so does the log.
pub async fn suspending_again_changes_nothing<H: Harness>(harness: &H) {
    let (store, user) = (subject(harness), any_user());
    store.suspend_for(&user, Some("the first reason")).await;
    let first = store.suspension(&user).await;
    later(harness).await;
    let again = store.suspend_for(&user, Some("another reason")).await;
    let expected = SuspensionReport {
        was_suspended: true,
        ..SuspensionReport::default()
    };
    assert_eq!(again, expected);
    assert_eq!(store.suspension(&user).await, first);
    assert_eq!(store.events_of(&user).await.len(), 1);

    assert_eq!(store.resume(&user).await, Resumed::Done);
    assert_eq!(store.resume(&user).await, Resumed::NotSuspended);
    assert_eq!(store.events_of(&user).await.len(), 2);
}

/// They sign in anew.
pub async fn resuming_revives_no_session<H: Harness>(harness: &H) {
    let (store, user) = (subject(harness), any_user());
    let session = sign_in(harness, &user, LONG).await;
    store.suspend(&user).await;
    later(harness).await;
    assert_eq!(store.resume(&user).await, Resumed::Done);
    assert_eq!(store.suspension(&user).await, None);
    later(harness).await;
    let end = end_of(session.handle(), Suspend::END);
    let last = session.stored.revision;
    session.who.assert_dead(session.key, last, &end).await;
    store.assert_listed(&user, []).await;
    let mut anew = sign_in(harness, &user, LONG).await;
    anew.move_on(RESTART).await;
    store.assert_listed(&user, [&anew]).await;
}

/// The user was verified while they were suspended.
pub async fn a_sign_in_from_before_a_user_was_resumed_is_refused<H: Harness>(harness: &H) {
    let (store, user) = (subject(harness), any_user());
    store.suspend(&user).await;
    later(harness).await;
    let (who, new) = (arriving(harness, &user), key_of(&user));
    later(harness).await;
    store.resume(&user).await;
    let answer = who.create_with(new, who.write(""), LONG, None).await;
    assert_eq!(answer, Created::Revoked);
    assert_eq!(store.load(new).await, Loaded::Absent);
}

/// Only a suspension is resumed.
pub async fn resuming_a_user_who_is_not_suspended_does_nothing<H: Harness>(harness: &H) {
    let (store, user) = (subject(harness), any_user());
    let (who, session) = (
        arriving(harness, &user),
        sign_in(harness, &user, LONG).await,
    );
    later(harness).await;
    assert_eq!(store.resume(&user).await, Resumed::NotSuspended);
    assert_eq!(store.live(session.key).await, session.stored);
    let (under_way, _) = who.sign_in_within(None).await;
    store.assert_listed(&user, [&session, &under_way]).await;
}

/// A sign-in that races a suspension either comes before it and is ended, or after it and is
/// refused.
pub async fn nothing_is_left_of_sign_ins_that_race_a_suspension<H: Harness>(harness: &H) {
    let store = subject(harness);
    for head_start in [0, 2, 5] {
        let user = any_user();
        // They authenticate after it, so that only the suspension can refuse them.
        let arrivals: Vec<_> = (0..20)
            .map(|_| {
                let owner = Owner {
                    user: user.clone(),
                    authenticated_at: store.0.now().after(LONG.idle),
                };
                let who = Subject(harness.store(), SessionMeta::new(name(), Some(owner)));
                (who, key_of(&user))
            })
            .collect();
        let sign_ins = join_all(arrivals.iter().enumerate().map(
            |(number, (who, key))| async move {
                for _ in 0..number / 2 {
                    yield_now().await;
                }
                who.create_with(*key, who.write(""), LONG, None).await
            },
        ));
        let suspension = async {
            for _ in 0..head_start {
                yield_now().await;
            }
            store.suspend(&user).await
        };
        let (answers, report) = join(sign_ins, suspension).await;
        for ((who, key), answer) in arrivals.iter().zip(answers) {
            let (found, reported) = match answer {
                Created::Done(..) => (end_of(who.1.handle, Suspend::END), true),
                Created::Suspended => (Loaded::Absent, false),
                other => panic!("a sign-in answered {other:?}"),
            };
            assert_eq!(store.load(*key).await, found);
            assert_eq!(report.ended.contains(&who.1.handle), reported);
        }
        store.assert_listed(&user, []).await;
    }
}

/// So it is one change, for the first caller.
pub async fn of_many_suspensions_at_once_exactly_one_is_the_first<H: Harness>(harness: &H) {
    let user = any_user();
    let session = sign_in(harness, &user, LONG).await;
    let stores: Vec<_> = (0..8).map(|_| subject(harness)).collect();
    let reports = join_all(stores.iter().map(|store| store.suspend(&user))).await;
    let first = reports.iter().filter(|report| !report.was_suspended);
    assert_eq!(first.count(), 1);
    let ended: Vec<_> = reports
        .into_iter()
        .flat_map(|report| report.ended)
        .collect();
    assert_eq!(ended, [session.handle()]);
    let resumed = join_all(stores.iter().map(|store| store.resume(&user))).await;
    let done = resumed.iter().filter(|resumed| **resumed == Resumed::Done);
    assert_eq!(done.count(), 1);
}

/// In an order that never changes, and with all that is known of them.
pub async fn suspended_users_come_in_pages_each_once<H: Harness>(harness: &H) {
    let store = in_a_realm_of_its_own(harness);
    assert!(store.pages_of_suspensions(1).await.is_empty());
    let mut suspended = Vec::new();
    for number in 0..13 {
        let user = any_user();
        store.suspend_for(&user, Some(&number.to_string())).await;
        suspended.push(store.suspension(&user).await.expect("they are suspended"));
    }
    // One who is resumed is on no page.
    let resumed = suspended.pop().expect("there are some").user;
    store.resume(&resumed).await;
    let all = store.pages_of_suspensions(100).await.concat();
    for most in [1, 5, 12] {
        let pages = store.pages_of_suspensions(most).await;
        assert!(pages.iter().all(|page| page.len() <= most));
        assert_eq!(pages.concat(), all);
    }
    let by_user = |one: &Suspension, other: &Suspension| one.user.cmp(&other.user);
    let mut all = all;
    all.sort_unstable_by(by_user);
    suspended.sort_unstable_by(by_user);
    assert_eq!(all, suspended);
}

/// Another realm is not affected.
pub async fn a_suspension_belongs_to_one_realm<H: Harness>(harness: &H) {
    let (store, elsewhere) = (subject(harness), in_a_realm_of_its_own(harness));
    let user = any_user();
    let session = sign_in(harness, &user, LONG).await;
    elsewhere.suspend(&user).await;
    assert_eq!(store.suspension(&user).await, None);
    assert_eq!(store.live(session.key).await, session.stored);
    let another = sign_in(harness, &user, LONG).await;
    store.assert_listed(&user, [&session, &another]).await;
    assert_eq!(store.resume(&user).await, Resumed::NotSuspended);
    assert!(elsewhere.suspension(&user).await.is_some());
}

/// S-097: one event each, and one for each session that ended.
pub async fn a_suspension_and_its_end_are_in_the_log<H: Harness>(harness: &H) {
    let (store, user) = (subject(harness), any_user());
    sign_in(harness, &user, LONG).await;
    store.suspend_for(&user, Some("stolen laptop")).await;
    store.resume(&user).await;
    let expected = [
        EventKind::Created,
        EventKind::UserSuspended(Some("stolen laptop".to_owned())),
        EventKind::Ended(Suspend::END),
        EventKind::UserResumed,
    ];
    assert_eq!(store.events_of(&user).await, expected);
}

impl<S: Store> Subject<S> {
    /// What the log has of this user, oldest first.
    #[track_caller]
    fn events_of<'a>(&'a self, user: &'a UserId) -> impl Future<Output = Vec<EventKind>> + 'a {
        let place = Location::caller();
        let query = LogQuery {
            user: Some(user.clone()),
            ..LogQuery::default()
        };
        async move {
            let logged = answered(self.0.read_log(&query).await, "read_log", place);
            logged.into_iter().rev().map(kind_of).collect()
        }
    }
}

/// A subject in a realm that no other rule uses.
fn in_a_realm_of_its_own<H: Harness>(harness: &H) -> Subject<H::Store> {
    let Subject(store, meta) = subject(harness);
    Subject(store.in_realm(&any_realm()), meta)
}
