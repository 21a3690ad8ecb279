//! The versions of a policy, and which sessions they have ended.
//!
//! A version holds from the moment at which it is activated to the moment of the next one. A
//! session ends if it exceeds a limit of some version while that version is in force. So a
//! tightening holds at once, and a later version revives nothing. A looser version applies from the
//! next activity, or from the next authentication.

use std::time::Duration;

use super::{ClassLimits, Policy};
use crate::{ClassCode, Timestamp, store::Limits};

/// A version of the policy of a realm: since when it is in force, and the limits that end
/// sessions.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(
    clippy::exhaustive_structs,
    reason = "whoever resolves a policy builds it whole"
)]
pub struct PolicyVersion {
    /// Its number. Each version has a higher one than those before.
    pub number: u64,
    /// When it was activated, on the store's clock.
    pub since: Timestamp,
    /// The limits of sessions of no class, and of visitors.
    pub ordinary: Thresholds,
    /// The limits of each class. An unknown class has the shortest of all.
    pub classes: Vec<(ClassCode, Thresholds)>,
    /// The idle timeout of flagged sessions, if they have their own.
    pub flagged_idle: Option<Duration>,
}

/// The limits of a class that end sessions and privileges. Whole milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(
    clippy::exhaustive_structs,
    reason = "whoever resolves a policy builds it whole"
)]
pub struct Thresholds {
    /// Of sessions that are not remembered.
    pub ordinary: Limits,
    /// Of remembered sessions. Without it, the ordinary limits hold for them.
    pub remembered: Option<Limits>,
    /// The privileged idle timeout.
    pub privileged_idle: Duration,
}

/// What decides whether a version has ended a session.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Judged {
    pub(crate) class: ClassCode,
    pub(crate) is_remembered: bool,
    pub(crate) is_flagged: bool,
    /// The authentication, or the beginning of a session without a user.
    pub(crate) began: Timestamp,
    pub(crate) last_active_at: Timestamp,
}

/// A version that has ended a session, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct EndedByPolicy {
    /// The number of the version.
    pub version: u64,
    /// When the session ended.
    pub at: Timestamp,
    /// Whether it exceeded a limit when the version was activated, and not only later.
    pub at_activation: bool,
}

impl From<&ClassLimits> for Thresholds {
    fn from(limits: &ClassLimits) -> Self {
        Self {
            ordinary: limits.limits(),
            remembered: limits.remembered(),
            privileged_idle: limits.timeouts.privileged_idle(),
        }
    }
}

impl Thresholds {
    fn limits(&self, is_remembered: bool) -> Limits {
        let remembered = self.remembered.filter(|_| is_remembered);
        remembered.unwrap_or(self.ordinary)
    }

    /// The shorter of each.
    fn stricter(self, other: Self) -> Self {
        let shorter = |one: Limits, other: Limits| Limits {
            idle: one.idle.min(other.idle),
            absolute: one.absolute.min(other.absolute),
        };
        Self {
            ordinary: shorter(self.ordinary, other.ordinary),
            remembered: match (self.remembered, other.remembered) {
                (Some(one), Some(other)) => Some(shorter(one, other)),
                _ => None,
            },
            privileged_idle: self.privileged_idle.min(other.privileged_idle),
        }
    }
}

impl PolicyVersion {
    /// The version with this number, which gives a policy these limits.
    pub fn new(policy: &Policy, number: u64, since: Timestamp) -> Self {
        let classes = policy.classes.iter();
        let classes = classes.map(|(code, limits)| (*code, Thresholds::from(limits)));
        Self {
            number,
            since,
            ordinary: Thresholds::from(&policy.ordinary),
            classes: classes.collect(),
            flagged_idle: policy.flagged.idle,
        }
    }

    fn thresholds(&self, class: ClassCode) -> Thresholds {
        if class == ClassCode::NONE {
            return self.ordinary;
        }
        let mut classes = self.classes.iter();
        let known = classes.find_map(|(code, limits)| (*code == class).then_some(*limits));
        known.unwrap_or_else(|| {
            let classes = self.classes.iter().map(|(_, limits)| *limits);
            classes.fold(self.ordinary, Thresholds::stricter)
        })
    }

    /// The limits of a session.
    pub(crate) fn limits(&self, session: &Judged) -> Limits {
        let limits = self.thresholds(session.class).limits(session.is_remembered);
        let flagged = self.flagged_idle.filter(|_| session.is_flagged);
        Limits {
            idle: flagged.map_or(limits.idle, |idle| idle.min(limits.idle)),
            ..limits
        }
    }

    /// When a session ends if this version stays in force and there is no further activity.
    fn ends(&self, session: &Judged) -> Timestamp {
        let limits = self.limits(session);
        let idle = session.last_active_at.after(limits.idle);
        idle.min(session.began.after(limits.absolute))
            .max(self.since)
    }
}

