//! When to load a watched session again, and when to give up.

use std::{ops::RangeInclusive, time::Duration};

use portcullis_core::{ConfigError, EndReason, Timestamp, unit_of_work::SessionStatus};

use crate::{reject::connection_ended::ConnectionEnded, runtime::jitter::jitter};

/// The default period: the maximum delay until an end on another server is noticed.
const PERIOD: Duration = Duration::from_secs(5);

/// The allowed periods. Tombstones of replaced identifiers are kept for a minute. Within that time,
/// a session must be found under its new identifier, even after [`GIVE_UP_AFTER`] periods without
/// an answer.
const PERIODS: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(15);

/// After this many periods without an answer, the status of a session counts as unknown.
const GIVE_UP_AFTER: u32 = 3;

/// The longest pause after a failed load.
const RETRY: Duration = Duration::from_secs(1);

/// The shortest pause: timers are not more precise.
const TICK: Duration = Duration::from_millis(5);

/// The pause after a load that found a session live past its deadline. This process may take the
/// store's time for later than it is: of several clocks, it knows the one that is ahead.
const OVERTIME: Duration = Duration::from_millis(250);

/// How often sessions with live connections are loaded.
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

    /// How long a session may stay without a successful load.
    pub(super) fn give_up_after(self) -> Duration {
        self.period * GIVE_UP_AFTER
    }

    /// The pause after a load, if the session may lose rights after `until_change`. It is at most
    /// nine tenths of the period, so that the next load ends within the period. It is random, so
    /// that streams that began together do not keep loading together.
    pub(super) fn pause(self, until_change: Duration) -> Duration {
        let pause = self.period.mul_f64(0.7 + jitter() * 0.2);
        match until_change {
            Duration::ZERO => OVERTIME,
            until_change => pause.min(until_change).max(TICK),
        }
    }

    /// The pause after a failed load, if `left` remains of [`give_up_after`](Self::give_up_after).
    pub(super) fn retry(self, left: Duration, until_change: Duration) -> Duration {
        RETRY
            .min(self.period / 2)
            .min(left)
            .min(until_change)
            .max(TICK)
    }
}

/// Why the connections of a session end if it cannot be loaded at its deadlines. After the absolute
/// deadline it has certainly ended. After the idle deadline its status is unknown, because activity
/// may have moved that deadline.
pub(super) fn overdue(seen: &SessionStatus, now: Timestamp) -> Option<ConnectionEnded> {
    let info = seen.info();
    if now >= info.absolute_deadline {
        return Some(ConnectionEnded::Session(Some(EndReason::AbsoluteTimeout)));
    }
    (now >= info.idle_deadline).then_some(ConnectionEnded::Unverifiable)
}

/// Why a session that no longer exists ended, as far as its deadlines show.
pub(super) fn passed_deadline(seen: &SessionStatus, now: Timestamp) -> Option<EndReason> {
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
    fn s065_a_session_is_loaded_again_within_the_period() {
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
    fn a_pause_ends_at_the_deadline() {
        let schedule = PollSchedule::default();
        for millis in [5, 100, 3000] {
            let deadline = Duration::from_millis(millis);
            assert_eq!(schedule.pause(deadline), deadline);
        }
        assert_eq!(schedule.pause(Duration::from_micros(1)), TICK);
        assert_eq!(schedule.retry(Duration::ZERO, HOUR), TICK);
    }

    #[test]
    fn a_session_that_outlives_its_deadline_is_loaded_after_a_pause() {
        assert_eq!(PollSchedule::default().pause(Duration::ZERO), OVERTIME);
    }

    #[test]
    fn a_failed_load_is_tried_again_soon_and_not_for_ever() {
        let schedule = PollSchedule::default();
        assert_eq!(schedule.retry(HOUR, HOUR), RETRY);
        let left = Duration::from_millis(300);
        assert_eq!(schedule.retry(left, HOUR), left);
        assert_eq!(schedule.give_up_after(), Duration::from_secs(15));
    }

    #[test]
    fn a_replaced_session_is_found_before_its_tombstone_expires() {
        let slowest = PollSchedule::new(*PERIODS.end()).unwrap();
        let kept = EndReason::Replaced.remembered_for();
        assert!(slowest.give_up_after() < kept);
        for period in [Duration::from_millis(999), Duration::from_millis(15_001)] {
            assert!(PollSchedule::new(period).is_err());
        }
    }

    #[test]
    fn t67_a_session_that_cannot_be_loaded_at_its_deadline_has_ended() {
        let session = session(Some("alice"), None);
        let info = session.info();
        let (idle, absolute) = (info.idle_deadline, info.absolute_deadline);
        let millisecond = Duration::from_millis(1);
        let cases = [
            (idle.before(millisecond), None, None),
            (
                idle,
                // Activity may have moved it.
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
            assert_eq!(passed_deadline(&session, now), reason);
        }
    }
}
