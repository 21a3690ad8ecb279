//! Ending sessions.

use std::io::{self, IsTerminal};

use portcullis::{
    UserId,
    session::{ReplicaAcks, RevocationReport, SessionHandle},
    settings::Realm,
    store::{Store, StoreError},
};
use portcullis_core::Bucket;
use serde::Serialize;
use tokio::task::JoinSet;

use super::in_each_realm;
use crate::{
    args::{Connection, OutputOptions, Revoke},
    context::Context,
    exit::{Code, Failure, Outcome, chain},
    json::User,
    screen::{self, print_message, print_result},
    text,
};

/// The number of buckets whose users are read at a time.
const AT_ONCE: usize = 16;

#[derive(Serialize)]
struct Revoked<'r> {
    user: Option<User<'r>>,
    ended: Vec<String>,
    replicas: Option<Replicas>,
}

#[derive(Serialize)]
pub(super) struct Replicas {
    asked: u32,
    confirmed: u32,
}

impl From<ReplicaAcks> for Replicas {
    fn from(copies: ReplicaAcks) -> Self {
        Self {
            asked: copies.asked,
            confirmed: copies.confirmed,
        }
    }
}

/// The sessions to end.
#[derive(Clone, Copy)]
enum Target<'r> {
    One(&'r UserId, SessionHandle),
    All(&'r UserId),
    AllBut(&'r UserId, SessionHandle),
    AllUsers,
}

impl<'r> Target<'r> {
    fn of(revoke: &'r Revoke) -> Result<Self, Failure> {
        match (&revoke.user, revoke.handle, revoke.keep) {
            (Some(user), Some(handle), _) => Ok(Self::One(user, handle)),
            (Some(user), None, Some(keep)) if revoke.all => Ok(Self::AllBut(user, keep)),
            (Some(user), None, None) if revoke.all => Ok(Self::All(user)),
            (None, ..) if revoke.everybody => Ok(Self::AllUsers),
            _ => Err(Failure::Usage(
                "name the sessions to end: a handle, --all or --everybody".into(),
            )),
        }
    }

    fn user(self) -> Option<&'r UserId> {
        match self {
            Self::One(user, _) | Self::All(user) | Self::AllBut(user, _) => Some(user),
            Self::AllUsers => None,
        }
    }

    fn name(self) -> String {
        self.user()
            .map_or_else(|| "all users".to_owned(), text::user)
    }
}

pub(crate) async fn revoke(
    connection: &Connection,
    output: OutputOptions,
    revoke: &Revoke,
) -> Result<Code, Failure> {
    let target = Target::of(revoke)?;
    let is_one = matches!(target, Target::One(..));
    if !is_one && !revoke.yes && !io::stdin().is_terminal() {
        return Err(Failure::Usage(
            "ending all sessions needs a confirmation, but there is no terminal for the \
             question; add --yes"
                .into(),
        ));
    }
    let contexts = Context::confirming(connection, output, revoke.confirm_replicas).await?;
    let place = place(&connection.redis_url()?, &connection.prefix()?);
    if !is_agreed(&contexts, target, &place, revoke.yes).await? {
        print_message("nothing was ended");
        return Ok(Outcome::NotFound.into());
    }
    in_each_realm(&contexts, async |context: &Context| {
        end(context, output, revoke, target).await
    })
    .await
}

async fn end(
    context: &Context,
    output: OutputOptions,
    revoke: &Revoke,
    target: Target<'_>,
) -> Result<Outcome, Failure> {
    let sessions = context.sessions.clone().as_operator(revoke.operator.name());
    let report = match target {
        Target::One(user, handle) => sessions.revoke(user.clone(), handle).await,
        Target::All(user) => sessions.revoke_all(user.clone()).await,
        Target::AllBut(user, keep) => sessions.revoke_others(user.clone(), keep).await,
        Target::AllUsers => sessions.revoke_everybody().await,
    };
    let report = report.map_err(unknown_outcome)?;
    let result = if output.json {
        context.document(&Revoked {
            user: target.user().map(User::from),
            ended: report.ended.iter().map(SessionHandle::to_string).collect(),
            replicas: report.copies.map(Replicas::from),
        })?
    } else if report.ended.is_empty() {
        String::new()
    } else {
        summary(target, &report)
    };
    let written = print_result(&result);
    // The outcome is printed even if the result cannot be written.
    let outcome = outcome(context, &report, target);
    written?;
    if report.ended.is_empty() {
        match target.user() {
            Some(user) => context.hint_at_user(user).await?,
            None => context.hint_at_prefix(),
        }
    }
    Ok(outcome)
}

/// Whether to continue: the session to keep exists, and the operator at the terminal confirms. The
/// question is asked once, for all realms.
async fn is_agreed(
    contexts: &[Context],
    target: Target<'_>,
    place: &str,
    yes: bool,
) -> Result<bool, Failure> {
    match target {
        Target::One(..) => return Ok(true),
        Target::All(_) | Target::AllUsers if yes => return Ok(true),
        Target::All(_) | Target::AllBut(..) | Target::AllUsers => {}
    }
    let mut counts = Vec::new();
    let (mut is_kept, mut failed) = (false, None);
    for context in contexts {
        let count = match count(context, target).await {
            Ok(count) => {
                is_kept |= count.has_kept;
                Some(count)
            }
            Err(failure) if context.is_one_of_all() => {
                context.print_message(&failure.to_string());
                failed = Some(failure);
                None
            }
            Err(failure) => return Err(failure),
        };
        counts.push((context.realm(), count));
    }
    if let (Target::AllBut(_, keep), false) = (target, is_kept) {
        // A typing error must not end the session that was to be kept.
        let name = target.name();
        print_message(&format!("{name} has no live session {keep} to keep"));
        return failed.map_or(Ok(false), Err);
    }
    if yes {
        return Ok(true);
    }
    let is_for_all = contexts.iter().any(Context::is_one_of_all);
    let question = question(target, place, &counts, is_for_all);
    screen::is_agreed(&question)
}

/// The number of sessions or users to end in a realm.
struct Count {
    number: usize,
    of: &'static str,
    /// The session to keep is in this realm.
    has_kept: bool,
}

async fn count(context: &Context, target: Target<'_>) -> Result<Count, Failure> {
    let Some(user) = target.user() else {
        return Ok(Count {
            number: users(context).await?,
            of: "user",
            has_kept: false,
        });
    };
    let entries = context.sessions.list(user.clone()).await?;
    let has_kept = match target {
        Target::AllBut(_, keep) => entries.iter().any(|entry| entry.info.handle == keep),
        _ => false,
    };
    Ok(Count {
        number: entries.len() - usize::from(has_kept),
        of: "session",
        has_kept,
    })
}

/// The number of users with sessions. Counting the sessions would mean reading all of them.
async fn users(context: &Context) -> Result<usize, Failure> {
    let (mut buckets, mut pending) = (Bucket::all(), JoinSet::new());
    let mut number = 0;
    loop {
        while pending.len() < AT_ONCE
            && let Some(bucket) = buckets.next()
        {
            let store = context.store.clone();
            pending.spawn(async move { store.users(bucket).await });
        }
        match pending.join_next().await {
            Some(Ok(users)) => number += users?.len(),
            Some(Err(error)) => return Err(Failure::Store(chain(&error))),
            None => return Ok(number),
        }
    }
}

fn question(
    target: Target<'_>,
    place: &str,
    counts: &[(&Realm, Option<Count>)],
    is_for_all: bool,
) -> String {
    let whose = match target {
        Target::AllBut(_, keep) => format!("{} but {keep}", target.name()),
        Target::AllUsers => format!("all users of {place}"),
        Target::One(..) | Target::All(_) => target.name(),
    };
    let number = |count: &Option<Count>| match count {
        Some(count) => text::count(count.number, count.of),
        None => "number unknown".to_owned(),
    };
    match counts {
        [(_, count)] if !is_for_all && target.user().is_some() => {
            format!("End all sessions of {whose}, now {}?", number(count))
        }
        [(realm, count)] if !is_for_all => {
            format!(
                "End all sessions of {whose} in the realm {realm}, now {}?",
                number(count)
            )
        }
        counts => {
            let realms: Vec<_> = counts
                .iter()
                .map(|(realm, count)| format!("{realm} ({})", number(count)))
                .collect();
            format!(
                "End all sessions of {whose} in {}: {}?",
                text::count(counts.len(), "realm"),
                realms.join(", ")
            )
        }
    }
}

/// Names the application without the password: prefix, host and port.
fn place(url: &str, prefix: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    format!("{prefix} on {host}")
}

/// The failure of a change that may have been carried out.
pub(super) fn unknown_outcome(error: StoreError) -> Failure {
    match Failure::from(error) {
        Failure::Store(text) => Failure::Store(format!(
            "the outcome is unknown; run the command again: {text}"
        )),
        other => other,
    }
}

fn summary(target: Target<'_>, report: &RevocationReport) -> String {
    let mut summary = format!(
        "ended {} of {}\n",
        text::count(report.ended.len(), "session"),
        target.name()
    );
    // There may be millions of sessions of all users.
    if target.user().is_some() {
        summary.push_str(&indented(&report.ended));
    }
    summary + &confirmations(report.copies)
}

/// A line for each of these sessions.
pub(super) fn indented(handles: &[SessionHandle]) -> String {
    let lines = handles.iter().map(|handle| format!("  {handle}\n"));
    lines.collect()
}

/// A line on how many replicas have confirmed it, if they were asked.
pub(super) fn confirmations(copies: Option<ReplicaAcks>) -> String {
    let line = |ReplicaAcks { asked, confirmed }| {
        format!("confirmed by {confirmed} of {asked} replicas\n")
    };
    copies.map(line).unwrap_or_default()
}

fn outcome(context: &Context, report: &RevocationReport, target: Target<'_>) -> Outcome {
    let is_confirmed = report.copies.is_none_or(ReplicaAcks::are_enough);
    if report.ended.is_empty() {
        match target {
            Target::One(_, handle) => {
                context.print_message(&format!("{} has no live session {handle}", target.name()));
            }
            _ => context.print_message("there was no session to end"),
        }
        Outcome::NotFound
    } else if is_confirmed {
        Outcome::Done
    } else {
        context.print_message(
            "not enough replicas confirmed it in time: a failover may restore these sessions",
        );
        Outcome::Unconfirmed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_is_named_without_the_password() {
        for (url, host) in [
            ("redis://127.0.0.1:6379", "127.0.0.1:6379"),
            ("rediss://app:hunter2@redis.example/3", "redis.example"),
            ("redis://:a@b@redis.example:7000?x=/", "redis.example:7000"),
        ] {
            assert_eq!(place(url, "pc"), format!("pc on {host}"));
        }
    }

    #[test]
    fn the_question_names_realms_and_how_many_are_to_end_there() {
        let [admin, shop] = ["admin", "shop"].map(|name| Realm::new(name).unwrap());
        let count = |number, of| {
            Some(Count {
                number,
                of,
                has_kept: false,
            })
        };
        let user = UserId::from("alice");
        let (all, keep) = (Target::All(&user), SessionHandle::from_bytes([0; 12]));
        let ask =
            |target, counts: &[_], is_for_all| question(target, "pc on db", counts, is_for_all);
        assert_eq!(
            ask(all, &[(&shop, count(1, "session"))], false),
            "End all sessions of alice, now 1 session?"
        );
        assert_eq!(
            ask(Target::AllUsers, &[(&shop, count(3, "user"))], false),
            "End all sessions of all users of pc on db in the realm shop, now 3 users?"
        );
        assert_eq!(
            ask(all, &[(&admin, count(2, "session")), (&shop, None)], true),
            "End all sessions of alice in 2 realms: admin (2 sessions), shop (number unknown)?"
        );
        assert_eq!(
            ask(
                Target::AllBut(&user, keep),
                &[(&shop, count(0, "session"))],
                true
            ),
            "End all sessions of alice but AAAAAAAAAAAAAAAA in 1 realm: shop (0 sessions)?"
        );
        assert_eq!(
            ask(
                Target::AllUsers,
                &[(&admin, count(1, "user")), (&shop, count(9, "user"))],
                true
            ),
            "End all sessions of all users of pc on db in 2 realms: admin (1 user), shop (9 users)?"
        );
    }

    #[test]
    fn a_report_has_the_ended_sessions_and_the_confirmations() {
        let report = RevocationReport {
            ended: vec![
                SessionHandle::from_bytes([0; 12]),
                SessionHandle::from_bytes([255; 12]),
            ],
            copies: Some(ReplicaAcks {
                asked: 2,
                confirmed: 1,
            }),
        };
        assert_eq!(
            summary(Target::All(&UserId::from("eve\n")), &report),
            "ended 2 sessions of \"eve\\n\"\n  AAAAAAAAAAAAAAAA\n  ________________\nconfirmed by 1 of 2 replicas\n"
        );
    }
}
