//! What a change of the policy would do to live sessions.

use std::{collections::BTreeMap, num::NonZeroU64, sync::Arc};

use portcullis_core::{
    BUCKETS, Bucket, ClassCode, Policy, Timestamp,
    store::{RegisteredClass, StoreError},
};
use rand::seq::SliceRandom;

use crate::runtime::{
    context::Context,
    walk::{BucketWalk, Pace, Visited},
};

/// How many live sessions a change of the policy would end now.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct PolicyPlan {
    /// For each class that has live sessions. Those without a class come first.
    pub classes: Vec<PlannedClass>,
    /// Of those that would end, how many may have been used within the new limit. Activity is
    /// written in steps of at most a minute, so a session may end that much early.
    pub perhaps_in_use: u64,
    /// Sessions that an earlier version has ended, but that are still stored. They are not counted
    /// in the classes.
    pub ended_before: u64,
    /// Sessions that cannot be read. They stay as they are.
    pub unreadable: u64,
}

/// The sessions of a class in a [`PolicyPlan`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PlannedClass {
    /// The name of the class. `None` for sessions without a class. For an unregistered class, its
    /// character.
    pub class: Option<String>,
    /// How many sessions are live.
    pub sessions: u64,
    /// How many of them would end.
    pub ends: u64,
}

/// An estimate from some of the sessions.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct PlanSample {
    /// How many sessions were counted, in randomly chosen buckets.
    pub counted: u64,
    /// How many sessions would end, as an estimate.
    pub ends: u64,
    /// The interval that contains the number of sessions that would end in 95 of 100 samples.
    pub interval: (u64, u64),
}

impl PolicyPlan {
    /// How many sessions were counted.
    pub fn sessions(&self) -> u64 {
        self.classes.iter().map(|class| class.sessions).sum()
    }

    /// How many sessions would end.
    pub fn ends(&self) -> u64 {
        self.classes.iter().map(|class| class.ends).sum()
    }
}

/// The sessions counted so far.
#[derive(Default)]
struct Count {
    /// Of each class, how many are live and how many would end.
    classes: BTreeMap<ClassCode, (u64, u64)>,
    plan: PolicyPlan,
}

/// A change to be counted: the policy as it would be, and when it would be activated.
pub(super) struct Candidate {
    pub(super) policy: Arc<Policy>,
    pub(super) number: u64,
    pub(super) at: Timestamp,
}

impl Count {
    async fn bucket(
        &mut self,
        bucket: Bucket,
        (context, candidate): (&Context, &Candidate),
        pace: &mut Pace,
    ) -> Result<(), StoreError> {
        let mut walk = BucketWalk::new(bucket);
        while let Some(page) = walk.next(context, &candidate.policy, pace).await? {
            self.plan.unreadable += page.unreadable;
            for visited in &page.sessions {
                self.add(visited, candidate);
            }
        }
        Ok(())
    }

    fn add(&mut self, visited: &Visited, candidate: &Candidate) {
        let Visited { listed, status } = visited;
        let ended = status.ended_by_policy(candidate.at);
        if ended.is_some_and(|ended| ended.version != candidate.number) {
            self.plan.ended_before += 1;
            return;
        }
        let class = self.classes.entry(status.meta().class).or_default();
        class.0 += 1;
        if ended.is_some() {
            class.1 += 1;
            let used_until = listed.stored.timing.perhaps_active_until();
            let perhaps = status.would_live_if_active_at(used_until, candidate.at);
            self.plan.perhaps_in_use += u64::from(perhaps);
        }
    }

    fn finish(self, classes: &[RegisteredClass]) -> PolicyPlan {
        let counted = self.classes.into_iter();
        let counted = counted.map(|(code, (sessions, ends))| PlannedClass {
            class: class_name(classes, code),
            sessions,
            ends,
        });
        PolicyPlan {
            classes: counted.collect(),
            ..self.plan
        }
    }
}

