//! How many sessions a document would end, and how many it has ended.

use portcullis::policy::{
    ActivatedPolicy, PlanSample, Policies, PolicyChange, PolicyError, PolicyPlan, PolicyReceipt,
};
use serde::Serialize;

use super::{Accepted, live, read_accepted};
use crate::{
    args::{OutputOptions, PolicyPlan as Arguments},
    context::Context,
    exit::{Failure, Outcome},
    moment::{self, rfc3339},
    screen::{columns, print_result},
    text::{Ink, Pen, Table, count, or_dash, shown},
};

/// A plan as it is shown to programs.
#[derive(Serialize)]
pub(super) struct PlanJson {
    sessions: u64,
    would_end: u64,
    classes: Vec<ClassJson>,
    perhaps_in_use: u64,
    ended_before: u64,
    unreadable: u64,
}

#[derive(Serialize)]
struct ClassJson {
    class: Option<String>,
    sessions: u64,
    would_end: u64,
}

impl From<&PolicyPlan> for PlanJson {
    fn from(plan: &PolicyPlan) -> Self {
        let classes = plan.classes.iter().map(|class| ClassJson {
            class: class.class.clone(),
            sessions: class.sessions,
            would_end: class.ends,
        });
        Self {
            sessions: plan.sessions(),
            would_end: plan.ends(),
            classes: classes.collect(),
            perhaps_in_use: plan.perhaps_in_use,
            ended_before: plan.ended_before,
            unreadable: plan.unreadable,
        }
    }
}

#[derive(Serialize)]
struct SampleJson {
    counted: u64,
    would_end: u64,
    at_least: u64,
    at_most: u64,
}

/// Counts how many sessions the document in a file would end.
pub(super) async fn plan(
    context: &Context,
    output: OutputOptions,
    plan: &Arguments,
) -> Result<Outcome, Failure> {
    let Some(Accepted { text, .. }) = read_accepted(&plan.file)? else {
        return Ok(Outcome::Broken);
    };
    let policies = live::policies(context);
    let active = policies.versions().await?;
    let active = active.and_then(|versions| Some(versions.active()?.number));
    let change = PolicyChange::document(&text, active, "plan");
    if let Some(least) = plan.sample {
        let sample = policies.plan_sample(&change, least).await?;
        return print_sample(context, output, &sample);
    }
    print_plan(context, output, &policies.plan(&change).await?)
}

fn print_sample(
    context: &Context,
    output: OutputOptions,
    sample: &PlanSample,
) -> Result<Outcome, Failure> {
    let (at_least, at_most) = sample.interval;
    print_result(&if output.json {
        context.document(&SampleJson {
            counted: sample.counted,
            would_end: sample.ends,
            at_least,
            at_most,
        })?
    } else {
        format!(
            "about {} would end now: {at_least} to {at_most} with 95 % confidence, from a sample of \
             {}\n",
            sessions(sample.ends),
            sessions(sample.counted)
        )
    })?;
    Ok(Outcome::Done)
}

pub(super) fn print_plan(
    context: &Context,
    output: OutputOptions,
    plan: &PolicyPlan,
) -> Result<Outcome, Failure> {
    print_result(&if output.json {
        context.document(&PlanJson::from(plan))?
    } else {
        page(plan)
    })?;
    Ok(Outcome::Done)
}

fn sessions(number: u64) -> String {
    count(usize::try_from(number).unwrap_or(usize::MAX), "session")
}

fn are(number: u64) -> String {
    let verb = if number == 1 { "is" } else { "are" };
    format!("{} {verb}", sessions(number))
}

fn were(number: u64) -> String {
    let verb = if number == 1 { "was" } else { "were" };
    format!("{} {verb}", sessions(number))
}

/// A plan for people.
pub(super) fn page(plan: &PolicyPlan) -> String {
    let mut page = summary(plan);
    if plan.sessions() > 0 {
        let mut table = Table::new(["CLASS", "SESSIONS", "WOULD END"]);
        for class in &plan.classes {
            let ink = match class.ends {
                0 => Ink::Plain,
                _ => Ink::Warning,
            };
            table.push(vec![
                (Ink::Plain, or_dash(class.class.as_deref().map(shown))),
                (Ink::Plain, class.sessions.to_string()),
                (ink, class.ends.to_string()),
            ]);
        }
        page.push_str(&table.render(Pen::of_stdout(), columns()));
    }
    page
}

