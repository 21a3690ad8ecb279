//! Sessions to be reviewed.

use std::{cmp::Reverse, collections::BTreeSet};

use portcullis::{
    audit::{EventKind, LogQuery},
    client::ClientChange,
};

use super::list::table;
use crate::{
    args::{Flagged, OutputOptions},
    context::Context,
    exit::{Failure, Outcome},
    json, moment,
    screen::{columns, print_result},
    text::{self, Pen},
};

const CHANGE: &str = EventKind::DeviceChanged(ClientChange::Name).as_str();

/// The log names the users. Their lists show whether their sessions are live and still flagged.
pub(crate) async fn flagged(
    context: &Context,
    output: OutputOptions,
    flagged: &Flagged,
) -> Result<Outcome, Failure> {
    let query = LogQuery {
        names: vec![CHANGE.to_owned()],
        from: Some(flagged.since.on(context.now())),
        most: usize::MAX,
        ..LogQuery::default()
    };
    let events = context.sessions.history(query).await?;
    let users: BTreeSet<_> = events
        .into_iter()
        .filter_map(|logged| logged.event?.user)
        .collect();
    let mut entries = Vec::new();
    for user in users {
        let sessions = context.sessions.list(user).await?;
        entries.extend(sessions.into_iter().filter(|entry| entry.flagged.is_some()));
    }
    entries.sort_by_key(|entry| Reverse(entry.info.last_active_at));
    if entries.is_empty() {
        context.hint_at_prefix();
    }
    let clock = context.clock();
    if output.json {
        print_result(&context.document(&json::Sessions::new(
            clock.now,
            context.classes(),
            &entries,
        ))?)?;
    } else if entries.is_empty() {
        let since = moment::clock(flagged.since.on(clock.now));
        context.print_message(&format!("no live session was flagged since {since}"));
    } else {
        let sessions = text::count(entries.len(), "flagged session");
        let now = moment::clock(clock.now);
        let table =
            table(&entries, context.classes(), clock, true).render(Pen::of_stdout(), columns());
        print_result(&format!("{sessions} at {now}\n\n{table}"))?;
    }
    Ok(Outcome::Done)
}

/// The default absolute timeout of sessions.
pub(crate) const SINCE: &str = "1d";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::moment::Moment;

    #[test]
    fn the_default_is_a_moment() {
        assert!(Moment::parse(SINCE).is_ok());
    }
}
