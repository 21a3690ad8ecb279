//! The limits that code sets: the policy of a layer without a document.

use portcullis_core::{
    Class, Policy, RememberMe, Timeouts, policy::ClassLimits, store::SessionLimit,
};

/// The limits that code sets.
#[derive(Debug, Clone)]
pub(crate) struct OwnLimits {
    pub(crate) timeouts: Timeouts,
    pub(crate) remember_me: Option<RememberMe>,
    pub(crate) session_limit: Option<SessionLimit>,
    /// The timeouts of classes that have their own.
    pub(crate) classes: Vec<(Class, Timeouts)>,
}

impl Default for OwnLimits {
    fn default() -> Self {
        Self {
            timeouts: Timeouts::default(),
            remember_me: None,
            session_limit: Some(SessionLimit::default()),
            classes: Vec::new(),
        }
    }
}

impl OwnLimits {
    /// The policy of these limits, for the declared classes.
    pub(crate) fn policy(&self, declared: &[Class]) -> Policy {
        let classes = declared.iter();
        let classes = classes.map(|class| (class.code(), self.of_class(*class)));
        Policy {
            classes: classes.collect(),
            ..Policy::of(self.ordinary())
        }
    }

    fn ordinary(&self) -> ClassLimits {
        let limits = ClassLimits {
            remember_me: self.remember_me,
            session_limit: self.session_limit,
            ..ClassLimits::new(self.timeouts)
        };
        limits.decided_by("SessionLayer::timeouts")
    }

    /// A class with timeouts of its own remembers no sign-in: the limits of remembered sign-ins
    /// would exceed them.
    fn of_class(&self, class: Class) -> ClassLimits {
        let mut own = self.classes.iter();
        let Some((_, timeouts)) = own.find(|(other, _)| *other == class) else {
            return self.ordinary();
        };
        let limits = ClassLimits {
            session_limit: self.session_limit,
            ..ClassLimits::new(*timeouts)
        };
        limits.decided_by("SessionLayer::class_timeouts")
    }
}
