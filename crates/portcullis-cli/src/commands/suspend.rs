//! Suspending and resuming users.

use portcullis::{
    UserId,
    audit::Actor,
    session::{ReplicaAcks, Resumed, SessionHandle, Suspension, SuspensionReport},
};
use serde::Serialize;

use super::{
    in_each_realm,
    revoke::{Replicas, confirmations, indented, unknown_outcome},
};
use crate::{
    args::{Connection, OutputOptions, Resume, Suspend, Suspended},
    context::Context,
    exit::{Code, Failure, Outcome},
    json::User,
    moment,
    screen::{columns, print_result},
    text::{self, Ink, Pen, Table},
};

#[derive(Serialize)]
struct SuspendedJson<'r> {
    user: User<'r>,
    was_suspended: bool,
    ended: Vec<String>,
    replicas: Option<Replicas>,
}

#[derive(Serialize)]
struct DryRun<'r> {
    user: User<'r>,
    was_suspended: bool,
    would_end: Vec<String>,
}

#[derive(Serialize)]
struct ResumedJson<'r> {
    user: User<'r>,
    was_suspended: bool,
}

#[derive(Serialize)]
struct Page<'r> {
    now: String,
    suspended: Vec<SuspensionJson<'r>>,
    /// There may be more, after this one.
    next: Option<User<'r>>,
}

/// A suspended user as JSON.
#[derive(Serialize)]
pub(super) struct SuspensionJson<'r> {
    user: User<'r>,
    since: String,
    actor: Option<&'r str>,
    operator: Option<&'r str>,
    reason: Option<&'r str>,
}

impl<'r> From<&'r Suspension> for SuspensionJson<'r> {
    fn from(suspension: &'r Suspension) -> Self {
        let actor = suspension.actor.as_ref();
        Self {
            user: User::from(&suspension.user),
            since: moment::rfc3339(suspension.since),
            actor: actor.map(Actor::as_str),
            operator: actor.and_then(Actor::operator),
            reason: suspension.reason.as_deref(),
        }
    }
}

/// Suspends a user in each realm.
pub(crate) async fn suspend(
    connection: &Connection,
    output: OutputOptions,
    suspend: &Suspend,
) -> Result<Code, Failure> {
    check(&suspend.whose.user)?;
    let contexts = Context::confirming(connection, output, suspend.confirm_replicas).await?;
    let run = async |context: &Context| match suspend.dry_run {
        true => show(context, output, suspend).await,
        false => carry_out(context, output, suspend).await,
    };
    in_each_realm(&contexts, run).await
}

/// An application cannot sign in such a user, so the name is a mistake.
fn check(user: &UserId) -> Result<(), Failure> {
    user.check()
        .map_err(|error| Failure::Usage(error.to_string()))
}

/// Shows what a suspension would do.
async fn show(
    context: &Context,
    output: OutputOptions,
    suspend: &Suspend,
) -> Result<Outcome, Failure> {
    let user = &suspend.whose.user;
    let entries = context.sessions.list(user.clone()).await?;
    let before = context.sessions.suspension(user.clone()).await?;
    let handles = entries.iter().map(|entry| entry.info.handle);
    let handles: Vec<_> = handles.collect();
    print_result(&if output.json {
        context.document(&DryRun {
            user: User::from(user),
            was_suspended: before.is_some(),
            would_end: handles.iter().map(SessionHandle::to_string).collect(),
        })?
    } else {
        let name = text::user(user);
        let sessions = text::count(handles.len(), "session");
        let first = match &before {
            None => format!("would suspend {name} and end {sessions}\n"),
            Some(before) => format!("{}, would end {sessions}\n", line(context, before)),
        };
        first + &indented(&handles)
    })?;
    Ok(Outcome::Done)
}

