//! An audit that keeps its events.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use portcullis::audit::{Audit, Event, EventKind};
use tokio::{sync::Notify, time::timeout};

/// Keeps every event. Clones share them.
#[derive(Clone, Default)]
pub struct CapturedAudit {
    events: Arc<Mutex<Vec<Event>>>,
    arrived: Arc<Notify>,
}

impl CapturedAudit {
    /// The events since they were last taken.
    pub fn take(&self) -> Vec<Event> {
        std::mem::take(&mut self.events.lock().expect("events"))
    }

    /// The kinds of the events since they were last taken.
    pub fn take_kinds(&self) -> Vec<EventKind> {
        self.take().into_iter().map(|event| event.kind).collect()
    }

    /// The ends of sessions among the events since they were last taken.
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

    /// Returns when there is an event of this kind. Some events come after the response.
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
        // At most one test waits, and it may not have started to.
        self.arrived.notify_one();
    }
}
