//! Sessions in the memory of one process.

use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;

use super::{
    Activity, Committed, Created, Deadline, Ended, Limits, Loaded, Revision, Store, StoreError,
    StoreErrorKind, Stored, Timing, Touched,
};
use crate::{EndReason, SessionKey, Timestamp};

/// Sessions in the memory of one process, for development and tests. They end with the process.
///
/// It keeps at most [`capacity`](Self::with_capacity) sessions: the expired go as new ones come, and when
/// all are live a new one is refused with [`StoreErrorKind::Full`] rather than a live one thrown out.
///
/// Clones share the sessions.
///
/// ```
/// # use portcullis_core::store::{ManualClock, MemoryStore};
/// let store = MemoryStore::new();
/// // In a test, time passes when you say so:
/// let clock = ManualClock::new();
/// let store = MemoryStore::with_clock(&clock);
/// clock.advance(std::time::Duration::from_secs(1800));
/// ```
#[derive(Clone)]
pub struct MemoryStore {
    clock: Clock,
    capacity: usize,
    sessions: Arc<Mutex<Sessions>>,
}

const CAPACITY: usize = 100_000;

impl MemoryStore {
    /// An empty store for up to 100 000 sessions.
    pub fn new() -> Self {
        Self::on(Clock::System(Instant::now(), wall_clock()))
    }

    /// An empty store whose time is told by `clock`.
    pub fn with_clock(clock: &ManualClock) -> Self {
        Self::on(Clock::Manual(clock.clone()))
    }

    /// The same store with room for `capacity` sessions.
    #[must_use]
    pub fn with_capacity(self, capacity: usize) -> Self {
        Self { capacity, ..self }
    }

    /// How many sessions are live.
    pub fn live(&self) -> usize {
        let mut sessions = self.lock();
        sessions.forget_expired(self.now());
        sessions.slots.len() - sessions.ended
    }

    fn on(clock: Clock) -> Self {
        Self {
            clock,
            capacity: CAPACITY,
            sessions: Arc::default(),
        }
    }

    // Nothing inside panics half-way through a change, so a poisoned lock guards sound data.
    fn lock(&self) -> MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore")
            .field("capacity", &self.capacity)
            .finish_non_exhaustive()
    }
}

impl Store for MemoryStore {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    async fn load(&self, key: &SessionKey) -> Result<Loaded, StoreError> {
        let now = self.now();
        Ok(match self.lock().slots.get(key) {
            Some(Slot::Live(stored)) if stored.timing.is_live(now) => Loaded::Live(stored.clone()),
            Some(Slot::Ended(end)) if now < end.until => Loaded::Ended(end.reason),
            _ => Loaded::Absent,
        })
    }

    async fn create(
        &self,
        key: &SessionKey,
        payload: Bytes,
        limits: Limits,
    ) -> Result<Created, StoreError> {
        let now = self.now();
        let mut sessions = self.lock();
        sessions.forget_expired(now);
        if sessions.slots.contains_key(key) {
            return Ok(Created::Taken);
        }
        if sessions.slots.len() >= self.capacity {
            sessions.forget_ended();
        }
        if sessions.slots.len() >= self.capacity {
            return Err(StoreError::new(
                StoreErrorKind::Full,
                "the memory store is full of live sessions; raise its capacity or use Redis",
            ));
        }
        let stored = sessions.stored(Timing::starting(now, limits), payload);
        let created = Created::Done(stored.timing, stored.revision);
        sessions.put(*key, Slot::Live(stored));
        Ok(created)
    }

    async fn commit(
        &self,
        key: &SessionKey,
        expected: Revision,
        payload: Bytes,
        activity: Activity,
    ) -> Result<Committed, StoreError> {
        let now = self.now();
        let mut sessions = self.lock();
        let current = match sessions.live(key, now) {
            None => return Ok(Committed::Gone),
            Some(stored) if stored.revision != expected => {
                return Ok(Committed::Conflict(stored.clone()));
            }
            Some(stored) => stored.timing,
        };
        let stored = sessions.stored(current.after(activity, now), payload);
        let committed = Committed::Done(stored.timing, stored.revision);
        sessions.put(*key, Slot::Live(stored));
        Ok(committed)
    }