async fn carry_out(
    context: &Context,
    output: OutputOptions,
    suspend: &Suspend,
) -> Result<Outcome, Failure> {
    let user = &suspend.whose.user;
    let by = suspend.operator.name();
    let sessions = context.sessions.clone().as_operator(by);
    let reason = suspend.reason.as_deref();
    let report = sessions.suspend(user.clone(), reason).await;
    let report = report.map_err(unknown_outcome)?;
    let result = if output.json {
        context.document(&SuspendedJson {
            user: User::from(user),
            was_suspended: report.was_suspended,
            ended: report.ended.iter().map(SessionHandle::to_string).collect(),
            replicas: report.copies.map(Replicas::from),
        })?
    } else {
        summary(&text::user(user), &report)
    };
    let written = print_result(&result);
    // The outcome is printed even if the result cannot be written.
    let outcome = if report.copies.is_none_or(ReplicaAcks::are_enough) {
        Outcome::Done
    } else {
        context.print_message(
            "not enough replicas confirmed it in time: a failover may undo the suspension",
        );
        Outcome::Unconfirmed
    };
    written?;
    Ok(outcome)
}

fn summary(user: &str, report: &SuspensionReport) -> String {
    let ended = text::count(report.ended.len(), "session");
    let mut summary = match report.was_suspended {
        false => format!("suspended {user} and ended {ended}\n"),
        true => format!("{user} was suspended before, and stays so; ended {ended}\n"),
    };
    summary.push_str(&indented(&report.ended));
    summary + &confirmations(report.copies)
}

/// Lets a suspended user sign in again.
pub(crate) async fn resume(
    context: &Context,
    output: OutputOptions,
    resume: &Resume,
) -> Result<Outcome, Failure> {
    let user = &resume.whose.user;
    let by = resume.operator.name();
    let sessions = context.sessions.clone().as_operator(by);
    let resumed = sessions.resume(user.clone()).await;
    let was_suspended = resumed.map_err(unknown_outcome)? == Resumed::Done;
    if output.json {
        print_result(&context.document(&ResumedJson {
            user: User::from(user),
            was_suspended,
        })?)?;
    } else if was_suspended {
        let name = text::user(user);
        print_result(&format!(
            "resumed {name}, who can sign in again; no session is revived\n"
        ))?;
    }
    if was_suspended {
        return Ok(Outcome::Done);
    }
    context.print_message(&format!("{} is not suspended", text::user(user)));
    Ok(Outcome::NotFound)
}

/// Lists suspended users.
pub(crate) async fn suspended(
    context: &Context,
    output: OutputOptions,
    options: &Suspended,
) -> Result<Outcome, Failure> {
    let page = context
        .sessions
        .suspended(options.after.as_ref(), options.limit.get());
    let page = page.await?;
    let next = page.last().filter(|_| page.len() >= options.limit.get());
    if output.json {
        print_result(&context.document(&Page {
            now: moment::rfc3339(context.now()),
            suspended: page.iter().map(SuspensionJson::from).collect(),
            next: next.map(|last| User::from(&last.user)),
        })?)?;
        return Ok(Outcome::Done);
    }
    if page.is_empty() {
        context.print_message(match options.after {
            Some(_) => "there are no more suspended users",
            None => "no user is suspended",
        });
        return Ok(Outcome::Done);
    }
    print_result(&table(context, &page).render(Pen::of_stdout(), columns()))?;
    if let Some(last) = next {
        context.print_message(&format!(
            "there may be more: portcullis suspended --hex --after={}",
            text::hex(&last.user)
        ));
    }
    Ok(Outcome::Done)
}

fn table(context: &Context, page: &[Suspension]) -> Table {
    let mut table = Table::new(["SINCE", "BY", "USER", "REASON"]);
    for suspension in page {
        let plain = |text: String| (Ink::Plain, text);
        table.push(vec![
            plain(context.clock().format(suspension.since)),
            plain(actor(suspension)),
            plain(text::user(&suspension.user)),
            plain(reason(suspension)),
        ]);
    }
    table
}

/// A suspension in one line.
pub(super) fn line(context: &Context, suspension: &Suspension) -> String {
    let since = context.clock().format(suspension.since);
    let user = text::user(&suspension.user);
    let (by, reason) = (actor(suspension), reason(suspension));
    format!("{user} is suspended since {since} by {by}, reason {reason}")
}

/// The name of the operator, or a word for another actor.
fn actor(suspension: &Suspension) -> String {
    let actor = suspension.actor.as_ref();
    let name = actor.map(|actor| actor.operator().unwrap_or(actor.as_str()));
    text::or_dash(name.map(|name| text::word(name.as_bytes())))
}

fn reason(suspension: &Suspension) -> String {
    let reason = suspension.reason.as_deref();
    text::or_dash(reason.map(|reason| text::word(reason.as_bytes())))
}
