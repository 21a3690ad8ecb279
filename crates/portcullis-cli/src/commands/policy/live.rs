//! The policy that is active in the store, and what processes use.

use std::path::Path;

use portcullis::{
    policy::{ActivatedPolicy, Policies, PolicyError, ReceivedReport, Version, Versions},
    session::Timestamp,
};
use portcullis_policy::{Document, PolicyBounds, Resolved};
use serde::Serialize;

use super::{diff, name, read_accepted, text_of};
use crate::{
    args::{OutputOptions, PolicyApply, PolicyDrift, PolicyRollBack},
    context::Context,
    exit::{Failure, Outcome},
    moment::{self, rfc3339},
    screen::{columns, print_message, print_result},
    text::{self, Ink, Pen, Table, shown},
};

impl From<PolicyError> for Failure {
    fn from(error: PolicyError) -> Self {
        let text = shown(&error.to_string());
        match error {
            PolicyError::Invalid(_) => Self::Usage(text),
            PolicyError::UnknownVersion { .. } | PolicyError::Unregistered => Self::NotFound(text),
            _ => Self::Store(text),
        }
    }
}

/// A version as it is shown to programs.
#[derive(Serialize)]
struct VersionJson<'v> {
    version: u64,
    since: String,
    by: &'v str,
    reason: Option<&'v str>,
    policy: &'v str,
}

impl<'v> From<&'v Version> for VersionJson<'v> {
    fn from(version: &'v Version) -> Self {
        Self {
            version: version.number,
            since: rfc3339(version.since),
            by: &version.by,
            reason: version.reason.as_deref(),
            policy: &version.digest,
        }
    }
}

fn policies(context: &Context) -> Policies {
    Policies::new(context.store.clone())
}

/// Activates the document in a file.
pub(super) async fn apply(
    context: &Context,
    output: OutputOptions,
    apply: &PolicyApply,
) -> Result<Outcome, Failure> {
    if read_accepted(&apply.file)?.is_none() {
        return Ok(Outcome::Broken);
    }
    let unreadable =
        |error| Failure::Usage(format!("{} cannot be read: {error}", name(&apply.file)));
    let text = text_of(&apply.file).map_err(unreadable)?;
    let (expected, reason) = (apply.note.expect.0, apply.note.reason.as_deref());
    let (policies, by) = (policies(context), apply.note.by()?);
    let activated = policies.activate(&text, expected, &by, reason).await;
    print_activated(context, output, activated)
}

/// Activates the document of an earlier version.
pub(super) async fn roll_back(
    context: &Context,
    output: OutputOptions,
    back: &PolicyRollBack,
) -> Result<Outcome, Failure> {
    let (expected, reason) = (back.note.expect.0, back.note.reason.as_deref());
    let (policies, by) = (policies(context), back.note.by()?);
    let activated = policies
        .roll_back(back.version, expected, &by, reason)
        .await;
    print_activated(context, output, activated)
}

#[derive(Serialize)]
struct Applied {
    version: u64,
    since: String,
    unchanged: bool,
}

fn print_activated(
    context: &Context,
    output: OutputOptions,
    activated: Result<ActivatedPolicy, PolicyError>,
) -> Result<Outcome, Failure> {
    let activated = match activated {
        Ok(activated) => activated,
        Err(error @ PolicyError::Conflict { .. }) => {
            context.print_message(&shown(&error.to_string()));
            return Ok(Outcome::Overtaken);
        }
        Err(error) => return Err(error.into()),
    };
    let ActivatedPolicy {
        number,
        since,
        unchanged,
        ..
    } = activated;
    print_result(&if output.json {
        context.document(&Applied {
            version: number,
            since: rfc3339(since),
            unchanged,
        })?
    } else if unchanged {
        format!("version {number} has these limits already; nothing was changed\n")
    } else {
        let since = moment::clock(since);
        format!(
            "version {number} is active since {since}; every process uses it within 5.5 seconds\n"
        )
    })?;
    Ok(Outcome::Done)
}

/// The versions, or a message that there is none.
async fn versions(context: &Context) -> Result<Option<Versions>, Failure> {
    let versions = policies(context).versions().await?;
    if versions.is_none() {
        context.print_message("no policy is active; the limits of the code hold");
    }
    Ok(versions)
}

#[derive(Serialize)]
struct History<'h> {
    now: String,
    versions: Vec<VersionJson<'h>>,
}

