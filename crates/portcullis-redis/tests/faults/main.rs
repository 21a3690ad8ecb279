//! Every operation meets with every fault at every step that it takes, and the rules hold.
//!
//! A step is a message to Redis, counted on the wire. Callers know the answers that they received; what is stored afterwards is
//! compared with that.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    unreachable_pub,
    reason = "it is a test"
)]

mod bench;
mod ledger;
#[path = "../support/mod.rs"]
mod support;
mod task;
mod walk;
mod wire;

use std::sync::LazyLock;

use portcullis_core::{
    Bucket, SessionHandle, SessionId, SessionMeta,
    store::{Others, RevokeScope},
};
use portcullis_redis::testing::wait_until;
use tokio::{sync::Semaphore, task::JoinSet};

use self::{
    bench::{Bench, WAIT, elsewhere, home},
    ledger::Fate,
    support::{LIMITS, key_of, limits, owned},
    task::{CallResult, Task, displacing, ending_others, refusing},
    wire::Fault,
};

/// So many servers at once: most of the time they wait.
static ROOM: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new(6));

/// What is there before somebody does something, and what they do.
#[derive(Debug, Clone, Copy)]
enum Scene {
    /// Somebody signs in who comes from there and has so many sessions.
    SignIn(From, usize, Limit),
    Elevation,
    RotationOfAVisitor,
    RecordWrite,
    Activity,
    SignOut,
    Revocation(Of),
    Sweep,
}

#[derive(Debug, Clone, Copy)]
enum From {
    Nothing,
    TheirOwn,
    AVisitorsHere,
    AVisitorsElsewhere,
}

/// What becomes of their other sessions.
#[derive(Debug, Clone, Copy)]
enum Limit {
    None,
    Displace,
    Refuse,
    EndOthers,
}

/// Which sessions are revoked.
#[derive(Debug, Clone, Copy)]
enum Of {
    One,
    AllButOne,
    All,
    Listed,
}

impl Limit {
    fn others(self) -> Others {
        match self {
            Self::None => Others::Stay,
            Self::Displace => displacing(),
            Self::Refuse => refusing(),
            Self::EndOthers => ending_others(),
        }
    }
}

fn here() -> Bucket {
    home("alice")
}

macro_rules! scenes {
    ($($name:ident: $($scene:expr),+;)+) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 8)]
        async fn $name() {
            for scene in [$($scene),+] {
                scene.meets_with_everything().await;
            }
        }
    )+};
}

use self::From::*;

scenes! {
    whatever_fails_a_sign_in_from_nothing_keeps_the_rules: Scene::SignIn(Nothing, 1, Limit::None);
    whatever_fails_a_sign_in_from_a_session_keeps_the_rules:
        Scene::SignIn(AVisitorsHere, 1, Limit::None),
        Scene::SignIn(AVisitorsElsewhere, 1, Limit::None),
        Scene::SignIn(TheirOwn, 1, Limit::None);
    whatever_fails_a_sign_in_that_displaces_others_keeps_the_rules:
        Scene::SignIn(Nothing, 2, Limit::Displace),
        Scene::SignIn(AVisitorsHere, 2, Limit::Displace),
        Scene::SignIn(AVisitorsElsewhere, 2, Limit::Displace);
    whatever_fails_a_sign_in_at_the_limit_there_is_room_for_another_then:
        Scene::SignIn(Nothing, 0, Limit::Refuse),
        Scene::SignIn(AVisitorsHere, 0, Limit::Refuse),
        Scene::SignIn(AVisitorsElsewhere, 0, Limit::Refuse);
    whatever_fails_a_sign_in_that_ends_all_others_keeps_the_rules:
        Scene::SignIn(Nothing, 2, Limit::EndOthers),
        Scene::SignIn(AVisitorsHere, 2, Limit::EndOthers),
        Scene::SignIn(AVisitorsElsewhere, 2, Limit::EndOthers);
    whatever_fails_a_new_identifier_keeps_the_rules:
        Scene::Elevation,
        Scene::RotationOfAVisitor;
    whatever_fails_a_write_or_an_activity_keeps_the_rules: Scene::RecordWrite, Scene::Activity;
    whatever_fails_an_end_keeps_the_rules: Scene::SignOut, Scene::Sweep;
    whatever_fails_a_revocation_keeps_the_rules:
        Scene::Revocation(Of::One),
        Scene::Revocation(Of::AllButOne),
        Scene::Revocation(Of::All),
        Scene::Revocation(Of::Listed);
}

