//! Sessions in the memory of one process.

mod clock;
mod log;
mod markers;
mod policies;
mod realms;
mod slots;
mod state;
mod suspensions;

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

pub use self::clock::ManualClock;
use self::{clock::Clock, realms::Realms, state::State};
use super::{
    ActivatePolicy, BucketPage, BucketSessions, ClockBounds, Commit, Committed, Create, Created,
    Ended, EnvironmentSet, FoundPolicy, Interrupted, Listed, Loaded, LogLimits, LogQuery, Logged,
    Observation, Others, PolicyActivated, PolicyEnds, PolicyReport, ReceivedReport, Register,
    Registered, RegisteredRealm, Replace, Replaced, Resume, Resumed, Revocation, RevocationReport,
    SessionCount, SettlePolicy, Settling, Store, StoreError, Suspend, Suspension, SuspensionReport,
    Swept, Termination, Touch, Touched, UsersAfter,
};
use crate::{Bucket, Environment, Realm, SessionIdHash, Timestamp, UserId};

/// Sessions in the memory of one process, for development and tests. They end with the process.
///
/// It keeps at most [`capacity`](Self::with_capacity) sessions of each [realm](Realm). Expired
/// sessions are removed as new ones are created. If all are live, a new session is refused with
/// [`StoreErrorKind::Full`](super::StoreErrorKind::Full). A live one is never removed.
///
/// Without [sweeps](Store::sweep), the latest 100 000 expiries are kept to be reported.
///
/// Clones share the sessions.
///
/// ```
/// # use portcullis_core::store::{ManualClock, MemoryStore};
/// let store = MemoryStore::new();
/// // In a test, the test sets the time:
/// let clock = ManualClock::new();
/// let store = MemoryStore::with_clock(&clock);
/// clock.advance(std::time::Duration::from_secs(1800));
/// ```
#[derive(Clone)]
pub struct MemoryStore {
    clock: Clock,
    capacity: usize,
    realm: Realm,
    realms: Arc<Realms>,
    /// Of this realm.
    state: Arc<Mutex<State>>,
}

const CAPACITY: usize = 100_000;

impl MemoryStore {
    /// An empty store for up to 100 000 sessions of each realm.
    pub fn new() -> Self {
        Self::on(Clock::of_the_system())
    }

    /// An empty store whose time is that of `clock`.
    pub fn with_clock(clock: &ManualClock) -> Self {
        Self::on(Clock::Manual(clock.clone()))
    }

    /// The same store with room for `capacity` sessions of each realm.
    #[must_use]
    pub fn with_capacity(self, capacity: usize) -> Self {
        Self { capacity, ..self }
    }

    /// The same store with a log of this size, also for its clones. The default is 10 000 events
    /// and 90 days.
    #[must_use]
    pub fn with_log_limits(self, limits: LogLimits) -> Self {
        self.realms.limit_logs(limits);
        self
    }

    /// How many sessions of this realm are live.
    pub fn live(&self) -> usize {
        let (mut state, now) = self.at_once();
        state.tidy(now);
        state.slots.live_count()
    }

    fn on(clock: Clock) -> Self {
        let (realm, realms) = (Realm::default(), Arc::<Realms>::default());
        Self {
            clock,
            capacity: CAPACITY,
            state: realms.state(&realm),
            realm,
            realms,
        }
    }

    /// Locks the state, and returns it with the moment at which it was locked. A revocation
    /// compares other moments with it, so it must not be before the step of another caller.
    fn at_once(&self) -> (MutexGuard<'_, State>, Timestamp) {
        let state = self.lock();
        let now = self.clock.now();
        (state, now)
    }

    /// Moves the clock past a revocation. A sign-in in the same millisecond counts as before it, so
    /// what follows has a later moment.
    fn leave_revocation(&self, others: &Others, now: Timestamp) {
        if matches!(others, Others::End(_)) {
            self.clock.leave(now);
        }
    }

    // Nothing inside panics half-way through a change, so a poisoned lock guards sound data.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore")
            .field("capacity", &self.capacity)
            .field("realm", &self.realm)
            .finish_non_exhaustive()
    }
}

impl Store for MemoryStore {
    fn clock(&self) -> ClockBounds {
        ClockBounds::exactly(self.clock.now())
    }

    fn realm(&self) -> Realm {
        self.realm.clone()
    }

    fn in_realm(&self, realm: &Realm) -> Self {
        Self {
            state: self.realms.state(realm),
            realm: realm.clone(),
            ..self.clone()
        }
    }

    async fn register(&self, register: Register<'_>) -> Result<Registered, StoreError> {
        let now = self.clock.now();
        Ok(self.realms.register(&self.realm, register, now))
    }

    async fn set_environment(
        &self,
        environment: &Environment,
    ) -> Result<EnvironmentSet, StoreError> {
        let now = self.clock.now();
        Ok(self.realms.set_environment(&self.realm, environment, now))
    }

    async fn realms(&self) -> Result<Vec<RegisteredRealm>, StoreError> {
        Ok(self.realms.registered(self.clock.now()))
    }

