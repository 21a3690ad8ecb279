//! The pause before a write is tried again, so that several servers make progress.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use tokio::{runtime::Handle as Runtime, task::yield_now, time::sleep};

use crate::runtime::jitter::jitter;

/// The longest pause, in milliseconds.
const LONGEST: u64 = 16;

/// Pauses before this attempt, the first of which is 0.
///
/// The answer to an attempt that lost contains what the other server wrote. So an immediate attempt
/// is as likely to win as the other server's next write. Only every second attempt waits, for a
/// random time with a growing maximum.
pub(super) async fn before(attempt: usize) {
    let longest = longest(attempt);
    if longest == 0 {
        return;
    }
    let pause = Duration::from_millis(longest).mul_f64(jitter());
    // Whether the runtime has timers is known only from trying.
    let timer = Runtime::try_current()
        .ok()
        .and_then(|_| catch_unwind(AssertUnwindSafe(|| sleep(pause))).ok());
    match timer {
        Some(timer) => timer.await,
        None => yield_now().await,
    }
}

fn longest(attempt: usize) -> u64 {
    match attempt {
        0 | 1 => 0,
        odd if odd % 2 == 1 => 0,
        even => LONGEST.min(1 << (even / 2 - 1).min(10)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_second_attempt_waits_and_all_pauses_take_at_most_a_fifth_of_a_second() {
        let pauses: Vec<_> = (0..super::super::ATTEMPTS).map(longest).collect();
        assert_eq!(pauses[..12], [0, 0, 1, 0, 2, 0, 4, 0, 8, 0, 16, 0]);
        assert!(pauses.iter().sum::<u64>() < 200, "{pauses:?}");
    }

    #[test]
    fn without_timers_the_attempt_is_made_without_a_pause() {
        let without_timers = tokio::runtime::Builder::new_current_thread().build();
        without_timers.unwrap().block_on(before(8));
        futures_util::FutureExt::now_or_never(before(1)).unwrap();
    }
}
