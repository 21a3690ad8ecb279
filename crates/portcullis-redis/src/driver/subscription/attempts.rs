//! When to subscribe again, and when to log a failure.
//!
//! The attempts outlive the listeners. Otherwise each new listener would make the server be asked
//! as if for the first time.

use std::time::Duration;

use tokio::time::Instant;

use crate::driver::backoff::{Backoff, LONGEST};

/// Pause after a refusal: an operator has to change the rights of the user first.
pub(super) const REFUSED: Duration = Duration::from_secs(60);
/// After so many failures in a row, while everything else works, the cause is not a new outage.
const MANY: u32 = 8;

/// The attempts of one store.
#[derive(Debug)]
pub(super) struct Attempts {
    backoff: Backoff,
    not_before: Option<Instant>,
    failures: u32,
    is_logged: bool,
}

impl Attempts {
    pub(super) fn new() -> Self {
        Self {
            backoff: Backoff::new(),
            not_before: None,
            failures: 0,
            is_logged: false,
        }
    }

    /// When to start the next attempt. It is `now` if no pause is needed.
    pub(super) fn next(&self, now: Instant) -> Instant {
        self.not_before.unwrap_or(now)
    }

    /// An attempt starts. Its task may end before it can report the result.
    pub(super) fn started(&mut self, now: Instant) {
        self.not_before = Some(now + LONGEST);
    }

    /// The attempt failed, or its connection was soon lost. Returns whether to log it.
    pub(super) fn failed(&mut self, now: Instant) -> bool {
        self.not_before = Some(now + self.backoff.pause());
        self.failures = self.failures.saturating_add(1);
        self.failures >= MANY && self.log_once()
    }

    /// The server refused, and will refuse again unless its configuration changes. Returns whether
    /// to log it.
    pub(super) fn refused(&mut self, now: Instant) -> bool {
        self.not_before = Some(now + REFUSED);
        self.log_once()
    }

    /// No server answers at the moment, which is logged elsewhere.
    pub(super) fn no_server(&mut self, now: Instant) {
        self.not_before = Some(now + self.backoff.pause());
        self.failures = 0;
    }

    /// The connection is stable.
    pub(super) fn succeeded(&mut self) {
        self.backoff = Backoff::new();
        self.failures = 0;
    }

    /// Whether to log: only once.
    fn log_once(&mut self) -> bool {
        !std::mem::replace(&mut self.is_logged, true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pause(attempts: &Attempts, now: Instant) -> Duration {
        attempts.next(now) - now
    }

    #[test]
    fn the_first_attempt_starts_at_once_and_each_failure_makes_the_next_pause_longer() {
        let (mut attempts, now) = (Attempts::new(), Instant::now());
        assert_eq!(pause(&attempts, now), Duration::ZERO);
        attempts.failed(now);
        let first = pause(&attempts, now);
        assert!(first > Duration::ZERO && first < LONGEST / 10, "{first:?}");
        for _ in 0..9 {
            attempts.failed(now);
        }
        let tenth = pause(&attempts, now);
        assert!(tenth >= LONGEST / 2 && tenth <= LONGEST, "{tenth:?}");
        attempts.succeeded();
        attempts.failed(now);
        assert!(pause(&attempts, now) < LONGEST / 10);
    }

    #[test]
    fn an_attempt_without_a_result_delays_the_next_one_too() {
        let (mut attempts, now) = (Attempts::new(), Instant::now());
        attempts.started(now);
        assert_eq!(pause(&attempts, now), LONGEST);
    }

    #[test]
    fn many_failures_in_a_row_are_logged_once() {
        let (mut attempts, now) = (Attempts::new(), Instant::now());
        let logged: Vec<_> = (0..2 * MANY).map(|_| attempts.failed(now)).collect();
        let first = logged.iter().position(|logged| *logged);
        assert_eq!(first, Some(MANY as usize - 1));
        assert_eq!(logged.iter().filter(|logged| **logged).count(), 1);
        assert!(!attempts.refused(now));
    }

    #[test]
    fn failures_that_an_outage_or_a_success_interrupts_are_not_logged() {
        let (mut attempts, now) = (Attempts::new(), Instant::now());
        for interrupt in [
            |it: &mut Attempts| it.no_server(Instant::now()),
            Attempts::succeeded,
        ] {
            for _ in 1..MANY {
                assert!(!attempts.failed(now));
            }
            interrupt(&mut attempts);
        }
        assert!(!attempts.failed(now));
    }

    #[test]
    fn a_refusal_is_logged_once_and_holds_for_a_minute() {
        let (mut attempts, now) = (Attempts::new(), Instant::now());
        assert!(attempts.refused(now));
        assert_eq!(pause(&attempts, now), REFUSED);
        assert!(!attempts.refused(now));
    }
}