    async fn replace(
        &self,
        old: &SessionKey,
        new: &SessionKey,
        expected: Revision,
        payload: Bytes,
        deadline: Deadline,
    ) -> Result<Committed, StoreError> {
        let now = self.now();
        let mut sessions = self.lock();
        let current = match sessions.live(old, now) {
            None => return Ok(Committed::Gone),
            Some(stored) if stored.revision != expected => {
                return Ok(Committed::Conflict(stored.clone()));
            }
            Some(stored) => stored.timing,
        };
        sessions.forget_expired(now);
        if sessions.slots.contains_key(new) {
            return Err(StoreError::key_taken());
        }
        let (timing, successor) = match deadline {
            Deadline::Keep(activity) => (current.after(activity, now), Some(*new)),
            Deadline::Restart(limits) => (Timing::starting(now, limits), None),
        };
        let stored = sessions.stored(timing, payload);
        let committed = Committed::Done(stored.timing, stored.revision);
        sessions.end(old, EndReason::Replaced, successor, now);
        sessions.put(*new, Slot::Live(stored));
        Ok(committed)
    }

    async fn touch(&self, key: &SessionKey) -> Result<Touched, StoreError> {
        let now = self.now();
        let mut sessions = self.lock();
        let Some(mut stored) = sessions.live(key, now).cloned() else {
            return Ok(Touched::Gone);
        };
        stored.timing = stored.timing.active(now);
        let touched = Touched::Done(stored.timing);
        sessions.put(*key, Slot::Live(stored));
        Ok(touched)
    }

    async fn end(&self, key: &SessionKey, reason: EndReason) -> Result<Ended, StoreError> {
        let now = self.now();
        let mut sessions = self.lock();
        let current = sessions.current(key, now);
        if sessions.live(&current, now).is_none() {
            return Ok(Ended::AlreadyGone);
        }
        sessions.end(&current, reason, None, now);
        Ok(Ended::Done)
    }
}

impl Timing {
    fn after(self, activity: Activity, now: Timestamp) -> Self {
        match activity {
            Activity::Active => self.active(now),
            Activity::Passive => self,
        }
    }
}

/// What a key leads to.
enum Slot {
    Live(Stored),
    Ended(End),
}

/// What is remembered of a session that ended under a key.
struct End {
    reason: EndReason,
    /// The key the session was moved to.
    successor: Option<SessionKey>,
    until: Timestamp,
}

impl Slot {
    fn is_live(&self) -> bool {
        matches!(self, Self::Live(_))
    }

    fn deadline(&self) -> Timestamp {
        match self {
            Self::Live(stored) => stored.timing.idle_deadline(),
            Self::Ended(end) => end.until,
        }
    }
}

/// The slots, and which of them expires first.
#[derive(Default)]
struct Sessions {
    slots: HashMap<SessionKey, Slot>,
    by_deadline: BTreeSet<(Timestamp, SessionKey)>,
    writes: u32,
    /// How many slots are of ended sessions.
    ended: usize,
}

impl Sessions {
    fn live(&self, key: &SessionKey, now: Timestamp) -> Option<&Stored> {
        match self.slots.get(key) {
            Some(Slot::Live(stored)) if stored.timing.is_live(now) => Some(stored),
            _ => None,
        }
    }

    /// The key under which the session of `key` lives now, as far as its moves are remembered.
    ///
    /// This comes to an end: a session lives under the key that it is moved to, so if that key has a
    /// successor too, it was moved on later.
    fn current(&self, key: &SessionKey, now: Timestamp) -> SessionKey {
        let mut current = *key;
        while let Some(Slot::Ended(end)) = self.slots.get(&current)
            && now < end.until
            && let Some(successor) = end.successor
        {
            current = successor;
        }
        current
    }

    fn stored(&mut self, timing: Timing, payload: Bytes) -> Stored {
        self.writes = self.writes.wrapping_add(1);
        Stored {
            timing,
            revision: Revision(self.writes),
            payload,
        }
    }

    fn put(&mut self, key: SessionKey, slot: Slot) {
        self.by_deadline.insert((slot.deadline(), key));
        self.ended += usize::from(!slot.is_live());
        if let Some(previous) = self.slots.insert(key, slot) {
            self.ended -= usize::from(!previous.is_live());
            let deadline = previous.deadline();
            if self
                .slots
                .get(&key)
                .is_some_and(|slot| slot.deadline() != deadline)
            {
                self.by_deadline.remove(&(deadline, key));
            }
        }
    }

