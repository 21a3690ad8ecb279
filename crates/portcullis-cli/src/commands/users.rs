//! Users with live sessions.

use portcullis::UserId;
use serde::Serialize;

use crate::{
    args::{OutputOptions, Users},
    context::Context,
    exit::{Failure, Outcome},
    json::User,
    moment,
    screen::print_result,
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
    output: OutputOptions,
    options: &Users,
) -> Result<Outcome, Failure> {
    let users = context
        .sessions
        .users(options.after.as_ref(), options.limit.get());
    let users = users.await?;
    let hex = options.naming.hex;
    let next = users.last().filter(|_| users.len() >= options.limit.get());
    let name = |user: &UserId| {
        if hex {
            text::hex(user)
        } else {
            text::user(user)
        }
    };
    if output.json {
        let user = |user| {
            if hex {
                User::in_hex(user)
            } else {
                User::from(user)
            }
        };
        print_result(&context.document(&Page {
            now: moment::rfc3339(context.now()),
            users: users.iter().map(user).collect(),
            next: next.map(user),
        })?)?;
    } else if !users.is_empty() {
        let lines: String = users
            .iter()
            .map(|user| format!("{}\n", name(user)))
            .collect();
        print_result(&lines)?;
    }
    if users.is_empty() && !output.json {
        context.print_message(match options.after {
            Some(_) => "there are no more users with sessions",
            None => "no user has a session",
        });
    }
    if users.is_empty() && options.after.is_none() {
        context.hint_at_prefix();
    }
    if output.json {
        return Ok(Outcome::Done);
    }
    if !hex && users.iter().any(|user| !text::is_plain(user)) {
        context.print_message(
            "names in quotes are escaped; with --hex each can be given to other commands",
        );
    }
    if let Some(last) = next {
        let hex = if hex { "--hex " } else { "" };
        // A name that cannot be typed as it is shown is given in hexadecimal.
        let (hex, last) = match hex.is_empty() && !text::is_plain(last) {
            true => ("--hex ", text::hex(last)),
            false => (hex, name(last)),
        };
        context.print_message(&format!(
            "there may be more: portcullis users {hex}--after={last}"
        ));
    }
    Ok(Outcome::Done)
}
