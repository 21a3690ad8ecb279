//! The policy that is active in the store, and what processes use.

use std::path::Path;

use portcullis::{
    policy::{
        Overlay, Policies, PolicyChange, PolicyError, PolicyReceipt, ReceivedReport, Version,
        Versions,
    },
    session::Timestamp,
};
use portcullis_core::policy::length_text;
use portcullis_policy::{Document, PolicyBounds, Resolved};
use serde::Serialize;

use super::{Accepted, diff, plan, read_accepted};
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
            PolicyError::Invalid(_) | PolicyError::Limits(_) => Self::Usage(text),
            PolicyError::UnknownVersion { .. }
            | PolicyError::Unregistered
            | PolicyError::NoPolicy => Self::NotFound(text),
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
    /// Until when the version tightens its document, if it does.
    tightened_until: Option<String>,
}

impl<'v> From<&'v Version> for VersionJson<'v> {
    fn from(version: &'v Version) -> Self {
        Self {
            version: version.number,
            since: rfc3339(version.since),
            by: &version.by,
            reason: version.reason.as_deref(),
            policy: &version.digest,
            tightened_until: version.overlay.map(|overlay| rfc3339(overlay.until)),
        }
    }
}

pub(super) fn policies(context: &Context) -> Policies {
    Policies::new(context.store.clone())
}

/// Activates the document in a file.
pub(super) async fn apply(
    context: &Context,
    output: OutputOptions,
    apply: &PolicyApply,
) -> Result<Outcome, Failure> {
    let Some(Accepted { text, .. }) = read_accepted(&apply.file)? else {
        return Ok(Outcome::Broken);
    };
    let (expected, reason) = (apply.note.expect.0, apply.note.activation.reason.as_deref());
    let (policies, by) = (policies(context), apply.note.activation.by()?);
    let change = PolicyChange::document(&text, expected, &by).reason(reason);
    let change = change.ends_at_most(apply.note.activation.ends_at_most());
    let activated = policies.apply(change).await;
    plan::print_activated(context, output, activated, !apply.note.activation.no_wait).await
}

