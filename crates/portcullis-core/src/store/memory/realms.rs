//! The realms of a memory store.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{State, log::LIMITS};
use crate::{
    Environment, Realm, Timestamp,
    store::{EnvironmentSet, LogLimits, Register, Registered, RegisteredClass, RegisteredRealm},
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

    pub(super) fn register(
        &self,
        realm: &Realm,
        register: Register<'_>,
        now: Timestamp,
    ) -> Registered {
        let mut inner = self.lock();
        let known = inner.known(realm, now);
        if let Some(conflict) = known.as_ref().and_then(|known| known.conflict(&register)) {
            return Registered::Refused(conflict);
        }
        let Register {
            cookie,
            longest,
            environment,
            classes,
        } = register;
        let before = known.as_ref().map_or(longest, |known| known.longest);
        let mut registered = RegisteredRealm {
            realm: realm.clone(),
            cookie: cookie.to_owned(),
            longest: longest.max(before),
            seen_at: now,
            environment: environment.cloned(),
            classes: known.map(|known| known.classes).unwrap_or_default(),
        };
        for class in classes.iter().map(RegisteredClass::from) {
            if !registered.classes.contains(&class) {
                registered.classes.push(class);
            }
        }
        inner.registry.insert(realm.clone(), registered);
        Registered::Done
    }

    pub(super) fn set_environment(
        &self,
        realm: &Realm,
        environment: &Environment,
        now: Timestamp,
    ) -> EnvironmentSet {
        let mut inner = self.lock();
        let Some(mut known) = inner.known(realm, now) else {
            return EnvironmentSet::Unregistered;
        };
        let before = known.environment.replace(environment.clone());
        inner.registry.insert(realm.clone(), known);
        EnvironmentSet::Done { before }
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

impl Inner {
    /// The entry of this realm, if one of its sessions can be live.
    fn known(&self, realm: &Realm, now: Timestamp) -> Option<RegisteredRealm> {
        let known = self.registry.get(realm)?;
        known.may_have_sessions(now).then(|| known.clone())
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
