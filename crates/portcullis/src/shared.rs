//! What requests and operations from outside of them have in common: the store, and who is told.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, OnceLock},
    time::Duration,
};

use portcullis_core::{
    CorrelationKey, EndReason, Event, Realm, SessionHandle, SessionIdHash, Timestamp,
    store::{ClockBounds, Expired, Observation, Store},
};
use tokio::runtime::Handle as Runtime;

use crate::{
    audit::Audits,
    commit::WriteQueue,
    dyn_store::DynStore,
    live::{PollSchedule, Watches},
    log_queue::LogQueue,
    registration::{self, Registration},
    reported::Reported,
    sweeper::{self, Alive},
};

/// What there is one of for a layer, all its services, and what is done to its sessions from outside.
pub(crate) struct Shared {
    settings: SharedSettings,
    log_queue: LogQueue,
    /// Whose turn it is to write to a session.
    writes: Arc<WriteQueue>,
    reported: Reported,
    /// What runs in the background, once it does: until this is dropped.
    background: OnceLock<Background>,
}

/// Tasks that end when this is dropped.
struct Background {
    _sweeper: Option<Alive>,
    _registration: Option<Alive>,
}

#[derive(Clone)]
pub(crate) struct SharedSettings {
    pub(crate) store: Arc<dyn DynStore>,
    /// Who is notified, in this order. The first that is set takes the place of the default.
    pub(crate) audits: Audits,
    /// Without one, that of the process.
    pub(crate) key: Option<CorrelationKey>,
    pub(crate) sweeps: bool,
    /// What the store's registry of realms is to know, where there is a layer.
    pub(crate) registration: Option<Registration>,
    /// The sessions of the store with live connections. `Shared`s that differ in something else share them.
    pub(crate) watches: Arc<Watches>,
    pub(crate) schedule: PollSchedule,
}

impl SharedSettings {
    pub(crate) fn new(store: impl Store, sweeps: bool) -> Self {
        Self {
            store: Arc::new(store),
            audits: Audits::default(),
            key: None,
            sweeps,
            registration: None,
            watches: Arc::default(),
            schedule: PollSchedule::default(),
        }
    }
}

impl SharedSettings {
    /// For the sessions of this realm.
    pub(crate) fn enter(&mut self, realm: &Realm) {
        if self.store.realm() != *realm {
            self.store = self.store.in_realm(realm);
            // Connections of another realm are none of this one's.
            self.watches = Arc::default();
        }
    }
}

impl Shared {
    pub(crate) fn new(settings: SharedSettings) -> Self {
        Self {
            settings,
            log_queue: LogQueue::new(),
            writes: Arc::default(),
            reported: Reported::default(),
            background: OnceLock::new(),
        }
    }

    /// Another one that differs in this. What runs in the background of the first is not shared.
    pub(crate) fn changed(&self, change: impl FnOnce(&mut SharedSettings)) -> Self {
        let mut settings = self.settings.clone();
        change(&mut settings);
        Self::new(settings)
    }

    pub(crate) fn store(&self) -> &dyn DynStore {
        &*self.settings.store
    }

    pub(crate) fn clock(&self) -> ClockBounds {
        self.settings.store.clock()
    }

    /// The latest that the store's clock may show.
    pub(crate) fn now(&self) -> Timestamp {
        self.clock().latest
    }

    /// Whether it is of this realm, and registers this.
    pub(crate) fn realm(&self) -> Realm {
        self.settings.store.realm()
    }

    pub(crate) fn is_of(&self, realm: &Realm, registration: &Registration) -> bool {
        self.settings.store.realm() == *realm
            && self.settings.registration.as_ref() == Some(registration)
    }

    /// The longest absolute timeout of its sessions, where there is a layer.
    pub(crate) fn longest(&self) -> Option<Duration> {
        let registration = self.settings.registration.as_ref();
        registration.map(|registration| registration.longest)
    }

    /// Starts what runs in the background, if there is something to run it and it does not run yet. Says whether it did.
    pub(crate) fn wake(self: &Arc<Self>) -> bool {
        if self.background.get().is_some() {
            return false;
        }
        let Ok(runtime) = Runtime::try_current() else {
            return false;
        };
        let mut began = false;
        self.background.get_or_init(|| {
            began = true;
            self.log_queue.keep(&runtime, &self.settings.store);
            let sweeps = self.settings.sweeps;
            let registration = self.settings.registration.clone();
            Background {
                _sweeper: sweeps.then(|| sweeper::start(&runtime, Arc::downgrade(self))),
                _registration: registration.map(|registration| {
                    registration::start(&runtime, registration, &self.settings.store)
                }),
            }
        });
        began
    }

    pub(crate) fn writes(&self) -> &Arc<WriteQueue> {
        &self.writes
    }

    pub(crate) fn watches(&self) -> &Arc<Watches> {
        &self.settings.watches
    }

    pub(crate) fn schedule(&self) -> PollSchedule {
        self.settings.schedule
    }

    /// Tells the audit, and whoever watches the session. Never under a lock: what an audit does must neither stop nor undo what is under way.
    pub(crate) fn emit(&self, event: Event) {
        self.settings.watches.notice(&event);
        let event = match (event.correlator, self.key()) {
            (None, Some(key)) => event.correlated(key),
            _ => event,
        };
        for audit in self.settings.audits.iter() {
            let record = || audit.record(&event);
            if catch_unwind(AssertUnwindSafe(record)).is_err() {
                tracing::error!(
                    event = event.kind.as_str(),
                    "the audit panicked; the event may be lost"
                );
            }
        }
    }

