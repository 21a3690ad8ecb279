//! Ending sessions.

use std::io::{self, IsTerminal, Write};

use portcullis::{Copies, Handle, Receipt, UserId};
use serde::Serialize;

use crate::{
    args::{Connection, Look, Revoke},
    desk::Desk,
    exit::{Failure, Outcome},
    json::{self, User},
    screen::{mention, say},
    text,
};

#[derive(Serialize)]
struct Revoked<'r> {
    user: Option<User<'r>>,
    ended: Vec<String>,
    replicas: Option<Replicas>,
}

#[derive(Serialize)]
struct Replicas {
    asked: u32,
    confirmed: u32,
}

/// Whose sessions, and which of them.
#[derive(Clone, Copy)]
enum Target<'r> {
    One(&'r UserId, Handle),
    All(&'r UserId),
    AllBut(&'r UserId, Handle),
    Everybody,
}

impl<'r> Target<'r> {
    fn of(revoke: &'r Revoke) -> Result<Self, Failure> {
        match (&revoke.user, revoke.handle, revoke.keep) {
            (Some(user), Some(handle), _) => Ok(Self::One(user, handle)),
            (Some(user), None, Some(keep)) if revoke.all => Ok(Self::AllBut(user, keep)),
            (Some(user), None, None) if revoke.all => Ok(Self::All(user)),
            (None, ..) if revoke.everybody => Ok(Self::Everybody),
            _ => Err(Failure::Usage("say which sessions to end".into())),
        }
    }

    fn user(self) -> Option<&'r UserId> {
        match self {
            Self::One(user, _) | Self::All(user) | Self::AllBut(user, _) => Some(user),
            Self::Everybody => None,
        }
    }

    fn name(self) -> String {
        self.user()
            .map_or_else(|| "everybody".to_owned(), text::user)
    }
}

pub(crate) async fn revoke(
    connection: &Connection,
    look: Look,
    revoke: &Revoke,
) -> Result<Outcome, Failure> {
    let target = Target::of(revoke)?;
    let is_one = matches!(target, Target::One(..));
    if !is_one && !revoke.yes && !io::stdin().is_terminal() {
        return Err(Failure::Usage(
            "ending all sessions must be confirmed, and there is nobody to ask; add --yes".into(),
        ));
    }
    let desk = Desk::confirming(connection, look, revoke.confirm_replicas).await?;
    let place = place(&connection.redis_url, &connection.prefix);
    if !is_agreed(&desk, target, &place, revoke.yes).await? {
        mention("nothing was ended");
        return Ok(Outcome::NotFound);
    }
    let sessions = desk.sessions.as_operator(operator(revoke));
    let receipt = match target {
        Target::One(user, handle) => sessions.revoke(user.clone(), handle).await,
        Target::All(user) => sessions.revoke_all(user.clone()).await,
        Target::AllBut(user, keep) => sessions.revoke_others(user.clone(), keep).await,
        Target::Everybody => sessions.revoke_everybody().await,
    };
    let receipt = receipt.map_err(|error| match Failure::from(error) {
        Failure::Store(text) => Failure::Store(format!(
            "it is not known what was ended; ask for it again: {text}"
        )),
        other => other,
    })?;
    let result = if look.json {
        json::document(&Revoked {
            user: target.user().map(User::from),
            ended: receipt.ended.iter().map(Handle::to_string).collect(),
            replicas: receipt.copies.map(|copies| Replicas {
                asked: copies.asked,
                confirmed: copies.confirmed,
            }),
        })?
    } else if receipt.ended.is_empty() {
        String::new()
    } else {
        told(target, &receipt)
    };
    let said = say(&result);
    // What is to be said of the end is said also where the result cannot be written.
    let outcome = outcome(&receipt, target);
    said?;
    Ok(outcome)
}

/// Whether to go on: what is to be kept exists, and the person at the terminal wants all of them ended.
async fn is_agreed(
    desk: &Desk,
    target: Target<'_>,
    place: &str,
    yes: bool,
) -> Result<bool, Failure> {
    let question = match target {
        Target::One(..) => return Ok(true),
        Target::All(_) | Target::Everybody if yes => return Ok(true),
        Target::Everybody => format!("End all sessions of all users of {place}?"),
        Target::All(user) => {
            let sessions = desk.sessions.list(user.clone()).await?.len();
            let sessions = text::count(sessions, "session");
            format!("End all sessions of {}, now {sessions}?", target.name())
        }
        Target::AllBut(user, keep) => {
            let entries = desk.sessions.list(user.clone()).await?;
            let name = target.name();
            if !entries.iter().any(|entry| entry.info.handle == keep) {
                // A slip of the pen must not end the one session that was to stay.
                mention(&format!("{name} has no live session {keep} to keep"));
                return Ok(false);
            }
            if yes {
                return Ok(true);
            }
            let sessions = text::count(entries.len() - 1, "session");
            format!("End all sessions of {name} but {keep}, now {sessions}?")
        }
    };
    let mut stderr = io::stderr().lock();
    let _ = write!(stderr, "{question} [y/N] ");
    let _ = stderr.flush();
    let mut answer = String::new();
    io::stdin()
        .read_line(&mut answer)
        .map_err(|error| Failure::Usage(format!("no answer can be read: {error}")))?;
    Ok(is_yes(&answer))
}

/// Which application is meant, without the password: host and port, and prefix.
fn place(url: &str, prefix: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    format!("{prefix} on {host}")
}

fn is_yes(answer: &str) -> bool {
    ["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str())
}

fn operator(revoke: &Revoke) -> String {
    let named = revoke.operator.clone();
    named
        .or_else(|| std::env::var("USER").ok().filter(|name| !name.is_empty()))
        .unwrap_or_else(|| "operator".to_owned())
}

fn told(target: Target<'_>, receipt: &Receipt) -> String {
    let mut told = format!(
        "ended {} of {}\n",
        text::count(receipt.ended.len(), "session"),
        target.name()
    );
    // Of everybody there may be millions.
    if target.user().is_some() {
        for handle in &receipt.ended {
            told.push_str(&format!("  {handle}\n"));
        }
    }
    if let Some(Copies { asked, confirmed }) = receipt.copies {
        told.push_str(&format!("confirmed by {confirmed} of {asked} replicas\n"));
    }
    told
}

fn outcome(receipt: &Receipt, target: Target<'_>) -> Outcome {
    let is_confirmed = receipt.copies.is_none_or(Copies::are_enough);
    if receipt.ended.is_empty() {
        match target {
            Target::One(_, handle) => {
                mention(&format!("{} has no live session {handle}", target.name()));
            }
            _ => mention("there was no session to end"),
        }
        Outcome::NotFound
    } else if is_confirmed {
        Outcome::Done
    } else {
        mention(
            "not enough replicas confirmed it in time: a failover may bring these sessions back",
        );
        Outcome::Unconfirmed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_yes_is_yes() {
        for (answer, is) in [
            ("y\n", true),
            ("YES\r\n", true),
            ("", false),
            ("\n", false),
            ("n\n", false),
            ("yeah\n", false),
        ] {
            assert_eq!(is_yes(answer), is, "{answer:?}");
        }
    }

    #[test]
    fn the_place_is_named_without_the_password() {
        for (url, host) in [
            ("redis://127.0.0.1:6379", "127.0.0.1:6379"),
            ("rediss://app:hunter2@redis.example/3", "redis.example"),
            ("redis://:a@b@redis.example:7000?x=/", "redis.example:7000"),
        ] {
            assert_eq!(place(url, "pc"), format!("pc on {host}"));
        }
    }

    #[test]
    fn a_receipt_says_what_was_ended_and_who_confirmed_it() {
        let receipt = Receipt {
            ended: vec![Handle::from_bytes([0; 12]), Handle::from_bytes([255; 12])],
            copies: Some(Copies {
                asked: 2,
                confirmed: 1,
            }),
        };
        assert_eq!(
            told(Target::All(&UserId::from("eve\n")), &receipt),
            "ended 2 sessions of \"eve\\n\"\n  AAAAAAAAAAAAAAAA\n  ________________\nconfirmed by 1 of 2 replicas\n"
        );
    }
}
