//! Applies the active policy to stored sessions that nobody uses: ends those that it has ended, and
//! writes a shorter idle timeout to the others.
//!
//! Requests do not depend on it. It completes the log, the lists and the limits of sessions.

use std::{
    convert::Infallible,
    sync::{Arc, Weak},
    time::Duration,
};

use portcullis_core::{
    BUCKETS, Bucket, Policy, Timestamp,
    store::{Activity, SettlePolicy, Settling, StoreError, Touch},
};
use tokio::{runtime::Handle as Runtime, sync::oneshot, time};

use crate::runtime::{
    context::Context,
    ending::end_one,
    jitter::jitter,
    live_policy::{FRESH_FOR, process_name},
    task::{Alive, has_timers},
    walk::{BucketWalk, Pace, Visited, change_each, unless_newer},
};

/// How long after its activation a version is settled. By then every process judges by it, so none
/// serves a session that it has ended.
pub(crate) const SETTLES_AFTER: Duration = FRESH_FOR.saturating_add(Duration::from_millis(500));

/// How often a process looks whether there is something to settle.
const LOOKS_EVERY: Duration = Duration::from_secs(5);

/// How often sessions are settled again. Absolute deadlines are never rewritten, so sessions reach
/// a shorter absolute timeout later.
const AGAIN_AFTER: Duration = Duration::from_secs(60 * 60);

/// How many buckets are settled before the store is told.
const BUCKETS_A_STEP: u16 = 8;

/// How far the settling of a version is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// All sessions are settled, since this moment.
    Done(Timestamp),
    /// Another process settles them.
    Elsewhere,
    /// A later version is active, or this one is too young, or its tightening has ended.
    NotNow,
}

/// Settles sessions under one policy.
pub(crate) struct Settler<'c> {
    context: &'c Context,
    policy: &'c Arc<Policy>,
    worker: &'c str,
    /// Whether to settle again those that reach a limit later.
    again: bool,
}

impl<'c> Settler<'c> {
    pub(crate) fn new(context: &'c Context, policy: &'c Arc<Policy>, worker: &'c str) -> Self {
        Self {
            context,
            policy,
            worker,
            again: false,
        }
    }

    /// Takes the turn and settles all buckets, as long as this process has it.
    ///
    /// # Errors
    ///
    /// [`StoreError`]: what was settled stays, and another call goes on there.
    pub(crate) async fn run(&self) -> Result<Progress, StoreError> {
        let Some(version) = self.policy.version() else {
            return Ok(Progress::NotNow);
        };
        let now = self.context.now();
        if now < version.since.after(SETTLES_AFTER) {
            return Ok(Progress::NotNow);
        }
        // After the longest lifetime, every session has begun under this version.
        let again = self.again && now < version.since.after(self.policy.longest());
        let mut done = 0;
        loop {
            // The end of a tightening is settled by another call, under the limits from then on.
            if self.policy.is_over(self.context.now()) {
                return Ok(Progress::NotNow);
            }
            let settle = SettlePolicy::new(version.number, self.worker, done);
            let settle = settle.again_after(again.then_some(AGAIN_AFTER));
            match self.context.store().settle_policy(settle).await? {
                Settling::Yours(bucket) => done = self.step(bucket).await?,
                Settling::Others(_) => return Ok(Progress::Elsewhere),
                Settling::Done(at) => return Ok(Progress::Done(at)),
                Settling::Superseded => return Ok(Progress::NotNow),
            }
        }
    }

    /// Settles some buckets from this one on. Returns how many are done.
    async fn step(&self, from: Bucket) -> Result<u16, StoreError> {
        let mut pace = Pace::new();
        let begun = time::Instant::now();
        let last = (from.number() + BUCKETS_A_STEP).min(BUCKETS);
        for number in from.number()..last {
            if let Some(bucket) = Bucket::from_number(number) {
                self.bucket(bucket, &mut pace).await?;
            }
            // The turn is asked for again before it ends.
            if begun.elapsed() > SettlePolicy::TURN / 5 {
                return Ok(number + 1);
            }
        }
        Ok(last)
    }

    async fn bucket(&self, bucket: Bucket, pace: &mut Pace) -> Result<(), StoreError> {
        let mut walk = BucketWalk::new(bucket);
        while let Some(page) = walk.next(self.context, self.policy, pace).await? {
            let sessions = page.sessions.into_iter();
            change_each(sessions, pace, |visited| self.settle(visited)).await?;
        }
        Ok(())
    }

    /// Ends a session or shortens its idle timeout, if the policy says so. Returns whether it did.
    async fn settle(&self, visited: Visited) -> Result<bool, StoreError> {
        let Visited { listed, status } = visited;
        unless_newer(match status.end_by_policy(listed.key, self.context.now()) {
            Some(end) => end_one(self.context, end).await,
            None => match status.shortened(&listed.stored.timing) {
                // A tightening that ended during the walk shortens no session any more.
                Some(idle) if !self.policy.is_over(self.context.now()) => {
                    let meta = status.meta();
                    let touch = Touch::new(&listed.key, &meta, Activity::Passive);
                    let touch = touch.idle_timeout(Some(idle));
                    self.context.store().touch(touch).await.map(|_| true)
                }
                _ => Ok(false),
            },
        })
    }
}

/// Starts the task that settles in the background. It does not keep the store alive, and ends when
/// the returned value is dropped.
pub(crate) fn start(runtime: &Runtime, context: Weak<Context>) -> Alive {
    let (alive, dropped) = oneshot::channel();
    runtime.spawn(run(context, dropped));
    alive
}

async fn run(context: Weak<Context>, mut dropped: oneshot::Receiver<Infallible>) {
    if !has_timers() {
        return;
    }
    let worker = process_name();
    let mut fails = false;
    // The version that is done, until when nothing is left to do.
    let mut settled: Option<(u64, Timestamp)> = None;
    loop {
        // Servers that were started together do not ask together.
        let pause = LOOKS_EVERY.mul_f64(0.75 + jitter() / 2.0);
        if time::timeout(pause, &mut dropped).await.is_ok() {
            return;
        }
        let Some(context) = context.upgrade() else {
            return;
        };
        let Some(policy) = context.policy.get(context.now()) else {
            continue;
        };
        let number = policy.version().map(|version| version.number);
        let now = context.now();
        if settled.is_some_and(|(version, until)| Some(version) == number && now < until) {
            continue;
        }
        let settler = Settler {
            again: true,
            ..Settler::new(&context, &policy, &worker)
        };
        let progress = tokio::select! {
            progress = settler.run() => progress,
            _ = &mut dropped => return,
        };
        match progress {
            Ok(Progress::Done(at)) => {
                settled = number.map(|number| (number, at.after(AGAIN_AFTER)));
            }
            Ok(Progress::Elsewhere | Progress::NotNow) => {}
            Err(error) if !fails => {
                tracing::warn!(%error, "sessions that a policy has ended could not be settled; this is tried again");
                fails = true;
                continue;
            }
            Err(_) => continue,
        }
        fails = false;
    }
}
