//! The contract of a session store, a store in memory, and the tests that every store passes.
//!
//! # How the contract grows
//!
//! A call takes one argument. The structs named after calls ([`Create`], [`Commit`], [`Replace`],
//! …) and those that a successful call returns ([`CreatedSession`], [`CommittedSession`]) are
//! `#[non_exhaustive]` and have a constructor. A later version may add a field whose default means
//! what this version does. Stores that do not read the field, and callers that do not set it, still
//! compile and stay correct. A field that no store may ignore becomes an argument of the
//! constructor, which is a breaking change on purpose.
//!
//! The outcomes ([`Loaded`], [`Created`], [`Committed`], …) are exhaustive enums. A caller must
//! handle every case, and a new case breaks those that do not. The other structs are plain values
//! and exhaustive: a store that builds one must know each of its fields.
#![allow(
    clippy::exhaustive_enums,
    clippy::exhaustive_structs,
    reason = "stores make these and callers must handle every case"
)]

mod answer;
mod calls;
mod clock;
mod error;
mod inventory;
mod log;
mod memory;
mod pages;
mod policies;
mod realms;
mod request;
mod settling;
mod suspensions;
mod timing;

#[cfg(feature = "conformance")]
pub mod conformance;

use std::future::Future;

pub use self::{
    answer::{
        Committed, CommittedSession, Created, CreatedSession, Ended, EnvironmentSet, Hint, Loaded,
        Registered, Replaced, Stored, Touched,
    },
    clock::ClockBounds,
    error::{StoreError, StoreErrorKind},
    inventory::{
        EndOthers, Expired, Expiry, Interrupted, Listed, OnLimit, Others, ReplicaAcks, Revocation,
        RevocationReport, RevokeScope, SessionCount, SessionLimit, Swept,
    },
    log::{LogLimits, LogPlace, LogQuery, Logged, Observation},
    memory::{ManualClock, MemoryStore},
    pages::{BucketPage, BucketSessions},
    policies::{
        ActivatePolicy, FoundPolicy, PolicyActivated, PolicyReport, ReceivedReport, StoredPolicy,
    },
    realms::{RealmConflict, RegisteredClass, RegisteredRealm},
    request::{
        Commit, Create, RecordWrite, Register, Replace, ReplacedSession, Termination, Touch,
        UsersAfter,
    },
    settling::{PolicyEnds, SettlePolicy, Settling},
    suspensions::{Resume, Resumed, Suspend, Suspension, SuspensionReport},
    timing::{Activity, Deadline, Limits, NewLimits, Revision, Timing},
};
#[cfg(doc)]
use crate::EndReason;
use crate::{Bucket, Environment, Realm, SessionIdHash, Timestamp, UserId};

macro_rules! store_trait {
    ($($(#[$doc:meta])* fn $name:ident($($argument:ident: $type:ty)?) -> $answer:ty;)+) => {
        /// Keeps sessions: the contract between Portcullis and a storage backend.
        ///
        /// # The contract
        ///
        /// * **Only [`create`](Self::create) and a [`replace`](Self::replace) of a live session
        ///   create a session.** Every other operation on a session that is not live changes
        ///   nothing and answers [`Gone`](Committed::Gone). There is no upsert.
        /// * **Every operation is one atomic step** as seen by every other operation, on every
        ///   server that shares the store. In particular, once `replace` or `end` has answered, the
        ///   old key is dead for every caller.
        /// * **The store decides time.** A session is live while the store's clock is before both
        ///   `last activity + idle timeout` and the absolute deadline. At that very millisecond it
        ///   is no longer live. The application's clock never plays a part.
        /// * **Last activity moves forward only**, and [`Activity::Passive`] does not move it.
        /// * **The absolute deadline is written once**; only [`Deadline::Restart`] sets another.
        /// * **Nothing outlives its deadline**, not even in storage, by more than the store's own
        ///   clean-up takes.
        /// * **An error means "not known", never "not there".** A store that cannot answer returns
        ///   [`StoreError`] within a bounded time. A session that is absent or has ended is an
        ///   ordinary answer.
        /// * **A session with a user is in that user's list** from the step that creates it to the
        ///   step that ends it. Each step changes session and list at once.
        /// * **A change and its notes in the log are one step.** A refused change leaves no note.
        ///   If the log has no room, or none is kept, the change is carried out all the same.
        /// * **A session belongs to a realm.** A store handle reaches the sessions, lists, logs and
        ///   revocations of one [realm](Self::realm) and no other. A [listener](Self::listen)
        ///   receives hints of that realm alone.
        /// * **A change that grants is not carried out late.** This means creating, moving and
        ///   writing. If the caller received an error because the store did not answer, the change
        ///   is not carried out afterwards, or it is undone. A change that takes away may be
        ///   carried out late.
        /// * **The payload is opaque bytes** and comes back as it went in.
        ///
        /// A store that does not know whether a session is live must answer that it is not. A live
        /// session reported as gone signs a user out. A dead session reported as live keeps an
        /// attacker signed in.
        ///
        /// The suite in `conformance` (a feature of the same name) checks all of this for any
        /// store.
        ///
        /// # How to implement it
        ///
        /// Write each call as an `async fn` with the lifetimes left out:
        ///
        /// ```ignore
        /// async fn create(&self, create: Create<'_>) -> Result<Created, Interrupted> {
        ///     let Create { key, write, limits, others, .. } = create;
        ///     // …
        /// }
        /// ```
        #[doc(alias = "SessionStore")]
        #[allow(clippy::needless_lifetimes, reason = "only calls with an argument need them")]
        pub trait Store: Send + Sync + 'static {
            /// The bounds of the store's clock, as well as they are known without asking it.
            fn clock(&self) -> ClockBounds;

            /// The latest moment that the store's clock may show. Deadlines are judged by it, so
            /// that none is missed.
            fn now(&self) -> Timestamp {
                self.clock().latest
            }

            /// The realm of this handle; [`Realm::default`] if no other was chosen.
            fn realm(&self) -> Realm;

            /// The same store for the sessions of another realm. No connection is made.
            #[must_use]
            fn in_realm(&self, realm: &Realm) -> Self
            where
                Self: Sized;

            /// Calls `listener` for each session that ends or moves, and for each policy of the realm
            /// that is activated, on any server that shares the store, as it happens.
            ///
            /// It runs until it is dropped. A caller that watches sessions then need not wait for
            /// its next load.
            ///
            /// It is no guarantee. Each hint is given at most once and may be lost, even without a
            /// further hint. If the store knows that it may have missed something, such as before
            /// it began to receive, it gives [`Hint::Missed`]. A session that ends by its deadline
            /// need not be reported.
            ///
            /// A store that does not receive from others returns at once. That is the default.
            fn listen(
                &self,
                listener: &(dyn Fn(Hint) + Send + Sync),
            ) -> impl Future<Output = ()> + Send {
                let _ = listener;
                async {}
            }

            $(
                $(#[$doc])*
                fn $name<'a>(
                    &'a self
                    $(, $argument: $type)?
                ) -> impl Future<Output = $answer> + Send;
            )+
        }
    };
}

crate::store_calls!(store_trait);
