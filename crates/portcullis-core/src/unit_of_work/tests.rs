//! What a request can do to its session, and what it cannot.

mod candidates;
mod class;
mod client;
mod concurrency;
mod data;
mod elevation;
mod ending;
mod extension;
mod failure;
mod group;
mod identity;
mod invariants;
mod later;
mod live_policy;
mod notes;
mod privileged;
mod randomness;
mod remember;
mod rollback;
mod shortening;

use std::{
    future::Future,
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use super::*;
use crate::{
    EventKind, Note, RememberMe, SessionId, SystemRandom, Timeouts, VisitorLimits,
    policy::DemandLimits,
    store::{
        Activity, Commit, Committed, CommittedSession, Create, Created, CreatedSession, Loaded,
        LogQuery, ManualClock, MemoryStore, NewLimits, RecordWrite, Replace, Replaced,
        ReplacedSession, Store, Touched,
    },
};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);
const MILLI: Duration = Duration::from_millis(1);

/// A store with a clock, and the settings of the requests: the default timeouts and a limit of 1000
/// bytes.
struct World {
    clock: ManualClock,
    store: MemoryStore,
    settings: SessionSettings,
}

/// One request.
struct Visit<'w> {
    world: &'w World,
    unit: UnitOfWork,
    activity: Activity,
}

/// The result of saving a request's operations.
#[derive(Debug)]
enum Saved {
    /// There was nothing to write.
    Nothing,
    /// Activity was stored.
    Touched,
    /// The session is stored under this key.
    As(SessionIdHash),
    /// They belong to a session that continues under another identifier.
    Refused,
    /// The session had ended.
    Lost,
    /// The user has as many sessions as the limit allows.
    AtLimit,
    /// They could not be applied to what another request had written.
    Failed(ChangeError),
}

impl Saved {
    #[track_caller]
    fn key(self) -> SessionIdHash {
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
            settings: SessionSettings {
                policy: Arc::new(Policy::of(ClassLimits {
                    remember_me: Some(RememberMe::default()),
                    session_limit: None,
                    ..ClassLimits::default()
                })),
                payload_limit: 1000,
                visitors: VisitorLimits::default(),
            },
        }
    }

    /// The limits of sessions of no class.
    fn ordinary(&mut self) -> &mut ClassLimits {
        &mut Arc::make_mut(&mut self.settings.policy).ordinary
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn pass(&self, time: Duration) {
        self.clock.advance(time);
    }

    /// A request without a cookie.
    fn without_cookie(&self) -> Visit<'_> {
        self.visit_with(UnitOfWork::without_session(self.settings.clone(), None))
    }

    /// A request with the cookie of `key`.
    fn visit(&self, key: SessionIdHash) -> Visit<'_> {
        self.visit_with(match ready(self.store.load(&key)).unwrap() {
            Loaded::Live(stored) => {
                UnitOfWork::of_session(self.settings.clone(), key, &stored).unwrap()
            }
            Loaded::Ended { reason, .. } => {
                UnitOfWork::without_session(self.settings.clone(), Some(reason))
            }
            Loaded::Expired(_) | Loaded::Absent | Loaded::Damaged => {
                UnitOfWork::without_session(self.settings.clone(), None)
            }
        })
    }

    fn visit_with(&self, unit: UnitOfWork) -> Visit<'_> {
        Visit {
            world: self,
            unit,
            activity: Activity::Active,
        }
    }

    /// A session without a user that holds `"cart" = 1`.
    fn anonymous(&self) -> SessionIdHash {
        let mut visit = self.without_cookie();
        visit.set("cart", 1);
        visit.save().key()
    }

    /// A session of `user` that holds `"cart" = 1`.
    fn session_of(&self, user: &str) -> SessionIdHash {
        let mut visit = self.without_cookie();
        visit.set("cart", 1);
        visit.authenticate(user);
        visit.save().key()
    }

    /// A session of `user` that is elevated for `scope` and holds `"cart" = 1`.
    fn elevated(&self, user: &str, scope: &str) -> SessionIdHash {
        let mut visit = self.visit(self.session_of(user));
        visit.elevate(scope);
        visit.save().key()
    }

    fn stored(&self, key: SessionIdHash) -> Option<Stored> {
        match ready(self.store.load(&key)).unwrap() {
            Loaded::Live(stored) => Some(stored),
            _ => None,
        }
    }

    /// Why the session of `key` ended, if that is remembered.
    fn end_of(&self, key: SessionIdHash) -> Option<EndReason> {
        match ready(self.store.load(&key)).unwrap() {
            Loaded::Ended { reason, .. } => Some(reason),
            _ => None,
        }
    }

    /// All events in the log, oldest first.
    fn log(&self) -> Vec<EventKind> {
        let query = LogQuery {
            most: usize::MAX,
            ..LogQuery::default()
        };
        let events = ready(self.store.read_log(&query)).unwrap();
        let oldest_first = events.into_iter().rev();
        oldest_first
            .map(|logged| logged.event.unwrap().kind)
            .collect()
    }
}