/// The name of a class. For an unregistered class it is its character.
pub(super) fn class_name(classes: &[RegisteredClass], code: ClassCode) -> Option<String> {
    let known = classes.iter().find(|class| class.code == code);
    let unknown = || code.as_char().to_string();
    let name = known.map_or_else(unknown, |class| class.name.to_string());
    (code != ClassCode::NONE).then_some(name)
}

/// Counts all live sessions.
pub(super) async fn count(
    context: &Context,
    candidate: &Candidate,
    classes: &[RegisteredClass],
) -> Result<PolicyPlan, StoreError> {
    let (mut count, mut pace) = (Count::default(), Pace::new());
    for bucket in Bucket::all() {
        count
            .bucket(bucket, (context, candidate), &mut pace)
            .await?;
    }
    Ok(count.finish(classes))
}

/// The fewest buckets of a sample. Below that, the interval is not to be trusted.
const FEWEST_BUCKETS: usize = 30;

/// Counts at least this many sessions, in buckets chosen at random.
pub(super) async fn sample(
    context: &Context,
    candidate: &Candidate,
    least: NonZeroU64,
) -> Result<PlanSample, StoreError> {
    let mut pace = Pace::new();
    let (mut counted, mut ends) = (0, Vec::new());
    let mut buckets: Vec<_> = Bucket::all().collect();
    buckets.shuffle(&mut rand::rng());
    for bucket in buckets {
        let mut count = Count::default();
        count
            .bucket(bucket, (context, candidate), &mut pace)
            .await?;
        let sums = count.classes.values();
        let (sessions, ending) = sums.fold((0, 0), |sum, it| (sum.0 + it.0, sum.1 + it.1));
        counted += sessions;
        ends.push(ending);
        if counted >= least.get() && ends.len() >= FEWEST_BUCKETS {
            break;
        }
    }
    Ok(estimate(counted, &ends))
}

/// The estimate from the number of sessions that would end in each counted bucket.
///
/// Buckets are drawn without replacement, and sessions of a user share one. So the bucket is the
/// unit of the sample (Cochran, *Sampling Techniques*, 1977, 2.5–2.8).
fn estimate(counted: u64, ends: &[u64]) -> PlanSample {
    let (drawn, all) = (ends.len().max(1) as f64, f64::from(BUCKETS));
    let sum: u64 = ends.iter().sum();
    let mean = sum as f64 / drawn;
    let squares: f64 = ends.iter().map(|it| (*it as f64 - mean).powi(2)).sum();
    let variance = squares / (drawn - 1.0).max(1.0);
    let error = all * (variance / drawn * (1.0 - drawn / all).max(0.0)).sqrt();
    let total = all * mean;
    // Where none was found, up to three in as many sessions may have been missed.
    let missed = match sum {
        0 if drawn < all => 3.0 * all / drawn,
        _ => 0.0,
    };
    let low = (total - 1.96 * error).max(sum as f64);
    let high = (total + 1.96 * error).max(missed);
    PlanSample {
        counted,
        ends: total.round() as u64,
        interval: (low.floor() as u64, high.ceil() as u64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_estimate_from_all_buckets_is_exact() {
        let ends: Vec<_> = (0..u64::from(BUCKETS)).collect();
        let sum: u64 = ends.iter().sum();
        let all = estimate(9000, &ends);
        assert_eq!((all.ends, all.interval), (sum, (sum, sum)));
    }

    #[test]
    fn an_interval_contains_the_truth_and_shrinks_with_the_sample() {
        // Every eighth bucket has eight sessions that would end.
        let ends = |count: usize| (0..count).map(|at| if at % 8 == 0 { 8 } else { 0 });
        let of = |count| estimate(0, &ends(count).collect::<Vec<_>>()).interval;
        for count in [32, 128, 512] {
            let (low, high) = of(count);
            assert!((low..=high).contains(&1024), "{count}: {low} to {high}");
        }
        let width = |count| of(count).1 - of(count).0;
        assert!(width(512) < width(128) && width(128) < width(32));
    }

    #[test]
    fn where_no_session_would_end_some_may_have_been_missed() {
        let none = estimate(100, &[0; 32]);
        assert_eq!((none.ends, none.interval), (0, (0, 96)));
    }
}
