//! What changed nothing, on its way into the store's log: later, and only as far as there is room.

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

/// How many may wait. Whoever causes more of them than the store can take must not fill the memory.
const ROOM: usize = 256;

/// How often it is told that some were dropped.
const MINUTE: Duration = Duration::from_secs(60);

/// A queue that is written to the store's log by a task of its own. Requests never wait for it.
pub(crate) struct LogQueue {
    sender: mpsc::Sender<Observation>,
    receiver: Mutex<Option<mpsc::Receiver<Observation>>>,
    dropped: AtomicU64,
    /// When it was last told, in milliseconds on the store's clock.
    told_at: AtomicU64,
}

impl LogQueue {
    pub(crate) fn new() -> Self {
        let (sender, receiver) = mpsc::channel(ROOM);
        Self {
            sender,
            receiver: Mutex::new(Some(receiver)),
            dropped: AtomicU64::new(0),
            told_at: AtomicU64::new(0),
        }
    }

    /// Notes it, or drops it where there is no room.
    pub(crate) fn put(&self, observation: Observation, now: Timestamp) {
        // Half of the room is for what concerns a user: strangers can cause as much as they like.
        let welcome = observation.user.is_some() || self.sender.capacity() > ROOM / 2;
        if welcome && self.sender.try_send(observation).is_ok() {
            return;
        }
        self.dropped.fetch_add(1, Ordering::Relaxed);
        let told_at = self.told_at.load(Ordering::Relaxed);
        let is_due = now.since(Timestamp::from_millis(told_at)) >= MINUTE;
        let is_ours = || {
            let (relaxed, now) = (Ordering::Relaxed, now.as_millis());
            let swapped = self
                .told_at
                .compare_exchange(told_at, now, relaxed, relaxed);
            swapped.is_ok()
        };
        if is_due && is_ours() {
            let dropped = self.dropped.swap(0, Ordering::Relaxed);
            tracing::warn!(
                dropped,
                "observations come faster than the store's log takes them; some were dropped"
            );
        }
    }

    /// Starts the writing, which goes on until the log_queue is dropped and all is written.
    pub(crate) fn keep(&self, runtime: &Runtime, store: &Arc<dyn DynStore>) {
        let mut receiver = self.receiver.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(receiver) = receiver.take() {
            runtime.spawn(write(receiver, Arc::clone(store)));
        }
    }
}

async fn write(mut observations: mpsc::Receiver<Observation>, store: Arc<dyn DynStore>) {
    while let Some(observation) = observations.recv().await {
        if let Err(error) = store.observe(&observation).await {
            tracing::debug!(error = %error, "an observation could not be written into the log");
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
    fn s098_what_there_is_no_room_for_is_dropped_and_counted() {
        let log_queue = LogQueue::new();
        let now = Store::now(&MemoryStore::new());
        for _ in 0..ROOM / 2 + 3 {
            log_queue.put(observation(), now);
        }
        // The first was told at once, the next two are for later.
        assert_eq!(log_queue.dropped.load(Ordering::Relaxed), 2);
        log_queue.put(observation(), now.after(MINUTE));
        assert_eq!(log_queue.dropped.load(Ordering::Relaxed), 0);
        // Strangers have filled their half. The other one is for users.
        let of_a_user = Observation {
            user: Some("alice".into()),
            ..observation()
        };
        for _ in 0..ROOM / 2 {
            log_queue.put(of_a_user.clone(), now);
        }
        assert_eq!(log_queue.dropped.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn what_was_noted_is_written_also_when_the_notebook_is_gone() {
        let memory = MemoryStore::new();
        let store: Arc<dyn DynStore> = Arc::new(memory.clone());
        let log_queue = LogQueue::new();
        log_queue.put(observation(), Store::now(&memory));
        log_queue.keep(&Runtime::current(), &store);
        drop(log_queue);
        while Arc::strong_count(&store) > 1 {
            tokio::task::yield_now().await;
        }
        let logged = Store::read_log(&memory, &LogQuery::default()).await;
        assert_eq!(logged.unwrap().len(), 1);
    }
}
