//! Long random walks through all operations: at every step records and lists agree.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use portcullis_core::{
    EndReason, SessionHandle, SessionId, SessionIdHash, SessionMeta,
    store::{
        Activity, Commit, Committed, CommittedSession, Create, Created, CreatedSession, Deadline,
        Expired, Expiry, Loaded, OnLimit, RecordWrite, Replace, Replaced, ReplacedSession,
        Revision, RevokeScope, SessionLimit, Store, StoreErrorKind, Touch,
    },
};
use portcullis_redis::{RedisStore, testing::TestServer};
use rand::{Rng, RngExt, SeedableRng, rngs::SmallRng, seq::IndexedRandom};
use support::{
    connect, end_of, key_of, limits, owned, payload, revocation, snapshot::Snapshot, write_of,
};

const MINUTE: u64 = 60_000;

struct Walk {
    server: TestServer,
    store: RedisStore,
    random: SmallRng,
    /// Whatever there ever was, or was to be.
    known: Vec<(SessionIdHash, SessionMeta)>,
    revisions: HashMap<SessionIdHash, Revision>,
    reported: HashSet<SessionHandle>,
    full: bool,
    refused: usize,
}

#[tokio::test]
async fn at_every_step_each_session_is_where_it_belongs_and_nothing_else_is() {
    for seed in 1..=3 {
        Walk::start(seed).await.go(300, false).await;
    }
}

#[tokio::test]
async fn the_same_is_true_when_memory_is_full_now_and_then_and_what_is_refused_changes_nothing() {
    for seed in 11..=13 {
        let refused = Walk::start(seed).await.go(300, true).await;
        assert!(refused > 20, "{refused}");
    }
}

impl Walk {
    async fn start(seed: u64) -> Self {
        let server = TestServer::start();
        // Memory is full from one step to the next here, and the budget of visitors looks once a second. Without this
        // right there is none.
        server.cli(&["ACL", "SETUSER", "default", "-info"]);
        let store = connect(&server).await;
        Self {
            server,
            store,
            random: SmallRng::seed_from_u64(seed),
            known: Vec::new(),
            revisions: HashMap::new(),
            reported: HashSet::new(),
            full: false,
            refused: 0,
        }
    }

    async fn go(mut self, steps: usize, full_at_times: bool) -> usize {
        for _ in 0..steps {
            if full_at_times && self.random.random_ratio(1, 4) {
                self.set_full(!self.full);
            }
            let (before, _) = Snapshot::take(&self.server);
            match self.step().await {
                Ok(()) => {}
                Err(error) if self.full && error == StoreErrorKind::Full => {
                    self.refused += 1;
                    assert_eq!(Snapshot::take(&self.server).0, before);
                }
                Err(error) => panic!("{error:?}"),
            }
            let (after, now) = Snapshot::take(&self.server);
            after.assert_consistent(now, &self.known);
        }
        self.finish().await
    }

    /// When everything has expired and is reported, no list is left.
    async fn finish(mut self) -> usize {
        self.set_full(false);
        self.server.age_sessions(Duration::from_secs(26 * 60 * 60));
        loop {
            let swept = self.store.sweep().await.unwrap();
            self.report(swept.expired);
            if !swept.more {
                break;
            }
        }
        let (last, _) = Snapshot::take(&self.server);
        assert_eq!(last.lists, [].into());
        assert_eq!(last.live().count(), 0);
        assert!(!self.reported.is_empty());
        self.refused
    }

    fn set_full(&mut self, full: bool) {
        self.full = full;
        let limit = if full { "1" } else { "0" };
        self.server.cli(&["CONFIG", "SET", "maxmemory", limit]);
    }

    async fn step(&mut self) -> Result<(), StoreErrorKind> {
        let kind = |error: portcullis_core::store::StoreError| error.kind();
        match self.random.random_range(0..22) {
            0..=2 => {
                let key = SessionId::generate(portcullis_core::Bucket::random().unwrap());
                let meta = SessionMeta::new(SessionHandle::from_bytes(self.random.random()), None);
                self.create(key.unwrap().key(), meta).await
            }
            3..=6 => {
                let user = self.user();
                let meta = owned(&self.store, user);
                self.create(key_of(user), meta).await
            }
            7..=9 => {
                let Some((key, meta, revision)) = self.any() else {
                    return Ok(());
                };
                let write = self.write(&meta);
                let activity = self.activity();
                let done = self
                    .store
                    .commit(Commit::new(&key, revision, &write, activity))
                    .await;
                if let Committed::Done(CommittedSession { revision, .. }) = done.map_err(kind)? {
                    self.revisions.insert(key, revision);
                }
                Ok(())
            }
            10..=11 => {
                let Some((key, meta, _)) = self.any() else {
                    return Ok(());
                };
                self.store
                    .touch(Touch::new(&key, &meta, Activity::Active))
                    .await
                    .map_err(kind)?;
                Ok(())
            }
            12..=15 => self.replace().await,
            16 => {
                let Some((key, meta, _)) = self.any() else {
                    return Ok(());
                };
                let reason = EndReason::SignedOut;
                let ended = self.store.end(&end_of(&key, &meta, reason)).await;
                ended.map_err(kind)?;
                Ok(())
            }
            17 => {
                let user = self.user();
                let one = self.known.choose(&mut self.random);
                let handle = one.map_or(support::NAME, |(_, meta)| meta.handle);
                let which = [
                    RevokeScope::One(handle),
                    RevokeScope::AllBut(handle),
                    RevokeScope::All,
                ];
                let which = which[self.random.random_range(0..3)];
                let done = self.store.revoke(&revocation(user, which)).await;
                done.map_err(|it| kind(it.error))?;
                Ok(())
            }
            18 => {
                let full = self.full;
                self.set_full(false);
                let by = Duration::from_millis(self.random.random_range(0..20 * MINUTE));
                self.server.age_sessions(by);
                self.set_full(full);
                Ok(())
            }
            19 => {
                let swept = self.store.sweep().await.map_err(kind)?;
                self.report(swept.expired);
                Ok(())
            }
            _ => {
                let Some((key, ..)) = self.any() else {
                    return Ok(());
                };
                if let Loaded::Expired(expired) = self.store.load(&key).await.map_err(kind)? {
                    self.report(vec![expired]);
                }
                Ok(())
            }
        }
    }

