//! The realms of a memory store.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{State, log::LIMITS};
use crate::{
    Realm, Timestamp,
    store::{LogLimits, Register, RegisteredRealm},
};

/// What all handles to one memory store share.
pub(super) struct Realms(Mutex<Inner>);

struct Inner {
    logs: LogLimits,
    states: BTreeMap<Realm, Arc<Mutex<State>>>,
    registry: BTreeMap<Realm, RegisteredRealm>,
}

impl Realms {
    /// The state of this realm.
    pub(super) fn state(&self, realm: &Realm) -> Arc<Mutex<State>> {
        let mut inner = self.lock();
        let logs = inner.logs;
        let state = inner.states.entry(realm.clone()).or_insert_with(|| {
            let mut state = State::default();
            state.log.limit(logs);
            Arc::new(Mutex::new(state))
        });
        Arc::clone(state)
    }

    pub(super) fn limit_logs(&self, limits: LogLimits) {
        let mut inner = self.lock();
        inner.logs = limits;
        for state in inner.states.values() {
            let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
            state.log.limit(limits);
        }
    }

    pub(super) fn register(&self, realm: &Realm, register: Register<'_>, now: Timestamp) {
        let Register { cookie, longest } = register;
        let mut inner = self.lock();
        let before = inner.registry.get(realm).map(|known| known.longest);
        let registered = RegisteredRealm {
            realm: realm.clone(),
            cookie: cookie.to_owned(),
            longest: before.map_or(longest, |before| before.max(longest)),
            seen_at: now,
        };
        inner.registry.insert(realm.clone(), registered);
    }

    pub(super) fn registered(&self, now: Timestamp) -> Vec<RegisteredRealm> {
        let inner = self.lock();
        let registered = inner.registry.values();
        registered
            .filter(|realm| realm.may_have_sessions(now))
            .cloned()
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Realms {
    fn default() -> Self {
        Self(Mutex::new(Inner {
            logs: LIMITS,
            states: BTreeMap::new(),
            registry: BTreeMap::new(),
        }))
    }
}
