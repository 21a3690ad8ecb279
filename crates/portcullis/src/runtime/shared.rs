//! The state that all services of one layer share.

use std::{
    ops::Deref,
    sync::{Arc, OnceLock},
    time::Duration,
};

use portcullis_core::{
    EndReason, Event, Realm, SessionHandle,
    store::{Observation, Store},
};
use tokio::runtime::Handle as Runtime;

#[cfg(feature = "policy")]
use portcullis_core::store::StoreError;

#[cfg(feature = "policy")]
use crate::runtime::{
    live_policy::{self, LivePolicy, PolicyNames},
    settling,
};
use crate::{
    runtime::{
        context::Context,
        log_queue::LogQueue,
        registration::{self, Registrar, Registration},
        reported::Reported,
        sweeper,
        task::Alive,
    },
    writing::WriteQueue,
};

/// State shared by all services of a layer, and by the calls of operators to the same store.
pub(crate) struct Shared {
    settings: SharedSettings,
    /// Registers the realm in the store, if there is a layer.
    registrar: Option<Arc<Registrar>>,
    /// Keeps the process on the active policy, if there is a layer.
    #[cfg(feature = "policy")]
    live_policy: Option<Arc<LivePolicy>>,
    log_queue: LogQueue,
    /// The queues of requests that write to one session.
    writes: Arc<WriteQueue>,
    reported: Reported,
    /// The background tasks, once they run. They end when this is dropped.
    background: OnceLock<Background>,
}

/// The background tasks. They end when this is dropped.
struct Background {
    _sweeper: Option<Alive>,
    _registration: Option<Alive>,
    #[cfg(feature = "policy")]
    _live_policy: Option<Alive>,
    #[cfg(feature = "policy")]
    _settling: Option<Alive>,
}

/// The settings of the shared state.
#[derive(Clone)]
pub(crate) struct SharedSettings {
    pub(crate) context: Arc<Context>,
    /// Whether a task removes expired sessions.
    pub(crate) sweeps: bool,
    /// The entry in the store's registry of realms, if there is a layer.
    pub(crate) registration: Option<Registration>,
    /// What the layer declares for policies, and how old the store's answer about them may be.
    #[cfg(feature = "policy")]
    pub(crate) live_policy: Option<(PolicyNames, Duration)>,
}

impl SharedSettings {
    pub(crate) fn new(store: impl Store, sweeps: bool) -> Self {
        Self {
            context: Arc::new(Context::new(store)),
            sweeps,
            registration: None,
            #[cfg(feature = "policy")]
            live_policy: None,
        }
    }

    pub(crate) fn context(&mut self) -> &mut Context {
        Arc::make_mut(&mut self.context)
    }
}

impl Deref for Shared {
    type Target = Context;

    fn deref(&self) -> &Context {
        &self.settings.context
    }
}

impl Shared {
    pub(crate) fn new(settings: SharedSettings) -> Self {
        let registrar = settings.registration.clone().map(|registration| {
            let store = Arc::clone(&settings.context.store);
            Arc::new(Registrar::new(store, registration))
        });
        #[cfg(feature = "policy")]
        let live_policy = settings.live_policy.clone().map(|(names, fresh_for)| {
            Arc::new(LivePolicy::new(
                Arc::clone(&settings.context),
                names,
                fresh_for,
            ))
        });
        Self {
            settings,
            registrar,
            #[cfg(feature = "policy")]
            live_policy,
            log_queue: LogQueue::new(),
            writes: Arc::default(),
            reported: Reported::default(),
            background: OnceLock::new(),
        }
    }

    /// A copy with other settings. Background tasks are not shared.
    pub(crate) fn changed(&self, change: impl FnOnce(&mut SharedSettings)) -> Self {
        let mut settings = self.settings.clone();
        // Another copy may declare other names, and learns of the policy by itself.
        settings.context().policy = Arc::default();
        change(&mut settings);
        Self::new(settings)
    }

    pub(crate) fn context(&self) -> &Arc<Context> {
        &self.settings.context
    }

    pub(crate) fn realm(&self) -> Realm {
        self.settings.context.store.realm()
    }

    /// Whether it has this realm and this entry in the registry.
    pub(crate) fn has(&self, realm: &Realm, registration: &Registration) -> bool {
        self.realm() == *realm && self.settings.registration.as_ref() == Some(registration)
    }

