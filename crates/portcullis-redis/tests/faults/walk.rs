//! Long random walks: one thing after the other happens to the same sessions, and faults to what is done.

use std::sync::{Arc, Mutex};

use portcullis_core::{
    SessionHandle, SessionId, SessionMeta,
    store::{Others, RevokeScope},
};
use rand::{RngExt, SeedableRng, rngs::SmallRng, seq::IndexedRandom};
use tokio::task::JoinSet;

use crate::{
    ROOM,
    bench::{Bench, WAIT, elsewhere, home},
    ledger::Fate,
    support::LIMITS,
    task::{Task, displacing, ending_others, refusing},
    wire::Fault,
};

/// Some that are always walked. One that has failed is added.
const SEEDS: [u64; 2] = [1, 2];

const STEPS: usize = 40;

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn whatever_happens_in_whatever_order_the_rules_hold() {
    let mut walks = JoinSet::new();
    for seed in SEEDS.into_iter().chain([rand::random(), rand::random()]) {
        walks.spawn(async move {
            let trail = Trail::default();
            let way = trail.clone();
            let walk = tokio::spawn(async move {
                let _room = ROOM.acquire().await;
                Walk::start(seed, way).await.go().await;
            });
            walk.await.unwrap_or_else(|_| {
                let way = trail.lock().unwrap().join("\n");
                panic!("the walk of seed {seed} fails at its end:\n{way}")
            });
        });
    }
    while let Some(walk) = walks.join_next().await {
        walk.unwrap();
    }
}

/// What was done.
type Trail = Arc<Mutex<Vec<String>>>;

struct Walk {
    bench: Bench,
    random: SmallRng,
    trail: Trail,
}

impl Walk {
    async fn start(seed: u64, trail: Trail) -> Self {
        Self {
            bench: Bench::start().await,
            random: SmallRng::seed_from_u64(seed),
            trail,
        }
    }

    async fn go(mut self) {
        for _ in 0..STEPS {
            let task = self.task().await;
            let faults = Fault::all(WAIT);
            // Without a memory there is nothing to walk on.
            let common = &faults[..faults.len() - 1];
            let fault = match self.random.random_ratio(1, 10) {
                true => Fault::Restarted,
                false => *common.choose(&mut self.random).unwrap(),
            };
            // Often there is no such step, and nothing happens to it.
            let at = [0, 0, 0, 1, 1, 2, 3, 4][self.random.random_range(0..8)];
            let done = format!("{task:?}, step {at}, {fault:?}");
            self.trail.lock().unwrap().push(done);
            self.bench.suffers(&task, at, fault).await;
        }
    }

    async fn task(&mut self) -> Task {
        let user = ["alice", "bob"][self.random.random_range(0..2)];
        let others = match self.random.random_range(0..5) {
            0 => displacing(),
            1 => refusing(),
            2 => ending_others(),
            _ => Others::Stay,
        };
        let sessions = 0..self.bench.ledger.sessions.len();
        let living: Vec<_> = sessions
            .filter(|place| self.bench.may_live(*place))
            .collect();
        let any = living.choose(&mut self.random).copied();
        match (self.random.random_range(0..12), any) {
            (0..=2, _) | (_, None) => Task::SignIn {
                user: user.into(),
                from: None,
                others,
            },
            (3..=4, _) => Task::SignIn {
                user: user.into(),
                from: Some(self.visitor(user).await),
                others,
            },
            (5, from) => Task::SignIn {
                user: user.into(),
                from,
                others,
            },
            (6..=7, Some(of)) => Task::Rotate {
                of,
                to: self.bench.ledger.sessions[of].key.bucket(),
            },
            (8, Some(of)) => Task::Commit { of },
            (9, Some(of)) => Task::SignOut { of },
            (10, Some(of)) => {
                let handle = self.bench.ledger.sessions[of].meta.handle;
                let which = [
                    RevokeScope::One(handle),
                    RevokeScope::AllBut(handle),
                    RevokeScope::All,
                ];
                Task::Revoke {
                    user: user.into(),
                    which: *which.choose(&mut self.random).unwrap(),
                }
            }
            (_, Some(of)) => Task::Touch { of },
        }
    }

    async fn visitor(&mut self, user: &str) -> usize {
        let bucket = [home(user), elsewhere()][self.random.random_range(0..2)];
        let key = SessionId::generate(bucket).unwrap().key();
        let meta = SessionMeta::new(SessionHandle::from_bytes(self.random.random()), None);
        self.bench.begins(key, meta, LIMITS, Fate::Lives).await
    }
}
