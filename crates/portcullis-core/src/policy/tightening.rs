//! A policy whose limits are shortened for a time.

use super::{ClassLimits, Decision, LimitName, LimitValue, Policy, PolicyVersion, Thresholds};
use crate::{Timeouts, store::Limits};

/// The rule that explanations name for a limit that was shortened for a time.
const RULE: &str = "tightened for a time";

impl Policy {
    /// The same policy with no limit longer than these.
    #[must_use]
    pub fn tightened(&self, by: &Timeouts) -> Self {
        let classes = self.classes.iter();
        let classes = classes.map(|(code, limits)| (*code, limits.tightened(by)));
        Self {
            ordinary: self.ordinary.tightened(by),
            classes: classes.collect(),
            ..self.clone()
        }
    }
}

impl ClassLimits {
    fn tightened(&self, by: &Timeouts) -> Self {
        let decisions = self.decisions.iter();
        Self {
            timeouts: self.timeouts.stricter(*by),
            remember_me: self.remember_me.map(|limits| limits.stricter(by)),
            session_limit: self.session_limit,
            decisions: decisions.map(|decision| decision.tightened(by)).collect(),
        }
    }
}

impl Decision {
    fn tightened(&self, by: &Timeouts) -> Self {
        let most = match self.limit {
            LimitName::Idle | LimitName::RememberIdle => by.idle(),
            LimitName::Absolute | LimitName::RememberAbsolute => by.absolute(),
            LimitName::PrivilegedIdle => by.privileged_idle(),
            LimitName::Elevation => by.elevation(),
            _ => return self.clone(),
        };
        let most = LimitValue::Length(most);
        if self.value.amount() <= most.amount() {
            return self.clone();
        }
        let decided = (self.rule.clone(), self.value);
        Self {
            limit: self.limit,
            value: most,
            rule: RULE.to_owned(),
            over: std::iter::once(decided)
                .chain(self.over.iter().cloned())
                .collect(),
            caps: self.caps.clone(),
        }
    }
}

impl PolicyVersion {
    /// The same version with no limit longer than these.
    #[must_use]
    pub fn tightened(&self, by: &Timeouts) -> Self {
        let classes = self.classes.iter();
        let classes = classes.map(|(code, limits)| (*code, limits.tightened(by)));
        Self {
            ordinary: self.ordinary.tightened(by),
            classes: classes.collect(),
            ..self.clone()
        }
    }
}

impl Thresholds {
    fn tightened(self, by: &Timeouts) -> Self {
        let shorter = |limits: Limits| Limits {
            idle: limits.idle.min(by.idle()),
            absolute: limits.absolute.min(by.absolute()),
        };
        Self {
            ordinary: shorter(self.ordinary),
            remembered: self.remembered.map(shorter),
            privileged_idle: self.privileged_idle.min(by.privileged_idle()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{ClassCode, RememberMe, Timestamp};

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn no_limit_is_longer_than_what_a_policy_is_tightened_to() {
        let by = Timeouts::new(5 * MINUTE, 60 * MINUTE).unwrap();
        let by = by.with_privileged_idle(MINUTE).unwrap();
        let mut long = ClassLimits::new(Timeouts::default()).decided_by("code");
        long.remember_me = Some(RememberMe::default());
        let short = ClassLimits::new(Timeouts::new(MINUTE, 10 * MINUTE).unwrap());
        let mut policy = Policy::of(long);
        let admin = ClassCode::from_char('a').unwrap();
        policy.classes.push((admin, short.clone()));
        let tightened = policy.tightened(&by);
        assert_eq!(tightened.ordinary.timeouts.idle(), 5 * MINUTE);
        assert_eq!(tightened.ordinary.timeouts.privileged_idle(), MINUTE);
        let remembered = tightened.ordinary.remembered().unwrap();
        assert_eq!(remembered.idle, 5 * MINUTE);
        assert_eq!(remembered.absolute, 60 * MINUTE);
        let idle = tightened.ordinary.decision(LimitName::Idle).unwrap();
        assert_eq!(
            (idle.rule.as_str(), idle.over[0].0.as_str()),
            (RULE, "code")
        );
        let admin = tightened.timeouts(admin);
        assert_eq!(admin.idle(), MINUTE, "what is shorter stays");
        let version = PolicyVersion::new(&policy, 1, Timestamp::from_millis(0));
        let of_tightened = PolicyVersion::new(&tightened, 1, Timestamp::from_millis(0));
        assert_eq!(version.tightened(&by), of_tightened);
    }
}
