//! A store behind a pointer, so that no type of the application carries the store's type.

use std::{future::Future, pin::Pin};

use portcullis_core::{
    Bucket, EndReason, Label, Note, SessionKey, Timestamp, UserId,
    store::{
        Activity, Committed, Created, Deadline, Ended, Hint, Interrupted, Limits, Listed, Loaded,
        LogQuery, Logged, Observation, Old, Receipt, Replaced, Revision, Revocation, SessionLimit,
        Store, StoreError, Swept, Touched, Write,
    },
};

type Answer<'a, T, E = StoreError> = Pending<'a, Result<T, E>>;
type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// [`Store`] with boxed futures. Method by method the same contract.
pub(crate) trait ErasedStore: Send + Sync {
    fn now(&self) -> Timestamp;
    fn load<'a>(&'a self, key: &'a SessionKey) -> Answer<'a, Loaded>;
    fn create<'a>(
        &'a self,
        key: &'a SessionKey,
        write: &'a Write,
        limits: Limits,
        limit: Option<SessionLimit>,
    ) -> Answer<'a, Created, Interrupted>;
    fn commit<'a>(
        &'a self,
        key: &'a SessionKey,
        expected: Revision,
        write: &'a Write,
        activity: Activity,
    ) -> Answer<'a, Committed>;
    fn replace<'a>(
        &'a self,
        old: &'a Old,
        new: &'a SessionKey,
        write: &'a Write,
        deadline: Deadline,
        limit: Option<SessionLimit>,
    ) -> Answer<'a, Replaced, Interrupted>;
    fn touch<'a>(&'a self, key: &'a SessionKey, label: &'a Label) -> Answer<'a, Touched>;
    fn end<'a>(
        &'a self,
        key: &'a SessionKey,
        label: &'a Label,
        reason: EndReason,
        note: &'a Note,
    ) -> Answer<'a, Ended>;
    fn list<'a>(&'a self, user: &'a UserId) -> Answer<'a, Vec<Listed>>;
    fn users(&self, bucket: Bucket) -> Answer<'_, Vec<UserId>>;
    fn revoke<'a>(&'a self, revocation: &'a Revocation) -> Answer<'a, Receipt, Interrupted>;
    fn sweep(&self) -> Answer<'_, Swept>;
    fn observe<'a>(&'a self, observation: &'a Observation) -> Answer<'a, ()>;
    fn read_log<'a>(&'a self, query: &'a LogQuery) -> Answer<'a, Vec<Logged>>;
    fn listen<'a>(&'a self, told: &'a (dyn Fn(Hint) + Send + Sync)) -> Pending<'a, ()>;
}

impl<S: Store> ErasedStore for S {
    fn now(&self) -> Timestamp {
        Store::now(self)
    }

    fn load<'a>(&'a self, key: &'a SessionKey) -> Answer<'a, Loaded> {
        Box::pin(Store::load(self, key))
    }

    fn create<'a>(
        &'a self,
        key: &'a SessionKey,
        write: &'a Write,
        limits: Limits,
        limit: Option<SessionLimit>,
    ) -> Answer<'a, Created, Interrupted> {
        Box::pin(Store::create(self, key, write, limits, limit))
    }

    fn commit<'a>(
        &'a self,
        key: &'a SessionKey,
        expected: Revision,
        write: &'a Write,
        activity: Activity,
    ) -> Answer<'a, Committed> {
        Box::pin(Store::commit(self, key, expected, write, activity))
    }

    fn replace<'a>(
        &'a self,
        old: &'a Old,
        new: &'a SessionKey,
        write: &'a Write,
        deadline: Deadline,
        limit: Option<SessionLimit>,
    ) -> Answer<'a, Replaced, Interrupted> {
        Box::pin(Store::replace(self, old, new, write, deadline, limit))
    }

    fn touch<'a>(&'a self, key: &'a SessionKey, label: &'a Label) -> Answer<'a, Touched> {
        Box::pin(Store::touch(self, key, label))
    }

    fn end<'a>(
        &'a self,
        key: &'a SessionKey,
        label: &'a Label,
        reason: EndReason,
        note: &'a Note,
    ) -> Answer<'a, Ended> {
        Box::pin(Store::end(self, key, label, reason, note))
    }

    fn list<'a>(&'a self, user: &'a UserId) -> Answer<'a, Vec<Listed>> {
        Box::pin(Store::list(self, user))
    }

    fn users(&self, bucket: Bucket) -> Answer<'_, Vec<UserId>> {
        Box::pin(Store::users(self, bucket))
    }

    fn revoke<'a>(&'a self, revocation: &'a Revocation) -> Answer<'a, Receipt, Interrupted> {
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
