//! A store whose operations can be counted, held and made to fail.

use std::{
    future::Future,
    num::NonZeroUsize,
    sync::{Arc, Mutex},
    time::Duration,
};

use portcullis::{
    UserId,
    settings::Realm,
    store::{RegisteredRealm, Store, StoreError, StoreErrorKind},
};
use portcullis_core::{
    Bucket, SessionIdHash, SessionMeta,
    store::{
        Activity, ClockBounds, Committed, Created, Deadline, Ended, Hint, Interrupted, Limits,
        Listed, Loaded, LogQuery, Logged, Observation, Others, RecordWrite, Replaced,
        ReplacedSession, Revision, Revocation, RevocationReport, SessionCount, Swept, Termination,
        Touched,
    },
};

use crate::Gate;

/// A kind of operation of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    /// [`Store::load`].
    Load,
    /// [`Store::create`].
    Create,
    /// [`Store::commit`].
    Commit,
    /// [`Store::replace`].
    Replace,
    /// [`Store::touch`].
    Touch,
    /// [`Store::end`].
    End,
    /// [`Store::list`].
    List,
    /// [`Store::users`].
    Users,
    /// [`Store::users_after`].
    UsersAfter,
    /// [`Store::count`].
    Count,
    /// [`Store::revoke`].
    Revoke,
    /// [`Store::sweep`].
    Sweep,
    /// [`Store::observe`].
    Observe,
    /// [`Store::read_log`].
    ReadLog,
}

/// A side of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Before the store has executed it.
    Before,
    /// After the store has executed it, before the caller gets the answer.
    After,
}

/// Wraps a store. Clones share the recorded calls and the configured failures.
#[derive(Clone)]
pub struct ProbeStore<S> {
    inner: S,
    probe: Arc<Mutex<Probe>>,
}

#[derive(Default)]
struct Probe {
    calls: Vec<Op>,
    gates: Vec<(Op, Moment, Gate)>,
    faults: Vec<(Op, Moment)>,
    down: bool,
}

impl<S> ProbeStore<S> {
    /// Wraps `inner`.
    pub fn new(inner: S) -> Self {
        Self {
            inner,
            probe: Arc::default(),
        }
    }

    /// The store inside.
    pub fn inner(&self) -> &S {
        &self.inner
    }

    /// The calls of the store since they were last taken.
    pub fn take_calls(&self) -> Vec<Op> {
        self.with(|probe| std::mem::take(&mut probe.calls))
    }

    /// Holds the next operation of this kind.
    pub fn hold(&self, op: Op, moment: Moment) -> Gate {
        self.hold_each(op, moment, 1)
    }

    /// Holds the next `count` operations of this kind at one gate.
    pub fn hold_each(&self, op: Op, moment: Moment, count: usize) -> Gate {
        let gate = Gate::closed();
        self.with(|probe| {
            let holds = std::iter::repeat_n((op, moment, gate.clone()), count);
            probe.gates.extend(holds);
        });
        gate
    }

    /// Lets the next operation of this kind fail, before or after the store has executed it.
    pub fn fail(&self, op: Op, moment: Moment) {
        self.with(|probe| probe.faults.push((op, moment)));
    }

    /// From now on no operation reaches the store, or all do again.
    pub fn set_down(&self, down: bool) {
        self.with(|probe| probe.down = down);
    }

    fn with<T>(&self, f: impl FnOnce(&mut Probe) -> T) -> T {
        f(&mut self.probe.lock().expect("the probe"))
    }

    async fn around<T>(
        &self,
        op: Op,
        work: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        // The layer's own task calls this at any time. It is no part of a request's cost.
        if !matches!(op, Op::Sweep | Op::Observe) {
            self.with(|probe| probe.calls.push(op));
        }
        self.at(op, Moment::Before).await?;
        let result = work.await;
        self.at(op, Moment::After).await?;
        result
    }

