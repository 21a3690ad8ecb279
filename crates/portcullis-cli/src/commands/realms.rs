//! The registry of realms.

use std::time::Duration;

use portcullis::{
    settings::Environment,
    store::{EnvironmentSet, RegisteredClass, RegisteredRealm, Store},
};
use serde::Serialize;

use crate::{
    args::{Connection, OutputOptions, Realms},
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
    environment: Option<&'r str>,
    classes: Vec<ClassEntry<'r>>,
    longest_absolute_timeout_ms: u64,
    last_seen_at: String,
}

#[derive(Serialize)]
struct ClassEntry<'r> {
    name: &'r str,
    character: char,
}

impl<'r> From<&'r RegisteredClass> for ClassEntry<'r> {
    fn from(class: &'r RegisteredClass) -> Self {
        Self {
            name: &class.name,
            character: class.code.as_char(),
        }
    }
}

impl<'r> From<&'r RegisteredRealm> for Entry<'r> {
    fn from(registered: &'r RegisteredRealm) -> Self {
        let longest = registered.longest.as_millis();
        Self {
            realm: registered.realm.as_str(),
            cookie: &registered.cookie,
            environment: registered.environment.as_ref().map(Environment::as_str),
            classes: registered.classes.iter().map(ClassEntry::from).collect(),
            longest_absolute_timeout_ms: longest.try_into().unwrap_or(u64::MAX),
            last_seen_at: moment::rfc3339(registered.seen_at),
        }
    }
}

#[derive(Serialize)]
struct Changed<'r> {
    realm: &'r str,
    environment: &'r str,
    before: Option<&'r str>,
}

pub(crate) async fn realms(
    connection: &Connection,
    output: OutputOptions,
    options: Realms,
) -> Result<Outcome, Failure> {
    match options.dangerous_set_environment {
        None => list(connection, output).await,
        Some(environment) => set_environment(connection, output, &environment).await,
    }
}

async fn list(connection: &Connection, output: OutputOptions) -> Result<Outcome, Failure> {
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

async fn set_environment(
    connection: &Connection,
    output: OutputOptions,
    environment: &Environment,
) -> Result<Outcome, Failure> {
    // Not even the only realm is chosen by default, nor one that the environment names.
    let (Some(realm), false) = (&connection.realm, connection.all_realms) else {
        return Err(Failure::Usage(
            "--dangerous-set-environment is for one realm; name it with --realm".into(),
        ));
    };
    let store = context::connect(context::builder(connection)?).await?;
    let set = store.in_realm(realm).set_environment(environment).await?;
    let EnvironmentSet::Done { before } = set else {
        return Err(Failure::NotFound(format!(
            "no layer has registered the realm {realm}; the first process that declares an environment records it"
        )));
    };
    let before = before.as_ref().map(Environment::as_str);
    print_result(&if output.json {
        json::document(&Changed {
            realm: realm.as_str(),
            environment: environment.as_str(),
            before,
        })?
    } else {
        let before = before.unwrap_or("none");
        format!("the realm {realm} has the environment {environment}; before, it had {before}\n")
    })?;
    Ok(Outcome::Done)
}

fn table(realms: &[RegisteredRealm], clock: Clock) -> Table {
    let mut table = Table::new([
        "REALM",
        "COOKIE",
        "ENVIRONMENT",
        "CLASSES",
        "LONGEST ABSOLUTE TIMEOUT",
        "LAST SEEN",
    ]);
    for registered in realms {
        let plain = |text: String| (Ink::Plain, text);
        table.push(vec![
            plain(registered.realm.to_string()),
            plain(text::word(registered.cookie.as_bytes())),
            plain(environment(registered)),
            plain(classes(registered)),
            plain(timeout(registered.longest)),
            plain(clock.format(registered.seen_at)),
        ]);
    }
    table
}

fn environment(registered: &RegisteredRealm) -> String {
    text::or_dash(registered.environment.as_ref())
}

/// Each with its character.
fn classes(registered: &RegisteredRealm) -> String {
    let classes = registered.classes.iter();
    let classes: Vec<_> = classes
        .map(|class| format!("{} ({})", text::word(class.name.as_bytes()), class.code))
        .collect();
    match classes.as_slice() {
        [] => "-".to_owned(),
        classes => classes.join(", "),
    }
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
