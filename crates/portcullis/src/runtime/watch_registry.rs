//! The sessions with live connections, and the last known status of each.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use portcullis_core::{Event, SessionHandle, SessionMeta, Timestamp, unit_of_work::SessionStatus};
use tokio::{
    sync::{Notify, watch},
    time::timeout,
};

use crate::{reject::connection_ended::ConnectionEnded, runtime::task::AbortOnDrop};

/// The last known status of a session.
#[derive(Debug, Clone)]
pub(super) enum Observed {
    /// It was not loaded yet.
    Unseen,
    /// It is live: the number of the load that found it, and its status.
    Live(u64, Arc<SessionStatus>),
    Ended(ConnectionEnded),
}

/// A live connection's view of its session.
#[derive(Clone)]
pub(crate) struct WatchHandle {
    observed: watch::Receiver<Observed>,
    /// How many loads had begun when the connection joined. Their results may be older than the
    /// commits of its request.
    begun_before: u64,
    watch: Weak<Watch>,
}

/// Whether a session still meets a requirement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Met {
    /// Until the status of the session changes.
    Yes,
    /// For this long, unless something moves that moment.
    For(Duration),
    No(ConnectionEnded),
}

impl WatchHandle {
    /// Waits until the session has ended, or no longer meets a requirement.
    pub(crate) async fn until(mut self, met: impl Fn(&SessionStatus) -> Met) -> ConnectionEnded {
        loop {
            let met = match &*self.observed.borrow_and_update() {
                Observed::Live(load, status) if *load > self.begun_before => met(status),
                Observed::Unseen | Observed::Live(..) => Met::Yes,
                Observed::Ended(end) => Met::No(*end),
            };
            match met {
                Met::Yes => {}
                Met::For(pause) => {
                    let changed = timeout(pause, self.observed.changed()).await;
                    if let Ok(Ok(())) = changed {
                        continue;
                    }
                    // Another request may have moved that moment, so the session is loaded first.
                    if let Some(watch) = self.watch.upgrade() {
                        watch.hint.notify_one();
                    }
                }
                Met::No(end) => return end,
            }
            // The task has stopped: the runtime shuts down, or the store panicked.
            if self.observed.changed().await.is_err() {
                return ConnectionEnded::Unverifiable;
            }
        }
    }
}

/// A session between two authentications. Its identifier may change in that time.
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
    /// How many watches there are. Without any, no lock is needed.
    count: AtomicUsize,
}

#[derive(Default)]
struct Watched {
    /// The tasks own the watches, so that none outlives its task.
    by_handle: HashMap<SessionHandle, Vec<Weak<Watch>>>,
    /// The task that listens to the store, while a session is watched.
    listener: Option<AbortOnDrop>,
}

/// One watched session.
pub(super) struct Watch {
    epoch: AuthenticationEpoch,
    pub(super) observed: watch::Sender<Observed>,
    /// How many loads have begun.
    pub(super) loads: AtomicU64,
    /// The session may have changed, so it is loaded now.
    pub(super) hint: Notify,
}

/// The result of [`Watches::join`].
pub(super) enum Joined {
    /// A task watches the session already.
    Watched(WatchHandle),
    /// The caller must start a task for the session.
    First(WatchHandle, Listed),
}

impl Watches {
    /// Causes the session of an event to be loaded, if it is watched and the event can affect
    /// access.
    pub(crate) fn notice(&self, event: &Event) {
        if let (true, Some(handle)) = (event.kind.affects_access(), event.session) {
            self.hint(handle);
        }
    }

    /// Causes the session with this handle to be loaded now, if it is watched.
    pub(crate) fn hint(&self, handle: SessionHandle) {
        if self.count.load(Ordering::SeqCst) == 0 {
            return;
        }
        let watched = self.lock();
        for watch in watched.by_handle.get(&handle).into_iter().flatten() {
            if let Some(watch) = watch.upgrade() {
                watch.hint.notify_one();
            }
        }
    }

    /// Causes all watched sessions to be loaded now.
    #[cfg(feature = "policy")]
    pub(crate) fn hint_all(&self) {
        for handle in self.handles() {
            self.hint(handle);
        }
    }

    /// The handles of all watched sessions.
    pub(super) fn handles(&self) -> Vec<SessionHandle> {
        self.lock().by_handle.keys().copied().collect()
    }

    /// Adds a live connection of the session with this handle and owner.
    pub(super) fn join(self: &Arc<Self>, meta: &SessionMeta) -> Joined {
        let epoch = AuthenticationEpoch::of(meta);
        let mut watched = self.lock();
        let of_handle = watched.by_handle.entry(meta.handle).or_default();
        let known = of_handle.iter().filter_map(Weak::upgrade);
        if let Some(watch) = known.into_iter().find(|watch| watch.epoch == epoch) {
            let handle = WatchHandle {
                observed: watch.observed.subscribe(),
                begun_before: watch.loads.load(Ordering::SeqCst),
                watch: Arc::downgrade(&watch),
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
        of_handle.push(Arc::downgrade(&watch));
        self.count.fetch_add(1, Ordering::SeqCst);
        drop(watched);
        let handle = WatchHandle {
            observed,
            begun_before: 0,
            watch: Arc::downgrade(&watch),
        };
        let watches = Arc::clone(self);
        Joined::First(handle, Listed { watches, watch })
    }

    /// Starts the listening task, if a session is watched and the task does not run.
    pub(super) fn keep_listening(&self, start: impl FnOnce() -> AbortOnDrop) {
        let mut watched = self.lock();
        let has_died = watched.listener.as_ref().is_none_or(AbortOnDrop::has_died);
        if has_died && !watched.by_handle.is_empty() {
            watched.listener = Some(start());
        }
    }

    fn lock(&self) -> MutexGuard<'_, Watched> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The entry of a watch in the registry. Its task owns it. Dropping it removes the watch.
pub(super) struct Listed {
    pub(super) watches: Arc<Watches>,
    pub(super) watch: Arc<Watch>,
}

impl Listed {
    /// Removes the watch, unless it has a connection. Returns whether it was removed.
    pub(super) fn remove_if_unwatched(&self) -> bool {
        let mut watched = self.watches.lock();
        let unwatched = self.watch.observed.receiver_count() == 0;
        if unwatched {
            self.remove(&mut watched);
        }
        unwatched
    }

    fn remove(&self, watched: &mut Watched) {
        let AuthenticationEpoch(handle, _) = self.watch.epoch;
        let Some(of_handle) = watched.by_handle.get_mut(&handle) else {
            return;
        };
        let before = of_handle.len();
        of_handle.retain(|watch| !std::ptr::eq(watch.as_ptr(), Arc::as_ptr(&self.watch)));
        let removed = before - of_handle.len();
        if of_handle.is_empty() {
            watched.by_handle.remove(&handle);
        }
        if watched.by_handle.is_empty() {
            watched.listener = None;
        }
        self.watches.count.fetch_sub(removed, Ordering::SeqCst);
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.remove(&mut self.watches.lock());
    }
}
