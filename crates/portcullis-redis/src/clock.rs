//! The bounds of a server's clock, as they are known without asking it.

use std::{
    fmt,
    sync::{LazyLock, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use portcullis_core::{Timestamp, store::ClockBounds};

/// Two clocks that differ by less may be the same one: each is known to the length of a round trip.
const PRECISION: Duration = Duration::from_millis(50);

/// All clocks count from this moment. So the difference of two clocks does not depend on when they
/// are read.
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// The bounds of a server's clock, learned from its replies.
///
/// A reply proves that the server's clock showed its time between sending and receiving. Each reply
/// can narrow the bounds, and a slow one never widens them. Between replies the bounds advance by a
/// monotonic clock, and widen a little, since no two clocks run alike. A jump of this machine's
/// wall clock changes nothing.
pub(crate) struct ServerClock {
    known: Mutex<Known>,
}

/// Bounds of the server's time at [`START`], in ms, and the moment at which they were learned.
#[derive(Clone, Copy)]
struct Known {
    least: i64,
    most: i64,
    at: i64,
}

/// One part in so many is the drift of two clocks. Each is slewed by up to half a millisecond in a
/// second.
const DRIFT: i64 = 1000;

impl Known {
    /// The bounds `now`, which is in ms since [`START`].
    fn widened(self, now: i64) -> (i64, i64) {
        let drift = now.saturating_sub(self.at).max(0) / DRIFT;
        (
            self.least.saturating_sub(drift),
            self.most.saturating_add(drift),
        )
    }
}

impl ServerClock {
    /// A clock from a first reply `server_ms`, to a question that was sent at `sent`. It was
    /// received just now.
    pub(crate) fn starting(sent: Instant, server_ms: u64) -> Self {
        Self::starting_at(sent, server_ms, Instant::now())
    }

    fn starting_at(sent: Instant, server_ms: u64, received: Instant) -> Self {
        let (least, most) = proven(sent, server_ms, received);
        let at = since_start(received);
        Self {
            known: Mutex::new(Known { least, most, at }),
        }
    }

    pub(crate) fn now(&self) -> ClockBounds {
        self.at(Instant::now())
    }

    /// Learns from a reply that was received just now.
    pub(crate) fn learn(&self, sent: Instant, server_ms: u64) {
        self.learn_at(sent, server_ms, Instant::now());
    }

    fn at(&self, moment: Instant) -> ClockBounds {
        let now = since_start(moment);
        let (least, most) = self.known().widened(now);
        let moment = |offset: i64| {
            let millis = offset.saturating_add(now);
            Timestamp::from_millis(u64::try_from(millis).unwrap_or(0))
        };
        ClockBounds {
            earliest: moment(least),
            latest: moment(most),
        }
    }

    fn learn_at(&self, sent: Instant, server_ms: u64, received: Instant) {
        let at = since_start(received);
        let (least, most) = proven(sent, server_ms, received);
        let mut known = self.known();
        let (before_least, before_most) = known.widened(at);
        // A reply outside the bounds means that the clock was set. Then only the reply counts.
        *known = if least > before_most || most < before_least {
            Known { least, most, at }
        } else {
            Known {
                least: least.max(before_least),
                most: most.min(before_most),
                at,
            }
        };
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The bounds of the server's time at [`START`] that a reply proves.
fn proven(sent: Instant, server_ms: u64, received: Instant) -> (i64, i64) {
    let server = signed(server_ms);
    let least = server.saturating_sub(since_start(received).saturating_add(1));
    // The server rounds down to whole milliseconds.
    let most = server.saturating_add(1).saturating_sub(since_start(sent));
    (least, most.max(least))
}

/// Time since [`START`] in whole ms, rounded down. It is negative for an earlier moment.
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

/// By how much to move the deadlines of a session to a bucket whose clock is behind by this much.
/// By such a clock the deadlines would strike late. By a clock that is ahead they strike early,
/// which is allowed.
pub(crate) fn lag(behind: Duration) -> Duration {
    if behind < PRECISION {
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

    /// The server read its clock `way` ms after a question that was sent at `sent` ms and answered
    /// at `received`.
    fn reply(clock: &ServerClock, start: Instant, [sent, way, received]: [u64; 3]) {
        clock.learn_at(start + ms(sent), SERVER + sent + way, start + ms(received));
    }

    fn width(clock: &ServerClock, moment: Instant) -> u64 {
        let bounds = clock.at(moment);
        bounds.latest.as_millis() - bounds.earliest.as_millis()
    }

    fn assert_within(clock: &ServerClock, start: Instant, after: u64) {
        let ClockBounds { earliest, latest } = clock.at(start + ms(after));
        let truth = Timestamp::from_millis(SERVER + after);
        assert!(
            earliest <= truth && truth <= latest,
            "{earliest:?} {latest:?} {truth:?}"
        );
    }

    #[test]
    fn the_true_time_is_always_within_the_bounds() {
        let start = Instant::now();
        let clock = ServerClock::starting_at(start, SERVER + 40, start + ms(50));
        for (step, way) in [0, 3, 90, 1, 50, 250].into_iter().enumerate() {
            let sent = 100 + 300 * step as u64;
            reply(&clock, start, [sent, way, sent + way + 9]);
            for later in [0, 7, 40] {
                assert_within(&clock, start, sent + 259 + later);
            }
        }
    }

    #[test]
    fn a_fast_reply_narrows_the_bounds_and_a_slow_one_does_not_widen_them() {
        let start = Instant::now();
        let clock = ServerClock::starting_at(start, SERVER + 40, start + ms(50));
        assert!((50..55).contains(&width(&clock, start + ms(50))));
        reply(&clock, start, [100, 1, 102]);
        assert!(width(&clock, start + ms(102)) <= 5);
        reply(&clock, start, [300, 290, 600]);
        assert!(width(&clock, start + ms(700)) <= 5);
    }

    #[test]
    fn the_bounds_widen_while_the_server_does_not_answer() {
        let start = Instant::now();
        let clock = ServerClock::starting_at(start, SERVER, start);
        let later = start + Duration::from_secs(60);
        assert!((110..130).contains(&width(&clock, later)));
        assert_within(&clock, start, 60_000);
    }

    #[test]
    fn the_difference_of_two_clocks_is_the_same_at_every_moment() {
        let start = Instant::now();
        let begun = |micros, ahead| {
            let sent = start + Duration::from_micros(micros);
            ServerClock::starting_at(sent, SERVER + ahead, sent)
        };
        let (one, other) = (begun(300, 0), begun(900, 5000));
        let ahead = |moment| other.at(moment).latest.since(one.at(moment).latest);
        for micros in (1000..6000).step_by(100) {
            let moment = start + Duration::from_micros(micros);
            assert_eq!(ahead(moment), ahead(start + ms(1)));
        }
    }

    #[test]
    fn clocks_that_differ_by_less_than_the_precision_are_treated_as_one() {
        let lag = |length| lag(ms(length)).as_millis();
        assert_eq!((lag(49), lag(50), lag(5000)), (0, 50, 5000));
    }

    #[test]
    fn the_bounds_follow_a_server_whose_clock_was_set() {
        let start = Instant::now();
        let clock = ServerClock::starting_at(start, SERVER, start);
        for server in [SERVER + 3_600_000, SERVER - 3_600_000] {
            clock.learn_at(start + ms(10), server, start + ms(12));
            let ClockBounds { earliest, latest } = clock.at(start + ms(12));
            let truth = Timestamp::from_millis(server);
            assert!(
                earliest <= truth && truth <= latest,
                "{earliest:?} {latest:?}"
            );
            assert!(latest.since(earliest) <= ms(5));
        }
    }
}
