//! One task for each session that somebody watches, however many do.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use portcullis_core::{
    EndReason, Event, Handle, Label, SessionKey, Timestamp,
    draft::{Standing, Unusable},
    store::{Expiry, Loaded, StoreError},
};
use tokio::{
    runtime::Handle as Runtime,
    sync::{Notify, watch},
    time::{Instant, sleep, timeout_at},
};
use tracing::Instrument;

use super::{
    Lost,
    listening::Listening,
    pace::{overdue, run_out},
};
use crate::house::House;

/// What a watch found last.
#[derive(Debug, Clone)]
enum Sight {
    Unseen,
    /// And which of its looks found that.
    Live(u64, Arc<Standing>),
    Lost(Lost),
}

/// What somebody who watches is shown.
#[derive(Debug, Clone)]
pub(super) struct Sights {
    sights: watch::Receiver<Sight>,
    /// The looks that had begun before. What they find may be older than what the request has committed.
    begun_before: u64,
}

impl Sights {
    /// Waits until the session is lost, or is not what it has to be.
    pub(super) async fn until(mut self, unmet: impl Fn(&Standing) -> Option<Lost>) -> Lost {
        loop {
            let lost = match &*self.sights.borrow_and_update() {
                Sight::Live(look, standing) if *look > self.begun_before => unmet(standing),
                Sight::Unseen | Sight::Live(..) => None,
                Sight::Lost(lost) => Some(*lost),
            };
            if let Some(lost) = lost {
                return lost;
            }
            // Nobody looks any more: the runtime shuts down, or the store panicked.
            if self.sights.changed().await.is_err() {
                return Lost::Unverifiable;
            }
        }
    }
}

/// A session from one authentication to the next. Its identifier may change meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Life(Handle, Option<Timestamp>);

impl Life {
    fn of(label: &Label) -> Self {
        let owner = label.owner.as_ref();
        Self(label.handle, owner.map(|owner| owner.authenticated_at))
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
    by_name: HashMap<Handle, Vec<Weak<Watch>>>,
    /// While there are any.
    listening: Option<Listening>,
}

struct Watch {
    life: Life,
    sight: watch::Sender<Sight>,
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
    pub(crate) fn hint(&self, name: Handle) {
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
    pub(super) fn names(&self) -> Vec<Handle> {
        self.lock().by_name.keys().copied().collect()
    }

    /// What is found of the session that is stored under `key` with this name and owner. `None` where there is no runtime.
    pub(super) fn watch(
        self: &Arc<Self>,
        house: &Arc<House>,
        key: SessionKey,
        label: &Label,
    ) -> Option<Sights> {
        let life = Life::of(label);
        let runtime = Runtime::try_current().ok()?;
        let mut watched = self.lock();
        let of_name = watched.by_name.entry(label.handle).or_default();
        let known = of_name.iter().filter_map(Weak::upgrade);
        if let Some(watch) = known.into_iter().find(|watch| watch.life == life) {
            let sights = Sights {
                sights: watch.sight.subscribe(),
                begun_before: watch.looks.load(Ordering::SeqCst),
            };
            watch.hint.notify_one();
            return Some(sights);
        }
        let (sight, sights) = watch::channel(Sight::Unseen);
        let watch = Arc::new(Watch {
            life,
            sight,
            looks: AtomicU64::new(0),
            hint: Notify::new(),
        });
        of_name.push(Arc::downgrade(&watch));
        self.count.fetch_add(1, Ordering::SeqCst);
        self.keep_listening(&mut watched, &runtime, house);
        drop(watched);
        let listed = Listed {
            watches: Arc::clone(self),
            watch,
        };
        runtime.spawn(run(listed, Arc::clone(house), key).in_current_span());
        Some(Sights {
            sights,
            begun_before: 0,
        })
    }

    /// Sees to it that somebody listens.
    fn keep_listening(
        self: &Arc<Self>,
        watched: &mut Watched,
        runtime: &Runtime,
        house: &Arc<House>,
    ) {
        let listening = watched.listening.as_ref();
        if listening.is_none_or(Listening::has_died) {
            watched.listening = Some(Listening::start(runtime, self, house));
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
    fn keep_listening(&self, house: &Arc<House>) {
        let (watches, runtime) = (&self.watches, Runtime::current());
        watches.keep_listening(&mut watches.lock(), &runtime, house);
    }

    /// Leaves unless somebody has come to watch meanwhile.
    fn leave_if_unwatched(&self) -> bool {
        let mut watched = self.watches.lock();
        let unwatched = self.watch.sight.receiver_count() == 0;
        if unwatched {
            self.leave(&mut watched);
        }
        unwatched
    }

    fn leave(&self, watched: &mut Watched) {
        let Life(name, _) = self.watch.life;
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

/// Looks at a session until it is lost or nobody watches it any more.
async fn run(listed: Listed, house: Arc<House>, mut key: SessionKey) {
    let (watch, pace) = (&listed.watch, house.pace());
    let mut seen: Option<Arc<Standing>> = None;
    // Whoever begins to watch has just looked.
    let mut verified = Instant::now();
    loop {
        listed.keep_listening(&house);
        let (began, give_up) = (Instant::now(), verified + pace.patience());
        let look_number = watch.looks.fetch_add(1, Ordering::SeqCst) + 1;
        let found = timeout_at(give_up, look(&house, &mut key)).await;
        let now = house.now();
        let until_change = |seen: &Standing| seen.next_change(now).since(now);
        let pause = match found {
            Ok(Ok(Found::Live(standing))) => {
                let standing = Arc::new(standing);
                verified = began;
                let pause = pace.pause(until_change(&standing));
                let sight = Sight::Live(look_number, Arc::clone(&standing));
                watch.sight.send_replace(sight);
                seen = Some(standing);
                pause
            }
            Ok(Ok(Found::Over(reason))) => {
                let run_out = || seen.as_deref().and_then(|seen| run_out(seen, now));
                let lost = Lost::Session(reason.or_else(run_out));
                watch.sight.send_replace(Sight::Lost(lost));
                return;
            }
            Ok(Err(_)) | Err(_) => {
                let certain = seen.as_deref().and_then(|seen| overdue(seen, now));
                let left = give_up.saturating_duration_since(Instant::now());
                let lost = certain.or_else(|| left.is_zero().then_some(Lost::Unverifiable));
                if let Some(lost) = lost {
                    if lost == Lost::Unverifiable {
                        tracing::warn!(
                            "live connections of a session are ended because the store does not say whether it goes on"
                        );
                    }
                    watch.sight.send_replace(Sight::Lost(lost));
                    return;
                }
                // The elevation that somebody needs may be over all the same.
                watch.sight.send_modify(|_| {});
                let until_change = seen.as_deref().map_or(left, until_change);
                pace.retry(left, until_change)
            }
        };
        tokio::select! {
            () = sleep(pause) => {}
            () = watch.hint.notified() => {}
            () = watch.sight.closed() => {
                if listed.leave_if_unwatched() {
                    return;
                }
            }
        }
    }
}

enum Found {
    Live(Standing),
    Over(Option<EndReason>),
}

/// How often a session is followed at once: more often than it can have moved since the last look.
const MOVES: usize = 64;

/// Looks at a session, wherever it went. `key` becomes the one it is stored under now.
async fn look(house: &House, key: &mut SessionKey) -> Result<Found, StoreError> {
    for _ in 0..MOVES {
        return Ok(match house.store().load(key).await? {
            Loaded::Live(stored) => match Standing::read(&stored) {
                Ok(standing) => Found::Live(standing),
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
                house.tell_expired(expired);
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
