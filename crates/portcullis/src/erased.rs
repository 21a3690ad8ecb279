//! A store behind a pointer, so that no type of the application carries the store's type.

use std::{future::Future, pin::Pin};

use bytes::Bytes;
use portcullis_core::{
    EndReason, SessionKey, Timestamp,
    store::{
        Activity, Committed, Created, Deadline, Ended, Limits, Loaded, Revision, Store, StoreError,
        Touched,
    },
};

type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// [`Store`] with boxed futures. Method by method the same contract.
pub(crate) trait ErasedStore: Send + Sync {
    fn now(&self) -> Timestamp;
    fn load<'a>(&'a self, key: &'a SessionKey) -> Answer<'a, Loaded>;
    fn create<'a>(
        &'a self,
        key: &'a SessionKey,
        payload: Bytes,
        limits: Limits,
    ) -> Answer<'a, Created>;
    fn commit<'a>(
        &'a self,
        key: &'a SessionKey,
        expected: Revision,
        payload: Bytes,
        activity: Activity,
    ) -> Answer<'a, Committed>;
    fn replace<'a>(
        &'a self,
        old: &'a SessionKey,
        new: &'a SessionKey,
        expected: Revision,
        payload: Bytes,
        deadline: Deadline,
    ) -> Answer<'a, Committed>;
    fn touch<'a>(&'a self, key: &'a SessionKey) -> Answer<'a, Touched>;
    fn end<'a>(&'a self, key: &'a SessionKey, reason: EndReason) -> Answer<'a, Ended>;
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
        payload: Bytes,
        limits: Limits,
    ) -> Answer<'a, Created> {
        Box::pin(Store::create(self, key, payload, limits))
    }

    fn commit<'a>(
        &'a self,
        key: &'a SessionKey,
        expected: Revision,
        payload: Bytes,
        activity: Activity,
    ) -> Answer<'a, Committed> {
        Box::pin(Store::commit(self, key, expected, payload, activity))
    }

    fn replace<'a>(
        &'a self,
        old: &'a SessionKey,
        new: &'a SessionKey,
        expected: Revision,
        payload: Bytes,
        deadline: Deadline,
    ) -> Answer<'a, Committed> {
        Box::pin(Store::replace(self, old, new, expected, payload, deadline))
    }

    fn touch<'a>(&'a self, key: &'a SessionKey) -> Answer<'a, Touched> {
        Box::pin(Store::touch(self, key))
    }

    fn end<'a>(&'a self, key: &'a SessionKey, reason: EndReason) -> Answer<'a, Ended> {
        Box::pin(Store::end(self, key, reason))
    }
}
