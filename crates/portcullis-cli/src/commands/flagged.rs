//! Sessions to be reviewed.

use std::{cmp::Reverse, collections::BTreeSet};

use portcullis::{ClientChange, EventKind, LogQuery};

use super::list::table;
use crate::{
    args::{Flagged, Look},
    desk::Desk,
    exit::{Failure, Outcome},
    json, moment,
    screen::{columns, say},
    text::{self, Pen},
};

const CHANGE: &str = EventKind::DeviceChanged(ClientChange::Name).as_str();

/// The log names the users; whether their sessions live, and are still flagged, their lists tell.
pub(crate) async fn flagged(
    desk: &Desk,
    look: Look,
    flagged: &Flagged,
) -> Result<Outcome, Failure> {
    let query = LogQuery {
        names: vec![CHANGE.to_owned()],
        from: Some(flagged.since.on(desk.now())),
        most: usize::MAX,
        ..LogQuery::default()
    };
    let events = desk.sessions.history(query).await?;
    let users: BTreeSet<_> = events
        .into_iter()
        .filter_map(|logged| logged.event?.user)
        .collect();
    let mut entries = Vec::new();
    for user in users {
        let sessions = desk.sessions.list(user).await?;
        entries.extend(sessions.into_iter().filter(|entry| entry.flagged.is_some()));
    }
    entries.sort_by_key(|entry| Reverse(entry.info.last_active_at));
    if entries.is_empty() {
        desk.hint_at_prefix();
    }
    let clock = desk.clock();
    if look.json {
        say(&desk.document(&json::Sessions::new(clock.now, &entries))?)?;
    } else if entries.is_empty() {
        let since = moment::clock(flagged.since.on(clock.now));
        desk.mention(&format!("no live session was flagged since {since}"));
    } else {
        let sessions = text::count(entries.len(), "flagged session");
        let now = moment::clock(clock.now);
        let table = table(&entries, clock, true).render(Pen::of_stdout(), columns());
        say(&format!("{sessions} at {now}\n\n{table}"))?;
    }
    Ok(Outcome::Done)
}

/// As far back as sessions live unless the application says otherwise.
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
