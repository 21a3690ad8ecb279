//! A server, a store whose messages meet with faults, and a healthy one to look on.

use std::{sync::Arc, time::Duration};

use portcullis_core::{
    Bucket, SessionIdHash, SessionMeta, UserId,
    store::{Create, Created, CreatedSession, Limits, Others, Store},
};
use portcullis_redis::{
    RedisStore, RedisStoreBuilder,
    testing::{TestServer, wait_until},
};

use tokio::time::{sleep, timeout};

use crate::{
    ledger::{Fate, Ledger, Session},
    support::{healed, key_of, payload, spelled, write_of},
    task::{CallResult, Task},
    wire::{Fault, Wire},
};

/// How long the store with the faults waits.
pub const WAIT: Duration = Duration::from_millis(150);

pub struct Bench {
    wire: Arc<Wire>,
    /// Patient, and with a way of its own.
    pub healthy: RedisStore,
    faulty: RedisStore,
    pub ledger: Ledger,
}

/// The bucket of this user, and another one.
pub fn home(user: &str) -> Bucket {
    key_of(user).bucket()
}

pub fn elsewhere() -> Bucket {
    let other = Bucket::from_number((home("alice").number() + 1) % 1024);
    other.unwrap()
}

/// A machine under load may need more than one attempt with so short a wait.
async fn connected(builder: RedisStoreBuilder) -> RedisStore {
    let attempts = async {
        loop {
            if let Ok(store) = builder.clone().connect().await {
                return store;
            }
        }
    };
    timeout(Duration::from_secs(20), attempts).await.unwrap()
}

impl Bench {
    pub async fn start() -> Self {
        let server = TestServer::start();
        let direct = RedisStore::builder(server.url()).wait(Duration::from_secs(10));
        let wire = Wire::to(server, &[home("alice"), home("bob"), elsewhere()]);
        let builder = RedisStore::builder(wire.url()).wait(WAIT);
        Self {
            healthy: direct.connect().await.unwrap(),
            faulty: connected(builder).await,
            wire: Arc::new(wire),
            ledger: Ledger::default(),
        }
    }

    /// Forgets all but how to do things.
    pub fn clear(&mut self) {
        self.wire.server().cli(&["FLUSHALL"]);
        self.ledger = Ledger::default();
    }

    pub async fn does(&mut self, task: &Task) -> CallResult {
        task.run(&self.healthy, &mut self.ledger).await
    }

    /// How many steps a task has that meets with nothing.
    pub async fn steps(&mut self, task: &Task) -> usize {
        self.wire.arm(None);
        // As patient as it has to be, over the same wire.
        let builder = RedisStore::builder(self.wire.url()).wait(Duration::from_secs(10));
        let patient = builder.connect().await.unwrap();
        let reported = task.run(&patient, &mut self.ledger).await;
        assert_ne!(reported, CallResult::Error);
        self.wire.disarm()
    }

    /// Does a task, of which one step meets with a fault; waits until all is well again, and checks what is then.
    pub async fn suffers(&mut self, task: &Task, at: usize, fault: Fault) -> CallResult {
        let before = self.ledger.sessions.clone();
        if fault == Fault::Restarted {
            self.ledger.forget();
        }
        self.wire.arm(Some((at, fault)));
        let reported = task.run(&self.faulty, &mut self.ledger).await;
        let struck = self.wire.disarm() > at;
        let is_held = self.wire.holds();
        if fault == Fault::VeryLate && is_held {
            self.heals().await;
        }
        if fault == Fault::Overtaken && is_held {
            let looked = || self.wire.looked() || self.nothing_is_left();
            while !looked() {
                sleep(Duration::from_millis(1)).await;
            }
        }
        let mut later = None;
        if reported == CallResult::Error
            && let Some(user) = task.revokes()
        {
            // They come after the revocation returned an error.
            self.signs_in(user.clone()).await;
            later = Some(self.ledger.sessions.len() - 1);
        }
        self.wire.release();
        self.heals().await;
        self.is_quiet().await;
        if fault == Fault::Restarted && struck {
            self.ledger.forget();
        } else if reported == CallResult::Error && self.wire.ran() == 0 {
            self.is_as_it_was(&before);
        } else if reported == CallResult::Error
            && task.grants()
            && fault == Fault::VeryLate
            && is_held
        {
            match task {
                _ if at == 0 => self.is_as_it_was(&before),
                // The step that decides is the last one.
                Task::SignIn { from: Some(of), .. } | Task::Rotate { of, .. } => {
                    self.ledger.sessions[*of] = before[*of].clone();
                }
                _ => {}
            }
        }
        if let Some(of) = later {
            // A mark would show.
            self.does(&Task::Touch { of }).await;
        }
        if matches!(task, Task::Sweep) {
            self.healthy.sweep().await.unwrap();
        }
        self.check().await;
        reported
    }

    fn is_as_it_was(&mut self, before: &[Session]) {
        self.ledger.sessions[..before.len()].clone_from_slice(before);
    }

    async fn is_quiet(&self) {
        let wire = Arc::clone(&self.wire);
        let quiet = tokio::task::spawn_blocking(move || wire.quiet());
        quiet.await.unwrap();
    }

    /// A session that is there, or is to be over soon.
    pub async fn begins(
        &mut self,
        key: SessionIdHash,
        meta: SessionMeta,
        limits: Limits,
        fate: Fate,
    ) -> usize {
        let write = write_of(&meta, payload());
        let created = self
            .healthy
            .create(Create::new(&key, &write, limits, &Others::Stay));
        let Created::Done(CreatedSession { revision, .. }) = created.await.unwrap() else {
            panic!("not created")
        };
        let place = self.ledger.add(key, &meta, fate);
        let session = &mut self.ledger.sessions[place];
        (session.revision, session.payloads) = (revision, vec![payload()]);
        place
    }

    /// Whether Redis has nothing under this key.
    pub fn is_absent(&self, key: &SessionIdHash) -> bool {
        self.wire.server().cli(&["EXISTS", &spelled(key)]).integer() == 0
    }

    pub async fn check(&mut self) {
        let seen = self.ledger.look(&self.wire.server());
        self.ledger.check(seen, &self.healthy).await;
    }

    async fn signs_in(&mut self, user: UserId) {
        let task = Task::SignIn {
            user,
            from: None,
            others: Others::Stay,
        };
        assert_eq!(self.does(&task).await, CallResult::Done);
    }

    /// Returns when both stores answer and nothing is left to be undone.
    async fn heals(&self) {
        healed(&self.faulty).await;
        healed(&self.healthy).await;
        let all = || self.nothing_is_left();
        wait_until("all is undone that has to be", all).await;
    }

    fn nothing_is_left(&self) -> bool {
        format!("{:?}", self.faulty).contains("to_withdraw: 0")
    }

    /// No caller was informed that it is not live.
    pub fn may_live(&self, place: usize) -> bool {
        self.ledger.sessions[place].fate != Fate::Dead
    }

    /// Is live by what callers received.
    pub fn lives(&self, place: usize) -> bool {
        self.ledger.sessions[place].fate == Fate::Lives
    }
}