    fn end(
        &mut self,
        key: &SessionKey,
        reason: EndReason,
        successor: Option<SessionKey>,
        now: Timestamp,
    ) {
        self.forget_expired(now);
        let end = End {
            reason,
            successor,
            until: now.after(reason.remembered_for()),
        };
        self.put(*key, Slot::Ended(end));
    }

    fn forget_expired(&mut self, now: Timestamp) {
        while let Some((deadline, key)) = self.by_deadline.first().copied() {
            if now < deadline {
                break;
            }
            self.by_deadline.pop_first();
            let expired = self.slots.remove(&key);
            self.ended -= usize::from(expired.is_some_and(|slot| !slot.is_live()));
        }
    }

    /// Gives up the reasons of ended sessions to make room.
    fn forget_ended(&mut self) {
        // Full of live sessions, it must not look at each of them for every stranger.
        if self.ended == 0 {
            return;
        }
        self.ended = 0;
        self.slots.retain(|_, slot| slot.is_live());
        self.by_deadline
            .retain(|(_, key)| self.slots.contains_key(key));
    }
}

#[derive(Clone)]
enum Clock {
    /// The wall clock as it was at the start, moved on by a clock that cannot be set back.
    System(Instant, Timestamp),
    Manual(ManualClock),
}

impl Clock {
    fn now(&self) -> Timestamp {
        match self {
            Self::System(started, at) => at.after(started.elapsed()),
            Self::Manual(clock) => clock.now(),
        }
    }
}

fn wall_clock() -> Timestamp {
    let since_epoch = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp::from_millis(crate::time::millis(since_epoch))
}

/// A clock that stands still until it is told to move. Clones are the same clock.
#[derive(Debug, Clone)]
pub struct ManualClock(Arc<AtomicU64>);

impl ManualClock {
    /// A clock that shows the present.
    pub fn new() -> Self {
        Self(Arc::new(AtomicU64::new(wall_clock().as_millis())))
    }

    /// What the clock shows.
    pub fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }

    /// Lets `length` pass.
    pub fn advance(&self, length: Duration) {
        self.0
            .fetch_add(crate::time::millis(length), Ordering::SeqCst);
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Bucket, SessionId};

    /// Of a store in which a session moves every ten seconds.
    async fn moving(times: usize) -> (MemoryStore, Vec<SessionKey>) {
        let clock = ManualClock::new();
        let store = MemoryStore::with_clock(&clock);
        let key = || {
            SessionId::generate(Bucket::random().unwrap())
                .unwrap()
                .key()
        };
        let limits = Limits {
            idle: Duration::from_secs(1800),
            absolute: Duration::from_secs(86_400),
        };
        let mut old = key();
        let mut keys = vec![old];
        let Ok(Created::Done(_, mut revision)) = store.create(&old, Bytes::new(), limits).await
        else {
            panic!("the store is empty");
        };
        for _ in 0..times {
            clock.advance(Duration::from_secs(10));
            let (new, keep) = (key(), Deadline::Keep(Activity::Active));
            let moved = store
                .replace(&old, &new, revision, Bytes::new(), keep)
                .await;
            let Ok(Committed::Done(_, next)) = moved else {
                panic!("the session is live");
            };
            (old, revision) = (new, next);
            keys.push(new);
        }
        (store, keys)
    }

    #[tokio::test]
    async fn an_end_follows_as_many_moves_as_are_remembered() {
        // The first of seven moves is a minute ago.
        for (from, ended) in [(0, Ended::AlreadyGone), (1, Ended::Done)] {
            let (store, keys) = moving(7).await;
            let answer = store.end(&keys[from], EndReason::SignedOut).await;
            assert_eq!(answer.unwrap(), ended);
            assert_eq!(store.live(), usize::from(ended == Ended::AlreadyGone));
            if ended == Ended::Done {
                assert_eq!(
                    store.load(&keys[7]).await.unwrap(),
                    Loaded::Ended(EndReason::SignedOut)
                );
            }
        }
    }

    #[tokio::test]
    async fn replaced_identifiers_do_not_pile_up_where_no_session_is_created() {
        let (store, _) = moving(100).await;
        let sessions = store.lock();
        assert!(sessions.slots.len() <= 7, "{} slots", sessions.slots.len());
        assert_eq!(sessions.slots.len(), sessions.by_deadline.len());
    }
}
