//! One task for each session that somebody watches, however many do.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use portcullis_core::{
    EndReason, Event, SessionHandle, SessionIdHash, SessionMeta, Timestamp,
    store::{Expiry, Loaded, StoreError},
    unit_of_work::{SessionStatus, Unusable},
};
use tokio::{
    runtime::Handle as Runtime,
    sync::{Notify, watch},
    time::{Instant, sleep, timeout_at},
};
use tracing::Instrument;

use super::{
    ConnectionEnded,
    listening::Listening,
    poll_schedule::{overdue, run_out},
};
use crate::shared::Shared;

/// What a watch found last.
#[derive(Debug, Clone)]
enum Observed {
    Unseen,
    /// And which of its looks found that.
    Live(u64, Arc<SessionStatus>),
    Ended(ConnectionEnded),
}

/// What somebody who watches is shown.
#[derive(Debug, Clone)]
pub(super) struct WatchHandle {
    observed: watch::Receiver<Observed>,
    /// The looks that had begun before. What they find may be older than what the request has committed.
    begun_before: u64,
}

impl WatchHandle {
    /// Waits until the session is end, or is not what it has to be.
    pub(super) async fn until(
        mut self,
        unmet: impl Fn(&SessionStatus) -> Option<ConnectionEnded>,
    ) -> ConnectionEnded {
        loop {
            let end = match &*self.observed.borrow_and_update() {
                Observed::Live(look, status) if *look > self.begun_before => unmet(status),
                Observed::Unseen | Observed::Live(..) => None,
                Observed::Ended(end) => Some(*end),
            };
            if let Some(end) = end {
                return end;
            }
            // Nobody looks any more: the runtime shuts down, or the store panicked.
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

/// The sessions that are being watched.
#[derive(Default)]
pub(crate) struct Watches {
    watched: Mutex<Watched>,
    /// How many there are, for whoever would only find out that there is none.
    count: AtomicUsize,
}

#[derive(Default)]
struct Watched {
    /// The tasks own them, so that none outlives its task.
    by_name: HashMap<SessionHandle, Vec<Weak<Watch>>>,
    /// While there are any.
    listening: Option<Listening>,
}

struct Watch {
    epoch: AuthenticationEpoch,
    observed: watch::Sender<Observed>,
    /// How many looks have begun.
    looks: AtomicU64,
    /// Something is told of the session: look at it now.
    hint: Notify,
}

impl Watches {
    /// Has the session looked at that something is told of, if anybody watches it. What is told is only a hint.
    pub(crate) fn notice(&self, event: &Event) {
        if let (true, Some(name)) = (event.kind.affects_access(), event.session) {
            self.hint(name);
        }
    }

    /// Has the session of this name looked at now, if anybody watches it.
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

    /// The names of all sessions that are watched.
    pub(super) fn names(&self) -> Vec<SessionHandle> {
        self.lock().by_name.keys().copied().collect()
    }

    /// What is found of the session that is stored under `key` with this name and owner. `None` where there is no runtime.
    pub(super) fn watch(
        self: &Arc<Self>,
        shared: &Arc<Shared>,
        key: SessionIdHash,
        meta: &SessionMeta,
    ) -> Option<WatchHandle> {
        let epoch = AuthenticationEpoch::of(meta);
        let runtime = Runtime::try_current().ok()?;
        let mut watched = self.lock();
        let of_name = watched.by_name.entry(meta.handle).or_default();
        let known = of_name.iter().filter_map(Weak::upgrade);
        if let Some(watch) = known.into_iter().find(|watch| watch.epoch == epoch) {
            let handle = WatchHandle {
                observed: watch.observed.subscribe(),
                begun_before: watch.looks.load(Ordering::SeqCst),
            };
            watch.hint.notify_one();
            return Some(handle);
        }
        let (sender, receiver) = watch::channel(Observed::Unseen);
        let watch = Arc::new(Watch {
            epoch,
            observed: sender,
            looks: AtomicU64::new(0),
            hint: Notify::new(),
        });
        of_name.push(Arc::downgrade(&watch));
        self.count.fetch_add(1, Ordering::SeqCst);
        self.keep_listening(&mut watched, &runtime, shared);
        drop(watched);
        let listed = Listed {
            watches: Arc::clone(self),
            watch,
        };
        runtime.spawn(run(listed, Arc::clone(shared), key).in_current_span());
        Some(WatchHandle {
            observed: receiver,
            begun_before: 0,
        })
    }

    /// Sees to it that somebody listens.
    fn keep_listening(
        self: &Arc<Self>,
        watched: &mut Watched,
        runtime: &Runtime,
        shared: &Arc<Shared>,
    ) {
        let listening = watched.listening.as_ref();
        if listening.is_none_or(Listening::has_died) {
            watched.listening = Some(Listening::start(runtime, self, shared));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Watched> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A watch and its place among the others, which it leaves with its task.
struct Listed {
    watches: Arc<Watches>,
    watch: Arc<Watch>,
}

impl Listed {
    /// The task that listens may have been another runtime's, which is gone.
    fn keep_listening(&self, shared: &Arc<Shared>) {
        let (watches, runtime) = (&self.watches, Runtime::current());
        watches.keep_listening(&mut watches.lock(), &runtime, shared);
    }

    /// Leaves unless somebody has come to watch meanwhile.
    fn leave_if_unwatched(&self) -> bool {
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
            watched.listening = None;
        }
        self.watches.count.fetch_sub(left, Ordering::SeqCst);
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.leave(&mut self.watches.lock());
    }
}

/// Looks at a session until it is end or nobody watches it any more.
async fn run(listed: Listed, shared: Arc<Shared>, mut key: SessionIdHash) {
    let (watch, schedule) = (&listed.watch, shared.schedule());
    let mut seen: Option<Arc<SessionStatus>> = None;
    // Whoever begins to watch has just looked.
    let mut verified = Instant::now();
    loop {
        listed.keep_listening(&shared);
        let (began, give_up) = (Instant::now(), verified + schedule.give_up_after());
        let look_number = watch.looks.fetch_add(1, Ordering::SeqCst) + 1;
        let found = timeout_at(give_up, look(&shared, &mut key)).await;
        let now = shared.now();
        let until_change = |seen: &SessionStatus| seen.next_change(now).since(now);
        let pause = match found {
            Ok(Ok(Found::Live(status))) => {
                let status = Arc::new(status);
                verified = began;
                let pause = schedule.pause(until_change(&status));
                let observed = Observed::Live(look_number, Arc::clone(&status));
                watch.observed.send_replace(observed);
                seen = Some(status);
                pause
            }
            Ok(Ok(Found::Over(reason))) => {
                let run_out = || seen.as_deref().and_then(|seen| run_out(seen, now));
                let end = ConnectionEnded::Session(reason.or_else(run_out));
                watch.observed.send_replace(Observed::Ended(end));
                return;
            }
            Ok(Err(_)) | Err(_) => {
                let certain = seen.as_deref().and_then(|seen| overdue(seen, now));
                let left = give_up.saturating_duration_since(Instant::now());
                let end =
                    certain.or_else(|| left.is_zero().then_some(ConnectionEnded::Unverifiable));
                if let Some(end) = end {
                    if end == ConnectionEnded::Unverifiable {
                        tracing::warn!(
                            "live connections of a session are ended because the store does not say whether it goes on"
                        );
                    }
                    watch.observed.send_replace(Observed::Ended(end));
                    return;
                }
                // The elevation that somebody needs may be over all the same.
                watch.observed.send_modify(|_| {});
                let until_change = seen.as_deref().map_or(left, until_change);
                schedule.retry(left, until_change)
            }
        };
        tokio::select! {
            () = sleep(pause) => {}
            () = watch.hint.notified() => {}
            () = watch.observed.closed() => {
                if listed.leave_if_unwatched() {
                    return;
                }
            }
        }
    }
}

enum Found {
    Live(SessionStatus),
    Over(Option<EndReason>),
}

/// How often a session is followed at once: more often than it can have moved since the last look.
const MOVES: usize = 64;

/// Looks at a session, wherever it went. `key` becomes the one it is stored under now.
async fn look(shared: &Shared, key: &mut SessionIdHash) -> Result<Found, StoreError> {
    for _ in 0..MOVES {
        return Ok(match shared.store().load(key).await? {
            Loaded::Live(stored) => match SessionStatus::read(&stored) {
                Ok(status) => Found::Live(status),
                Err(Unusable::Newer(error)) => return Err(error),
                Err(Unusable::Damaged) => Found::Over(None),
            },
            Loaded::Ended {
                successor: Some(successor),
                ..
            } => {
                *key = successor;
                continue;
            }
            Loaded::Ended { reason, .. } => Found::Over(Some(reason)),
            Loaded::Expired(expired) => {
                let what = expired.what;
                shared.emit_expired(expired);
                Found::Over(match what {
                    Expiry::Session(reason) => Some(reason),
                    Expiry::Elevation => None,
                })
            }
            Loaded::Absent | Loaded::Damaged => Found::Over(None),
        });
    }
    Ok(Found::Over(Some(EndReason::Replaced)))
}