impl Visit<'_> {
    fn now(&self) -> Timestamp {
        self.world.now()
    }

    fn get(&self, name: &str) -> Option<u32> {
        self.unit.view().get(&name).unwrap()
    }

    fn set(&mut self, name: &str, value: u32) {
        let now = self.now();
        self.unit.insert(&name, &value, now).unwrap();
    }

    fn set_text(&mut self, name: &str, value: &str) -> Result<(), ChangeError> {
        let now = self.now();
        self.unit.insert(&name, &value.to_owned(), now)
    }

    fn count_up(&mut self, name: &str) -> Result<(), ChangeError> {
        let now = self.now();
        self.unit.update(&name, |count: &mut u32| *count += 1, now)
    }

    fn remove(&mut self, name: &str) -> bool {
        let now = self.now();
        self.unit.remove(name, now).unwrap()
    }

    fn clear(&mut self) {
        let now = self.now();
        self.unit.clear(now).unwrap();
    }

    fn authenticate(&mut self, user: &str) {
        let now = self.now();
        self.unit.authenticate(user.into(), now).unwrap();
    }

    fn regenerate(&mut self) {
        let now = self.now();
        self.unit.regenerate(now).unwrap();
    }

    fn elevate(&mut self, scope: &str) {
        let now = self.now();
        self.unit.elevate(scope, now).unwrap();
    }

    fn drop_elevation(&mut self) -> bool {
        let now = self.now();
        self.unit.drop_elevation(now).unwrap()
    }

    /// Whether the idle timeout, or the time that is left, became shorter.
    fn shorten(&mut self, idle: Option<Duration>, left: Option<Duration>) -> bool {
        let now = self.now();
        self.unit.shorten(idle, left, now).unwrap()
    }

    fn extend(&mut self) -> bool {
        let now = self.now();
        self.unit.extend(now).unwrap()
    }

    fn user(&self) -> Option<&str> {
        self.unit.view().user().and_then(UserId::as_str)
    }

    fn elevated_until(&self, scope: &str) -> Option<Timestamp> {
        let demand = DemandLimits::of_scope(scope.to_owned());
        let policy = &self.world.settings.policy;
        self.unit.view().meets_until(&demand, policy, self.now())
    }

    fn is_elevated(&self, scope: &str) -> bool {
        self.elevated_until(scope).is_some()
    }

    #[track_caller]
    fn info(&self) -> SessionInfo {
        let policy = &self.world.settings.policy;
        self.unit.view().info(policy).expect("there is a session")
    }

    /// The handler failed: a 5xx.
    fn fail(&mut self) {
        self.unit.rollback();
    }

    /// The handler refused: a 4xx.
    fn refuse(&mut self) {
        self.unit.rollback_grants();
    }

    fn plan(&self) -> Plan {
        self.unit
            .plan(self.activity, self.now(), &mut SystemRandom)
            .unwrap()
    }

    fn step(&self) -> Step {
        self.plan().step
    }

    /// The session to end, and why.
    fn end(&self) -> Option<(SessionIdHash, EndReason)> {
        self.plan()
            .ends
            .pop()
            .map(|ending| (ending.key, ending.reason))
    }

    /// What would be written.
    #[track_caller]
    fn write(&self) -> RecordWrite {
        match self.step() {
            Step::Create { write, .. }
            | Step::Commit { write, .. }
            | Step::Replace { write, .. } => write,
            other => panic!("nothing is written: {other:?}"),
        }
    }

    /// The events that would be logged with the write.
    #[track_caller]
    fn events(&self) -> Vec<EventKind> {
        self.write()
            .notes
            .into_iter()
            .map(|note| note.kind)
            .collect()
    }

    /// The session that would be replaced.
    #[track_caller]
    fn old(&self) -> ReplacedSession {
        match self.step() {
            Step::Replace { old, .. } => old,
            other => panic!("nothing is replaced: {other:?}"),
        }
    }

    /// Does with the unit of work what the layer does.
    fn save(&mut self) -> Saved {
        let store = &self.world.store;
        for _ in 0..10 {
            let plan = self.plan();
            for ending in plan.ends {
                // A visitor's session cannot be found once its replaced identifier is forgotten.
                if ready(store.end(&ending)).is_err() {
                    self.unit.lost();
                    return Saved::Lost;
                }
                self.unit.ended(&ending.key);
            }
            let (key, answer) = match plan.step {
                Step::Nothing => return Saved::Nothing,
                Step::Refuse => return Saved::Refused,
                Step::Touch(step) | Step::Extend(step) => {
                    match ready(store.touch(step.touch())).unwrap() {
                        Touched::Done(timing) => {
                            self.unit.touched(timing);
                            return Saved::Touched;
                        }
                        Touched::Gone => (*step.key(), Committed::Gone),
                    }
                }
                Step::Create {
                    id,
                    write,
                    limits,
                    others,
                } => match ready(store.create(Create::new(&id.key(), &write, limits, &others)))
                    .unwrap()
                {
                    Created::Done(CreatedSession {
                        timing, revision, ..
                    }) => (
                        id.key(),
                        Committed::Done(CommittedSession::new(timing, revision)),
                    ),
                    Created::AtLimit => return Saved::AtLimit,
                    other => panic!("create answered {other:?}"),
                },
                Step::Commit {
                    key,
                    expected,
                    write,
                    activity,
                } => (
                    key,
                    ready(store.commit(Commit::new(&key, expected, &write, activity))).unwrap(),
                ),
                Step::Replace {
                    old,
                    id,
                    write,
                    deadline,
                    others,
                } => {
                    let new = id.key();
                    let replace =
                        store.replace(Replace::new(&old, &new, &write, deadline, &others));
                    let answer = match ready(replace).unwrap() {
                        Replaced::Done(CreatedSession {
                            timing, revision, ..
                        }) => Committed::Done(CommittedSession::new(timing, revision)),
                        Replaced::Conflict(stored) => Committed::Conflict(stored),
                        Replaced::Gone => Committed::Gone,
                        Replaced::AtLimit => return Saved::AtLimit,
                        other => panic!("replace answered {other:?}"),
                    };
                    (new, answer)
                }
            };
            match answer {
                Committed::Done(CommittedSession {
                    timing, revision, ..
                }) => {
                    self.unit.written(key, timing, revision);
                    return Saved::As(key);
                }
                Committed::Gone => {
                    self.unit.lost();
                    return Saved::Lost;
                }
                Committed::Conflict(stored) => {
                    if let Err(error) = self.unit.rebase(&stored) {
                        return Saved::Failed(error);
                    }
                }
            }
        }
        panic!("the conflicts did not end");
    }
}

/// The output of a future that does not wait, such as those of a memory store.
fn ready<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("a memory store does not wait"),
    }
}

fn bucket_of(user: &str) -> crate::Bucket {
    crate::Bucket::of(&user.into())
}
