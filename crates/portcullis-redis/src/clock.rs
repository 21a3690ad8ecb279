//! The server's clock, as well as it is known without asking.

use std::{
    fmt,
    sync::{
        LazyLock,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

use portcullis_core::Timestamp;

/// Clocks that differ by less may well be one and the same: each is known to the length of a round trip.
const KNOWN_TO: Duration = Duration::from_millis(50);

/// All clocks count from here, so that what two of them differ by is a number that does not depend on the moment.
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Follows the server's clock through what its replies say.
///
/// A reply proves that the server's clock showed some time between the sending and the receiving. The
/// estimate is moved into that span and no further, so a slow reply spoils nothing that a fast one has told.
/// Between replies it runs on with a clock that nobody can set: a jump of this machine's wall clock changes
/// nothing. It counts in whole ms, so it may be one behind the server.
pub(crate) struct ServerClock {
    /// The server's time at [`START`], in ms.
    offset: AtomicI64,
}

impl ServerClock {
    /// A clock for a server whose answer to a question `sent` then was `server_ms`.
    pub(crate) fn starting(sent: Instant, server_ms: u64) -> Self {
        Self {
            offset: AtomicI64::new(signed(server_ms).saturating_sub(since_start(sent))),
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.at(Instant::now())
    }

    /// Learns from a reply that was received just now.
    pub(crate) fn learn(&self, sent: Instant, server_ms: u64) {
        self.learn_at(sent, server_ms, Instant::now());
    }

    fn at(&self, moment: Instant) -> Timestamp {
        let now = self
            .offset
            .load(Ordering::Relaxed)
            .saturating_add(since_start(moment));
        Timestamp::from_millis(u64::try_from(now).unwrap_or(0))
    }

    fn learn_at(&self, sent: Instant, server_ms: u64, received: Instant) {
        let server = signed(server_ms);
        let least = server.saturating_sub(since_start(received));
        // Parts of a millisecond were cut off.
        let most = server
            .saturating_add(1)
            .saturating_sub(since_start(sent))
            .max(least);
        // Of two replies that are learned at once either may win: both are true.
        let offset = self.offset.load(Ordering::Relaxed).clamp(least, most);
        self.offset.store(offset, Ordering::Relaxed);
    }
}

/// In whole ms, rounded down; less than nothing for a moment that was before.
fn since_start(moment: Instant) -> i64 {
    let nanos = |length: Duration| i64::try_from(length.as_nanos()).unwrap_or(i64::MAX);
    let after = nanos(moment.saturating_duration_since(*START));
    let before = nanos(START.saturating_duration_since(moment));
    (after - before).div_euclid(1_000_000)
}

impl fmt::Debug for ServerClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.now().fmt(f)
    }
}

/// In a cluster the new bucket may have another clock. By one that is behind by this much, the deadlines would strike
/// late, so they are moved with the session. By one that is ahead they strike early, which nobody need prevent.
pub(crate) fn lag(behind: Duration) -> Duration {
    if behind < KNOWN_TO {
        Duration::ZERO
    } else {
        behind
    }
}

fn signed(millis: u64) -> i64 {
    i64::try_from(millis).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SERVER: u64 = 1_800_000_000_000;

    fn ms(length: u64) -> Duration {
        Duration::from_millis(length)
    }

    #[test]
    fn the_clock_runs_on_between_replies() {
        let start = Instant::now();
        let clock = ServerClock::starting(start, SERVER);
        assert_eq!(clock.at(start).as_millis(), SERVER);
        assert_eq!(clock.at(start + ms(700)).as_millis(), SERVER + 700);
    }

    #[test]
    fn it_is_ahead_of_the_server_by_a_round_trip_at_most() {
        let start = Instant::now();
        // The server looked at its clock 40 ms after the question was sent.
        let clock = ServerClock::starting(start, SERVER);
        let truth = |moment: u64| SERVER + moment - 40;
        assert_eq!(clock.at(start + ms(50)).as_millis(), truth(50) + 40);
        // A fast reply makes it exact, a slow one afterwards spoils nothing.
        clock.learn_at(start + ms(100), truth(101), start + ms(102));
        assert!(clock.at(start + ms(200)).as_millis().abs_diff(truth(200)) <= 2);
        clock.learn_at(start + ms(300), truth(590), start + ms(600));
        assert!(clock.at(start + ms(700)).as_millis().abs_diff(truth(700)) <= 2);
    }

    #[test]
    fn what_two_clocks_differ_by_is_the_same_at_every_moment() {
        let start = Instant::now();
        let one = ServerClock::starting(start + Duration::from_micros(300), SERVER);
        let other = ServerClock::starting(start + Duration::from_micros(900), SERVER + 5000);
        let ahead = |moment| other.at(moment).since(one.at(moment));
        for micros in (0..5000).step_by(100) {
            let moment = start + Duration::from_micros(micros);
            assert_eq!(ahead(moment), ahead(start));
        }
    }

    #[test]
    fn clocks_that_hardly_differ_are_one() {
        let lag = |length| lag(ms(length)).as_millis();
        assert_eq!((lag(49), lag(50), lag(5000)), (0, 50, 5000));
    }

    #[test]
    fn it_follows_a_server_whose_clock_was_set() {
        let start = Instant::now();
        let clock = ServerClock::starting(start, SERVER);
        for server in [SERVER + 3_600_000, SERVER - 3_600_000] {
            clock.learn_at(start + ms(10), server, start + ms(12));
            assert!(clock.at(start + ms(12)).as_millis().abs_diff(server) <= 3);
        }
    }
}
