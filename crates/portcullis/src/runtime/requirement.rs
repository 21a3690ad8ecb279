//! What a live connection requires of its session, as its guard did.

use portcullis_core::{
    EndReason, Timestamp, UserId, policy::DemandLimits, unit_of_work::SessionStatus,
};

use crate::{reject::connection_ended::ConnectionEnded, runtime::watch_registry::Met};

/// The conditions that a session must keep meeting.
#[derive(Debug, Clone, Default)]
pub(crate) struct Requirement {
    /// It is bound to this user.
    pub(crate) user: Option<UserId>,
    /// It meets this demand, and what a policy adds to it by this name.
    pub(crate) demand: Option<(DemandLimits, Option<&'static str>)>,
    /// It was not used from another device since its user last proved their identity.
    pub(crate) trust: bool,
}

impl Requirement {
    /// Whether a live session meets the conditions, or why its connection must end.
    pub(crate) fn met(&self, status: &SessionStatus, now: Timestamp) -> Met {
        if self.user.is_some() && self.user.as_ref() != status.user() {
            let reason = EndReason::ReplacedAtSignIn;
            return Met::No(ConnectionEnded::Session(Some(reason)));
        }
        if self.trust && status.flagged().is_some() {
            return Met::No(ConnectionEnded::Elevation);
        }
        let Some((of_route, name)) = &self.demand else {
            return Met::Yes;
        };
        let demand = status.demand(of_route, *name);
        match status.meets_until(&demand, now) {
            // The session is loaded at that moment in any case.
            Some(until) if status.next_change(now) <= until => Met::Yes,
            Some(until) if now < until => Met::For(until.since(now)),
            _ => Met::No(ConnectionEnded::Elevation),
        }
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
            demand: scope.map(|scope| (DemandLimits::of_scope(scope), None)),
            trust: false,
        }
    }

    #[test]
    fn s065_the_conditions_of_the_guard_must_stay_true() {
        let (anonymous, alice) = (session(None, None), session(Some("alice"), None));
        let elevated = session(Some("alice"), Some("payments"));
        let lost = Met::No(ConnectionEnded::Elevation);
        let reason = EndReason::ReplacedAtSignIn;
        let other = Met::No(ConnectionEnded::Session(Some(reason)));
        for (user, scope, session, expected) in [
            (None, None, &anonymous, Met::Yes),
            (None, None, &alice, Met::Yes),
            (Some("alice"), None, &alice, Met::Yes),
            (Some("alice"), None, &anonymous, other),
            (Some("bob"), None, &alice, other),
            (Some("alice"), Some("payments"), &elevated, Met::Yes),
            (Some("alice"), Some("payments"), &alice, lost),
            (Some("alice"), Some("general"), &elevated, lost),
            (Some("bob"), Some("payments"), &elevated, other),
        ] {
            let end = requirement(user, scope).met(session, START);
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
        assert_eq!(requirement.met(&session, before), Met::Yes);
        let lost = Met::No(ConnectionEnded::Elevation);
        assert_eq!(requirement.met(&session, end), lost);
    }

    #[test]
    fn a_demand_is_met_until_its_first_limit() {
        let (alice, demand) = (session(Some("alice"), None), DemandLimits::default());
        let (idle, max_auth_age) = (Some(MINUTE * 10), Some(MINUTE * 5));
        for (demand, length) in [
            (
                DemandLimits {
                    idle,
                    ..demand.clone()
                },
                MINUTE * 10,
            ),
            (
                DemandLimits {
                    max_auth_age,
                    ..demand.clone()
                },
                MINUTE * 5,
            ),
            (
                DemandLimits {
                    idle,
                    max_auth_age,
                    ..demand
                },
                MINUTE * 5,
            ),
        ] {
            let demand = Some((demand, None));
            let requirement = Requirement {
                demand,
                ..requirement(Some("alice"), None)
            };
            assert_eq!(requirement.met(&alice, START), Met::For(length));
            let lost = Met::No(ConnectionEnded::Elevation);
            assert_eq!(requirement.met(&alice, START.after(length)), lost);
        }
    }
}
