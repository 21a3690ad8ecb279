//! Reads all live sessions of a realm, at a pace that leaves the store free for requests.

use std::{collections::HashSet, future::Future, num::NonZeroUsize, sync::Arc, time::Duration};

use futures_util::{StreamExt, stream};
use portcullis_core::{
    Bucket, Policy, SessionIdHash,
    store::{BucketPage, Listed, Loaded, StoreError, StoreErrorKind},
    unit_of_work::{SessionStatus, Unusable},
};
use tokio::time::{self, Instant};

use crate::runtime::{context::Context, task::has_timers};

/// How many sessions are read at a time. Redis takes less than a millisecond for them.
const PAGE: NonZeroUsize = NonZeroUsize::MIN.saturating_add(99);

/// A session that was read, and what it permits.
pub(crate) struct Visited {
    pub(crate) listed: Listed,
    pub(crate) status: SessionStatus,
}

/// Bounds the share of the store's time that a walk takes.
#[derive(Debug)]
pub(crate) struct Pace {
    waits: bool,
    since: Instant,
    /// How long this is to take, from `since` on.
    due: Duration,
}

impl Pace {
    /// How much longer a walk takes than the store works for it: a fifth of the store's time.
    const SHARE: u32 = 5;

    /// What the store needs to read a session of a list, and to end or to write one.
    const READ: Duration = Duration::from_micros(4);
    const WRITE: Duration = Duration::from_micros(30);

    /// Shorter pauses are saved up: a timer is no more exact.
    const SHORTEST: Duration = Duration::from_millis(5);

    pub(crate) fn new() -> Self {
        Self {
            waits: has_timers(),
            since: Instant::now(),
            due: Duration::ZERO,
        }
    }

    /// Notes work of the store.
    fn add(&mut self, work: Duration) {
        self.due += work * Self::SHARE;
    }

    /// Waits until the noted work is no more than its share.
    async fn keep(&mut self) {
        let ahead = self.due.saturating_sub(self.since.elapsed());
        if ahead.is_zero() {
            // Time in which the store did nothing for the walk is not made up for.
            (self.since, self.due) = (Instant::now(), Duration::ZERO);
        } else if self.waits && ahead >= Self::SHORTEST {
            time::sleep(ahead).await;
        }
    }
}

/// The sessions of a bucket, page by page. Each key is visited once.
pub(crate) struct BucketWalk {
    next: Option<BucketPage>,
    seen: HashSet<SessionIdHash>,
}

/// A page of a bucket.
pub(crate) struct Page {
    pub(crate) sessions: Vec<Visited>,
    /// Sessions that cannot be read.
    pub(crate) unreadable: u64,
}

impl BucketWalk {
    pub(crate) fn new(bucket: Bucket) -> Self {
        Self {
            next: Some(BucketPage::first(bucket, PAGE)),
            seen: HashSet::new(),
        }
    }

    /// The next page, with the sessions as they are under this policy. `None` after the last one.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot answer.
    pub(crate) async fn next(
        &mut self,
        context: &Context,
        policy: &Arc<Policy>,
        pace: &mut Pace,
    ) -> Result<Option<Page>, StoreError> {
        let Some(page) = self.next else {
            return Ok(None);
        };
        let found = context.store().sessions_in(page).await?;
        pace.add(Pace::READ * u32::try_from(found.sessions.len()).unwrap_or(u32::MAX));
        let mut sessions = Vec::with_capacity(found.sessions.len());
        let mut unreadable = 0;
        for listed in found.sessions {
            if self.seen.insert(listed.key) {
                match visit(context, &listed, policy).await? {
                    Some(status) => sessions.push(Visited { listed, status }),
                    None => unreadable += 1,
                }
            }
        }
        self.next = found.next;
        pace.keep().await;
        Ok(Some(Page {
            sessions,
            unreadable,
        }))
    }
}

/// How many sessions of a page are changed at the same time.
const AT_ONCE: usize = 16;

/// Changes these sessions, each by `change`, which tells whether it did. Returns how many it did.
///
/// # Errors
///
/// That of the first change that failed. Others may have been carried out.
pub(crate) async fn change_each<F>(
    sessions: impl Iterator<Item = Visited>,
    pace: &mut Pace,
    change: impl Fn(Visited) -> F,
) -> Result<u64, StoreError>
where
    F: Future<Output = Result<bool, StoreError>>,
{
    let mut changes = stream::iter(sessions.map(change)).buffer_unordered(AT_ONCE);
    let mut changed = 0;
    while let Some(has_changed) = changes.next().await {
        if has_changed? {
            changed += 1;
            pace.add(Pace::WRITE);
        }
    }
    Ok(changed)
}

/// The result of a change, where a session of a newer version is left to it.
pub(crate) fn unless_newer(changed: Result<bool, StoreError>) -> Result<bool, StoreError> {
    match changed {
        Err(error) if error.kind() == StoreErrorKind::NewerFormat => Ok(false),
        changed => changed,
    }
}

/// What a session permits. `None` if it cannot be read.
async fn visit(
    context: &Context,
    listed: &Listed,
    policy: &Arc<Policy>,
) -> Result<Option<SessionStatus>, StoreError> {
    match SessionStatus::read(&listed.stored, policy) {
        Ok(status) => return Ok(Some(status)),
        Err(Unusable::Damaged) if listed.may_be_cut() => {}
        Err(_) => return Ok(None),
    }
    Ok(match context.load(&listed.key).await? {
        Loaded::Live(stored) => SessionStatus::read(&stored, policy).ok(),
        _ => None,
    })
}