    async fn at(&self, op: Op, moment: Moment) -> Result<(), StoreError> {
        let gate = self.with(|probe| {
            let mut gates = probe.gates.iter();
            let found = gates.position(|(kind, at, _)| (*kind, *at) == (op, moment))?;
            Some(probe.gates.remove(found).2)
        });
        if let Some(gate) = gate {
            gate.pass().await;
        }
        let fails = self.with(|probe| {
            let mut faults = probe.faults.iter();
            let found = faults.position(|fault| *fault == (op, moment));
            found.map(|at| probe.faults.remove(at)).is_some() || probe.down
        });
        if fails {
            return Err(StoreError::new(
                StoreErrorKind::Unavailable,
                "store-internal.example:6379 does not answer",
            ));
        }
        Ok(())
    }
}

impl<S: Store> Store for ProbeStore<S> {
    fn clock(&self) -> ClockBounds {
        self.inner.clock()
    }

    fn realm(&self) -> Realm {
        self.inner.realm()
    }

    fn in_realm(&self, realm: &Realm) -> Self {
        Self {
            inner: self.inner.in_realm(realm),
            probe: Arc::clone(&self.probe),
        }
    }

    // The layer's own task calls this at any time.
    async fn register(&self, cookie: &str, longest: Duration) -> Result<(), StoreError> {
        self.inner.register(cookie, longest).await
    }

    async fn realms(&self) -> Result<Vec<RegisteredRealm>, StoreError> {
        self.inner.realms().await
    }

    async fn load(&self, key: &SessionIdHash) -> Result<Loaded, StoreError> {
        self.around(Op::Load, self.inner.load(key)).await
    }

    async fn create(
        &self,
        key: &SessionIdHash,
        write: &RecordWrite,
        limits: Limits,
        others: &Others,
    ) -> Result<Created, Interrupted> {
        let created = async { Ok(self.inner.create(key, write, limits, others).await) };
        self.around(Op::Create, created).await?
    }

    async fn commit(
        &self,
        key: &SessionIdHash,
        expected: Revision,
        write: &RecordWrite,
        activity: Activity,
    ) -> Result<Committed, StoreError> {
        let work = self.inner.commit(key, expected, write, activity);
        self.around(Op::Commit, work).await
    }

    async fn replace(
        &self,
        old: &ReplacedSession,
        new: &SessionIdHash,
        write: &RecordWrite,
        deadline: Deadline,
        others: &Others,
    ) -> Result<Replaced, Interrupted> {
        let replaced = async { Ok(self.inner.replace(old, new, write, deadline, others).await) };
        self.around(Op::Replace, replaced).await?
    }

    async fn touch(&self, key: &SessionIdHash, meta: &SessionMeta) -> Result<Touched, StoreError> {
        self.around(Op::Touch, self.inner.touch(key, meta)).await
    }

    async fn end(&self, termination: &Termination) -> Result<Ended, StoreError> {
        self.around(Op::End, self.inner.end(termination)).await
    }

    async fn list(&self, user: &UserId) -> Result<Vec<Listed>, StoreError> {
        self.around(Op::List, self.inner.list(user)).await
    }

    async fn users(&self, bucket: Bucket) -> Result<Vec<UserId>, StoreError> {
        self.around(Op::Users, self.inner.users(bucket)).await
    }

    async fn users_after(
        &self,
        after: Option<&UserId>,
        most: NonZeroUsize,
    ) -> Result<Vec<UserId>, StoreError> {
        let users = self.inner.users_after(after, most);
        self.around(Op::UsersAfter, users).await
    }

    async fn count(&self) -> Result<SessionCount, StoreError> {
        self.around(Op::Count, self.inner.count()).await
    }

    async fn revoke(&self, revocation: &Revocation) -> Result<RevocationReport, Interrupted> {
        let revoked = async { Ok(self.inner.revoke(revocation).await) };
        self.around(Op::Revoke, revoked).await?
    }

    async fn sweep(&self) -> Result<Swept, StoreError> {
        self.around(Op::Sweep, self.inner.sweep()).await
    }

    async fn observe(&self, observation: &Observation) -> Result<(), StoreError> {
        self.around(Op::Observe, self.inner.observe(observation))
            .await
    }

    async fn read_log(&self, query: &LogQuery) -> Result<Vec<Logged>, StoreError> {
        self.around(Op::ReadLog, self.inner.read_log(query)).await
    }

    async fn listen(&self, notify: &(dyn Fn(Hint) + Send + Sync)) {
        self.inner.listen(notify).await;
    }
}