fn summary(plan: &PolicyPlan) -> String {
    let mut lines = format!(
        "{} of {} would end now\n",
        plan.ends(),
        sessions(plan.sessions())
    );
    for (number, text) in [
        (
            plan.perhaps_in_use,
            "of them may have been in use within the new limit: activity is written in steps",
        ),
        (
            plan.ended_before,
            "more were ended by an earlier version, and are still stored",
        ),
        (plan.unreadable, "more cannot be read, and stay as they are"),
    ] {
        if number > 0 {
            lines.push_str(&format!("  {number} {text}\n"));
        }
    }
    lines
}

#[derive(Serialize)]
struct Applied {
    version: u64,
    since: String,
    unchanged: bool,
    plan: Option<PlanJson>,
    /// When all sessions were settled, if this command has waited for it.
    settled_at: Option<String>,
    /// How many sessions the version has ended by then.
    ended: Option<u64>,
    /// How many of the planned ones had ended otherwise.
    ended_otherwise: Option<u64>,
}

/// Prints what an activation has done. If it `waits`, it prints how many sessions have ended too.
pub(super) async fn print_activated(
    context: &Context,
    output: OutputOptions,
    activated: Result<ActivatedPolicy, PolicyError>,
    waits: bool,
) -> Result<Outcome, Failure> {
    let activated = match activated {
        Ok(activated) => activated,
        Err(error @ PolicyError::Conflict { .. }) => {
            context.print_message(&shown(&error.to_string()));
            return Ok(Outcome::Overtaken);
        }
        Err(PolicyError::EndsTooMany { plan, most }) => {
            for line in page(&plan).lines() {
                context.print_message(line);
            }
            context.print_message(&format!(
                "nothing was changed: it may end {most}; allow more with --ends-at-most"
            ));
            return Ok(Outcome::EndsTooMany);
        }
        Err(error) => return Err(error.into()),
    };
    let planned = activated.plan.as_ref().map(PolicyPlan::ends);
    let settles = waits && !activated.unchanged && planned != Some(0);
    if !output.json {
        print_result(&activation(&activated))?;
    }
    let settled = match settles {
        true => Some(settle(&live::policies(context), activated.number).await?),
        false => None,
    };
    let otherwise = |receipt: &PolicyReceipt| planned?.checked_sub(receipt.total());
    if output.json {
        let settled = settled.as_ref();
        print_result(&context.document(&Applied {
            version: activated.number,
            since: rfc3339(activated.since),
            unchanged: activated.unchanged,
            plan: activated.plan.as_ref().map(PlanJson::from),
            settled_at: settled.and_then(|(at, _)| Some(rfc3339((*at)?))),
            ended: settled.map(|(_, receipt)| receipt.total()),
            ended_otherwise: settled.and_then(|(_, receipt)| otherwise(receipt)),
        })?)?;
    } else if let Some((_, receipt)) = settled {
        let apart = otherwise(&receipt).filter(|number| *number > 0);
        let apart = apart.map(|number| format!(", and {number} had ended otherwise"));
        print_result(&format!(
            "{} ended{}\n",
            were(receipt.total()),
            apart.unwrap_or_default()
        ))?;
    }
    Ok(Outcome::Done)
}

fn activation(activated: &ActivatedPolicy) -> String {
    let number = activated.number;
    if activated.unchanged {
        return format!("version {number} has these limits already; nothing was changed\n");
    }
    let since = moment::clock(activated.since);
    let plan = activated.plan.as_ref().filter(|plan| plan.ends() > 0);
    let plan = plan.map(|plan| format!("{} to end\n", are(plan.ends())));
    format!(
        "version {number} is active since {since}; every process uses it within 5.5 seconds\n{}",
        plan.unwrap_or_default()
    )
}

type Settled = (Option<portcullis::session::Timestamp>, PolicyReceipt);

async fn settle(policies: &Policies, number: u64) -> Result<Settled, Failure> {
    let interrupted = |error| match Failure::from(error) {
        Failure::Store(text) => Failure::Store(format!(
            "version {number} is active, and the application goes on to end sessions: {text}"
        )),
        other => other,
    };
    let at = policies.settle().await.map_err(interrupted)?;
    Ok((at, policies.receipt(number).await.map_err(interrupted)?))
}
