//! The store: one file for each operation.
//!
//! Modules import from the ground up: the context; ends and their compensation; lists and the log;
//! then the operations that use them; [`RedisStore`].

mod compensation;
mod context;
mod count;
mod create;
mod displace;
mod end;
mod expiry;
mod list;
mod load;
mod log;
mod page;
mod policies;
mod realms;
mod replace;
mod revision;
mod revoke;
mod sessions_in;
mod suspend;
mod sweep;
mod users;
mod write;

use std::fmt;

use portcullis_core::{
    Bucket, Environment, Realm, SessionIdHash, UserId,
    store::{
        ActivatePolicy, BucketPage, BucketSessions, ClockBounds, Commit, Committed, Create,
        Created, Ended, EnvironmentSet, FoundPolicy, Hint, Interrupted, Listed, Loaded, LogLimits,
        LogQuery, Logged, Observation, PolicyActivated, PolicyEnds, PolicyReport, ReceivedReport,
        Register, Registered, RegisteredRealm, Replace, Replaced, Resume, Resumed, Revocation,
        RevocationReport, SessionCount, SettlePolicy, Settling, Store, StoreError, Suspend,
        Suspension, SuspensionReport, Swept, Termination, Touch, Touched, UsersAfter,
    },
};

use self::{compensation::Compensation, context::Context};
use crate::{driver::Driver, layout::Prefix};

/// Sessions in Redis.
///
/// Clones share one connection. A task on the Tokio runtime that called [`connect`](Self::connect)
/// supervises it. Long answers, as of [lists](Store::list) and [logs](Store::read_log), come over a
/// second connection, which is closed after 30 seconds without use. A realm has one more while a caller
/// [listens](Store::listen) and for 30 seconds more, supervised by a task on that caller's runtime.
/// All end with the last clone.
///
/// A step whose answer was lost is undone in the background: up to 1024 steps are remembered and
/// retried until Redis has answered. A process that ends before that leaves a session whose
/// identifier no client has, until its idle timeout.
///
/// A test may [pause](https://docs.rs/tokio/latest/tokio/time/fn.pause.html#auto-advance) Tokio's
/// clock. With debug assertions, the clock does not jump ahead while an answer of Redis is awaited,
/// unless the answer takes longer than 2 seconds. Sessions age by the server's clock, not by that
/// one.
#[derive(Clone)]
pub struct RedisStore {
    context: Context,
    compensation: Compensation,
}

impl RedisStore {
    pub(crate) fn new(driver: Driver, prefix: Prefix, log: LogLimits) -> Self {
        let compensation = Compensation::default();
        let context = Context::new(driver, prefix, log, compensation.waker());
        compensation.start(&context);
        Self {
            context,
            compensation,
        }
    }
}

impl Store for RedisStore {
    fn clock(&self) -> ClockBounds {
        self.context.clock()
    }

    fn realm(&self) -> Realm {
        self.context.prefix().realm().clone()
    }

    fn in_realm(&self, realm: &Realm) -> Self {
        Self {
            context: self.context.in_realm(realm),
            compensation: self.compensation.clone(),
        }
    }

    async fn register(&self, register: Register<'_>) -> Result<Registered, StoreError> {
        realms::register(&self.context, register).await
    }

    async fn set_environment(
        &self,
        environment: &Environment,
    ) -> Result<EnvironmentSet, StoreError> {
        realms::set_environment(&self.context, environment).await
    }

    async fn realms(&self) -> Result<Vec<RegisteredRealm>, StoreError> {
        realms::realms(&self.context).await
    }

    async fn policy(&self, known: Option<u64>) -> Result<FoundPolicy, StoreError> {
        policies::read(&self.context, known).await
    }

    async fn activate_policy(
        &self,
        activate: ActivatePolicy<'_>,
    ) -> Result<PolicyActivated, StoreError> {
        policies::activate(&self.context, activate).await
    }

    async fn report_policy(&self, report: &PolicyReport) -> Result<(), StoreError> {
        policies::report(&self.context, report).await
    }

    async fn policy_reports(&self) -> Result<Vec<ReceivedReport>, StoreError> {
        policies::reports(&self.context).await
    }

    async fn settle_policy(&self, settle: SettlePolicy<'_>) -> Result<Settling, StoreError> {
        policies::settle(&self.context, settle).await
    }

    async fn policy_ends(&self, number: u64) -> Result<PolicyEnds, StoreError> {
        policies::ends(&self.context, number).await
    }

    async fn load(&self, key: &SessionIdHash) -> Result<Loaded, StoreError> {
        load::load(&self.context, key).await
    }

    async fn create(&self, create: Create<'_>) -> Result<Created, Interrupted> {
        create::create(&self.context, &self.compensation, create).await
    }

    async fn commit(&self, commit: Commit<'_>) -> Result<Committed, StoreError> {
        write::commit(&self.context, commit).await
    }

    async fn replace(&self, replace: Replace<'_>) -> Result<Replaced, Interrupted> {
        replace::replace(&self.context, &self.compensation, replace).await
    }

    async fn touch(&self, touch: Touch<'_>) -> Result<Touched, StoreError> {
        write::touch(&self.context, touch).await
    }

    async fn end(&self, termination: &Termination) -> Result<Ended, StoreError> {
        end::end(&self.context, termination).await
    }

    async fn list(&self, user: &UserId) -> Result<Vec<Listed>, StoreError> {
        list::list(&self.context, user).await
    }

    async fn users(&self, bucket: Bucket) -> Result<Vec<UserId>, StoreError> {
        users::users(&self.context, bucket).await
    }

    async fn users_after(&self, page: UsersAfter<'_>) -> Result<Vec<UserId>, StoreError> {
        users::users_after(&self.context, page).await
    }

    async fn sessions_in(&self, page: BucketPage) -> Result<BucketSessions, StoreError> {
        sessions_in::sessions_in(&self.context, page).await
    }

    async fn count(&self) -> Result<SessionCount, StoreError> {
        count::count(&self.context).await
    }

    async fn revoke(&self, revocation: &Revocation) -> Result<RevocationReport, Interrupted> {
        revoke::revoke(&self.context, revocation).await
    }

    async fn suspend(&self, suspend: Suspend<'_>) -> Result<SuspensionReport, Interrupted> {
        suspend::suspend(&self.context, suspend).await
    }

    async fn resume(&self, resume: Resume<'_>) -> Result<Resumed, StoreError> {
        suspend::resume(&self.context, resume).await
    }

    async fn suspension(&self, user: &UserId) -> Result<Option<Suspension>, StoreError> {
        suspend::of_user(&self.context, user).await
    }

    async fn suspensions_after(&self, page: UsersAfter<'_>) -> Result<Vec<Suspension>, StoreError> {
        suspend::after(&self.context, page).await
    }

    async fn sweep(&self) -> Result<Swept, StoreError> {
        sweep::sweep(&self.context).await
    }

    async fn observe(&self, observation: &Observation) -> Result<(), StoreError> {
        log::observe(&self.context, observation).await
    }

    async fn read_log(&self, query: &LogQuery) -> Result<Vec<Logged>, StoreError> {
        log::read(&self.context, query).await
    }

    async fn listen(&self, listener: &(dyn Fn(Hint) + Send + Sync)) {
        let channel = self.context.prefix().channel();
        self.context.driver().listen(channel, listener).await;
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore")
            .field("driver", self.context.driver())
            .field("prefix", self.context.prefix())
            .field("log", &self.context.log_limits())
            .field("to_withdraw", &self.compensation.pending())
            .finish()
    }
}
