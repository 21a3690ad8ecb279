//! The events of your sessions, from the log of the store.

use axum::extract::State;
use maud::{Markup, html};
use portcullis::{
    Authenticated,
    audit::{Actor, Event, EventKind, Logged},
    session::SessionHandle,
};

use crate::{
    error::Error,
    page::{Here, page},
    panel::{clock, panel, past},
    users::Users,
};

const SHOWN: usize = 50;

pub(crate) async fn show(
    signed_in: Authenticated,
    State(users): State<Users>,
) -> Result<Markup, Error> {
    let session = signed_in.session();
    let current = session.info().map(|info| info.handle);
    let log = signed_in.history(SHOWN).await?;
    let now = session.now();
    let main = html! {
        h1 { "What happened to your sessions" }
        p.lead {
            "Each entry was written in the same step as its change. The newest " (SHOWN) " at most, and new \
             ones while this page is open."
        }
        table.log role="table" {
            caption.unseen { "Events, newest first" }
            // The roles stay the same where `style.css` puts the cells below each other.
            thead role="rowgroup" {
                tr role="row" {
                    @for title in ["When", "What", "Where", "Session"] {
                        th scope="col" role="columnheader" { (title) }
                    }
                }
            }
            // `news.js` adds new events.
            tbody role="rowgroup" aria-live="polite" {
                @for line in &log {
                    @if let Some(event) = &line.event {
                        tr role="row" {
                            td role="cell" { (past(event.at, now)) (repeated(line)) }
                            @for cell in row(event, current) { td role="cell" { (cell) } }
                        }
                    }
                }
            }
        }
        p { a href="/account/devices" { "Your devices" } }
        script type="module" src="/news.js" {}
    };
    Ok(page(
        "What happened to your sessions",
        Here::Account,
        main,
        Some(panel(session, &users)),
    ))
}

/// The number of repetitions and the first moment, if it happened more than once.
fn repeated(line: &Logged) -> Markup {
    html! {
        @if line.count > 1 {
            " ×" (line.count) " since " (clock(line.first_at)) " UTC"
        }
    }
}

/// The event, its client and its session, as seen from the `current` one.
pub(crate) fn row(event: &Event, current: Option<SessionHandle>) -> [String; 3] {
    let session = match event.session {
        None => String::new(),
        Some(_) if event.session == current => "this one".to_owned(),
        Some(handle) => handle.to_string(),
    };
    [words(event), place(event), session]
}

fn words(event: &Event) -> String {
    match &event.kind {
        EventKind::Authenticated => "Signed in".to_owned(),
        EventKind::Elevated(_) => "Password confirmed, elevated mode".to_owned(),
        EventKind::ElevationDropped => "Left elevated mode".to_owned(),
        EventKind::ElevationEnded => "Elevated mode ended by itself".to_owned(),
        EventKind::Regenerated => "New identifier".to_owned(),
        EventKind::Ended(reason) => format!("Ended: {}", reason.as_str().replace('_', " ")),
        EventKind::DeviceChanged(_) => "Used on a device that seems to be another one".to_owned(),
        EventKind::WriteRefused => "A late change was refused: the session had ended".to_owned(),
        EventKind::RevocationRefused => "Tried to end a session of another user".to_owned(),
        other => other.as_str().replace('_', " "),
    }
}

fn place(event: &Event) -> String {
    match (&event.actor, &event.client) {
        (Actor::Operator(_), _) => "by this shop".to_owned(),
        (_, Some(client)) => client.to_string(),
        (_, None) => "by itself".to_owned(),
    }
}
