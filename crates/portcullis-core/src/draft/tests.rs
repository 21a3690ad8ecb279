//! What a request can do to its session, and what it cannot.

mod concurrency;
mod data;
mod elevation;
mod ending;
mod failure;
mod identity;
mod invariants;

use std::{
    future::Future,
    pin::pin,
    task::{Context, Poll, Waker},
};

use super::*;
use crate::{
    SessionId,
    store::{Activity, Committed, Created, Loaded, ManualClock, MemoryStore, Store, Touched},
};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);
const MILLI: Duration = Duration::from_millis(1);

/// A store with a clock, and the settings of the requests: the default timeouts and room for 1000 bytes.
struct World {
    clock: ManualClock,
    store: MemoryStore,
    policy: DraftPolicy,
}

/// One request.
struct Visit<'w> {
    world: &'w World,
    draft: Draft,
    activity: Activity,
}

/// What became of a request's wishes.
#[derive(Debug)]
enum Saved {
    /// There was nothing to write.
    Nothing,
    /// Activity was written down.
    Touched,
    /// The session is stored under this key.
    As(SessionKey),
    /// They belong to a session that goes on elsewhere.
    Refused,
    /// The session was gone.
    Lost,
    /// They could not be applied to what another request had written.
    Failed(DraftError),
}

impl Saved {
    #[track_caller]
    fn key(self) -> SessionKey {
        match self {
            Self::As(key) => key,
            other => panic!("nothing was stored: {other:?}"),
        }
    }
}

impl World {
    fn new() -> Self {
        let clock = ManualClock::new();
        Self {
            store: MemoryStore::with_clock(&clock),
            clock,
            policy: DraftPolicy {
                timeouts: Timeouts::default(),
                payload_limit: 1000,
            },
        }
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn pass(&self, time: Duration) {
        self.clock.advance(time);
    }

    /// A request without a cookie.
    fn stranger(&self) -> Visit<'_> {
        self.visit_with(Draft::without_session(self.policy, None))
    }

    /// A request with the cookie of `key`.
    fn visit(&self, key: SessionKey) -> Visit<'_> {
        self.visit_with(match ready(self.store.load(&key)).unwrap() {
            Loaded::Live(stored) => Draft::of_session(self.policy, key, &stored).unwrap(),
            Loaded::Ended(reason) => Draft::without_session(self.policy, Some(reason)),
            Loaded::Absent | Loaded::Damaged => Draft::without_session(self.policy, None),
        })
    }

    fn visit_with(&self, draft: Draft) -> Visit<'_> {
        Visit {
            world: self,
            draft,
            activity: Activity::Active,
        }
    }

    /// A session without a user that holds `"cart" = 1`.
    fn anonymous(&self) -> SessionKey {
        let mut visit = self.stranger();
        visit.set("cart", 1);
        visit.save().key()
    }

    /// A session of `user` that holds `"cart" = 1`.
    fn session_of(&self, user: &str) -> SessionKey {
        let mut visit = self.stranger();
        visit.set("cart", 1);
        visit.authenticate(user);
        visit.save().key()
    }

    /// The same, elevated for `scope`.
    fn elevated(&self, user: &str, scope: &str) -> SessionKey {
        let mut visit = self.visit(self.session_of(user));
        visit.elevate(scope);
        visit.save().key()
    }

    fn stored(&self, key: SessionKey) -> Option<Stored> {
        match ready(self.store.load(&key)).unwrap() {
            Loaded::Live(stored) => Some(stored),
            _ => None,
        }
    }

    fn loaded(&self, key: SessionKey) -> Loaded {
        ready(self.store.load(&key)).unwrap()
    }
}

