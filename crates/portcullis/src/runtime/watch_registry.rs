//! The sessions with live connections, and what was last seen of each.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use portcullis_core::{Event, SessionHandle, SessionMeta, Timestamp, unit_of_work::SessionStatus};
use tokio::sync::{Notify, watch};

use crate::{reject::connection_ended::ConnectionEnded, runtime::task::AbortOnDrop};

/// What was last seen of a session.
#[derive(Debug, Clone)]
pub(super) enum Observed {
    Unseen,
    /// The status, and the number of the load that found it.
    Live(u64, Arc<SessionStatus>),
    Ended(ConnectionEnded),
}

/// A live connection's view of its session.
#[derive(Debug, Clone)]
pub(crate) struct WatchHandle {
    observed: watch::Receiver<Observed>,
    /// The loads that had begun before. Their result may be older than what the request has
    /// committed.
    begun_before: u64,
}

impl WatchHandle {
    /// Waits until the session has ended, or no longer meets a requirement.
    pub(crate) async fn until(
        mut self,
        unmet: impl Fn(&SessionStatus) -> Option<ConnectionEnded>,
    ) -> ConnectionEnded {
        loop {
            let end = match &*self.observed.borrow_and_update() {
                Observed::Live(load, status) if *load > self.begun_before => unmet(status),
                Observed::Unseen | Observed::Live(..) => None,
                Observed::Ended(end) => Some(*end),
            };
            if let Some(end) = end {
                return end;
            }
            // The task is gone: the runtime shuts down, or the store panicked.
            if self.observed.changed().await.is_err() {
                return ConnectionEnded::Unverifiable;
            }
        }
    }
}

/// A session from one authentication to the next. Its identifier may change meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct AuthenticationEpoch(SessionHandle, Option<Timestamp>);

impl AuthenticationEpoch {
    fn of(meta: &SessionMeta) -> Self {
        let owner = meta.owner.as_ref();
        Self(meta.handle, owner.map(|owner| owner.authenticated_at))
    }
}

/// The sessions with live connections.
#[derive(Default)]
pub(crate) struct Watches {
    watched: Mutex<Watched>,
    /// How many there are. It saves the lock where there is none.
    count: AtomicUsize,
}

#[derive(Default)]
struct Watched {
    /// The tasks own the watches, so that none outlives its task.
    by_name: HashMap<SessionHandle, Vec<Weak<Watch>>>,
    /// The task that listens to the store, while there are any.
    listener: Option<AbortOnDrop>,
}

/// One watched session.
pub(super) struct Watch {
    epoch: AuthenticationEpoch,
    pub(super) observed: watch::Sender<Observed>,
    /// How many loads have begun.
    pub(super) loads: AtomicU64,
    /// Something may have happened to the session: load it now.
    pub(super) hint: Notify,
}

/// What [`Watches::join`] found.
pub(super) enum Joined {
    /// A task watches the session already.
    Watched(WatchHandle),
    /// A task for it is to be started.
    First(WatchHandle, Listed),
}

impl Watches {
    /// Has the session of the event loaded, if it is watched.
    pub(crate) fn notice(&self, event: &Event) {
        if let (true, Some(name)) = (event.kind.affects_access(), event.session) {
            self.hint(name);
        }
    }

    /// Has the session of this name loaded now, if it is watched.
    pub(crate) fn hint(&self, name: SessionHandle) {
        if self.count.load(Ordering::SeqCst) == 0 {
            return;
        }
        let watched = self.lock();
        for watch in watched.by_name.get(&name).into_iter().flatten() {
            if let Some(watch) = watch.upgrade() {
                watch.hint.notify_one();
            }
        }
    }

    /// The names of all watched sessions.
    pub(super) fn names(&self) -> Vec<SessionHandle> {
        self.lock().by_name.keys().copied().collect()
    }

    /// Adds a live connection of the session with this name and owner.
    pub(super) fn join(self: &Arc<Self>, meta: &SessionMeta) -> Joined {
        let epoch = AuthenticationEpoch::of(meta);
        let mut watched = self.lock();
        let of_name = watched.by_name.entry(meta.handle).or_default();
        let known = of_name.iter().filter_map(Weak::upgrade);
        if let Some(watch) = known.into_iter().find(|watch| watch.epoch == epoch) {
            let handle = WatchHandle {
                observed: watch.observed.subscribe(),
                begun_before: watch.loads.load(Ordering::SeqCst),
            };
            watch.hint.notify_one();
            return Joined::Watched(handle);
        }
        let (sender, observed) = watch::channel(Observed::Unseen);
        let watch = Arc::new(Watch {
            epoch,
            observed: sender,
            loads: AtomicU64::new(0),
            hint: Notify::new(),
        });
        of_name.push(Arc::downgrade(&watch));
        self.count.fetch_add(1, Ordering::SeqCst);
        drop(watched);
        let handle = WatchHandle {
            observed,
            begun_before: 0,
        };
        let watches = Arc::clone(self);
        Joined::First(handle, Listed { watches, watch })
    }

    /// Starts the listening task, where it does not run and a session is watched.
    pub(super) fn keep_listening(&self, start: impl FnOnce() -> AbortOnDrop) {
        let mut watched = self.lock();
        let has_died = watched.listener.as_ref().is_none_or(AbortOnDrop::has_died);
        if has_died && !watched.by_name.is_empty() {
            watched.listener = Some(start());
        }
    }

    fn lock(&self) -> MutexGuard<'_, Watched> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The entry of a watch among the others. Its task owns it, and leaves with it.
pub(super) struct Listed {
    pub(super) watches: Arc<Watches>,
    pub(super) watch: Arc<Watch>,
}

impl Listed {
    /// Leaves, unless a connection has joined meanwhile. Returns whether it left.
    pub(super) fn leave_if_unwatched(&self) -> bool {
        let mut watched = self.watches.lock();
        let unwatched = self.watch.observed.receiver_count() == 0;
        if unwatched {
            self.leave(&mut watched);
        }
        unwatched
    }

    fn leave(&self, watched: &mut Watched) {
        let AuthenticationEpoch(name, _) = self.watch.epoch;
        let Some(of_name) = watched.by_name.get_mut(&name) else {
            return;
        };
        let before = of_name.len();
        of_name.retain(|watch| !std::ptr::eq(watch.as_ptr(), Arc::as_ptr(&self.watch)));
        let left = before - of_name.len();
        if of_name.is_empty() {
            watched.by_name.remove(&name);
        }
        if watched.by_name.is_empty() {
            watched.listener = None;
        }
        self.watches.count.fetch_sub(left, Ordering::SeqCst);
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.leave(&mut self.watches.lock());
    }
}
