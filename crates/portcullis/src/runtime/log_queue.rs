//! Bounded queue of [`Observation`]s, written to the store's log in the background.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use portcullis_core::{Timestamp, store::Observation};
use tokio::{runtime::Handle as Runtime, sync::mpsc};

use crate::runtime::dyn_store::DynStore;

/// How many observations may wait. Clients that cause more than the store can write must not fill
/// the memory.
const CAPACITY: usize = 256;

/// The shortest time between two warnings about dropped observations.
const WARN_EVERY: Duration = Duration::from_secs(60);

/// A queue that a background task writes to the store's log. Requests never wait for it. Overflow
/// is dropped and counted.
pub(crate) struct LogQueue {
    sender: mpsc::Sender<Observation>,
    receiver: Mutex<Option<mpsc::Receiver<Observation>>>,
    /// How many observations were dropped since the last warning.
    dropped: AtomicU64,
    /// The time of the last warning, in milliseconds on the store's clock.
    warned_at: AtomicU64,
}

impl LogQueue {
    pub(crate) fn new() -> Self {
        let (sender, receiver) = mpsc::channel(CAPACITY);
        Self {
            sender,
            receiver: Mutex::new(Some(receiver)),
            dropped: AtomicU64::new(0),
            warned_at: AtomicU64::new(0),
        }
    }

    /// Adds an observation, or drops it if the queue is full.
    pub(crate) fn put(&self, observation: Observation, now: Timestamp) {
        // Half of the queue is for observations with a user, because any client can cause the
        // others.
        let has_room = observation.user.is_some() || self.sender.capacity() > CAPACITY / 2;
        if has_room && self.sender.try_send(observation).is_ok() {
            return;
        }
        self.dropped.fetch_add(1, Ordering::Relaxed);
        let warned_at = self.warned_at.load(Ordering::Relaxed);
        let is_due = now.since(Timestamp::from_millis(warned_at)) >= WARN_EVERY;
        let is_first_to_warn = || {
            let (relaxed, now) = (Ordering::Relaxed, now.as_millis());
            let swapped = self
                .warned_at
                .compare_exchange(warned_at, now, relaxed, relaxed);
            swapped.is_ok()
        };
        if is_due && is_first_to_warn() {
            let dropped = self.dropped.swap(0, Ordering::Relaxed);
            tracing::warn!(
                dropped,
                "observations were dropped, because the queue to the store's log was full"
            );
        }
    }

    /// Starts the task that writes the queue. It ends when the queue is dropped and empty.
    pub(crate) fn start(&self, runtime: &Runtime, store: &Arc<dyn DynStore>) {
        let mut receiver = self.receiver.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(receiver) = receiver.take() {
            runtime.spawn(write(receiver, Arc::clone(store)));
        }
    }
}

async fn write(mut observations: mpsc::Receiver<Observation>, store: Arc<dyn DynStore>) {
    while let Some(observation) = observations.recv().await {
        if let Err(error) = store.observe(&observation).await {
            tracing::debug!(error = %error, "an observation could not be written to the store's log");
        }
    }
}

#[cfg(test)]
mod tests {
    use portcullis_core::{
        EventKind, Note, SessionHandle,
        store::{LogQuery, MemoryStore, Store},
    };

    use super::*;

    fn observation() -> Observation {
        Observation {
            session: Some(SessionHandle::from_bytes([1; 12])),
            user: None,
            note: Note::of_system(EventKind::WriteRefused),
        }
    }

    #[test]
    fn s098_overflow_is_dropped_and_counted() {
        let log_queue = LogQueue::new();
        let now = Store::now(&MemoryStore::new());
        for _ in 0..CAPACITY / 2 + 3 {
            log_queue.put(observation(), now);
        }
        // The first is reported at once, the next two later.
        assert_eq!(log_queue.dropped.load(Ordering::Relaxed), 2);
        log_queue.put(observation(), now.after(WARN_EVERY));
        assert_eq!(log_queue.dropped.load(Ordering::Relaxed), 0);
        // Observations without a user have filled their half. The other half is for users.
        let of_a_user = Observation {
            user: Some("alice".into()),
            ..observation()
        };
        for _ in 0..CAPACITY / 2 {
            log_queue.put(of_a_user.clone(), now);
        }
        assert_eq!(log_queue.dropped.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn queued_observations_are_written_even_after_the_queue_is_dropped() {
        let memory = MemoryStore::new();
        let store: Arc<dyn DynStore> = Arc::new(memory.clone());
        let log_queue = LogQueue::new();
        log_queue.put(observation(), Store::now(&memory));
        log_queue.start(&Runtime::current(), &store);
        drop(log_queue);
        while Arc::strong_count(&store) > 1 {
            tokio::task::yield_now().await;
        }
        let logged = Store::read_log(&memory, &LogQuery::default()).await;
        assert_eq!(logged.unwrap().len(), 1);
    }
}
