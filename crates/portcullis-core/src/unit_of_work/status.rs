//! The status of a session: what it permits, without the application's data.

use std::{sync::Arc, time::Duration};

use crate::{
    ClientChange, EndReason, EventKind, Note, SessionIdHash, SessionInfo, SessionMeta, Timestamp,
    UserId,
    policy::{DemandLimits, EndedByPolicy, Policy},
    record::Head,
    store::{Stored, Termination, Timing},
    unit_of_work::Unusable,
};

/// The status of a stored session, for guards and for connections that check it repeatedly.
#[derive(Clone)]
pub struct SessionStatus {
    head: Head,
    timing: Timing,
    policy: Arc<Policy>,
}

impl SessionStatus {
    /// The status of a stored session under this policy.
    ///
    /// # Errors
    ///
    /// [`Unusable`] when the payload cannot be read.
    pub fn read(stored: &Stored, policy: &Arc<Policy>) -> Result<Self, Unusable> {
        let (head, mut timing) = (Head::decode(&stored.payload)?, stored.timing);
        if let Some((idle, _)) = head.in_force(policy, timing) {
            timing.idle_timeout = timing.idle_timeout.min(idle);
        }
        Ok(Self {
            head,
            timing,
            policy: Arc::clone(policy),
        })
    }

    /// The version of the policy that has ended the session, if one has.
    pub fn ended_by_policy(&self, now: Timestamp) -> Option<EndedByPolicy> {
        self.policy.has_ended(&self.head.judged(self.timing), now)
    }

    /// Name, user and class, as a store must know them.
    pub fn meta(&self) -> SessionMeta {
        self.head.meta(self.timing.absolute_deadline)
    }

    /// The end of this session in the store, if the policy has ended it.
    pub fn end_by_policy(&self, key: SessionIdHash, now: Timestamp) -> Option<Termination> {
        let ended = self.ended_by_policy(now)?;
        let reason = EndReason::PolicyTightened;
        Some(Termination {
            key,
            meta: self.meta(),
            reason,
            note: Note::of_system(EventKind::Ended(reason)),
            live_until: Some(self.timing.idle_deadline()),
            version: ended.at_activation.then_some(ended.version),
        })
    }

    /// Whether the policy would not have ended the session at `now`, if its last activity had been
    /// at `active_at`.
    pub fn would_live_if_active_at(&self, active_at: Timestamp, now: Timestamp) -> bool {
        let timing = Timing {
            last_active_at: active_at,
            ..self.timing
        };
        let judged = self.head.judged(timing);
        self.policy.has_ended(&judged, now).is_none()
    }

    /// The idle timeout in force, if it is shorter than that of the stored session.
    pub fn shortened(&self, stored: &Timing) -> Option<Duration> {
        let idle = self.timing.idle_timeout;
        (idle < stored.idle_timeout).then_some(idle)
    }

    pub(super) fn into_head(self) -> Head {
        self.head
    }

    /// The public name and the times.
    pub fn info(&self) -> SessionInfo {
        self.head.info(self.timing, &self.policy)
    }

    /// The user of the session.
    pub fn user(&self) -> Option<&UserId> {
        self.head.user.as_ref()
    }

    /// When its user authenticated, or when a session without a user began.
    pub fn began_at(&self) -> Timestamp {
        self.head.judged(self.timing).began
    }

    /// Whether it has elevations or approvals, even if they have expired.
    pub fn has_privileges(&self) -> bool {
        self.head.has_elevations()
    }

    /// What differs about the device, if the session was used from another one.
    pub fn flagged(&self) -> Option<ClientChange> {
        self.head.device.as_ref()?.change
    }

    /// A demand with what the activated policy adds to the one of this name, and with the privileged
    /// idle timeout of the session's class.
    pub fn demand(&self, of_route: &DemandLimits, name: Option<&str>) -> DemandLimits {
        let of_policy = name.and_then(|name| self.policy.demand(name));
        let demand = of_policy.map_or(of_route.clone(), |of_policy| of_route.and(of_policy));
        // What code sets does not change, so the demand of the route has it already.
        if self.policy.version().is_none() {
            return demand;
        }
        let idle = self.policy.timeouts(self.head.class).privileged_idle();
        demand.and(&DemandLimits {
            idle: Some(idle),
            ..DemandLimits::default()
        })
    }

    /// Until when the session meets this demand, if nothing else happens. `None` if it lacks the
    /// elevation.
    pub fn meets_until(&self, demand: &DemandLimits, now: Timestamp) -> Option<Timestamp> {
        self.head
            .meets_until(self.timing, demand, &self.policy, now)
    }

    /// The first time after `now` at which the status may change: the idle deadline, or the end of
    /// an elevation.
    pub fn next_change(&self, now: Timestamp) -> Timestamp {
        let ends = self.head.elevation_ends(self.timing);
        ends.filter(|ends_at| now < *ends_at)
            .fold(self.info().idle_deadline, Timestamp::min)
    }
}

/// Shows the public name alone.
impl std::fmt::Debug for SessionStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SessionStatus")
            .field("handle", &self.head.handle)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{elevation::Elevation, record::Record, store::Limits, store::Revision};

    const MINUTE: Duration = Duration::from_secs(60);

    fn at(minute: u32) -> Timestamp {
        Timestamp::from_millis(0).after(MINUTE * minute)
    }

    /// A session of 100 minutes, 30 without activity; elevated for two scopes, until minutes 10 and
    /// 20.
    fn stored() -> Stored {
        let limits = Limits {
            idle: MINUTE * 30,
            absolute: MINUTE * 100,
        };
        let mut record = Record::new(
            crate::SessionHandle::from_bytes([1; 12]),
            limits.absolute,
            None,
        );
        record.head.user = Some("alice".into());
        for (scope, left) in [("payments", 90), ("general", 80)] {
            let elevation = Elevation::new(scope.to_owned(), MINUTE * left);
            record.head.elevations.push(elevation);
        }
        Stored {
            timing: Timing::starting(at(0), limits),
            revision: Revision(0),
            payload: record.encode().unwrap(),
        }
    }

    #[test]
    fn each_elevated_scope_has_its_own_end_and_other_scopes_have_none() {
        let status = SessionStatus::read(&stored(), &Arc::default()).unwrap();
        let until = |scope: &'static str| status.meets_until(&DemandLimits::of_scope(scope), at(0));
        assert_eq!(until("payments"), Some(at(10)));
        assert_eq!(until("general"), Some(at(20)));
        assert_eq!(until("other"), None);
        assert_eq!(status.user(), Some(&"alice".into()));
    }

    #[test]
    fn the_next_change_is_the_next_end() {
        let status = SessionStatus::read(&stored(), &Arc::default()).unwrap();
        for (now, next) in [(0, 10), (9, 10), (10, 20), (19, 20), (20, 30), (40, 30)] {
            assert_eq!(status.next_change(at(now)), at(next), "{now}");
        }
    }

    #[test]
    fn s135_an_unreadable_record_has_no_status() {
        let mut stored = stored();
        stored.payload = stored.payload.slice(..10);
        assert!(matches!(
            SessionStatus::read(&stored, &Arc::default()),
            Err(Unusable::Damaged)
        ));
        stored.payload = vec![9].into();
        assert!(matches!(
            SessionStatus::read(&stored, &Arc::default()),
            Err(Unusable::Newer(_))
        ));
    }
}
