//! What must be true of the sessions of a test, by the answers that its callers received.

use std::collections::{BTreeMap, HashSet};

use bytes::Bytes;
use portcullis_core::{
    EndReason, EventKind, Note, SessionHandle, SessionIdHash, SessionMeta, UserId,
    store::{Loaded, Revision, Store},
};
use portcullis_redis::{
    RedisStore,
    testing::{Answer, TestServer},
};

use crate::support::{assert_every_key_expires, lists, snapshot::Snapshot, spelled};

/// Whether a session lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// A caller learned that it is live.
    Lives,
    /// A caller learned that it is not live, or no caller received its identifier.
    Dead,
    /// A caller learned that it is unknown, or its deadline has passed.
    Unknown,
}

/// What somebody has, or was to have.
#[derive(Debug, Clone)]
pub struct Session {
    pub key: SessionIdHash,
    pub meta: SessionMeta,
    pub fate: Fate,
    pub revision: Revision,
    /// What it may hold.
    pub payloads: Vec<Bytes>,
    /// It was made for a sign-in that failed.
    pub failed: bool,
}

/// What is stored at one moment.
pub struct Seen {
    living: HashSet<String>,
    noted: BTreeMap<SessionHandle, Vec<EventKind>>,
}

#[derive(Debug, Clone, Default)]
pub struct Ledger {
    pub sessions: Vec<Session>,
    /// Of these the log may have nothing: Redis lost its memory.
    forgotten: HashSet<SessionHandle>,
}

impl Ledger {
    pub fn add(&mut self, key: SessionIdHash, meta: &SessionMeta, fate: Fate) -> usize {
        self.sessions.push(Session {
            key,
            meta: meta.clone(),
            fate,
            revision: Revision(0),
            payloads: Vec::new(),
            failed: false,
        });
        self.sessions.len() - 1
    }

    /// All of this user that there may be.
    pub fn of<'l>(&'l mut self, user: &'l UserId) -> impl Iterator<Item = &'l mut Session> {
        let sessions = self.sessions.iter_mut();
        sessions.filter(move |it| it.fate != Fate::Dead && it.meta.user() == Some(user))
    }

    /// Under whatever key it is.
    pub fn is_dead(&mut self, handle: SessionHandle) {
        for session in &mut self.sessions {
            if session.meta.handle == handle {
                session.fate = Fate::Dead;
            }
        }
    }

    /// Redis has no memory of anything so far, or it was made when it had lost it.
    pub fn forget(&mut self) {
        for session in &mut self.sessions {
            self.forgotten.insert(session.meta.handle);
            if session.fate == Fate::Lives {
                session.fate = Fate::Unknown;
            }
        }
    }

    /// What is stored agrees with itself.
    pub fn look(&self, server: &TestServer) -> Seen {
        let known = self.sessions.iter().map(|it| (it.key, it.meta.clone()));
        let (snapshot, now) = Snapshot::take(server);
        snapshot.assert_consistent(now, &known.collect::<Vec<_>>());
        assert_every_key_expires(server);
        Seen {
            living: snapshot.live().cloned().collect(),
            noted: noted_in(server),
        }
    }

    /// The store agrees with the answers that callers received.
    pub async fn check(&mut self, seen: Seen, store: &RedisStore) {
        let Seen { mut living, noted } = seen;
        let mut handles = HashSet::new();
        for session in &mut self.sessions {
            let lives = living.remove(&spelled(&session.key));
            match session.fate {
                Fate::Lives => assert!(lives, "it lives: {session:?}"),
                Fate::Dead => assert!(!lives, "it does not live: {session:?}"),
                Fate::Unknown if lives => {}
                Fate::Unknown => session.fate = Fate::Dead,
            }
            if lives {
                let handle = session.meta.handle;
                assert!(
                    handles.insert(handle),
                    "one session has one key: {session:?}"
                );
            }
        }
        assert!(living.is_empty(), "nobody knows of {living:?}");
        self.check_log(&handles, &noted);
        self.check_answers(store).await;
    }

    /// What the store says is what is stored.
    async fn check_answers(&mut self, store: &RedisStore) {
        let mut of_users: BTreeMap<Vec<u8>, HashSet<SessionHandle>> = BTreeMap::new();
        for session in &mut self.sessions {
            let user = session.meta.user().map(|user| user.as_bytes().to_vec());
            let listed = user.map(|user| of_users.entry(user).or_default());
            match (store.load(&session.key).await.unwrap(), session.fate) {
                (Loaded::Live(stored), Fate::Lives | Fate::Unknown) => {
                    listed.map(|listed| listed.insert(session.meta.handle));
                    assert!(
                        session.payloads.contains(&stored.payload),
                        "{session:?}: {stored:?}"
                    );
                    session.payloads = vec![stored.payload];
                    session.revision = stored.revision;
                }
                (Loaded::Live(_), Fate::Dead) | (Loaded::Damaged, _) => panic!("{session:?} lives"),
                (other, Fate::Lives) => panic!("{session:?} does not live: {other:?}"),
                _ => {}
            }
        }
        for (user, expected) in of_users {
            let listed = store.list(&UserId::from(&user[..])).await.unwrap();
            assert_eq!(listed.len(), expected.len(), "{listed:?}");
        }
    }

    /// Rule 12: one change is one event.
    fn check_log(
        &self,
        live: &HashSet<SessionHandle>,
        noted: &BTreeMap<SessionHandle, Vec<EventKind>>,
    ) {
        for session in &self.sessions {
            let handle = session.meta.handle;
            let events = noted.get(&handle).map_or(&[][..], Vec::as_slice);
            let ends: Vec<_> = events
                .iter()
                .filter_map(|event| match event {
                    EventKind::Ended(reason) => Some(*reason),
                    _ => None,
                })
                .collect();
            let begun = events
                .iter()
                .filter(|event| **event == EventKind::Created)
                .count();
            let says = format!("{session:?}: {events:?}");
            assert!(begun <= 1 && ends.len() <= 1, "{says}");
            if self.forgotten.contains(&handle) {
                continue;
            }
            if live.contains(&handle) {
                assert_eq!((begun, ends.len()), (1, 0), "{says}");
            } else {
                assert_eq!(begun, ends.len(), "{says}");
            }
            if session.failed && begun == 1 {
                assert_eq!(ends, [EndReason::Withdrawn], "{says}");
            }
        }
        for handle in noted.keys() {
            let mut known = self.sessions.iter().map(|it| it.meta.handle);
            assert!(
                known.any(|known| known == *handle),
                "nobody knows of {handle:?}"
            );
        }
    }
}

/// What the logs have of each session, whatever part they have it in.
fn noted_in(server: &TestServer) -> BTreeMap<SessionHandle, Vec<EventKind>> {
    let mut noted = BTreeMap::<_, Vec<_>>::new();
    for log in [lists(server, "l"), lists(server, "a")].concat() {
        let Answer::List(entries) = server.cli(&["XRANGE", &log, "-", "+"]) else {
            panic!("{log} is no log")
        };
        for entry in entries {
            let Answer::List(parts) = entry else {
                panic!("{entry:?}")
            };
            let Answer::List(fields) = &parts[1] else {
                panic!("{parts:?}")
            };
            let [_, Answer::Bytes(name), _, _, _, Answer::Bytes(note), ..] = &fields[..] else {
                panic!("{fields:?}")
            };
            let handle = SessionHandle::from_bytes(name[..].try_into().unwrap());
            let kind = Note::decode(note).unwrap().kind;
            noted.entry(handle).or_default().push(kind);
        }
    }
    noted
}
