//! The policy of sessions: the limits of each class, and why they are what they are.
//!
//! A [`Policy`] is resolved: it holds for one environment, and each limit has one value. The layer
//! builds one from its settings. The crate `portcullis-policy` builds one from a document.

mod decision;
mod demand;
mod explain;
mod flagged;
mod history;
mod length;
mod tightening;

use std::{sync::Arc, time::Duration};

pub(crate) use self::history::Judged;
pub use self::{
    decision::{Decision, LimitName, LimitValue},
    demand::{Demand, DemandLimits, demand_name},
    explain::{ExplainedLimit, Explanation, Why},
    flagged::{FlaggedElevation, FlaggedLimits},
    history::{EndedByPolicy, PolicyVersion, Thresholds},
    length::{InvalidLength, length_text, parse_length},
};
pub use crate::class::is_name;
use crate::{
    ClassCode, RememberMe, Timeouts,
    store::{Limits, SessionLimit},
};

/// The limits of all sessions of a layer, by class.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(
    clippy::exhaustive_structs,
    reason = "whoever resolves a policy builds it whole"
)]
pub struct Policy {
    /// The digest of the document, by which audit records name it. `None` for what code sets.
    pub name: Option<Arc<str>>,
    /// The limits of sessions without a class. Sessions without a user also end at the limit of
    /// [`VisitorLimits`](crate::VisitorLimits).
    pub ordinary: ClassLimits,
    /// The limits of each declared class.
    pub classes: Vec<(ClassCode, ClassLimits)>,
    /// The limits of sessions that were used from another device since the last proof.
    pub flagged: FlaggedLimits,
    /// What each demand asks for, by its name, in addition to what code asks.
    pub demands: Vec<(Arc<str>, DemandLimits)>,
    /// The versions that were activated in the store, the one in force last. Empty for what code
    /// sets.
    pub versions: Vec<PolicyVersion>,
    /// The version that follows at a moment which is known: the end of a tightening. From then on,
    /// no session is judged by this policy's own limits.
    pub next_version: Option<PolicyVersion>,
    /// The longest absolute timeout of sessions that may have begun before, under other policies.
    pub longest_before: Duration,
}

/// The limits of the sessions of one class.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(
    clippy::exhaustive_structs,
    reason = "whoever resolves a policy builds it whole"
)]
pub struct ClassLimits {
    /// The timeouts.
    pub timeouts: Timeouts,
    /// The timeouts of remembered sign-ins. `None` if no sign-in can be remembered.
    pub remember_me: Option<RememberMe>,
    /// How many sessions of this class a user may have at once.
    pub session_limit: Option<SessionLimit>,
    /// Why each limit has its value.
    pub decisions: Vec<Decision>,
}

impl Policy {
    /// The policy with these limits for every session.
    pub fn of(ordinary: ClassLimits) -> Self {
        Self {
            name: None,
            ordinary,
            classes: Vec::new(),
            flagged: FlaggedLimits::default(),
            demands: Vec::new(),
            versions: Vec::new(),
            next_version: None,
            longest_before: Duration::ZERO,
        }
    }

    /// The limits of this class. `None` if it is not declared: see [`strictest`](Self::strictest).
    pub fn limits(&self, class: ClassCode) -> Option<&ClassLimits> {
        if class == ClassCode::NONE {
            return Some(&self.ordinary);
        }
        let mut classes = self.classes.iter();
        classes.find_map(|(code, limits)| (*code == class).then_some(limits))
    }

    /// The timeouts of this class. An unknown class gets the shortest of all.
    pub fn timeouts(&self, class: ClassCode) -> Timeouts {
        match self.limits(class) {
            Some(limits) => limits.timeouts,
            None => self.strictest(),
        }
    }

    /// The shortest of each timeout, over all classes.
    pub fn strictest(&self) -> Timeouts {
        let timeouts = self.all().map(|limits| limits.timeouts);
        timeouts.fold(self.ordinary.timeouts, Timeouts::stricter)
    }

    /// The longest absolute timeout of any session, also of those that began under other policies.
    pub fn longest(&self) -> Duration {
        let absolute = |limits: &ClassLimits| {
            let remembered = limits.remembered();
            remembered.unwrap_or_else(|| limits.limits()).absolute
        };
        let longest = self.all().map(absolute).max().unwrap_or_default();
        longest.max(self.longest_before)
    }

    /// What this demand asks for, if the policy adds to it.
    pub fn demand(&self, name: &str) -> Option<&DemandLimits> {
        let mut demands = self.demands.iter();
        demands.find_map(|(known, limits)| (**known == *name).then_some(limits))
    }

    fn all(&self) -> impl Iterator<Item = &ClassLimits> {
        let classes = self.classes.iter().map(|(_, limits)| limits);
        std::iter::once(&self.ordinary).chain(classes)
    }
}

impl ClassLimits {
    /// Limits with these timeouts, the default number of sessions, and no remembered sign-ins.
    pub fn new(timeouts: Timeouts) -> Self {
        Self {
            timeouts,
            remember_me: None,
            session_limit: Some(SessionLimit::default()),
            decisions: Vec::new(),
        }
    }

    /// The same limits, decided by this rule of the code.
    #[must_use]
    pub fn decided_by(mut self, rule: &str) -> Self {
        let Self {
            timeouts,
            remember_me,
            session_limit,
            ..
        } = &self;
        let lengths = [
            (LimitName::Idle, Some(timeouts.idle())),
            (LimitName::Absolute, Some(timeouts.absolute())),
            (LimitName::PrivilegedIdle, Some(timeouts.privileged_idle())),
            (LimitName::Elevation, Some(timeouts.elevation())),
            (
                LimitName::RememberIdle,
                remember_me.map(|limits| limits.idle()),
            ),
            (
                LimitName::RememberAbsolute,
                remember_me.map(|limits| limits.absolute()),
            ),
        ];
        let lengths = lengths
            .into_iter()
            .filter_map(|(limit, length)| Some((limit, LimitValue::Length(length?))));
        let most = session_limit.map(|limit| {
            let most = u32::try_from(limit.most.get()).unwrap_or(u32::MAX);
            (LimitName::Sessions, LimitValue::Count(most))
        });
        let decided = lengths.chain(most).map(|(limit, value)| Decision {
            limit,
            value,
            rule: rule.to_owned(),
            over: Vec::new(),
            caps: Vec::new(),
        });
        self.decisions = decided.collect();
        self
    }

    /// Why this limit has its value.
    pub fn decision(&self, limit: LimitName) -> Option<&Decision> {
        let mut decisions = self.decisions.iter();
        decisions.find(|decision| decision.limit == limit)
    }

    /// The limits with which an ordinary sign-in is stored.
    pub(crate) fn limits(&self) -> Limits {
        Limits {
            idle: self.timeouts.idle(),
            absolute: self.timeouts.absolute(),
        }
    }

    /// The limits with which a remembered sign-in is stored.
    pub(crate) fn remembered(&self) -> Option<Limits> {
        let remember_me = self.remember_me.as_ref()?;
        Some(remember_me.limits(&self.timeouts))
    }
}

impl Default for ClassLimits {
    fn default() -> Self {
        Self::new(Timeouts::default())
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self::of(ClassLimits::default())
    }
}
