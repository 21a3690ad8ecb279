//! Users with live sessions.

use portcullis::UserId;
use serde::Serialize;

use crate::{
    args::{Look, Users},
    context::Context,
    exit::{Failure, Outcome},
    json::User,
    moment,
    screen::say,
    text,
};

#[derive(Serialize)]
struct Page<'u> {
    now: String,
    users: Vec<User<'u>>,
    /// There may be more, after this one.
    next: Option<User<'u>>,
}

pub(crate) async fn users(
    context: &Context,
    look: Look,
    asked: &Users,
) -> Result<Outcome, Failure> {
    let users = context
        .sessions
        .users(asked.after.as_ref(), asked.limit.get());
    let users = users.await?;
    let hex = asked.naming.hex;
    let next = users.last().filter(|_| users.len() >= asked.limit.get());
    let name = |user: &UserId| {
        if hex {
            text::hex(user)
        } else {
            text::user(user)
        }
    };
    if look.json {
        let user = |user| {
            if hex {
                User::in_hex(user)
            } else {
                User::from(user)
            }
        };
        say(&context.document(&Page {
            now: moment::rfc3339(context.now()),
            users: users.iter().map(user).collect(),
            next: next.map(user),
        })?)?;
    } else if !users.is_empty() {
        let lines: String = users
            .iter()
            .map(|user| format!("{}\n", name(user)))
            .collect();
        say(&lines)?;
    }
    if users.is_empty() && !look.json {
        context.mention(match asked.after {
            Some(_) => "no user with a session follows",
            None => "no user has a session",
        });
    }
    if users.is_empty() && asked.after.is_none() {
        context.hint_at_prefix();
    }
    if look.json {
        return Ok(Outcome::Done);
    }
    if !hex && users.iter().any(|user| !text::is_plain(user)) {
        context
            .mention("names in quotes are escaped; with --hex each can be given to other commands");
    }
    if let Some(last) = next {
        let hex = if hex { "--hex " } else { "" };
        // What cannot be given back as it is shown is given in hexadecimal.
        let (hex, last) = match hex.is_empty() && !text::is_plain(last) {
            true => ("--hex ", text::hex(last)),
            false => (hex, name(last)),
        };
        context.mention(&format!(
            "there may be more: portcullis users {hex}--after={last}"
        ));
    }
    Ok(Outcome::Done)
}