    /// Tells of what the store was the first to notice.
    pub(crate) fn emit_expired(&self, expired: Expired) {
        let Expired {
            handle,
            user,
            what,
            at,
        } = expired;
        self.emit(Event::new(what.note(), at, Some(handle), user));
    }

    /// Tells of what changed nothing, and has it put into the store's log if it belongs there.
    pub(crate) fn observe(&self, observation: Observation) {
        let now = self.now();
        let Observation {
            session,
            user,
            note,
        } = &observation;
        self.emit(Event::new(note.clone(), now, *session, user.clone()));
        if belongs_into_the_log(&observation) {
            self.log_queue.put(observation, now);
        }
    }

    /// Reports that a session was used after it had ended. What people do every day is reported once: to come back after a
    /// timeout, and to leave a page open that asks by itself (`is_passive`).
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

    /// Tells of an identifier that names no session. It is not for the log: anybody can make them up.
    pub(crate) fn emit_of_identifier(&self, mut event: Event, key: &SessionIdHash) {
        event.correlator = self.key().map(|secret| secret.of_identifier(key));
        self.emit(event);
    }

    /// The event as an audit would have been told of it.
    pub(crate) fn correlated(&self, event: Event) -> Event {
        match self.key() {
            Some(key) => event.correlated(key),
            None => event,
        }
    }

    /// `None` while the operating system's generator fails; events are told without a correlator then.
    fn key(&self) -> Option<&CorrelationKey> {
        static OF_THE_PROCESS: OnceLock<CorrelationKey> = OnceLock::new();

        if let Some(key) = &self.settings.key {
            return Some(key);
        }
        if OF_THE_PROCESS.get().is_none()
            && let Ok(key) = CorrelationKey::generate()
        {
            let _ = OF_THE_PROCESS.set(key);
        }
        OF_THE_PROCESS.get()
    }
}

fn belongs_into_the_log(observation: &Observation) -> bool {
    let of_somebody = observation.session.is_some() || observation.user.is_some();
    of_somebody && observation.note.kind.is_logged_observation()
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use portcullis_core::{EventKind, Note, store::MemoryStore};

    use super::*;
    use crate::Audit;

    #[derive(Default)]
    struct Recorder(Arc<Mutex<Vec<Event>>>);

    impl Audit for Recorder {
        fn record(&self, event: &Event) {
            self.0.lock().unwrap().push(event.clone());
            assert_ne!(event.kind, EventKind::StoreFailed, "an audit that panics");
        }
    }

    fn shared(key: Option<[u8; 32]>) -> (Shared, Arc<Mutex<Vec<Event>>>) {
        let told = Recorder::default();
        let events = Arc::clone(&told.0);
        let shared = Shared::new(SharedSettings {
            audits: Audits::default().and(told),
            key: key.map(CorrelationKey::new),
            ..SharedSettings::new(MemoryStore::new(), true)
        });
        (shared, events)
    }

    fn event(kind: EventKind, session: Option<SessionHandle>) -> Event {
        Event::new(
            Note::of_system(kind),
            Timestamp::from_millis(0),
            session,
            None,
        )
    }

    #[test]
    fn s100_events_of_a_session_have_one_correlator_in_a_process_and_another_under_a_key() {
        let session = Some(SessionHandle::from_bytes([1; 12]));
        let correlators: Vec<_> = [None, None, Some([1; 32]), Some([1; 32]), Some([2; 32])]
            .into_iter()
            .map(|key| {
                let (shared, told) = shared(key);
                shared.emit(event(EventKind::Created, session));
                let told = told.lock().unwrap();
                told[0].correlator.unwrap()
            })
            .collect();
        assert_eq!(correlators[0], correlators[1]);
        assert_ne!(correlators[1], correlators[2]);
        assert_eq!(correlators[2], correlators[3]);
        assert_ne!(correlators[3], correlators[4]);
    }

    #[test]
    fn a_panic_of_the_audit_stops_nothing() {
        let (shared, told) = shared(None);
        shared.emit(event(EventKind::StoreFailed, None));
        shared.emit(event(EventKind::Created, None));
        assert_eq!(told.lock().unwrap().len(), 2);
    }

    #[test]
    fn every_audit_hears_of_each_event_even_after_one_that_panics() {
        let (first, second) = (Recorder::default(), Recorder::default());
        let heard = [&first, &second].map(|told| Arc::clone(&told.0));
        let shared = Shared::new(SharedSettings {
            audits: Audits::default().and(first).and(second),
            ..SharedSettings::new(MemoryStore::new(), true)
        });
        shared.emit(event(EventKind::StoreFailed, None));
        shared.emit(event(EventKind::Created, None));
        for events in heard {
            assert_eq!(events.lock().unwrap().len(), 2);
        }
    }

    #[test]
    fn s098_only_what_names_somebody_and_was_refused_is_for_the_log() {
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
            assert_eq!(
                belongs_into_the_log(&observation),
                belongs,
                "{observation:?}"
            );
        }
    }
}
