//! The sessions of a user.

use portcullis::session::SessionEntry;
use serde::Serialize;

use super::suspend::{self, SuspensionJson};
use crate::{
    args::{OfUser, OutputOptions},
    context::Context,
    exit::{Failure, Outcome},
    json,
    moment::{self, Clock},
    realms::ClassNames,
    screen::{columns, print_result},
    text::{self, Ink, Pen, Table},
};

#[derive(Serialize)]
struct Listed<'e> {
    #[serde(flatten)]
    sessions: json::Sessions<'e>,
    suspension: Option<SuspensionJson<'e>>,
}

pub(crate) async fn list(
    context: &Context,
    output: OutputOptions,
    whose: &OfUser,
) -> Result<Outcome, Failure> {
    let entries = context.sessions.list(whose.user.clone()).await?;
    let suspension = context.sessions.suspension(whose.user.clone()).await?;
    let clock = context.clock();
    let user = text::user(&whose.user);
    if output.json {
        print_result(&context.document(&Listed {
            sessions: json::Sessions::new(clock.now, context.classes(), &entries),
            suspension: suspension.as_ref().map(SuspensionJson::from),
        })?)?;
    }
    if let Some(suspension) = &suspension {
        context.print_message(&suspend::line(context, suspension));
    }
    if entries.is_empty() {
        context.print_message(&format!("{user} has no session"));
        context.hint_at_user(&whose.user).await?;
        return Ok(Outcome::NotFound);
    }
    if !output.json {
        let sessions = text::count(entries.len(), "session");
        let now = moment::clock(clock.now);
        let table =
            table(&entries, context.classes(), clock, false).render(Pen::of_stdout(), columns());
        print_result(&format!("{sessions} of {user} at {now}\n\n{table}"))?;
    }
    Ok(Outcome::Done)
}

/// With users, these come last: their width is unbounded.
pub(super) fn table(
    entries: &[SessionEntry],
    classes: &ClassNames,
    clock: Clock,
    with_users: bool,
) -> Table {
    let headings = [
        "HANDLE",
        "CLASS",
        "CREATED",
        "LAST ACTIVE",
        "AUTHENTICATED",
        "ENDS IF IDLE",
        "ENDS IN ANY CASE",
        "ELEVATED UNTIL",
        "CLIENT",
        "FLAGGED",
    ];
    let mut table = Table::new(headings.into_iter().chain(with_users.then_some("USER")));
    for entry in entries {
        let info = &entry.info;
        let plain = |text: String| (Ink::Plain, text);
        let mut row = vec![
            plain(info.handle.to_string()),
            plain(class(entry, classes)),
            plain(clock.format(info.created_at)),
            plain(clock.format(info.last_active_at)),
            plain(clock.format_if_any(info.authenticated_at)),
            plain(clock.format(info.idle_deadline)),
            plain(clock.format(info.absolute_deadline)),
            plain(clock.format_if_any(entry.elevated_until)),
            plain(client(entry)),
            flag(entry),
        ];
        if with_users {
            row.push(plain(user(entry)));
        }
        table.push(row);
    }
    table
}

pub(super) fn class(entry: &SessionEntry, classes: &ClassNames) -> String {
    let name = classes.name(entry.info.class);
    text::or_dash(name.map(|name| text::word(name.as_bytes())))
}

pub(super) fn client(entry: &SessionEntry) -> String {
    text::or_dash(entry.client.as_ref())
}

pub(super) fn flag(entry: &SessionEntry) -> (Ink, String) {
    match entry.flagged {
        Some(change) => (Ink::Warning, change.as_str().to_owned()),
        None => (Ink::Plain, "-".to_owned()),
    }
}

pub(super) fn user(entry: &SessionEntry) -> String {
    text::or_dash(entry.user.as_ref().map(text::user))
}
