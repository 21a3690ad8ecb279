//! The store, its clock and the audits, which requests, background tasks and operators' calls
//! share.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, OnceLock},
};

use portcullis_core::{
    CorrelationKey, Event, Note, Realm, SessionIdHash, Timestamp,
    store::{ClockBounds, Expired, Loaded, Observation, Store, StoreError},
};

use crate::runtime::{
    audit::{Audit, Audits},
    current_policy::CurrentPolicy,
    dyn_store::DynStore,
    poll_schedule::PollSchedule,
    watch_registry::Watches,
};

/// A store, the audits that are notified of its events, and its live connections.
#[derive(Clone)]
pub(crate) struct Context {
    pub(crate) store: Arc<dyn DynStore>,
    /// Notified in this order. The first one that is set replaces the default.
    pub(crate) audits: Audits,
    /// The key of the correlators. Without one, a key of the process is used.
    pub(crate) key: Option<CorrelationKey>,
    /// The sessions with live connections.
    pub(crate) watches: Arc<Watches>,
    /// How often those sessions are loaded.
    pub(crate) schedule: PollSchedule,
    /// The policy that an operator has activated for the realm.
    pub(crate) policy: Arc<CurrentPolicy>,
}

impl Context {
    pub(crate) fn new(store: impl Store) -> Self {
        Self {
            store: Arc::new(store),
            audits: Audits::default(),
            key: None,
            watches: Arc::default(),
            schedule: PollSchedule::default(),
            policy: Arc::default(),
        }
    }

    /// Moves to the sessions of this realm.
    pub(crate) fn enter(&mut self, realm: &Realm) {
        if self.store.realm() != *realm {
            self.store = self.store.in_realm(realm);
            // Live connections and policies belong to one realm.
            self.watches = Arc::default();
            self.policy = Arc::default();
        }
    }

    /// Adds an audit. The first one replaces the default.
    pub(crate) fn add_audit(&mut self, audit: impl Audit) {
        self.audits = std::mem::take(&mut self.audits).and(audit);
    }

    pub(crate) fn store(&self) -> &dyn DynStore {
        &*self.store
    }

    pub(crate) fn clock(&self) -> ClockBounds {
        self.store.clock()
    }

    /// The latest time that the store's clock may show.
    pub(crate) fn now(&self) -> Timestamp {
        self.clock().latest
    }

    /// Notifies the audits, and the live connections of the session. Call it without holding a
    /// lock, so that a slow or panicking audit cannot disturb other work.
    pub(crate) fn emit(&self, event: Event) {
        self.watches.notice(&event);
        let event = match (event.correlator, self.key()) {
            (None, Some(key)) => event.correlated(key),
            _ => event,
        };
        for audit in self.audits.iter() {
            let record = || audit.record(&event);
            if catch_unwind(AssertUnwindSafe(record)).is_err() {
                tracing::error!(
                    event = event.kind.as_str(),
                    "the audit panicked; the event may be lost"
                );
            }
        }
    }

    /// Loads a session. If this is the call that finds its expiry, the event is emitted.
    pub(crate) async fn load(&self, key: &SessionIdHash) -> Result<Loaded, StoreError> {
        let loaded = self.store.load(key).await?;
        if let Loaded::Expired(expired) = &loaded {
            self.emit_expired(expired.clone());
        }
        Ok(loaded)
    }

    /// Writes what an operator did to no single session to the store's log, and emits its event.
    pub(crate) async fn record(&self, note: Note) -> Result<(), StoreError> {
        let observation = Observation {
            session: None,
            user: None,
            note,
        };
        let logged = self.store.observe(&observation).await;
        self.emit(Event::new(observation.note, self.now(), None, None));
        logged
    }

    /// Emits the event of an expiry that the store was the first to notice.
    pub(crate) fn emit_expired(&self, expired: Expired) {
        let Expired {
            handle,
            user,
            what,
            at,
        } = expired;
        self.emit(Event::new(what.note(), at, Some(handle), user));
    }

    /// Emits an event about an identifier that names no session. It is not logged in the store,
    /// because anyone can invent identifiers.
    pub(crate) fn emit_of_identifier(&self, mut event: Event, key: &SessionIdHash) {
        event.correlator = self.key().map(|secret| secret.of_identifier(key));
        self.emit(event);
    }

    /// The event with the correlator that audits receive.
    pub(crate) fn correlated(&self, event: Event) -> Event {
        match self.key() {
            Some(key) => event.correlated(key),
            None => event,
        }
    }

    /// `None` while the operating system's generator fails; events then carry no correlator.
    fn key(&self) -> Option<&CorrelationKey> {
        static OF_THE_PROCESS: OnceLock<CorrelationKey> = OnceLock::new();

        if let Some(key) = &self.key {
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

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use portcullis_core::{EventKind, Note, SessionHandle, store::MemoryStore};

    use super::*;
    use crate::runtime::audit::Audit;

    #[derive(Default)]
    struct Recorder(Arc<Mutex<Vec<Event>>>);

    impl Audit for Recorder {
        fn record(&self, event: &Event) {
            self.0.lock().unwrap().push(event.clone());
            assert_ne!(event.kind, EventKind::StoreFailed, "an audit that panics");
        }
    }

    fn context(key: Option<[u8; 32]>) -> (Context, Arc<Mutex<Vec<Event>>>) {
        let recorder = Recorder::default();
        let events = Arc::clone(&recorder.0);
        let context = Context {
            audits: Audits::default().and(recorder),
            key: key.map(CorrelationKey::new),
            ..Context::new(MemoryStore::new())
        };
        (context, events)
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
                let (context, events) = context(key);
                context.emit(event(EventKind::Created, session));
                let events = events.lock().unwrap();
                events[0].correlator.unwrap()
            })
            .collect();
        assert_eq!(correlators[0], correlators[1]);
        assert_ne!(correlators[1], correlators[2]);
        assert_eq!(correlators[2], correlators[3]);
        assert_ne!(correlators[3], correlators[4]);
    }

    #[test]
    fn the_audit_receives_events_even_after_it_has_panicked() {
        let (context, events) = context(None);
        context.emit(event(EventKind::StoreFailed, None));
        context.emit(event(EventKind::Created, None));
        assert_eq!(events.lock().unwrap().len(), 2);
    }

    #[test]
    fn every_audit_receives_each_event_even_after_one_that_panics() {
        let (first, second) = (Recorder::default(), Recorder::default());
        let recorded = [&first, &second].map(|recorder| Arc::clone(&recorder.0));
        let context = Context {
            audits: Audits::default().and(first).and(second),
            ..Context::new(MemoryStore::new())
        };
        context.emit(event(EventKind::StoreFailed, None));
        context.emit(event(EventKind::Created, None));
        for events in recorded {
            assert_eq!(events.lock().unwrap().len(), 2);
        }
    }
}
