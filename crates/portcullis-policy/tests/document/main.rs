//! Documents, from their text to the limits of each class.
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests panic when something does not work"
)]

mod caps;
mod changes;
mod explained;
mod meaning;
mod names;
mod profiles;
mod properties;
mod reading;
mod resolution;
mod versions;

use std::time::Duration;

use portcullis_core::{
    Policy,
    policy::{ClassLimits, LimitName, parse_length},
};
use portcullis_policy::{Declared, Document, PolicyBounds, Problem, Resolved};

fn length(text: &str) -> Duration {
    parse_length(text).unwrap()
}

/// A document without its first line.
fn read(rest: &str) -> Document {
    Document::parse(&format!("schema = 1\n{rest}")).unwrap_or_else(|it| panic!("{it:#?}"))
}

/// What is wrong with the text of a document without its first line.
fn misread(rest: &str) -> Vec<Problem> {
    Document::parse(&format!("schema = 1\n{rest}"))
        .unwrap_err()
        .into_problems()
}

fn resolved(rest: &str) -> Resolved {
    let resolved = read(rest).resolve_all(&PolicyBounds::new());
    resolved.unwrap_or_else(|it| panic!("{rest}\n{it:#?}"))
}

fn refused(rest: &str) -> Vec<Problem> {
    let resolved = read(rest).resolve_all(&PolicyBounds::new());
    resolved.err().unwrap_or_else(|| panic!("accepted: {rest}"))
}

/// The policy of a process without an environment, whose code declares nothing.
fn policy(rest: &str) -> Policy {
    let policy = read(rest).resolve(None, &Declared::new(&[]), &PolicyBounds::new());
    policy.unwrap_or_else(|it| panic!("{it:#?}"))
}

/// The value of a limit, and the rule that decided.
fn decision(limits: &ClassLimits, limit: LimitName) -> (String, &str) {
    let mut decisions = limits.decisions.iter();
    let decision = decisions.find(|it| it.limit == limit).unwrap();
    (decision.value.to_string(), &decision.rule)
}

fn against(problem: &Problem) -> (&str, &str) {
    let against = problem.against.as_ref().unwrap();
    (&against.path, &against.value)
}