impl Visit<'_> {
    fn now(&self) -> Timestamp {
        self.world.now()
    }

    fn get(&self, name: &str) -> Option<u32> {
        self.draft.view().get(&name).unwrap()
    }

    fn set(&mut self, name: &str, value: u32) {
        let now = self.now();
        self.draft.insert(&name, &value, now).unwrap();
    }

    fn set_text(&mut self, name: &str, value: &str) -> Result<(), DraftError> {
        let now = self.now();
        self.draft.insert(&name, &value.to_owned(), now)
    }

    fn count_up(&mut self, name: &str) -> Result<(), DraftError> {
        let now = self.now();
        self.draft.update(&name, |count: &mut u32| *count += 1, now)
    }

    fn remove(&mut self, name: &str) -> bool {
        let now = self.now();
        self.draft.remove(name, now).unwrap()
    }

    fn clear(&mut self) {
        let now = self.now();
        self.draft.clear(now).unwrap();
    }

    fn authenticate(&mut self, user: &str) {
        let now = self.now();
        self.draft.authenticate(user.into(), now).unwrap();
    }

    fn regenerate(&mut self) {
        let now = self.now();
        self.draft.regenerate(now).unwrap();
    }

    fn elevate(&mut self, scope: &str) {
        let now = self.now();
        self.draft.elevate(scope, now).unwrap();
    }

    fn drop_elevation(&mut self) -> bool {
        let now = self.now();
        self.draft.drop_elevation(now).unwrap()
    }

    fn user(&self) -> Option<&str> {
        self.draft.view().user().and_then(UserId::as_str)
    }

    fn elevated_until(&self, scope: &str) -> Option<Timestamp> {
        self.draft.view().elevated_until(scope, self.now())
    }

    fn is_elevated(&self, scope: &str) -> bool {
        self.elevated_until(scope).is_some()
    }

    #[track_caller]
    fn info(&self) -> SessionInfo {
        self.draft.view().info().expect("there is a session")
    }

    /// The handler failed: a 5xx.
    fn fail(&mut self) {
        self.draft.drop_grants().unwrap();
    }

    fn plan(&self) -> Plan {
        self.draft.plan(self.activity, self.now()).unwrap()
    }

    fn step(&self) -> Step {
        self.plan().step
    }

    /// Does with the draft what the layer does.
    fn save(&mut self) -> Saved {
        let store = &self.world.store;
        for _ in 0..10 {
            let plan = self.plan();
            if let Some((key, reason)) = plan.end {
                ready(store.end(&key, reason)).unwrap();
                self.draft.ended();
            }
            let (key, committed) = match plan.step {
                Step::Nothing => return Saved::Nothing,
                Step::Refuse => return Saved::Refused,
                Step::Touch { key } => match ready(store.touch(&key)).unwrap() {
                    Touched::Done(timing) => {
                        self.draft.touched(timing);
                        return Saved::Touched;
                    }
                    Touched::Gone => (key, Committed::Gone),
                },
                Step::Create {
                    id,
                    payload,
                    limits,
                } => match ready(store.create(&id.key(), payload, limits)).unwrap() {
                    Created::Done(timing, revision) => {
                        (id.key(), Committed::Done(timing, revision))
                    }
                    Created::Taken => panic!("a new identifier was taken"),
                },
                Step::Commit {
                    key,
                    expected,
                    payload,
                    activity,
                } => (
                    key,
                    ready(store.commit(&key, expected, payload, activity)).unwrap(),
                ),
                Step::Replace {
                    old,
                    id,
                    expected,
                    payload,
                    deadline,
                } => {
                    let new = id.key();
                    (
                        new,
                        ready(store.replace(&old, &new, expected, payload, deadline)).unwrap(),
                    )
                }
            };
            match committed {
                Committed::Done(timing, revision) => {
                    self.draft.written(key, timing, revision);
                    return Saved::As(key);
                }
                Committed::Gone => {
                    self.draft.lost();
                    return Saved::Lost;
                }
                Committed::Conflict(stored) => {
                    if let Err(error) = self.draft.rebase(&stored) {
                        return Saved::Failed(error);
                    }
                }
            }
        }
        panic!("a conflict with nobody");
    }
}

/// The output of a future that does not wait, as those of a memory store do not.
fn ready<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("a memory store does not wait"),
    }
}

fn bucket_of(user: &str) -> crate::Bucket {
    crate::Bucket::of(&user.into())
}