/// Lists the versions, the newest first.
pub(super) async fn history(context: &Context, output: OutputOptions) -> Result<Outcome, Failure> {
    let Some(versions) = versions(context).await? else {
        return Ok(Outcome::NotFound);
    };
    let clock = context.clock();
    print_result(&if output.json {
        context.document(&History {
            now: rfc3339(clock.now),
            versions: versions.all().iter().map(VersionJson::from).collect(),
        })?
    } else {
        let mut table = Table::new(["VERSION", "ACTIVE SINCE", "BY", "REASON", "POLICY"]);
        for version in versions.all() {
            let plain = |text: String| (Ink::Plain, text);
            table.push(vec![
                plain(version.number.to_string()),
                plain(clock.format(version.since)),
                plain(shown(&version.by)),
                plain(text::or_dash(version.reason.as_deref().map(shown))),
                plain(version.digest.chars().take(12).collect()),
            ]);
        }
        table.render(Pen::of_stdout(), columns())
    })?;
    Ok(Outcome::Done)
}

#[derive(Serialize)]
struct Status<'s> {
    now: String,
    active: Option<VersionJson<'s>>,
    processes: Vec<ProcessJson<'s>>,
}

#[derive(Serialize)]
struct ProcessJson<'p> {
    process: &'p str,
    version: Option<u64>,
    reported_at: String,
    problem: Option<&'p str>,
}

/// Shows the active version, and which process uses which.
pub(super) async fn status(context: &Context, output: OutputOptions) -> Result<Outcome, Failure> {
    let policies = policies(context);
    // What one process cannot read, others may be able to.
    let (versions, reports) = (policies.versions().await, policies.reports().await?);
    let versions = match versions {
        Err(error @ PolicyError::Unreadable(_)) => {
            context.print_message(&shown(&error.to_string()));
            None
        }
        versions => versions?,
    };
    let active = versions.as_ref().and_then(Versions::active);
    let number = active.map(|active| active.number);
    let clock = context.clock();
    print_result(&if output.json {
        let processes = reports.iter().map(|received| ProcessJson {
            process: &received.report.process,
            version: received.report.number,
            reported_at: rfc3339(received.at),
            problem: Some(&*received.report.problem).filter(|problem| !problem.is_empty()),
        });
        context.document(&Status {
            now: rfc3339(clock.now),
            active: active.map(VersionJson::from),
            processes: processes.collect(),
        })?
    } else {
        let mut page = match active {
            Some(active) => of_active(active),
            None => "no policy is active; the limits of the code hold\n".to_owned(),
        };
        if !reports.is_empty() {
            let table = processes(&reports, number, |at| clock.format(at));
            page.push_str(&format!("\n{}", table.render(Pen::of_stdout(), columns())));
        }
        page
    })?;
    let is_well = |it: &ReceivedReport| it.report.number == number && it.report.problem.is_empty();
    Ok(match reports.iter().all(is_well) {
        true => Outcome::Done,
        false => Outcome::Broken,
    })
}

fn of_active(active: &Version) -> String {
    let reason = active.reason.as_deref().map(shown);
    let reason = reason.map(|reason| format!(": {reason}"));
    format!(
        "version {} is active since {}, by {}{}\npolicy {}\n",
        active.number,
        moment::clock(active.since),
        shown(&active.by),
        reason.unwrap_or_default(),
        active.digest
    )
}

fn processes(
    reports: &[ReceivedReport],
    active: Option<u64>,
    moment: impl Fn(Timestamp) -> String,
) -> Table {
    let mut table = Table::new(["PROCESS", "VERSION", "REPORTED", "PROBLEM"]);
    for ReceivedReport { report, at } in reports {
        let ink = match report.number == active {
            true => Ink::Plain,
            false => Ink::Warning,
        };
        let problem = Some(&report.problem).filter(|problem| !problem.is_empty());
        table.push(vec![
            (Ink::Plain, shown(&report.process)),
            (ink, text::or_dash(report.number)),
            (Ink::Plain, moment(*at)),
            (Ink::Warning, text::or_dash(problem.map(|it| shown(it)))),
        ]);
    }
    table
}

/// Compares the active document with one in a file.
pub(super) async fn drift(
    context: &Context,
    output: OutputOptions,
    drift: &PolicyDrift,
) -> Result<Outcome, Failure> {
    let Some(versions) = versions(context).await? else {
        return Ok(Outcome::NotFound);
    };
    let active = versions.active().and_then(|active| active.text.as_deref());
    let Some(active) = resolved(active.unwrap_or_default()) else {
        print_message(
            "the active document is of another version of this tool, and cannot be compared",
        );
        return Ok(Outcome::Broken);
    };
    match read_accepted(Path::new(&drift.file))? {
        Some(accepted) => diff::print(output, &active, &accepted.resolved),
        None => Ok(Outcome::Broken),
    }
}

fn resolved(text: &str) -> Option<Resolved> {
    let document = Document::parse(text).ok()?;
    document.resolve_all(&PolicyBounds::new()).ok()
}
