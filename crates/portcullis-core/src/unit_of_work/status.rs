//! What a session is good for, without what the application put in.

use crate::{
    ClientChange, SessionInfo, Timestamp, UserId,
    record::Head,
    store::{Stored, Timing},
    unit_of_work::Unusable,
};

/// What guards ask of a session, as it is stored: for whoever looks at it again and again and needs no value of it.
#[derive(Clone)]
pub struct SessionStatus {
    head: Head,
    timing: Timing,
}

impl SessionStatus {
    /// What a stored session is good for.
    ///
    /// # Errors
    ///
    /// [`Unusable`] when the payload cannot be read.
    pub fn read(stored: &Stored) -> Result<Self, Unusable> {
        let head = Head::decode(&stored.payload)?;
        Ok(Self {
            head,
            timing: stored.timing,
        })
    }

    /// The public name and the moments.
    pub fn info(&self) -> SessionInfo {
        self.head.info(self.timing)
    }

    /// The user it is bound to.
    pub fn user(&self) -> Option<&UserId> {
        self.head.user.as_ref()
    }

    /// What is different about the device, if the session was used from another one.
    pub fn flagged(&self) -> Option<ClientChange> {
        self.head.device.as_ref()?.change
    }

    /// Until when it is elevated for `scope`, also where that is over.
    pub fn elevated_until(&self, scope: &str) -> Option<Timestamp> {
        self.head.elevated_for(scope, self.timing.absolute_deadline)
    }

    /// The first moment after `now` at which it may be good for less: its end without further activity, or that of
    /// an elevation.
    pub fn next_change(&self, now: Timestamp) -> Timestamp {
        let ends = self.head.elevation_ends(self.timing.absolute_deadline);
        ends.filter(|ends_at| now < *ends_at)
            .fold(self.timing.idle_deadline(), Timestamp::min)
    }
}

/// Tells no more than the public name.
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

    /// Of 100 minutes, 30 without activity; elevated for two scopes, until minutes 10 and 20.
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
    fn each_scope_has_an_end_of_its_own_and_no_other_scope_has_one() {
        let status = SessionStatus::read(&stored()).unwrap();
        assert_eq!(status.elevated_until("payments"), Some(at(10)));
        assert_eq!(status.elevated_until("general"), Some(at(20)));
        assert_eq!(status.elevated_until("other"), None);
        assert_eq!(status.user(), Some(&"alice".into()));
    }

    #[test]
    fn the_next_change_is_the_first_end_that_has_not_come() {
        let status = SessionStatus::read(&stored()).unwrap();
        for (now, next) in [(0, 10), (9, 10), (10, 20), (19, 20), (20, 30), (40, 30)] {
            assert_eq!(status.next_change(at(now)), at(next), "{now}");
        }
    }

    #[test]
    fn s135_what_cannot_be_read_is_good_for_nothing() {
        let mut stored = stored();
        stored.payload = stored.payload.slice(..10);
        assert!(matches!(
            SessionStatus::read(&stored),
            Err(Unusable::Damaged)
        ));
        stored.payload = vec![9].into();
        assert!(matches!(
            SessionStatus::read(&stored),
            Err(Unusable::Newer(_))
        ));
    }
}
