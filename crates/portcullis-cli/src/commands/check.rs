//! Checks the server.

use portcullis_redis::{Finding, Verdict};
use serde::Serialize;

use crate::{
    args::{Check, Connection, OutputOptions},
    context,
    exit::{Failure, Outcome},
    json,
    screen::{columns, print_result},
    text::{Ink, Pen, Table, count, shown},
};

#[derive(Serialize)]
struct Report {
    sound: bool,
    findings: Vec<Found>,
}

#[derive(Serialize)]
struct Found {
    about: &'static str,
    verdict: &'static str,
    message: String,
    remedy: Option<String>,
}

pub(crate) async fn check(
    connection: &Connection,
    output: OutputOptions,
    check: &Check,
) -> Result<Outcome, Failure> {
    let findings = context::builder(connection)?.check().await?;
    let outcome = outcome(findings.iter().map(|finding| finding.verdict), check.strict);
    print_result(&if output.json {
        let found = |finding: &Finding| Found {
            about: finding.about.as_str(),
            verdict: finding.verdict.as_str(),
            message: finding.message.clone(),
            remedy: finding.remedy.clone(),
        };
        json::document(&Report {
            sound: outcome == Outcome::Done,
            findings: findings.iter().map(found).collect(),
        })?
    } else {
        report(&findings, Pen::of_stdout())
    })?;
    Ok(outcome)
}

fn outcome(verdicts: impl IntoIterator<Item = Verdict>, strict: bool) -> Outcome {
    let is_bad = |verdict| match verdict {
        Verdict::Fine => false,
        Verdict::Warning | Verdict::Unknown => strict,
        // A verdict of a later version counts as bad.
        _ => true,
    };
    if verdicts.into_iter().any(is_bad) {
        Outcome::Broken
    } else {
        Outcome::Done
    }
}

fn sign(verdict: Verdict) -> (Ink, &'static str) {
    match verdict {
        Verdict::Fine => (Ink::Good, "✓"),
        Verdict::Warning => (Ink::Warning, "!"),
        Verdict::Unknown => (Ink::Warning, "?"),
        _ => (Ink::Bad, "✗"),
    }
}

fn report(findings: &[Finding], pen: Pen) -> String {
    let mut table = Table::new(["VERDICT", "ABOUT", "FINDING"]);
    for finding in findings {
        let (ink, sign) = sign(finding.verdict);
        let plain = |text: &str| (Ink::Plain, text.to_owned());
        table.push(vec![
            (ink, format!("{sign} {}", finding.verdict.as_str())),
            plain(finding.about.as_str()),
            plain(&shown(&finding.message)),
        ]);
        if let Some(remedy) = &finding.remedy {
            let remedy = format!("remedy: {}", shown(remedy));
            table.push(vec![plain(""), plain(""), plain(&remedy)]);
        }
    }
    let number = |verdict| {
        let same = findings.iter().filter(|finding| finding.verdict == verdict);
        same.count()
    };
    format!(
        "{}\n{} broken, {}, {} unknown, {} fine\n",
        table.render(pen, columns()),
        number(Verdict::Broken),
        count(number(Verdict::Warning), "warning"),
        number(Verdict::Unknown),
        number(Verdict::Fine),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_broken_finding_is_bad_unless_the_check_is_strict() {
        use Verdict::{Broken, Fine, Unknown, Warning};

        for (verdicts, usual, strict) in [
            (&[Fine, Fine][..], Outcome::Done, Outcome::Done),
            (&[Fine, Warning], Outcome::Done, Outcome::Broken),
            (&[Unknown], Outcome::Done, Outcome::Broken),
            (&[Warning, Broken, Fine], Outcome::Broken, Outcome::Broken),
            (&[], Outcome::Done, Outcome::Done),
        ] {
            assert_eq!(outcome(verdicts.iter().copied(), false), usual);
            assert_eq!(outcome(verdicts.iter().copied(), true), strict);
        }
    }

    #[test]
    fn a_verdict_has_a_sign_and_a_word() {
        use Verdict::{Broken, Fine, Unknown, Warning};

        let signs = [Fine, Warning, Broken, Unknown].map(|verdict| sign(verdict).1);
        assert_eq!(signs, ["✓", "!", "✗", "?"]);
    }
}
