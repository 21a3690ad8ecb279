//! When to try again to subscribe, and what to say of it.
//!
//! It outlives those who listen. Somebody who comes and goes would otherwise have the server asked each time as if for the
//! first time.

use std::time::Duration;

use tokio::time::Instant;

use crate::driver::backoff::{Backoff, LONGEST};

/// Somebody has to change the rights of the user first.
pub(super) const REFUSED: Duration = Duration::from_secs(60);
/// So many in a row, while everything else works, are no outage that has just begun.
const MANY: u32 = 8;

/// All attempts of one store.
#[derive(Debug)]
pub(super) struct Attempts {
    backoff: Backoff,
    not_before: Option<Instant>,
    failures: u32,
    is_told: bool,
}

impl Attempts {
    pub(super) fn new() -> Self {
        Self {
            backoff: Backoff::new(),
            not_before: None,
            failures: 0,
            is_told: false,
        }
    }

    /// When to make the next one; at once if that is over.
    pub(super) fn next(&self, now: Instant) -> Instant {
        self.not_before.unwrap_or(now)
    }

    /// One begins. Its task may die before it can say what came of it.
    pub(super) fn begins(&mut self, now: Instant) {
        self.not_before = Some(now + LONGEST);
    }

    /// It failed, or what it made did not last. Whether to tell somebody.
    pub(super) fn failed(&mut self, now: Instant) -> bool {
        self.not_before = Some(now + self.backoff.pause());
        self.failures = self.failures.saturating_add(1);
        self.failures >= MANY && self.tell()
    }

    /// It was refused, as the next one will be unless somebody changes something. Whether to tell them.
    pub(super) fn refused(&mut self, now: Instant) -> bool {
        self.not_before = Some(now + REFUSED);
        self.tell()
    }

    /// There is no server to try at, as everybody knows.
    pub(super) fn nowhere(&mut self, now: Instant) {
        self.not_before = Some(now + self.backoff.pause());
        self.failures = 0;
    }

    /// What it made lasts.
    pub(super) fn succeeded(&mut self) {
        self.backoff = Backoff::new();
        self.failures = 0;
    }

    /// Once.
    fn tell(&mut self) -> bool {
        !std::mem::replace(&mut self.is_told, true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How long to wait after this.
    fn pause(attempts: &Attempts, now: Instant) -> Duration {
        attempts.next(now) - now
    }

    #[test]
    fn the_first_one_is_made_at_once_and_each_that_fails_makes_the_next_one_wait_longer() {
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
    fn one_that_nobody_hears_of_any_more_makes_the_next_one_wait_too() {
        let (mut attempts, now) = (Attempts::new(), Instant::now());
        attempts.begins(now);
        assert_eq!(pause(&attempts, now), LONGEST);
    }

    #[test]
    fn many_failures_in_a_row_are_told_once() {
        let (mut attempts, now) = (Attempts::new(), Instant::now());
        let told: Vec<_> = (0..2 * MANY).map(|_| attempts.failed(now)).collect();
        let first = told.iter().position(|told| *told);
        assert_eq!(first, Some(MANY as usize - 1));
        assert_eq!(told.iter().filter(|told| **told).count(), 1);
        assert!(!attempts.refused(now));
    }

    #[test]
    fn failures_that_an_outage_or_a_success_interrupts_are_not_told() {
        let (mut attempts, now) = (Attempts::new(), Instant::now());
        for interrupt in [
            |it: &mut Attempts| it.nowhere(Instant::now()),
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
    fn a_refusal_is_told_once_and_holds_for_a_minute() {
        let (mut attempts, now) = (Attempts::new(), Instant::now());
        assert!(attempts.refused(now));
        assert_eq!(pause(&attempts, now), REFUSED);
        assert!(!attempts.refused(now));
    }
}