/// The first of these versions for which something ended while the version was in force, at `now`
/// or before.
fn first_ended<'v>(
    versions: impl Iterator<Item = &'v PolicyVersion> + Clone,
    ends: impl Fn(&PolicyVersion) -> Timestamp,
    now: Timestamp,
) -> Option<EndedByPolicy> {
    let nexts = versions.clone().skip(1).map(|next| Some(next.since));
    versions
        .zip(nexts.chain([None]))
        .find_map(|(version, next)| {
            let at = ends(version);
            let in_force = next.is_none_or(|next| at < next);
            (in_force && at <= now).then_some(EndedByPolicy {
                version: version.number,
                at,
                at_activation: at == version.since,
            })
        })
}

impl Policy {
    /// The version in force, if the policy was activated in the store.
    pub fn version(&self) -> Option<&PolicyVersion> {
        self.versions.last()
    }

    /// The version that has ended a session, if one has.
    pub(crate) fn has_ended(&self, session: &Judged, now: Timestamp) -> Option<EndedByPolicy> {
        first_ended(self.history(), |version| version.ends(session), now)
    }

    /// All versions, and the one that follows.
    fn history(&self) -> impl Iterator<Item = &PolicyVersion> + Clone {
        self.versions.iter().chain(&self.next_version)
    }

    /// Whether another version has followed by itself, so that the limits of this policy no longer
    /// hold.
    pub fn is_over(&self, now: Timestamp) -> bool {
        let next = self.next_version.as_ref();
        next.is_some_and(|next| next.since <= now)
    }

    /// The version that has ended the privileges of a session of this class, whose last privileged
    /// activity was at `privileged_at`, if one has.
    pub fn has_ended_privileges(
        &self,
        class: ClassCode,
        privileged_at: Timestamp,
        now: Timestamp,
    ) -> Option<EndedByPolicy> {
        let ends = |version: &PolicyVersion| {
            let idle = version.thresholds(class).privileged_idle;
            privileged_at.after(idle).max(version.since)
        };
        first_ended(self.history(), ends, now)
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, option, prelude::*};

    use super::*;
    use crate::Timeouts;

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn thresholds(idle: u64, absolute: u64) -> Thresholds {
        Thresholds {
            ordinary: Limits {
                idle: ms(idle),
                absolute: ms(absolute),
            },
            remembered: None,
            privileged_idle: ms(idle),
        }
    }

    fn version(number: u64, since: u64, idle: u64, absolute: u64) -> PolicyVersion {
        PolicyVersion {
            number,
            since: at(since),
            ordinary: thresholds(idle, absolute),
            classes: Vec::new(),
            flagged_idle: None,
        }
    }

    fn policy(versions: Vec<PolicyVersion>) -> Policy {
        Policy {
            versions,
            ..Policy::default()
        }
    }

    fn session(began: u64, last_active: u64) -> Judged {
        Judged {
            class: ClassCode::NONE,
            is_remembered: false,
            is_flagged: false,
            began: at(began),
            last_active_at: at(last_active),
        }
    }

    fn ended(policy: &Policy, session: &Judged, now: u64) -> Option<(u64, u64)> {
        let ended = policy.has_ended(session, at(now))?;
        Some((ended.version, ended.at.as_millis()))
    }

    #[test]
    fn p09_a_tightening_ends_what_is_idle_for_longer_at_its_moment() {
        let policy = policy(vec![version(1, 100, 60, 1000), version(2, 200, 15, 1000)]);
        assert_eq!(ended(&policy, &session(150, 180), 199), None);
        assert_eq!(ended(&policy, &session(150, 180), 200), Some((2, 200)));
        assert_eq!(ended(&policy, &session(150, 190), 204), None);
        assert_eq!(ended(&policy, &session(150, 190), 205), Some((2, 205)));
    }

    #[test]
    fn p10_a_later_loosening_revives_nothing() {
        let policy = policy(vec![
            version(1, 100, 60, 1000),
            version(2, 200, 15, 1000),
            version(3, 205, 60, 1000),
        ]);
        assert_eq!(ended(&policy, &session(150, 175), 206), Some((2, 200)));
        assert_eq!(ended(&policy, &session(150, 190), 206), None);
        // It was used after the tightening, by a process that did not know of it yet.
        assert_eq!(ended(&policy, &session(150, 202), 206), None);
    }

    #[test]
    fn p12_an_absolute_timeout_counts_from_the_authentication() {
        let policy = policy(vec![version(1, 100, 60, 240), version(2, 200, 60, 80)]);
        assert_eq!(ended(&policy, &session(101, 200), 200), Some((2, 200)));
        assert_eq!(ended(&policy, &session(150, 220), 229), None);
        assert_eq!(ended(&policy, &session(150, 220), 230), Some((2, 230)));
    }