    /// A session gets another key: in its bucket or not, with its user or another, with its deadlines or new ones.
    async fn replace(&mut self) -> Result<(), StoreErrorKind> {
        let Some((key, meta, expected)) = self.any() else {
            return Ok(());
        };
        let (new, new_label, deadline) = match self.random.random_range(0..3) {
            0 => {
                let user = self.user();
                let restart = Deadline::Restart(limits(30 * MINUTE, 60 * MINUTE));
                (key_of(user), owned(&self.store, user), restart)
            }
            1 if meta.owner.is_none() => {
                let elsewhere = key_of(self.user());
                (elsewhere, meta.clone(), Deadline::Keep(self.activity()))
            }
            _ => {
                let near = SessionId::generate(key.bucket()).unwrap().key();
                (near, meta.clone(), Deadline::Keep(self.activity()))
            }
        };
        self.known.push((new, new_label.clone()));
        let old = ReplacedSession {
            key,
            meta,
            expected,
            note: None,
        };
        let (write, others) = (self.write(&new_label), self.limit().into());
        let replaced = self
            .store
            .replace(Replace::new(&old, &new, &write, deadline, &others));
        match replaced.await.map_err(|it| it.error.kind())? {
            Replaced::Done(CreatedSession { revision, .. }) => {
                self.revisions.insert(new, revision);
            }
            Replaced::Conflict(stored) => drop(self.revisions.insert(key, stored.revision)),
            _ => {}
        }
        Ok(())
    }

    async fn create(
        &mut self,
        key: SessionIdHash,
        meta: SessionMeta,
    ) -> Result<(), StoreErrorKind> {
        let (write, limit) = (self.write(&meta), self.limit());
        self.known.push((key, meta));
        let limits = limits(30 * MINUTE, 60 * MINUTE);
        let created = self
            .store
            .create(Create::new(&key, &write, limits, &limit.into()))
            .await;
        if let Created::Done(CreatedSession { revision, .. }) =
            created.map_err(|it| it.error.kind())?
        {
            self.revisions.insert(key, revision);
        }
        Ok(())
    }

    /// A session that was there once, and what was written last, or something else.
    fn any(&mut self) -> Option<(SessionIdHash, SessionMeta, Revision)> {
        // Most of those that were there long ago are over.
        let recent = self.known.len().saturating_sub(20)..self.known.len();
        let (key, meta) = self.known[recent].choose(&mut self.random)?.clone();
        let written = self.revisions.get(&key).copied();
        let revision = match written {
            Some(revision) if !self.random.random_ratio(1, 10) => revision,
            _ => Revision(self.random.next_u32()),
        };
        Some((key, meta, revision))
    }

    fn write(&mut self, meta: &SessionMeta) -> RecordWrite {
        let minutes = self.random.random_range(1..15);
        let elevated = self.random.random_ratio(1, 3);
        RecordWrite {
            elevated_until: elevated
                .then(|| self.store.now().after(Duration::from_secs(60 * minutes))),
            ..write_of(meta, payload())
        }
    }

    fn limit(&mut self) -> Option<SessionLimit> {
        let excess = [OnLimit::Displace, OnLimit::Refuse][self.random.random_range(0..2)];
        self.random.random_ratio(1, 2).then(|| SessionLimit {
            most: 2.try_into().unwrap(),
            excess,
        })
    }

    fn user(&mut self) -> &'static str {
        ["alice", "bob", "carol"][self.random.random_range(0..3)]
    }

    fn activity(&mut self) -> Activity {
        [Activity::Active, Activity::Passive][self.random.random_range(0..2)]
    }

    /// Each end is reported once.
    fn report(&mut self, expired: Vec<Expired>) {
        for one in expired {
            if matches!(one.what, Expiry::Session(_)) {
                assert!(
                    self.reported.insert(one.handle),
                    "{one:?} was reported before"
                );
            }
        }
    }
}
