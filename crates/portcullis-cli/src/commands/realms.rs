//! The registry of realms.

use std::time::Duration;

use portcullis::store::{RegisteredRealm, Store};
use serde::Serialize;

use crate::{
    args::{Connection, OutputOptions},
    context,
    exit::{Failure, Outcome},
    json,
    moment::{self, Clock},
    screen::{columns, print_message, print_result},
    text::{self, Ink, Pen, Table},
};

#[derive(Serialize)]
struct Registry<'r> {
    now: String,
    realms: Vec<Entry<'r>>,
}

#[derive(Serialize)]
struct Entry<'r> {
    realm: &'r str,
    cookie: &'r str,
    longest_absolute_timeout_ms: u64,
    last_seen_at: String,
}

impl<'r> From<&'r RegisteredRealm> for Entry<'r> {
    fn from(registered: &'r RegisteredRealm) -> Self {
        let longest = registered.longest.as_millis();
        Self {
            realm: registered.realm.as_str(),
            cookie: &registered.cookie,
            longest_absolute_timeout_ms: longest.try_into().unwrap_or(u64::MAX),
            last_seen_at: moment::rfc3339(registered.seen_at),
        }
    }
}

pub(crate) async fn realms(
    connection: &Connection,
    output: OutputOptions,
) -> Result<Outcome, Failure> {
    let store = context::connect(context::builder(connection)?).await?;
    let realms = store.realms().await?;
    let clock = Clock {
        now: store.now(),
        utc: output.utc,
    };
    if output.json {
        print_result(&json::document(&Registry {
            now: moment::rfc3339(clock.now),
            realms: realms.iter().map(Entry::from).collect(),
        })?)?;
    } else if realms.is_empty() {
        print_message("no layer has registered a realm; commands use the realm `id`");
    } else {
        let number = text::count(realms.len(), "realm");
        let now = moment::clock(clock.now);
        let table = table(&realms, clock).render(Pen::of_stdout(), columns());
        print_result(&format!("{number} at {now}\n\n{table}"))?;
    }
    Ok(Outcome::Done)
}

fn table(realms: &[RegisteredRealm], clock: Clock) -> Table {
    let mut table = Table::new(["REALM", "COOKIE", "LONGEST ABSOLUTE TIMEOUT", "LAST SEEN"]);
    for registered in realms {
        let plain = |text: String| (Ink::Plain, text);
        table.push(vec![
            plain(registered.realm.to_string()),
            plain(text::word(registered.cookie.as_bytes())),
            plain(timeout(registered.longest)),
            plain(clock.format(registered.seen_at)),
        ]);
    }
    table
}

/// A setting, so not rounded: in the largest unit that divides it.
fn timeout(timeout: Duration) -> String {
    let units = [
        ("d", 24 * 60 * 60 * 1000),
        ("h", 60 * 60 * 1000),
        ("m", 60 * 1000),
        ("s", 1000),
    ];
    let millis = timeout.as_millis();
    let unit = units
        .into_iter()
        .find(|(_, unit)| millis >= *unit && millis.is_multiple_of(*unit));
    match unit {
        Some((name, unit)) => format!("{}{name}", millis / unit),
        None => format!("{millis}ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_is_shown_exactly() {
        for (millis, shown) in [
            (24 * 60 * 60 * 1000, "1d"),
            (36 * 60 * 60 * 1000, "36h"),
            (90 * 60 * 1000, "90m"),
            (61_000, "61s"),
            (1_500, "1500ms"),
            (0, "0ms"),
        ] {
            assert_eq!(timeout(Duration::from_millis(millis)), shown);
        }
    }
}