    #[test]
    fn an_unknown_class_has_the_shortest_of_all_limits() {
        let mut strict = version(1, 100, 60, 1000);
        let admin = ClassCode::from_char('a').unwrap();
        strict.classes.push((admin, thresholds(15, 500)));
        let policy = policy(vec![strict]);
        let unknown = Judged {
            class: ClassCode::from_char('x').unwrap(),
            ..session(150, 150)
        };
        assert_eq!(ended(&policy, &unknown, 165), Some((1, 165)));
        assert_eq!(ended(&policy, &session(150, 150), 165), None);
    }

    #[test]
    fn a_remembered_session_has_its_own_limits_while_a_version_has_them() {
        let remembering = Thresholds {
            remembered: Some(thresholds(500, 900).ordinary),
            ..thresholds(10, 20)
        };
        let mut first = version(1, 100, 10, 20);
        first.ordinary = remembering;
        let policy = policy(vec![first, version(2, 300, 10, 20)]);
        let remembered = Judged {
            is_remembered: true,
            ..session(150, 150)
        };
        assert_eq!(ended(&policy, &remembered, 299), None);
        assert_eq!(ended(&policy, &remembered, 300), Some((2, 300)));
    }

    #[test]
    fn a_flagged_session_has_the_shorter_idle_timeout() {
        let mut first = version(1, 100, 60, 1000);
        first.flagged_idle = Some(ms(5));
        let policy = policy(vec![first]);
        let flagged = Judged {
            is_flagged: true,
            ..session(150, 150)
        };
        assert_eq!(ended(&policy, &flagged, 155), Some((1, 155)));
    }

    #[test]
    fn a_policy_that_was_not_activated_ends_nothing() {
        assert_eq!(ended(&Policy::default(), &session(0, 0), u64::MAX), None);
    }

    #[test]
    fn lost_privileges_are_not_restored_by_a_later_version() {
        let policy = policy(vec![
            version(1, 100, 60, 1000),
            version(2, 200, 15, 1000),
            version(3, 205, 60, 1000),
        ]);
        let lost = |privileged, now| {
            policy
                .has_ended_privileges(ClassCode::NONE, at(privileged), at(now))
                .is_some()
        };
        assert!(lost(180, 206));
        assert!(!lost(190, 206));
    }

    #[test]
    fn a_version_has_the_limits_of_its_policy() {
        let timeouts = Timeouts::new(ms(60_000), ms(600_000)).unwrap();
        let policy = Policy::of(ClassLimits::new(timeouts));
        let version = PolicyVersion::new(&policy, 7, at(5));
        assert_eq!(version.ordinary.ordinary.idle, ms(60_000));
        assert_eq!(version.ordinary.ordinary.absolute, ms(600_000));
    }

    proptest! {
        /// The rule, against one that looks at every millisecond.
        #[test]
        fn a_session_ends_at_the_first_moment_that_exceeds_a_limit_in_force(
            lengths in vec((1_u64..20, 1_u64..30, 1_u64..30), 1..6),
            began in 0_u64..40,
            since in 0_u64..20,
            after in 0_u64..80,
            unknown in option::of(0_u64..1),
        ) {
            let mut from = 0;
            let versions = lengths.iter().enumerate().map(|(place, (gap, idle, absolute))| {
                from += gap;
                version(place as u64 + 1, from, *idle, *absolute)
            });
            let versions: Vec<_> = versions.collect();
            let mut session = session(began, began + since);
            if unknown.is_some() {
                session.class = ClassCode::from_char('x').unwrap();
            }
            let now = began + since + after;
            let in_force = |moment: u64| versions.iter().rfind(|version| version.since <= at(moment));
            // Before the last activity, a session cannot have been idle for too long.
            let exceeded = (began..=now).find_map(|moment| {
                let version = in_force(moment)?;
                let limits = version.ordinary.ordinary;
                let idle = moment >= began + since
                    && at(moment) >= session.last_active_at.after(limits.idle);
                let absolute = at(moment) >= session.began.after(limits.absolute);
                (idle || absolute).then_some((version.number, moment))
            });
            let policy = policy(versions);
            prop_assert_eq!(ended(&policy, &session, now), exceeded);
        }

        /// Adding a version never revives a session.
        #[test]
        fn what_has_ended_stays_ended_whatever_is_activated_later(
            lengths in vec((1_u64..20, 1_u64..30, 1_u64..30), 2..6),
            (began, since, after) in (0_u64..40, 0_u64..20, 0_u64..80),
        ) {
            let mut from = 0;
            let versions = lengths.iter().enumerate().map(|(place, (gap, idle, absolute))| {
                from += gap;
                version(place as u64 + 1, from, *idle, *absolute)
            });
            let versions: Vec<_> = versions.collect();
            let (session, now) = (session(began, began + since), began + since + after);
            let next = versions.last().unwrap().since.as_millis();
            let before = policy(versions.split_last().unwrap().1.to_vec());
            if let Some(end) = ended(&before, &session, now.min(next.saturating_sub(1))) {
                prop_assert_eq!(ended(&policy(versions), &session, now.max(next)), Some(end));
            }
        }
    }
}
