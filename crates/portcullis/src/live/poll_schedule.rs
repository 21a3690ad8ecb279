//! When to look at a session again, and when to give up.

use std::{ops::RangeInclusive, time::Duration};

use portcullis_core::{ConfigError, EndReason, Timestamp, unit_of_work::SessionStatus};

use super::ConnectionEnded;
use crate::jitter::jitter;

/// How soon an end elsewhere is noticed.
const PERIOD: Duration = Duration::from_secs(5);

/// RouteAnnotations of replaced identifiers are remembered for a minute. Within that time a session must be found where it went,
/// also after as many periods without a look as are allowed.
const PERIODS: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(15);

/// After so many periods without an answer nobody can tell any more.
const GIVE_UP_AFTER: u32 = 3;

/// How soon it is tried again after a look that failed.
const RETRY: Duration = Duration::from_secs(1);

/// Timers do not tell less.
const TICK: Duration = Duration::from_millis(5);

/// How soon to look again at a session that lives past its deadline. The store's clock may be known too early: where it has
/// several, the one that is ahead of all others is told.
const OVERTIME: Duration = Duration::from_millis(250);

/// How often sessions with live connections are looked at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PollSchedule {
    period: Duration,
}

impl Default for PollSchedule {
    fn default() -> Self {
        Self { period: PERIOD }
    }
}

impl PollSchedule {
    pub(crate) fn new(period: Duration) -> Result<Self, ConfigError> {
        if !PERIODS.contains(&period) {
            return Err(ConfigError::new(format!(
                "live connections cannot notice an end within {period:?}; choose 1 to 15 seconds"
            )));
        }
        Ok(Self { period })
    }

    /// For how long a session may go without a look that succeeds.
    pub(super) fn give_up_after(self) -> Duration {
        self.period * GIVE_UP_AFTER
    }

    /// How long to wait after a look, if the session may be good for less after `until_change`: at most nine tenths of the
    /// period, so that the look is done within it; and not always the same, so that streams that began together do not look
    /// together for ever.
    pub(super) fn pause(self, until_change: Duration) -> Duration {
        let pause = self.period.mul_f64(0.7 + jitter() * 0.2);
        match until_change {
            Duration::ZERO => OVERTIME,
            until_change => pause.min(until_change).max(TICK),
        }
    }

    /// The same after a look that failed, when `left` is left of the [`give_up_after`](Self::give_up_after).
    pub(super) fn retry(self, left: Duration, until_change: Duration) -> Duration {
        RETRY
            .min(self.period / 2)
            .min(left)
            .min(until_change)
            .max(TICK)
    }
}

/// What is certain of a session that was seen once and cannot be looked at again. Whether activity has moved its
/// idle deadline is not, so that comes to an end as well, for another reason.
pub(super) fn overdue(seen: &SessionStatus, now: Timestamp) -> Option<ConnectionEnded> {
    let info = seen.info();
    if now >= info.absolute_deadline {
        return Some(ConnectionEnded::Session(Some(EndReason::AbsoluteTimeout)));
    }
    (now >= info.idle_deadline).then_some(ConnectionEnded::Unverifiable)
}

/// Why a session that is not there any more ended, as far as it follows from its deadlines.
pub(super) fn run_out(seen: &SessionStatus, now: Timestamp) -> Option<EndReason> {
    let info = seen.info();
    if now >= info.absolute_deadline {
        return Some(EndReason::AbsoluteTimeout);
    }
    (now >= info.idle_deadline).then_some(EndReason::IdleTimeout)
}

#[cfg(test)]
mod tests {
    use super::{super::samples::session, *};

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn s065_an_end_elsewhere_is_looked_for_within_the_period() {
        for seconds in [1, 5, 15] {
            let period = Duration::from_secs(seconds);
            let schedule = PollSchedule::new(period).unwrap();
            let pauses: Vec<_> = (0..1000).map(|_| schedule.pause(HOUR)).collect();
            let tenth = period / 10;
            assert!(pauses.iter().all(|pause| *pause <= tenth * 9));
            assert!(pauses.iter().all(|pause| *pause >= tenth * 7));
            assert!(pauses.iter().min() < pauses.iter().max());
        }
    }

    #[test]
    fn a_deadline_is_not_waited_for_longer_than_it_takes() {
        let schedule = PollSchedule::default();
        for millis in [5, 100, 3000] {
            let deadline = Duration::from_millis(millis);
            assert_eq!(schedule.pause(deadline), deadline);
        }
        assert_eq!(schedule.pause(Duration::from_micros(1)), TICK);
        assert_eq!(schedule.retry(Duration::ZERO, HOUR), TICK);
    }

    #[test]
    fn a_session_that_outlives_its_deadline_is_not_asked_for_without_end() {
        assert_eq!(PollSchedule::default().pause(Duration::ZERO), OVERTIME);
    }

    #[test]
    fn a_look_that_failed_is_tried_again_soon_and_not_for_ever() {
        let schedule = PollSchedule::default();
        assert_eq!(schedule.retry(HOUR, HOUR), RETRY);
        let left = Duration::from_millis(300);
        assert_eq!(schedule.retry(left, HOUR), left);
        assert_eq!(schedule.give_up_after(), Duration::from_secs(15));
    }

    #[test]
    fn a_session_is_found_where_it_went_before_that_is_forgotten() {
        let slowest = PollSchedule::new(*PERIODS.end()).unwrap();
        let memory = EndReason::Replaced.remembered_for();
        assert!(slowest.give_up_after() < memory);
        for period in [Duration::from_millis(999), Duration::from_millis(15_001)] {
            assert!(PollSchedule::new(period).is_err());
        }
    }
    #[test]
    fn t67_what_cannot_be_looked_up_at_its_deadline_is_over() {
        let session = session(Some("alice"), None);
        let info = session.info();
        let (idle, absolute) = (info.idle_deadline, info.absolute_deadline);
        let millisecond = Duration::from_millis(1);
        let cases = [
            (idle.before(millisecond), None, None),
            (
                idle,
                // It may have been moved.
                Some(ConnectionEnded::Unverifiable),
                Some(EndReason::IdleTimeout),
            ),
            (
                absolute,
                Some(ConnectionEnded::Session(Some(EndReason::AbsoluteTimeout))),
                Some(EndReason::AbsoluteTimeout),
            ),
        ];
        for (now, certain, reason) in cases {
            assert_eq!(overdue(&session, now), certain);
            assert_eq!(run_out(&session, now), reason);
        }
    }
}
