//! Users who sign in, and operations on all their sessions.

use std::{future::Future, num::NonZeroUsize, panic::Location};

use super::{
    Harness, key_in,
    subject::{Subject, answered, note, subject, unexpected},
};
use crate::{
    Bucket, EndReason, EventKind, Owner, Realm, SessionHandle, SessionIdHash, SessionMeta, UserId,
    store::{
        Create, Created, CreatedSession, Deadline, Expired, Limits, Listed, LogQuery, Logged,
        OnLimit, Others, RecordWrite, Replace, Replaced, ReplacedSession, Revocation, RevokeScope,
        SessionCount, SessionLimit, Store, Stored, UsersAfter,
    },
};

/// A user that no other rule uses.
pub(super) fn any_user() -> UserId {
    format!("somebody {}", name()).into()
}

/// A realm that no other rule uses.
pub(super) fn any_realm() -> Realm {
    Realm::new(format!("realm-{}", name())).expect("a handle can be in a realm")
}

/// A name that no other session has.
pub(super) fn name() -> SessionHandle {
    SessionHandle::generate().expect("the operating system has random bytes")
}

/// A key for a session of this user.
pub(super) fn key_of(user: &UserId) -> SessionIdHash {
    key_in(Bucket::of(user))
}

pub(super) fn at_most(most: usize, excess: OnLimit) -> Option<SessionLimit> {
    let most = NonZeroUsize::new(most)?;
    Some(SessionLimit { most, excess })
}

/// A subject for a new session of `user`, who has just authenticated.
pub(super) fn arriving<H: Harness>(harness: &H, user: &UserId) -> Subject<H::Store> {
    let Subject(store, _) = subject(harness);
    let owner = Owner {
        user: user.clone(),
        authenticated_at: store.clock().earliest,
    };
    Subject(store, SessionMeta::new(name(), Some(owner)))
}

/// A subject for a session without an owner and with its own name.
pub(super) fn stranger<H: Harness>(harness: &H) -> Subject<H::Store> {
    let Subject(store, meta) = subject(harness);
    let handle = name();
    Subject(store, SessionMeta { handle, ..meta })
}

/// A session and its subject.
pub(super) struct Session<S> {
    pub(super) who: Subject<S>,
    pub(super) key: SessionIdHash,
    pub(super) stored: Stored,
}

pub(super) async fn sign_in<H: Harness>(
    harness: &H,
    user: &UserId,
    limits: Limits,
) -> Session<H::Store> {
    begin(arriving(harness, user), key_of(user), limits).await
}

/// Creates a session with its own name.
pub(super) async fn begin<S: Store>(
    who: Subject<S>,
    key: SessionIdHash,
    limits: Limits,
) -> Session<S> {
    let stored = who.create(key, "begun", limits).await;
    Session { who, key, stored }
}

impl<S: Store> Session<S> {
    pub(super) fn handle(&self) -> SessionHandle {
        self.who.1.handle
    }

    pub(super) fn listed(&self) -> Listed {
        Listed {
            key: self.key,
            stored: self.stored.clone(),
        }
    }

    /// Moves it to another key of the same bucket.
    pub(super) async fn move_on(&mut self, deadline: Deadline) {
        let new = key_in(self.key.bucket());
        let (who, stored) = (&self.who, &self.stored);
        self.stored = who
            .replace((self.key, new), stored.revision, "moved", deadline)
            .await;
        self.key = new;
    }
}

pub(super) fn handles<S: Store>(sessions: &[Session<S>]) -> Vec<SessionHandle> {
    let mut handles: Vec<_> = sessions.iter().map(Session::handle).collect();
    handles.sort_unstable();
    handles
}

