//! Checks a document.

use portcullis_policy::Problem;
use serde::Serialize;

use super::{Accepted, read};
use crate::{
    args::{OutputOptions, PolicyCheck},
    exit::{Failure, Outcome},
    json,
    screen::print_result,
    text::{Ink, Pen, count, shown},
};

#[derive(Serialize)]
struct Report<'r> {
    accepted: bool,
    policy: Option<&'r str>,
    profile: Option<&'r str>,
    environments: Vec<&'r str>,
    classes: Vec<&'r str>,
    problems: &'r [Problem],
    warnings: &'r [Problem],
}

pub(super) fn check(output: OutputOptions, check: &PolicyCheck) -> Result<Outcome, Failure> {
    let environment = check.environment.as_deref();
    let checked = read(&check.file)?.and_then(|accepted| {
        let wrong = environment.and_then(|name| accepted.document.wrong_environment(Some(name)));
        wrong.map_or(Ok(accepted), |problem| Err(vec![problem]))
    });
    let result = match (&checked, output.json) {
        (checked, true) => json::document(&report(checked))?,
        (Ok(accepted), false) => accepted_text(accepted, Pen::of_stdout()),
        (Err(problems), false) => refused_text(problems, Pen::of_stdout()),
    };
    print_result(&result)?;
    Ok(match checked {
        Ok(_) => Outcome::Done,
        Err(_) => Outcome::Broken,
    })
}

fn report(checked: &Result<Accepted, Vec<Problem>>) -> Report<'_> {
    match checked {
        Ok(Accepted {
            document, resolved, ..
        }) => Report {
            accepted: true,
            policy: Some(&resolved.digest),
            profile: Some(resolved.profile.name()),
            environments: document.environments().collect(),
            classes: document.classes().collect(),
            problems: &[],
            warnings: &resolved.warnings,
        },
        Err(problems) => Report {
            accepted: false,
            policy: None,
            profile: None,
            environments: Vec::new(),
            classes: Vec::new(),
            problems,
            warnings: &[],
        },
    }
}

fn accepted_text(accepted: &Accepted, pen: Pen) -> String {
    let Accepted {
        document, resolved, ..
    } = accepted;
    let mut text = String::new();
    for warning in &resolved.warnings {
        let sign = pen.write(Ink::Warning, "! warning");
        text.push_str(&format!("{sign}  {}\n", shown(&warning.to_string())));
    }
    let sign = pen.write(Ink::Good, "✓ accepted");
    text.push_str(&format!(
        "{sign}  profile {}, {}, {}, policy {}\n",
        resolved.profile,
        plural(document.classes().count(), "class", "classes"),
        count(document.environments().count(), "environment"),
        resolved.digest,
    ));
    text
}

fn refused_text(problems: &[Problem], pen: Pen) -> String {
    let mut text = String::new();
    for problem in problems {
        let sign = pen.write(Ink::Bad, "✗ refused");
        text.push_str(&format!("{sign}  {}\n", shown(&problem.to_string())));
    }
    text.push_str(&format!("{}\n", count(problems.len(), "problem")));
    text
}

fn plural(number: usize, one: &str, several: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { several })
}
