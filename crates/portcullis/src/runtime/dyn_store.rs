//! A store behind a pointer, so that no type of the application carries the store's type.

use std::{future::Future, num::NonZeroUsize, pin::Pin, sync::Arc, time::Duration};

use portcullis_core::{
    Bucket, Realm, SessionIdHash, SessionMeta, UserId,
    store::{
        Activity, ClockBounds, Committed, Created, Deadline, Ended, Hint, Interrupted, Limits,
        Listed, Loaded, LogQuery, Logged, Observation, Others, RecordWrite, RegisteredRealm,
        Replaced, ReplacedSession, Revision, Revocation, RevocationReport, SessionCount, Store,
        StoreError, Swept, Termination, Touched,
    },
};

type Answer<'a, T, E = StoreError> = Pending<'a, Result<T, E>>;
type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// [`Store`] with boxed futures. Method by method the same contract.
pub(crate) trait DynStore: Send + Sync {
    fn clock(&self) -> ClockBounds;
    fn realm(&self) -> Realm;
    fn in_realm(&self, realm: &Realm) -> Arc<dyn DynStore>;
    fn register<'a>(&'a self, cookie: &'a str, longest: Duration) -> Answer<'a, ()>;
    fn realms(&self) -> Answer<'_, Vec<RegisteredRealm>>;
    fn load<'a>(&'a self, key: &'a SessionIdHash) -> Answer<'a, Loaded>;
    fn create<'a>(
        &'a self,
        key: &'a SessionIdHash,
        write: &'a RecordWrite,
        limits: Limits,
        others: &'a Others,
    ) -> Answer<'a, Created, Interrupted>;
    fn commit<'a>(
        &'a self,
        key: &'a SessionIdHash,
        expected: Revision,
        write: &'a RecordWrite,
        activity: Activity,
    ) -> Answer<'a, Committed>;
    fn replace<'a>(
        &'a self,
        old: &'a ReplacedSession,
        new: &'a SessionIdHash,
        write: &'a RecordWrite,
        deadline: Deadline,
        others: &'a Others,
    ) -> Answer<'a, Replaced, Interrupted>;
    fn touch<'a>(&'a self, key: &'a SessionIdHash, meta: &'a SessionMeta) -> Answer<'a, Touched>;
    fn end<'a>(&'a self, termination: &'a Termination) -> Answer<'a, Ended>;
    fn list<'a>(&'a self, user: &'a UserId) -> Answer<'a, Vec<Listed>>;
    fn users(&self, bucket: Bucket) -> Answer<'_, Vec<UserId>>;
    fn users_after<'a>(
        &'a self,
        after: Option<&'a UserId>,
        most: NonZeroUsize,
    ) -> Answer<'a, Vec<UserId>>;
    fn count(&self) -> Answer<'_, SessionCount>;
    fn revoke<'a>(
        &'a self,
        revocation: &'a Revocation,
    ) -> Answer<'a, RevocationReport, Interrupted>;
    fn sweep(&self) -> Answer<'_, Swept>;
    fn observe<'a>(&'a self, observation: &'a Observation) -> Answer<'a, ()>;
    fn read_log<'a>(&'a self, query: &'a LogQuery) -> Answer<'a, Vec<Logged>>;
    fn listen<'a>(&'a self, told: &'a (dyn Fn(Hint) + Send + Sync)) -> Pending<'a, ()>;
}

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

    fn register<'a>(&'a self, cookie: &'a str, longest: Duration) -> Answer<'a, ()> {
        Box::pin(Store::register(self, cookie, longest))
    }

    fn realms(&self) -> Answer<'_, Vec<RegisteredRealm>> {
        Box::pin(Store::realms(self))
    }

    fn load<'a>(&'a self, key: &'a SessionIdHash) -> Answer<'a, Loaded> {
        Box::pin(Store::load(self, key))
    }

    fn create<'a>(
        &'a self,
        key: &'a SessionIdHash,
        write: &'a RecordWrite,
        limits: Limits,
        others: &'a Others,
    ) -> Answer<'a, Created, Interrupted> {
        Box::pin(Store::create(self, key, write, limits, others))
    }

    fn commit<'a>(
        &'a self,
        key: &'a SessionIdHash,
        expected: Revision,
        write: &'a RecordWrite,
        activity: Activity,
    ) -> Answer<'a, Committed> {
        Box::pin(Store::commit(self, key, expected, write, activity))
    }

    fn replace<'a>(
        &'a self,
        old: &'a ReplacedSession,
        new: &'a SessionIdHash,
        write: &'a RecordWrite,
        deadline: Deadline,
        others: &'a Others,
    ) -> Answer<'a, Replaced, Interrupted> {
        Box::pin(Store::replace(self, old, new, write, deadline, others))
    }

    fn touch<'a>(&'a self, key: &'a SessionIdHash, meta: &'a SessionMeta) -> Answer<'a, Touched> {
        Box::pin(Store::touch(self, key, meta))
    }

    fn end<'a>(&'a self, termination: &'a Termination) -> Answer<'a, Ended> {
        Box::pin(Store::end(self, termination))
    }

    fn list<'a>(&'a self, user: &'a UserId) -> Answer<'a, Vec<Listed>> {
        Box::pin(Store::list(self, user))
    }

    fn users(&self, bucket: Bucket) -> Answer<'_, Vec<UserId>> {
        Box::pin(Store::users(self, bucket))
    }

    fn users_after<'a>(
        &'a self,
        after: Option<&'a UserId>,
        most: NonZeroUsize,
    ) -> Answer<'a, Vec<UserId>> {
        Box::pin(Store::users_after(self, after, most))
    }

    fn count(&self) -> Answer<'_, SessionCount> {
        Box::pin(Store::count(self))
    }

    fn revoke<'a>(
        &'a self,
        revocation: &'a Revocation,
    ) -> Answer<'a, RevocationReport, Interrupted> {
        Box::pin(Store::revoke(self, revocation))
    }

    fn sweep(&self) -> Answer<'_, Swept> {
        Box::pin(Store::sweep(self))
    }

    fn observe<'a>(&'a self, observation: &'a Observation) -> Answer<'a, ()> {
        Box::pin(Store::observe(self, observation))
    }

    fn read_log<'a>(&'a self, query: &'a LogQuery) -> Answer<'a, Vec<Logged>> {
        Box::pin(Store::read_log(self, query))
    }

    fn listen<'a>(&'a self, told: &'a (dyn Fn(Hint) + Send + Sync)) -> Pending<'a, ()> {
        Box::pin(Store::listen(self, told))
    }
}