impl Scene {
    async fn meets_with_everything(self) {
        let mut lanes = JoinSet::new();
        for fault in Fault::all(WAIT) {
            lanes.spawn(async move {
                let _room = ROOM.acquire().await;
                self.meets_with(fault).await;
            });
        }
        while let Some(lane) = lanes.join_next().await {
            lane.unwrap();
        }
    }

    /// At each step in turn.
    async fn meets_with(self, fault: Fault) {
        let mut bench = Bench::start().await;
        let mut at = 0;
        loop {
            // Also has the server learn the scripts.
            let task = self.set(&mut bench).await;
            let steps = bench.steps(&task).await;
            assert!(steps > 0, "{self:?} has no steps");
            if at == steps {
                return;
            }
            bench.clear();
            let task = self.set(&mut bench).await;
            let case = format!("{self:?}, step {at} of {steps}, {fault:?}");
            bench = tokio::spawn(async move {
                let reported = bench.suffers(&task, at, fault).await;
                self.afterwards(&mut bench, reported).await;
                bench.clear();
                bench
            })
            .await
            .unwrap_or_else(|_| panic!("{case}"));
            at += 1;
        }
    }

    /// Sets the scene, and says what is to be done.
    async fn set(self, bench: &mut Bench) -> Task {
        let alice = || "alice".into();
        let signs_in = || Task::SignIn {
            user: alice(),
            from: None,
            others: Others::Stay,
        };
        let sessions = match self {
            Self::SignIn(_, sessions, _) => sessions,
            _ => 2,
        };
        // One has ended, and stays so.
        bench.does(&signs_in()).await;
        bench.does(&Task::SignOut { of: 0 }).await;
        for _ in 0..sessions {
            bench.does(&signs_in()).await;
        }
        let first = 1;
        match self {
            Self::SignIn(from, _, limit) => {
                let from = match from {
                    Nothing => None,
                    TheirOwn => Some(first),
                    AVisitorsHere => Some(visitor(bench, here()).await),
                    AVisitorsElsewhere => Some(visitor(bench, elsewhere()).await),
                };
                Task::SignIn {
                    user: alice(),
                    from,
                    others: limit.others(),
                }
            }
            Self::Elevation => Task::Rotate {
                of: first,
                to: here(),
            },
            Self::RotationOfAVisitor => Task::Rotate {
                of: visitor(bench, elsewhere()).await,
                to: elsewhere(),
            },
            Self::RecordWrite => Task::Commit { of: first },
            Self::Activity => Task::Touch { of: first },
            Self::SignOut => Task::SignOut { of: first },
            Self::Revocation(of) => Task::Revoke {
                user: alice(),
                which: {
                    let handle = bench.ledger.sessions[first].meta.handle;
                    match of {
                        Of::One => RevokeScope::One(handle),
                        Of::AllButOne => RevokeScope::AllBut(handle),
                        Of::All => RevokeScope::All,
                        Of::Listed => RevokeScope::Listed,
                    }
                },
            },
            Self::Sweep => {
                expired(bench).await;
                Task::Sweep
            }
        }
    }

    async fn afterwards(self, bench: &mut Bench, reported: CallResult) {
        let Self::SignIn(_, 0, limit) = self else {
            return;
        };
        let again = Task::SignIn {
            user: "alice".into(),
            from: None,
            others: limit.others(),
        };
        let lives = (0..bench.ledger.sessions.len()).any(|place| bench.lives(place));
        if reported != CallResult::Done {
            assert_eq!(bench.does(&again).await, CallResult::Done);
        } else if lives {
            assert_eq!(bench.does(&again).await, CallResult::Refused);
        }
    }
}

/// A session without a user in this bucket.
async fn visitor(bench: &mut Bench, bucket: Bucket) -> usize {
    let key = SessionId::generate(bucket).unwrap().key();
    let meta = SessionMeta::new(SessionHandle::from_bytes(rand::random()), None);
    bench.begins(key, meta, LIMITS, Fate::Lives).await
}

/// A session whose time is over.
async fn expired(bench: &mut Bench) {
    let meta = owned(&bench.healthy, "alice");
    let soon = limits(5, 60_000);
    let place = bench.begins(key_of("alice"), meta, soon, Fate::Dead).await;
    let key = bench.ledger.sessions[place].key;
    wait_until("it is over", || bench.is_absent(&key)).await;
}
