//! Shows why each limit has its value.

use portcullis_core::policy::{Decision, LimitValue};
use portcullis_policy::Row;
use serde::Serialize;

use super::{name, read_accepted};
use crate::{
    args::{OutputOptions, PolicyExplain},
    exit::{Failure, Outcome},
    json,
    screen::{print_message, print_result},
    text::{Ink, Pen, shown, word},
};

#[derive(Serialize)]
struct Explanation<'e> {
    policy: &'e str,
    profile: &'static str,
    explained: Vec<Explained<'e>>,
}

#[derive(Serialize)]
struct Explained<'e> {
    environment: Option<&'e str>,
    class: Option<&'e str>,
    limits: Vec<Limit<'e>>,
}

#[derive(Serialize)]
struct Limit<'e> {
    limit: &'static str,
    value: String,
    rule: &'e str,
    over: Vec<Said<'e>>,
    caps: Vec<Said<'e>>,
}

#[derive(Serialize)]
struct Said<'e> {
    rule: &'e str,
    value: String,
}

pub(super) fn explain(output: OutputOptions, explain: &PolicyExplain) -> Result<Outcome, Failure> {
    let Some(accepted) = read_accepted(&explain.file)? else {
        return Ok(Outcome::Broken);
    };
    if let Some(environment) = explain.environment.as_deref()
        && let Some(problem) = accepted.document.wrong_environment(Some(environment))
    {
        let problem = shown(&problem.to_string());
        print_message(&format!("{}: {problem}", name(&explain.file)));
        return Ok(Outcome::Broken);
    }
    let resolved = &accepted.resolved;
    let is_wanted = |row: &&Row| {
        let is =
            |wanted: &Option<String>, name: &Option<String>| wanted.is_none() || wanted == name;
        is(&explain.environment, &row.environment) && is(&explain.class, &row.class)
    };
    let rows: Vec<_> = resolved.rows_in_use().filter(is_wanted).collect();
    if let (true, Some(class)) = (rows.is_empty(), &explain.class) {
        let known: Vec<_> = accepted.document.classes().collect();
        let known = match known.join(", ") {
            known if known.is_empty() => "none".to_owned(),
            known => known,
        };
        return Err(Failure::NotFound(format!(
            "{} has no class {}; its classes: {known}",
            name(&explain.file),
            word(class.as_bytes())
        )));
    }
    print_result(&if output.json {
        json::document(&Explanation {
            policy: &resolved.digest,
            profile: resolved.profile.name(),
            explained: rows.into_iter().map(Explained::from).collect(),
        })?
    } else {
        text(&rows, Pen::of_stdout())
    })?;
    Ok(Outcome::Done)
}

fn text(rows: &[&Row], pen: Pen) -> String {
    let paragraph = |row: &&Row| {
        let class = match &row.class {
            Some(class) => format!("class {class}"),
            None => "no class".to_owned(),
        };
        let heading = match &row.environment {
            Some(environment) => format!("{class}, environment {environment}"),
            None => class,
        };
        let heading = pen.write(Ink::Bold, &heading);
        format!("{heading}\n{}", portcullis_policy::explain(&row.limits))
    };
    let paragraphs: Vec<_> = rows.iter().map(paragraph).collect();
    paragraphs.join("\n")
}

impl<'e> From<&'e Row> for Explained<'e> {
    fn from(row: &'e Row) -> Self {
        Self {
            environment: row.environment.as_deref(),
            class: row.class.as_deref(),
            limits: row.limits.decisions.iter().map(Limit::from).collect(),
        }
    }
}

impl<'e> From<&'e Decision> for Limit<'e> {
    fn from(decision: &'e Decision) -> Self {
        Self {
            limit: decision.limit.as_str(),
            value: decision.value.to_string(),
            rule: &decision.rule,
            over: said(&decision.over),
            caps: said(&decision.caps),
        }
    }
}

fn said(rules: &[(String, LimitValue)]) -> Vec<Said<'_>> {
    let said = rules.iter().map(|(rule, value)| Said {
        rule,
        value: value.to_string(),
    });
    said.collect()
}
