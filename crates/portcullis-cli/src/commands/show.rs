//! One session.

use portcullis::{
    audit::{LogQuery, Logged},
    session::SessionEntry,
};
use serde::Serialize;

use super::{
    audit::line,
    list::{class, client, flag, user},
};
use crate::{
    args::{OutputOptions, ShowArguments},
    context::Context,
    exit::{Failure, Outcome},
    json::{EventJson, SessionJson},
    moment::{self, Clock},
    realms::ClassNames,
    screen::print_result,
    text::{self, Ink, Pen},
};

/// The number of events that are shown.
const EVENTS: usize = 20;

#[derive(Serialize)]
struct Shown<'s> {
    now: String,
    session: SessionJson<'s>,
    events: Vec<EventJson<'s>>,
}

pub(crate) async fn show(
    context: &Context,
    output: OutputOptions,
    arguments: &ShowArguments,
) -> Result<Outcome, Failure> {
    let (whose, handle) = (&arguments.whose.user, arguments.handle);
    let entries = context.sessions.list(whose.clone()).await?;
    let Some(entry) = entries
        .into_iter()
        .find(|entry| entry.info.handle == handle)
    else {
        return Err(Failure::NotFound(format!(
            "{} has no live session {handle}; `portcullis audit --session={handle}` shows what happened to it",
            text::user(whose)
        )));
    };
    let query = LogQuery {
        user: Some(whose.clone()),
        session: Some(handle),
        ..LogQuery::default()
    };
    let mut events = context.newest(&query, EVENTS, |_| true).await?;
    events.reverse();
    let clock = context.clock();
    print_result(&if output.json {
        context.document(&Shown {
            now: moment::rfc3339(clock.now),
            session: SessionJson::new(&entry, context.classes()),
            events: events.iter().map(EventJson::from).collect(),
        })?
    } else {
        page(&entry, context.classes(), &events, clock, Pen::of_stdout())
    })?;
    Ok(Outcome::Done)
}

fn page(
    entry: &SessionEntry,
    classes: &ClassNames,
    events: &[Logged],
    clock: Clock,
    pen: Pen,
) -> String {
    let info = &entry.info;
    let plain = |text: String| (Ink::Plain, text);
    let facts = [
        ("session", plain(info.handle.to_string())),
        ("user", plain(user(entry))),
        ("class", plain(class(entry, classes))),
        ("created", plain(clock.format(info.created_at))),
        ("last active", plain(clock.format(info.last_active_at))),
        (
            "authenticated",
            plain(clock.format_if_any(info.authenticated_at)),
        ),
        ("ends if idle", plain(clock.format(info.idle_deadline))),
        (
            "ends in any case",
            plain(clock.format(info.absolute_deadline)),
        ),
        (
            "elevated until",
            plain(clock.format_if_any(entry.elevated_until)),
        ),
        (
            "remembered",
            plain(if info.remembered { "yes" } else { "-" }.to_owned()),
        ),
        ("client", plain(client(entry))),
        ("flagged", flag(entry)),
        ("now", plain(moment::clock(clock.now))),
    ];
    let mut page = String::new();
    for (name, (ink, value)) in facts {
        let name = pen.write(Ink::Bold, &format!("{name:<16}"));
        page.push_str(&format!("{name}  {}\n", pen.write(ink, &value)));
    }
    let events: String = events.iter().map(line).collect();
    if events.is_empty() {
        page.push_str("\nthe log has no event of this session\n");
    } else {
        page.push_str(&format!("\nlast events\n{events}"));
    }
    page
}
