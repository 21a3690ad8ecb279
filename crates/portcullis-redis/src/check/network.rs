//! Judges how fast the server answers, and whether the connection is encrypted.

use std::time::Duration;

use super::{
    facts::{Fact, Facts, Withheld},
    finding::Ruling,
};

/// An answer may take this share of the wait without a warning, in percent.
const SLOW: u32 = 20;

pub(super) fn latency(facts: &Facts) -> Fact<Ruling> {
    let mut answers: Vec<_> = facts
        .samples
        .iter()
        .map(|sample| sample.round_trip)
        .collect();
    answers.sort_unstable();
    let median = *answers.get(answers.len() / 2).ok_or(Withheld::Missing)?;
    let slowest = *answers.last().ok_or(Withheld::Missing)?;
    let wait = facts.wait;
    let message = format!(
        "half of {} answers came within {}, the slowest took {}; the setting wait is {}",
        answers.len(),
        millis(median),
        millis(slowest),
        millis(wait),
    );
    Ok(if median >= wait {
        Ruling::broken(
            format!("{message}: operations fail before the server answers"),
            "bring the server closer to the application, or raise wait() of the builder",
        )
    } else if median.saturating_mul(100) > wait.saturating_mul(SLOW) {
        Ruling::warning(
            format!("{message}: under load, operations will fail"),
            "bring the server closer to the application, or raise wait() of the builder",
        )
    } else {
        Ruling::fine(message)
    })
}

pub(super) fn transport(facts: &Facts) -> Fact<Ruling> {
    Ok(if facts.encrypted {
        Ruling::fine("TLS")
    } else if facts.local {
        Ruling::fine("without TLS, but the server is on this machine")
    } else {
        Ruling::warning(
            "without TLS: an attacker on the network reads the password and the data of sessions, and \
             can change them",
            "set tls-port and a certificate on the server, and use an address with rediss:// instead of \
             redis://",
        )
    })
}

fn millis(length: Duration) -> String {
    format!("{:.1} ms", length.as_secs_f64() * 1000.0)
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

    fn answering(round_trips_ms: &[u64]) -> Finding {
        let mut facts = healthy();
        let sample = facts.samples[0];
        facts.samples = round_trips_ms
            .iter()
            .map(|ms| super::super::facts::Sample {
                round_trip: Duration::from_millis(*ms),
                ..sample
            })
            .collect();
        latency(&facts)
            .unwrap_or_else(|_| panic!("no answer"))
            .about(Subject::Latency)
    }

    #[test]
    fn the_median_answer_counts_and_not_the_slowest() {
        let finding = answering(&[1, 240, 1, 2, 240]);
        assert_eq!(finding.verdict, Verdict::Fine);
        assert_eq!(
            finding.message,
            "half of 5 answers came within 2.0 ms, the slowest took 240.0 ms; the setting wait is 250.0 ms"
        );
    }

    #[test]
    fn answers_that_take_much_of_the_wait_are_a_warning_and_those_that_take_all_are_broken() {
        assert_eq!(answering(&[50; 5]).verdict, Verdict::Fine);
        assert_eq!(answering(&[51; 5]).verdict, Verdict::Warning);
        assert_eq!(answering(&[250; 5]).verdict, Verdict::Broken);
    }

    #[test]
    fn only_this_machine_needs_no_tls() {
        for (encrypted, local, verdict) in [
            (true, false, Verdict::Fine),
            (false, true, Verdict::Fine),
            (false, false, Verdict::Warning),
        ] {
            let facts = Facts {
                encrypted,
                local,
                ..healthy()
            };
            let ruling = transport(&facts).unwrap_or_else(|_| panic!("no answer"));
            assert_eq!(ruling.about(Subject::Transport).verdict, verdict);
        }
    }
}