    /// The longest absolute timeout of its sessions, if there is a layer.
    pub(crate) fn longest(&self) -> Option<Duration> {
        self.registrar().map(Registrar::longest)
    }

    /// What registers its realm, if there is a layer.
    pub(crate) fn registrar(&self) -> Option<&Registrar> {
        self.registrar.as_deref()
    }

    /// What the layer declares for policies, if there is one.
    #[cfg(feature = "policy")]
    pub(crate) fn live_policy_settings(&self) -> Option<&(PolicyNames, Duration)> {
        self.settings.live_policy.as_ref()
    }

    /// What keeps the process on the active policy, if there is a layer.
    #[cfg(feature = "policy")]
    pub(crate) fn live_policy(&self) -> Option<&LivePolicy> {
        self.live_policy.as_deref()
    }

    /// Asks the store for the active policy, if there is a layer.
    #[cfg(feature = "policy")]
    pub(crate) async fn confirm_policy(&self) -> Result<(), StoreError> {
        match self.live_policy() {
            Some(live) => live.confirm(self.registrar()).await,
            None => Ok(()),
        }
    }

    /// Starts the background tasks, if there is a runtime and they do not run yet. Returns whether
    /// it did.
    pub(crate) fn start_background(&self) -> bool {
        if self.background.get().is_some() {
            return false;
        }
        let Ok(runtime) = Runtime::try_current() else {
            return false;
        };
        let mut started = false;
        self.background.get_or_init(|| {
            started = true;
            let context = &self.settings.context;
            self.log_queue.start(&runtime, &context.store);
            let sweeps = self.settings.sweeps;
            let registrar = self.registrar.as_ref();
            Background {
                _sweeper: sweeps.then(|| sweeper::start(&runtime, Arc::downgrade(context))),
                _registration: registrar.map(|registrar| registration::start(&runtime, registrar)),
                #[cfg(feature = "policy")]
                _live_policy: self
                    .live_policy
                    .as_ref()
                    .map(|live| live_policy::start(&runtime, live, registrar)),
                #[cfg(feature = "policy")]
                _settling: (sweeps && self.live_policy.is_some())
                    .then(|| settling::start(&runtime, Arc::downgrade(context))),
            }
        });
        started
    }

    pub(crate) fn writes(&self) -> &Arc<WriteQueue> {
        &self.writes
    }

    /// Emits the event of a refused operation, and has it logged in the store if it belongs there.
    pub(crate) fn observe(&self, observation: Observation) {
        let now = self.now();
        let Observation {
            session,
            user,
            note,
        } = &observation;
        self.emit(Event::new(note.clone(), now, *session, user.clone()));
        if belongs_in_the_log(&observation) {
            self.log_queue.put(observation, now);
        }
    }

    /// Reports that a session was used after it had ended. Ordinary uses are reported once: a
    /// return after a timeout, and an open page that polls by itself (`is_passive`).
    pub(crate) fn observe_use_after_end(
        &self,
        observation: Observation,
        (session, reason): (SessionHandle, EndReason),
        is_passive: bool,
    ) {
        let is_ordinary = is_passive || reason.is_timeout();
        let client = observation.note.client.clone();
        if !is_ordinary || self.reported.is_first(session, reason, client) {
            self.observe(observation);
        }
    }
}

fn belongs_in_the_log(observation: &Observation) -> bool {
    let has_subject = observation.session.is_some() || observation.user.is_some();
    has_subject && observation.note.kind.is_logged_observation()
}

#[cfg(test)]
mod tests {
    use portcullis_core::{EventKind, Note, SessionHandle};

    use super::*;

    #[test]
    fn s098_only_refusals_with_a_session_or_user_are_logged_in_the_store() {
        let named = Some(SessionHandle::from_bytes([1; 12]));
        for (kind, session, belongs) in [
            (EventKind::WriteRefused, named, true),
            (EventKind::WriteRefused, None, false),
            (EventKind::MalformedIdentifier, named, false),
            (EventKind::UnknownIdentifier, named, false),
            (EventKind::StoreFailed, named, false),
        ] {
            let observation = Observation {
                session,
                user: None,
                note: Note::of_system(kind),
            };
            assert_eq!(belongs_in_the_log(&observation), belongs, "{observation:?}");
        }
    }
}
