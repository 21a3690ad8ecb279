//! What a live connection requires of its session, as its guard did.

use portcullis_core::{
    EndReason, Timestamp, UserId, policy::DemandLimits, unit_of_work::SessionStatus,
};

use crate::reject::connection_ended::ConnectionEnded;

/// The conditions that a session must keep meeting.
#[derive(Debug, Clone, Default)]
pub(crate) struct Requirement {
    /// It is bound to this user.
    pub(crate) user: Option<UserId>,
    /// It meets this demand.
    pub(crate) demand: Option<DemandLimits>,
    /// It was not used from another device since its user last proved their identity.
    pub(crate) trust: bool,
}

impl Requirement {
    /// Why the connection of a live session must end, if the session does not meet a condition.
    pub(crate) fn unmet(&self, status: &SessionStatus, now: Timestamp) -> Option<ConnectionEnded> {
        if self.user.is_some() && self.user.as_ref() != status.user() {
            return Some(ConnectionEnded::Session(Some(EndReason::ReplacedAtSignIn)));
        }
        let distrusted = self.trust && status.flagged().is_some();
        let demand = self.demand.as_ref();
        let is_unmet = demand.is_some_and(|demand| {
            let until = status.meets_until(demand);
            until.is_none_or(|until| until <= now)
        });
        (distrusted || is_unmet).then_some(ConnectionEnded::Elevation)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{super::samples::*, *};

    const MINUTE: Duration = Duration::from_secs(60);

    fn requirement(user: Option<&str>, scope: Option<&'static str>) -> Requirement {
        Requirement {
            user: user.map(UserId::from),
            demand: scope.map(|scope| DemandLimits {
                scope: Some(scope.into()),
                ..DemandLimits::default()
            }),
            trust: false,
        }
    }

    #[test]
    fn s065_the_conditions_of_the_guard_must_stay_true() {
        let (anonymous, alice) = (session(None, None), session(Some("alice"), None));
        let elevated = session(Some("alice"), Some("payments"));
        let other = Some(ConnectionEnded::Session(Some(EndReason::ReplacedAtSignIn)));
        for (user, scope, session, expected) in [
            (None, None, &anonymous, None),
            (None, None, &alice, None),
            (Some("alice"), None, &alice, None),
            (Some("alice"), None, &anonymous, other),
            (Some("bob"), None, &alice, other),
            (Some("alice"), Some("payments"), &elevated, None),
            (
                Some("alice"),
                Some("payments"),
                &alice,
                Some(ConnectionEnded::Elevation),
            ),
            (
                Some("alice"),
                Some("general"),
                &elevated,
                Some(ConnectionEnded::Elevation),
            ),
            (Some("bob"), Some("payments"), &elevated, other),
        ] {
            let end = requirement(user, scope).unmet(session, START);
            assert_eq!(end, expected, "{user:?} {scope:?}");
        }
    }

    #[test]
    fn t59_an_elevation_ends_at_its_deadline() {
        let (requirement, session) = (
            requirement(Some("alice"), Some("payments")),
            session(Some("alice"), Some("payments")),
        );
        let end = START.after(MINUTE * 15);
        let before = end.before(Duration::from_millis(1));
        assert_eq!(requirement.unmet(&session, before), None);
        assert_eq!(
            requirement.unmet(&session, end),
            Some(ConnectionEnded::Elevation)
        );
    }
}
