//! The server's clock, by which sessions end.

use std::time::Duration;

use super::{
    facts::{Fact, Facts, Sample, Withheld},
    finding::Ruling,
};

/// The two clocks may differ by this much without a warning.
const APART: Duration = Duration::from_secs(1);
const FAR_APART: Duration = Duration::from_secs(60);
/// A running clock moves within this time.
const MOVES: Duration = Duration::from_millis(20);

pub(super) fn clock(facts: &Facts) -> Fact<Ruling> {
    let samples = &facts.samples;
    let best = samples.iter().min_by_key(|sample| sample.round_trip);
    let best = best.ok_or(Withheld::Missing)?;
    if let Some(ruling) = unsteady(samples) {
        return Ok(ruling);
    }
    let (ahead, error) = ahead(best);
    let apart = Duration::from_millis(ahead.unsigned_abs());
    let message = format!(
        "its clock is {} {} this machine's",
        length(apart),
        if ahead < 0 { "behind" } else { "ahead of" },
    );
    const REMEDY: &str = "run a time service (chrony, systemd-timesyncd) on both machines";
    Ok(if apart <= APART + error {
        Ruling::fine(format!("{message} (accurate to {})", length(error)))
    } else if apart <= FAR_APART {
        Ruling::warning(
            format!("{message}: sessions end by the server's clock, so times in logs do not match"),
            REMEDY,
        )
    } else {
        Ruling::warning(
            format!(
                "{message}: sessions end by the server's clock, so times in logs, and \
                 times that users see, are wrong by this difference; when the clock is corrected, \
                 sessions end early or late by it"
            ),
            REMEDY,
        )
    })
}

/// A clock that goes back or stands still. Deadlines mean nothing by such a clock.
fn unsteady(samples: &[Sample]) -> Option<Ruling> {
    let times = || samples.iter().map(|sample| sample.server_ms);
    let back = times().zip(times().skip(1)).map(|(one, next)| one - next);
    let back = back.max().unwrap_or(0);
    if back > 0 {
        return Some(Ruling::broken(
            format!(
                "its clock moved back by {back} ms during the check: sessions last longer than they \
                 should"
            ),
            "let a time service adjust its clock gradually instead of setting it, and find out \
             what else sets it",
        ));
    }
    let (first, last) = (samples.first()?, samples.last()?);
    let span = i64::try_from(MOVES.as_millis()).unwrap_or(i64::MAX);
    (last.sent_ms - first.sent_ms > span && last.server_ms == first.server_ms).then(|| {
        Ruling::broken(
            "its clock does not run, so no session ends",
            "restart the server, and check the clock of its machine",
        )
    })
}

/// By how many ms the server's clock is ahead of this machine's, and the possible error. `None` if
/// it does not run.
pub(super) fn ahead_of_this_machine(facts: &Facts) -> Option<(i64, Duration)> {
    let samples = &facts.samples;
    let best = samples.iter().min_by_key(|sample| sample.round_trip)?;
    unsteady(samples).is_none().then(|| ahead(best))
}

/// By how many ms the server's clock is ahead, and the possible error: the server read its clock at
/// some moment between sending and receiving.
fn ahead(sample: &Sample) -> (i64, Duration) {
    let half = sample.round_trip / 2;
    let read_ms = sample.sent_ms + i64::try_from(half.as_millis()).unwrap_or(i64::MAX / 2);
    (
        sample.server_ms - read_ms,
        half.max(Duration::from_millis(1)),
    )
}

pub(super) fn length(length: Duration) -> String {
    if length < APART {
        format!("{} ms", length.as_millis())
    } else {
        format!("{:.1} s", length.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            facts::healthy,
            finding::{Finding, Subject, Verdict},
        },
        *,
    };

    fn found(samples: Vec<Sample>) -> Finding {
        let facts = Facts {
            samples,
            ..healthy()
        };
        clock(&facts)
            .unwrap_or_else(|_| panic!("no answer"))
            .about(Subject::Clock)
    }

    /// A server this far ahead.
    fn ahead_by(ms: i64) -> Finding {
        let mut samples = healthy().samples;
        for sample in &mut samples {
            sample.server_ms += ms;
        }
        found(samples)
    }

    #[test]
    fn a_clock_within_a_second_is_fine_and_others_are_a_warning() {
        for (ms, verdict, message) in [
            (0, Verdict::Fine, "0 ms ahead of"),
            (-900, Verdict::Fine, "900 ms behind"),
            (5_200, Verdict::Warning, "5.2 s ahead of"),
            (-5_200, Verdict::Warning, "5.2 s behind"),
            (-3_600_000, Verdict::Warning, "3600.0 s behind"),
        ] {
            let finding = ahead_by(ms);
            assert_eq!(finding.verdict, verdict, "{finding:?}");
            assert!(finding.message.contains(message), "{finding:?}");
        }
        assert_ne!(ahead_by(5_000).message, ahead_by(61_000).message);
    }

    #[test]
    fn the_fastest_answer_counts() {
        let mut samples = healthy().samples;
        samples[3].round_trip = Duration::from_secs(3);
        samples[7].round_trip = Duration::from_micros(100);
        samples[7].server_ms = samples[7].sent_ms;
        let finding = found(samples);
        assert_eq!(finding.verdict, Verdict::Fine);
        assert!(
            finding.message.ends_with("(accurate to 1 ms)"),
            "{finding:?}"
        );
    }

    #[test]
    fn a_difference_that_a_slow_answer_explains_is_ignored() {
        let slow = Sample {
            sent_ms: 0,
            round_trip: Duration::from_secs(2),
            server_ms: 2_900,
        };
        assert_eq!(found(vec![slow]).verdict, Verdict::Fine);
    }

    #[test]
    fn a_clock_that_goes_back_or_stands_still_is_broken() {
        let mut samples = healthy().samples;
        samples[9].server_ms -= 15;
        let back = found(samples);
        assert_eq!(back.verdict, Verdict::Broken);
        assert!(back.message.contains("moved back by 5 ms"), "{back:?}");
        let mut samples = healthy().samples;
        for sample in &mut samples {
            sample.server_ms = 5;
        }
        let still = found(samples);
        assert_eq!(still.verdict, Verdict::Broken);
        assert!(still.message.contains("does not run"), "{still:?}");
    }

    #[test]
    fn without_an_answer_the_clock_is_unknown() {
        let facts = Facts {
            samples: Vec::new(),
            ..healthy()
        };
        assert_eq!(clock(&facts).err(), Some(Withheld::Missing));
    }
}
