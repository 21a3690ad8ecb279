//! An audit that remembers.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use portcullis::audit::{Audit, Event, EventKind};
use tokio::{sync::Notify, time::timeout};

/// Remembers every event. Clones share them.
#[derive(Clone, Default)]
pub struct CapturedAudit {
    events: Arc<Mutex<Vec<Event>>>,
    arrived: Arc<Notify>,
}

impl CapturedAudit {
    /// The events since the last time somebody took them.
    pub fn take(&self) -> Vec<Event> {
        std::mem::take(&mut self.events.lock().expect("events"))
    }

    /// What happened since the last time somebody took the events.
    pub fn take_kinds(&self) -> Vec<EventKind> {
        self.take().into_iter().map(|event| event.kind).collect()
    }

    /// What happened to sessions that was an end, since the last time somebody took the events: with the session, its user and
    /// at whose wish.
    pub fn take_ends(&self) -> Vec<Event> {
        let mut events = self.take();
        events.retain(|event| matches!(event.kind, EventKind::Ended(_)));
        events
    }

    /// Whether there is an event of this kind among those not taken.
    pub fn has(&self, kind: &EventKind) -> bool {
        self.count(kind) > 0
    }

    fn count(&self, kind: &EventKind) -> usize {
        let events = self.events.lock().expect("events");
        events.iter().filter(|event| event.kind == *kind).count()
    }

    /// Returns when there is an event of this kind: what happens after the response.
    pub async fn until(&self, kind: EventKind) {
        self.until_there_are(1, kind).await;
    }

    /// The same for as many events of this kind.
    pub async fn until_there_are(&self, count: usize, kind: EventKind) {
        let wait = async {
            loop {
                let arrived = self.arrived.notified();
                if self.count(&kind) >= count {
                    return;
                }
                arrived.await;
            }
        };
        let found = timeout(Duration::from_secs(10), wait).await;
        assert!(
            found.is_ok(),
            "not {count} of {kind:?} but {:?}",
            self.take()
        );
    }
}

impl Audit for CapturedAudit {
    fn record(&self, event: &Event) {
        self.events.lock().expect("events").push(event.clone());
        // One test waits at a time, and it may not have begun to.
        self.arrived.notify_one();
    }
}