impl<S: Store> Subject<S> {
    #[track_caller]
    pub(super) fn create_with(
        &self,
        key: SessionIdHash,
        write: RecordWrite,
        limits: Limits,
        others: impl Into<Others>,
    ) -> impl Future<Output = Created> + '_ {
        let place = Location::caller();
        let others = others.into();
        async move {
            let answer = self
                .0
                .create(Create::new(&key, &write, limits, &others))
                .await;
            answered(answer, "create", place)
        }
    }

    /// Signs in under a new key, and returns the displaced sessions.
    #[track_caller]
    pub(super) fn sign_in_within(
        self,
        others: impl Into<Others>,
    ) -> impl Future<Output = (Session<S>, Vec<SessionHandle>)> {
        let place = Location::caller();
        let others = others.into();
        async move {
            let key = self.1.user().map(key_of).expect("somebody signs in");
            let write = self.write("begun");
            let answer = self
                .0
                .create(Create::new(&key, &write, super::LONG, &others))
                .await;
            match answered(answer, "create", place) {
                Created::Done(CreatedSession {
                    timing,
                    revision,
                    displaced,
                    ..
                }) => {
                    let stored = Stored {
                        timing,
                        revision,
                        payload: write.payload,
                    };
                    let who = self;
                    (Session { who, key, stored }, displaced)
                }
                other => unexpected(&other, "create under a new key", place),
            }
        }
    }

    #[track_caller]
    pub(super) fn replace_with(
        &self,
        old: ReplacedSession,
        new: SessionIdHash,
        write: RecordWrite,
        deadline: Deadline,
        others: impl Into<Others>,
    ) -> impl Future<Output = Replaced> + '_ {
        let place = Location::caller();
        let others = others.into();
        async move {
            let answer = self
                .0
                .replace(Replace::new(&old, &new, &write, deadline, &others))
                .await;
            answered(answer, "replace", place)
        }
    }

    /// The sessions of a user, sorted by key.
    #[track_caller]
    pub(super) fn list<'a>(&'a self, user: &'a UserId) -> impl Future<Output = Vec<Listed>> + 'a {
        let place = Location::caller();
        async move {
            let mut listed = answered(self.0.list(user).await, "list", place);
            listed.sort_unstable_by_key(|listed| listed.key);
            listed
        }
    }

    /// The users with sessions in the bucket of this one.
    #[track_caller]
    pub(super) fn users_beside(&self, user: &UserId) -> impl Future<Output = Vec<UserId>> + '_ {
        let place = Location::caller();
        let bucket = Bucket::of(user);
        async move {
            let users = answered(self.0.users(bucket).await, "users", place);
            assert!(
                users.iter().all(|user| Bucket::of(user) == bucket),
                "({place})"
            );
            users
        }
    }

    /// All users with live sessions, in pages of at most `most`. None is empty.
    #[track_caller]
    pub(super) fn pages_of_users(
        &self,
        most: usize,
    ) -> impl Future<Output = Vec<Vec<UserId>>> + '_ {
        let place = Location::caller();
        let most = NonZeroUsize::new(most).expect("a page of at least one");
        async move {
            let (mut pages, mut after) = (Vec::new(), None);
            loop {
                let page = self
                    .0
                    .users_after(UsersAfter::new(after.as_ref(), most))
                    .await;
                let page = answered(page, "users_after", place);
                let is_last = page.len() < most.get();
                after = page.last().cloned();
                if !page.is_empty() {
                    pages.push(page);
                }
                if is_last {
                    return pages;
                }
            }
        }
    }

    #[track_caller]
    pub(super) fn count(&self) -> impl Future<Output = SessionCount> + '_ {
        let place = Location::caller();
        async move { answered(self.0.count().await, "count", place) }
    }

    /// Checks that these sessions are listed and no others.
    #[track_caller]
    pub(super) fn assert_listed<'a>(
        &'a self,
        user: &'a UserId,
        sessions: impl IntoIterator<Item = &'a Session<S>>,
    ) -> impl Future<Output = ()> + 'a
    where
        S: 'a,
    {
        let place = Location::caller();
        let mut expected: Vec<_> = sessions.into_iter().map(Session::listed).collect();
        expected.sort_unstable_by_key(|listed| listed.key);
        async move { assert_eq!(self.list(user).await, expected, "({place})") }
    }

    /// The names of the ended sessions, sorted.
    #[track_caller]
    pub(super) fn revoke(
        &self,
        user: &UserId,
        which: RevokeScope,
        reason: EndReason,
    ) -> impl Future<Output = Vec<SessionHandle>> + '_ {
        let place = Location::caller();
        let revocation = Revocation {
            user: user.clone(),
            which,
            reason,
            note: note(EventKind::Ended(reason)),
            longest: Some(super::LONG.absolute),
        };
        async move {
            let answer = self.0.revoke(&revocation).await;
            let mut ended = answered(answer, "revoke", place).ended;
            ended.sort_unstable();
            ended
        }
    }

    /// All that has expired, in as many sweeps as it takes.
    #[track_caller]
    pub(super) fn sweep(&self) -> impl Future<Output = Vec<Expired>> + '_ {
        const ENOUGH: u32 = 100_000;
        let place = Location::caller();
        async move {
            let mut expired = Vec::new();
            for _ in 0..ENOUGH {
                let swept = answered(self.0.sweep().await, "sweep", place);
                expired.extend(swept.expired);
                if !swept.more {
                    return expired;
                }
            }
            panic!("there was always more to sweep ({place})")
        }
    }

    #[track_caller]
    pub(super) fn read_log(&self, query: LogQuery) -> impl Future<Output = Vec<Logged>> + '_ {
        let place = Location::caller();
        async move { answered(self.0.read_log(&query).await, "read_log", place) }
    }

    /// The log of this session, oldest first.
    #[track_caller]
    pub(super) fn logged(&self) -> impl Future<Output = Vec<EventKind>> + '_ {
        let place = Location::caller();
        let query = LogQuery {
            user: self.1.user().cloned(),
            session: Some(self.1.handle),
            most: 1000,
            ..LogQuery::default()
        };
        async move {
            let logged = answered(self.0.read_log(&query).await, "read_log", place);
            logged.into_iter().rev().map(kind_of).collect()
        }
    }
}

#[track_caller]
pub(super) fn kind_of(logged: Logged) -> EventKind {
    let event = logged.event.expect("the event can be read");
    event.kind
}