/// Activates the document of an earlier version.
pub(super) async fn roll_back(
    context: &Context,
    output: OutputOptions,
    back: &PolicyRollBack,
) -> Result<Outcome, Failure> {
    let (expected, reason) = (back.note.expect.0, back.note.activation.reason.as_deref());
    let (policies, by) = (policies(context), back.note.activation.by()?);
    let change = PolicyChange::roll_back(back.version, expected, &by).reason(reason);
    let change = change.ends_at_most(back.note.activation.ends_at_most());
    let activated = policies.apply(change).await;
    plan::print_activated(context, output, activated, !back.note.activation.no_wait).await
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
        let mut table = Table::new([
            "VERSION",
            "ACTIVE SINCE",
            "BY",
            "REASON",
            "TIGHTENED UNTIL",
            "POLICY",
        ]);
        for version in versions.all() {
            let plain = |text: String| (Ink::Plain, text);
            table.push(vec![
                plain(version.number.to_string()),
                plain(clock.format(version.since)),
                plain(shown(&version.by)),
                plain(text::or_dash(version.reason.as_deref().map(shown))),
                plain(text::or_dash(
                    version.overlay.map(|overlay| clock.format(overlay.until)),
                )),
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
    /// How many sessions the activation of that version has ended.
    ended: Option<u64>,
    processes: Vec<ProcessJson<'s>>,
}

#[derive(Serialize)]
struct ProcessJson<'p> {
    process: &'p str,
    version: Option<u64>,
    reported_at: String,
    /// How long after its activation the process began to use the version.
    after_ms: Option<u128>,
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
    let receipt = match number {
        Some(number) => Some(policies.receipt(number).await?),
        None => None,
    };
    let clock = context.clock();
    print_result(&if output.json {
        let processes = reports.iter().map(|received| ProcessJson {
            process: &received.report.process,
            version: received.report.number,
            reported_at: rfc3339(received.at),
            after_ms: received.report.after.map(|after| after.as_millis()),
            problem: Some(&*received.report.problem).filter(|problem| !problem.is_empty()),
        });
        context.document(&Status {
            now: rfc3339(clock.now),
            active: active.map(VersionJson::from),
            ended: receipt.as_ref().map(PolicyReceipt::total),
            processes: processes.collect(),
        })?
    } else {
        let mut page = match active {
            Some(active) => {
                let overlay = versions.as_ref().and_then(|it| it.overlay(clock.now));
                of_active(active, overlay, receipt.as_ref())
            }
            None => "no policy is active; the limits of the code hold\n".to_owned(),
        };
        if !reports.is_empty() {
            if number.is_some() {
                page.push_str(&summary(&reports, number));
            }
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

fn of_active(
    active: &Version,
    overlay: Option<&Overlay>,
    receipt: Option<&PolicyReceipt>,
) -> String {
    let reason = active.reason.as_deref().map(shown);
    let reason = reason.map(|reason| format!(": {reason}"));
    format!(
        "version {} is active since {}, by {}{}\npolicy {}\n{}{}",
        active.number,
        moment::clock(active.since),
        shown(&active.by),
        reason.unwrap_or_default(),
        active.digest,
        overlay.map(of_overlay).unwrap_or_default(),
        receipt.map(of_receipt).unwrap_or_default()
    )
}

/// How many processes use the active version, and how long the slowest took.
fn summary(reports: &[ReceivedReport], active: Option<u64>) -> String {
    let using = reports.iter().filter(|it| it.report.number == active);
    let slowest = using.clone().filter_map(|it| it.report.after).max();
    let slowest = slowest.map(|after| format!(", the slowest after {} ms", after.as_millis()));
    let (processes, use_it) = match reports.len() {
        1 => ("process", "uses"),
        _ => ("processes", "use"),
    };
    format!(
        "{} of {} {processes} {use_it} it{}\n",
        using.count(),
        reports.len(),
        slowest.unwrap_or_default()
    )
}

/// What the active version is tightened to, and until when.
fn of_overlay(overlay: &Overlay) -> String {
    let limits = overlay.tightening();
    let limits = [
        ("idle", limits.idle),
        ("absolute", limits.absolute),
        ("privileged_idle", limits.privileged_idle),
        ("elevation", limits.elevation),
    ];
    let limits = limits.into_iter().filter_map(|(name, limit)| {
        let limit = limit.map(length_text)?;
        Some(format!("{name} {limit}"))
    });
    format!(
        "tightened until {}: {} at most\n",
        moment::clock(overlay.until),
        limits.collect::<Vec<_>>().join(", ")
    )
}

/// How many sessions a version has ended, in all and by class.
fn of_receipt(receipt: &PolicyReceipt) -> String {
    let classes = receipt.ended.iter().filter_map(|(class, count)| {
        let class = class.as_deref().map(shown)?;
        Some(format!("{class} {count}"))
    });
    let classes: Vec<_> = classes.collect();
    let classes = match classes.is_empty() {
        true => String::new(),
        false => format!(": {}", classes.join(", ")),
    };
    match receipt.total() {
        0 => String::new(),
        1 => format!("its activation has ended 1 session{classes}\n"),
        total => format!("its activation has ended {total} sessions{classes}\n"),
    }
}

fn processes(
    reports: &[ReceivedReport],
    active: Option<u64>,
    moment: impl Fn(Timestamp) -> String,
) -> Table {
    let mut table = Table::new(["PROCESS", "VERSION", "AFTER", "REPORTED", "PROBLEM"]);
    for ReceivedReport { report, at } in reports {
        let ink = match report.number == active {
            true => Ink::Plain,
            false => Ink::Warning,
        };
        let problem = Some(&report.problem).filter(|problem| !problem.is_empty());
        table.push(vec![
            (Ink::Plain, shown(&report.process)),
            (ink, text::or_dash(report.number)),
            (
                Ink::Plain,
                text::or_dash(report.after.map(|it| format!("{} ms", it.as_millis()))),
            ),
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
