//! The data of the session, shown beside each page that uses it.

use std::time::Duration;

use maud::{Markup, html};
use portcullis::{
    Key, Session, UserId,
    policy::{ExplainedLimit, LimitName, LimitValue, Why},
    session::{SessionInfo, Timestamp},
};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::{
    error::Error,
    users::{User, Users},
};

/// A notice for the next page, shown once.
const NOTICE: Key<Notice> = Key::new("notice");

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) enum Notice {
    Added,
    QuantitySet,
    Removed,
    SignedIn,
    Confirmed,
    ElevationLeft,
    PasswordChanged,
    DeviceEnded,
    OthersEnded,
    LetterSent,
    UserEnded,
    PolicyActivated,
}

impl Notice {
    pub(crate) fn leave(self, session: &Session) -> Result<(), Error> {
        Ok(session.insert(NOTICE, self)?)
    }

    fn text(self) -> &'static str {
        match self {
            Self::Added => "Added to your cart.",
            Self::QuantitySet => "The quantity has been changed.",
            Self::Removed => "Removed from your cart.",
            Self::SignedIn => {
                "You are signed in. Your session has a new identifier, and what was in your cart came along."
            }
            Self::Confirmed => {
                "Confirmed. For a short time you can do what needs a recent proof of who you are."
            }
            Self::ElevationLeft => "You have left elevated mode. The session has a new identifier.",
            Self::PasswordChanged => {
                "Your password has been changed. You are signed out everywhere else; this session has a new identifier, and is \
                 no longer elevated."
            }
            Self::DeviceEnded => "The session has been ended.",
            Self::OthersEnded => "All other sessions have been ended.",
            Self::UserEnded => "All sessions of the user have been ended.",
            Self::PolicyActivated => {
                "The document is active. Every process uses it within 5.5 seconds."
            }
            Self::LetterSent => {
                "Your letter is on its way. This is a demonstration, so it is not delivered."
            }
        }
    }
}

/// Why the session of the browser's cookie has ended, and the notice of the last request.
pub(crate) fn notice(session: &Session) -> Result<Markup, Error> {
    let notice = session.take(NOTICE)?;
    Ok(html! {
        @if let Some(reason) = session.end_reason() { p.warning role="status" { (reason.message()) } }
        @if let Some(notice) = notice { p.notice role="status" { (notice.text()) } }
    })
}

/// The panel beside a page, and the user of the page.
pub(crate) struct Panel {
    pub(crate) user: Option<User>,
    pub(crate) beside: Markup,
}

pub(crate) fn panel(session: &Session, users: &Users) -> Panel {
    let user = session.user().and_then(|user| users.get(&user));
    let beside = html! {
        aside.panel aria-labelledby="panel-title" {
            h2 #panel-title { "What your session knows" }
            @match session.info() {
                None => p {
                    "You have no session. Nothing is stored and no cookie is set until there is something to remember."
                },
                Some(info) => {
                    dl {
                        dt { "Signed in" }
                        dd { @match user { Some(user) => (user.name), None => "no" } }
                        (moments(session, &info))
                        @if user.is_some() {
                            dt { "Your open windows" }
                            dd #windows { "not connected" }
                        }
                    }
                    @if session.elevated_until().is_some() {
                        form method="post" action="/confirm/end" {
                            button.quiet { "Leave elevated mode" }
                        }
                    }
                }
            }
        }
        @if let Some(user) = &user { (timeout(user)) }
    };
    Panel { user, beside }
}

/// Warns before the session of `user` ends, and covers the page once it has ended, or if the
/// browser has that of another user.
fn timeout(user: &User) -> Markup {
    html! {
        script type="module" src="/session/timeout.js" {}
        portcullis-timeout user=(UserId::from(user.id).fingerprint()) {}
        script type="module" src="/live.js" {}
    }
}

fn moments(session: &Session, info: &SessionInfo) -> Markup {
    let now = session.now();
    let explanation = session.explain();
    let why = |names: &[LimitName]| {
        let mut limits = explanation
            .iter()
            .flat_map(|explanation| &explanation.limits);
        let limit = limits.find(|limit| names.contains(&limit.limit));
        html! { @if let Some(limit) = limit { span.exact { (rule(limit)) } } }
    };
    html! {
        dt { "Public handle" }
        dd { code { (info.handle) } }
        dt { "Created" }
        dd { (past(info.created_at, now)) }
        dt { "Last active" }
        dd { (past(info.last_active_at, now)) }
        dt { "Ends if idle" }
        dd { (future(info.idle_deadline, now)) (why(&[LimitName::Idle, LimitName::RememberIdle])) }
        dt { "Ends in any case" }
        dd { (future(info.absolute_deadline, now)) (why(&[LimitName::Absolute, LimitName::RememberAbsolute])) }
        @if let Some(class) = session.class() {
            dt { "Class" }
            dd { (class.name()) }
        }
        @if let Some(until) = session.privileged_until() {
            dt { "Privileged" }
            dd { "ends " (future(until, now)) (why(&[LimitName::PrivilegedIdle])) }
        }
        dt { "Elevated" }
        dd {
            @match session.elevated_until() {
                Some(until) => { "ends " (future(until, now)) },
                None => "no",
            }
        }
    }
}

pub(crate) fn past(moment: Timestamp, now: Timestamp) -> Markup {
    match now.since(moment) {
        passed if passed < Duration::from_secs(1) => dated("just now", moment),
        passed => dated(&format!("{} ago", length(passed)), moment),
    }
}

pub(crate) fn future(moment: Timestamp, now: Timestamp) -> Markup {
    dated(&format!("in {}", length(moment.since(now))), moment)
}

/// The length of a limit, and the rule that decides it.
fn rule(limit: &ExplainedLimit) -> String {
    let length = LimitValue::Length(limit.length);
    let rule = match &limit.why {
        Why::Decided(decision) => &decision.rule,
        Why::Flagged => "flagged.idle",
        Why::Visitor => "visitors",
        _ => "an earlier policy",
    };
    format!("{length}, {rule}")
}

/// The two largest units. Smaller ones are dropped, so that no deadline looks later than it is.
fn length(length: Duration) -> String {
    let seconds = length.as_secs();
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

/// The time of day, in UTC.
pub(crate) fn clock(moment: Timestamp) -> String {
    let (hour, minute, second) = OffsetDateTime::from(moment).time().as_hms();
    format!("{hour:02}:{minute:02}:{second:02}")
}

fn dated(words: &str, moment: Timestamp) -> Markup {
    let at = OffsetDateTime::from(moment);
    let clock = clock(moment);
    html! {
        time datetime={ (at.date()) "T" (clock) "Z" } {
            (words) " "
            span.exact { (at.day()) " " (at.month()) ", " (clock) " UTC" }
        }
    }
}