    async fn policy(&self, known: Option<u64>) -> Result<FoundPolicy, StoreError> {
        Ok(self.lock().policy.read(known))
    }

    async fn activate_policy(
        &self,
        activate: ActivatePolicy<'_>,
    ) -> Result<PolicyActivated, StoreError> {
        let (mut state, now) = self.at_once();
        Ok(state.policy.activate(activate, now))
    }

    async fn report_policy(&self, report: &PolicyReport) -> Result<(), StoreError> {
        let (mut state, now) = self.at_once();
        state.policy.report(report, now);
        Ok(())
    }

    async fn policy_reports(&self) -> Result<Vec<ReceivedReport>, StoreError> {
        let (mut state, now) = self.at_once();
        Ok(state.policy.reports(now))
    }

    async fn settle_policy(&self, settle: SettlePolicy<'_>) -> Result<Settling, StoreError> {
        let (mut state, now) = self.at_once();
        Ok(state.policy.settle(settle, now))
    }

    async fn policy_ends(&self, number: u64) -> Result<PolicyEnds, StoreError> {
        Ok(self.lock().policy.ends(number))
    }

    async fn load(&self, key: &SessionIdHash) -> Result<Loaded, StoreError> {
        let (mut state, now) = self.at_once();
        Ok(state.load(key, now))
    }

    async fn create(&self, create: Create<'_>) -> Result<Created, Interrupted> {
        let (mut state, now) = self.at_once();
        let created = state.create(create, self.capacity, now)?;
        self.leave_revocation(create.others, now);
        Ok(created)
    }

    async fn commit(&self, commit: Commit<'_>) -> Result<Committed, StoreError> {
        let (mut state, now) = self.at_once();
        Ok(state.commit(commit, now))
    }

    async fn replace(&self, replace: Replace<'_>) -> Result<Replaced, Interrupted> {
        let (mut state, now) = self.at_once();
        let replaced = state.replace(replace, now)?;
        self.leave_revocation(replace.others, now);
        Ok(replaced)
    }

    async fn touch(&self, touch: Touch<'_>) -> Result<Touched, StoreError> {
        let (mut state, now) = self.at_once();
        Ok(state.touch(touch, now))
    }

    async fn end(&self, termination: &Termination) -> Result<Ended, StoreError> {
        let (mut state, now) = self.at_once();
        state.end(termination, now)
    }

    async fn list(&self, user: &UserId) -> Result<Vec<Listed>, StoreError> {
        let (mut state, now) = self.at_once();
        Ok(state.list(user, now))
    }

    async fn users(&self, bucket: Bucket) -> Result<Vec<UserId>, StoreError> {
        let (mut state, now) = self.at_once();
        state.tidy(now);
        Ok(state.slots.users_of(bucket).cloned().collect())
    }

    async fn users_after(&self, page: UsersAfter<'_>) -> Result<Vec<UserId>, StoreError> {
        let (mut state, now) = self.at_once();
        state.tidy(now);
        Ok(state.slots.users_after(page))
    }

    async fn sessions_in(&self, page: BucketPage) -> Result<BucketSessions, StoreError> {
        let (mut state, now) = self.at_once();
        Ok(state.sessions_in(page, now))
    }

    async fn count(&self) -> Result<SessionCount, StoreError> {
        let (mut state, now) = self.at_once();
        state.tidy(now);
        Ok(state.slots.count())
    }

    async fn revoke(&self, revocation: &Revocation) -> Result<RevocationReport, Interrupted> {
        let (mut state, now) = self.at_once();
        let report = state.revoke(revocation, now);
        self.clock.leave(now);
        Ok(report)
    }

    async fn suspend(&self, suspend: Suspend<'_>) -> Result<SuspensionReport, Interrupted> {
        let (mut state, now) = self.at_once();
        let report = state.suspend(suspend, now);
        self.clock.leave(now);
        Ok(report)
    }

    async fn resume(&self, resume: Resume<'_>) -> Result<Resumed, StoreError> {
        let (mut state, now) = self.at_once();
        let resumed = state.resume(resume, now);
        self.clock.leave(now);
        Ok(resumed)
    }

    async fn suspension(&self, user: &UserId) -> Result<Option<Suspension>, StoreError> {
        Ok(self.lock().suspensions.of(user).cloned())
    }

    async fn suspensions_after(&self, page: UsersAfter<'_>) -> Result<Vec<Suspension>, StoreError> {
        Ok(self.lock().suspensions.after(page))
    }

    async fn sweep(&self) -> Result<Swept, StoreError> {
        let (mut state, now) = self.at_once();
        Ok(state.sweep(now))
    }

    async fn observe(&self, observation: &Observation) -> Result<(), StoreError> {
        let (mut state, now) = self.at_once();
        state.observe(observation, now);
        Ok(())
    }

    async fn read_log(&self, query: &LogQuery) -> Result<Vec<Logged>, StoreError> {
        let (mut state, now) = self.at_once();
        Ok(state.read_log(query, now))
    }
}

#[cfg(test)]
mod tests;
