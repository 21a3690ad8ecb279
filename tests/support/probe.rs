//! A store whose operations can be counted, held and made to fail.

use std::{
    future::Future,
    sync::{Arc, Mutex},
};

use portcullis::{
    UserId,
    settings::Realm,
    store::{RegisteredRealm, Store, StoreError, StoreErrorKind},
};
use portcullis_core::{
    Bucket, Environment, SessionIdHash,
    store::{
        ActivatePolicy, BucketPage, BucketSessions, ClockBounds, Commit, Committed, Create,
        Created, Ended, EnvironmentSet, FoundPolicy, Hint, Interrupted, Listed, Loaded, LogQuery,
        Logged, Observation, PolicyActivated, PolicyEnds, PolicyReport, ReceivedReport, Register,
        Registered, Replace, Replaced, Resume, Resumed, Revocation, RevocationReport, SessionCount,
        SettlePolicy, Settling, Suspend, Suspension, SuspensionReport, Swept, Termination, Touch,
        Touched, UsersAfter,
    },
    store_calls,
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
    /// [`Store::suspend`].
    Suspend,
    /// [`Store::resume`].
    Resume,
    /// [`Store::suspension`] and [`Store::suspensions_after`].
    Suspensions,
    /// [`Store::sweep`].
    Sweep,
    /// [`Store::observe`].
    Observe,
    /// [`Store::read_log`].
    ReadLog,
    /// [`Store::policy`].
    Policy,
}

impl Op {
    /// The kind of the call of this name. `None` for those that pass through: the layer's own task makes them, at any
    /// time.
    fn of_call(name: &str) -> Option<Self> {
        Some(match name {
            "load" => Self::Load,
            "create" => Self::Create,
            "commit" => Self::Commit,
            "replace" => Self::Replace,
            "touch" => Self::Touch,
            "end" => Self::End,
            "list" => Self::List,
            "users" => Self::Users,
            "users_after" => Self::UsersAfter,
            "count" => Self::Count,
            "revoke" => Self::Revoke,
            "suspend" => Self::Suspend,
            "resume" => Self::Resume,
            "suspension" | "suspensions_after" => Self::Suspensions,
            "sweep" => Self::Sweep,
            "observe" => Self::Observe,
            "read_log" => Self::ReadLog,
            "policy" => Self::Policy,
            "activate_policy" | "report_policy" | "policy_reports" | "settle_policy"
            | "policy_ends" | "sessions_in" | "register" | "set_environment" | "realms" => {
                return None;
            }
            other => panic!("give the call {other} a kind"),
        })
    }
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

    async fn around<T, E: From<StoreError>>(
        &self,
        op: Op,
        work: impl Future<Output = Result<T, E>> + Send,
    ) -> Result<T, E> {
        // The layer's own task calls this at any time. It is no part of a request's cost.
        if !matches!(op, Op::Sweep | Op::Observe | Op::Policy) {
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

macro_rules! probe_store {
    ($($(#[$doc:meta])* fn $name:ident($($argument:ident: $type:ty)?) -> $answer:ty;)+) => {
        #[allow(clippy::needless_lifetimes, reason = "only calls with an argument need them")]
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

            async fn listen(&self, listener: &(dyn Fn(Hint) + Send + Sync)) {
                self.inner.listen(listener).await;
            }

            $(async fn $name<'a>(&'a self $(, $argument: $type)?) -> $answer {
                let work = self.inner.$name($($argument)?);
                match Op::of_call(stringify!($name)) {
                    Some(op) => self.around(op, work).await,
                    None => work.await,
                }
            })+
        }
    };
}

store_calls!(probe_store);
