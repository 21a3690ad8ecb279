//! A store behind a pointer, so that no type of the application carries the store's type.

use std::{future::Future, pin::Pin, sync::Arc};

use portcullis_core::{
    Bucket, Environment, Realm, SessionIdHash, UserId,
    store::{
        ActivatePolicy, BucketPage, BucketSessions, ClockBounds, Commit, Committed, Create,
        Created, Ended, EnvironmentSet, FoundPolicy, Hint, Interrupted, Listed, Loaded, LogQuery,
        Logged, Observation, PolicyActivated, PolicyEnds, PolicyReport, ReceivedReport, Register,
        Registered, RegisteredRealm, Replace, Replaced, Resume, Resumed, Revocation,
        RevocationReport, SessionCount, SettlePolicy, Settling, Store, StoreError, Suspend,
        Suspension, SuspensionReport, Swept, Termination, Touch, Touched, UsersAfter,
    },
    store_calls,
};

type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

macro_rules! dyn_store {
    ($($(#[$doc:meta])* fn $name:ident($($argument:ident: $type:ty)?) -> $answer:ty;)+) => {
        /// [`Store`] with boxed futures. Each method has the same contract.
        #[allow(clippy::needless_lifetimes, reason = "only calls with an argument need them")]
        #[cfg_attr(not(feature = "policy"), allow(dead_code, reason = "only policies need all calls"))]
        pub(crate) trait DynStore: Send + Sync {
            fn clock(&self) -> ClockBounds;
            fn realm(&self) -> Realm;
            fn in_realm(&self, realm: &Realm) -> Arc<dyn DynStore>;
            fn listen<'a>(&'a self, listener: &'a (dyn Fn(Hint) + Send + Sync)) -> Pending<'a, ()>;
            $(fn $name<'a>(&'a self $(, $argument: $type)?) -> Pending<'a, $answer>;)+
        }

        #[allow(clippy::needless_lifetimes, reason = "only calls with an argument need them")]
        impl<S: Store> DynStore for S {
            fn clock(&self) -> ClockBounds {
                Store::clock(self)
            }

            fn realm(&self) -> Realm {
                Store::realm(self)
            }

            fn in_realm(&self, realm: &Realm) -> Arc<dyn DynStore> {
                Arc::new(Store::in_realm(self, realm))
            }

            fn listen<'a>(&'a self, listener: &'a (dyn Fn(Hint) + Send + Sync)) -> Pending<'a, ()> {
                Box::pin(Store::listen(self, listener))
            }

            $(fn $name<'a>(&'a self $(, $argument: $type)?) -> Pending<'a, $answer> {
                Box::pin(Store::$name(self $(, $argument)?))
            })+
        }
    };
}

store_calls!(dyn_store);
