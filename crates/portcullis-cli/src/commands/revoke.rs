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
    user: User<'r>,
    ended: Vec<String>,
    replicas: Option<Replicas>,
}

#[derive(Serialize)]
struct Replicas {
    asked: u32,
    confirmed: u32,
}

pub(crate) async fn revoke(
    connection: &Connection,
    look: Look,
    revoke: &Revoke,
) -> Result<Outcome, Failure> {
    if revoke.all && !revoke.yes && !io::stdin().is_terminal() {
        return Err(Failure::Usage(
            "ending all sessions must be confirmed, and there is nobody to ask; add --yes".into(),
        ));
    }
    let desk = Desk::confirming(connection, look, revoke.confirm_replicas).await?;
    let user = &revoke.whose.user;
    if revoke.all && !is_agreed(&desk, revoke).await? {
        mention("nothing was ended");
        return Ok(Outcome::NotFound);
    }
    let sessions = desk.sessions.as_operator(operator(revoke));
    let receipt = match (revoke.handle, revoke.keep) {
        (Some(handle), _) => sessions.revoke(user.clone(), handle).await,
        (None, Some(keep)) => sessions.revoke_others(user.clone(), keep).await,
        (None, None) => sessions.revoke_all(user.clone()).await,
    };
    let receipt = receipt.map_err(|error| match Failure::from(error) {
        Failure::Store(text) => Failure::Store(format!(
            "it is not known what was ended; ask for it again: {text}"
        )),
        other => other,
    })?;
    let result = if look.json {
        json::document(&Revoked {
            user: user.into(),
            ended: receipt.ended.iter().map(Handle::to_string).collect(),
            replicas: receipt.copies.map(|copies| Replicas {
                asked: copies.asked,
                confirmed: copies.confirmed,
            }),
        })?
    } else if receipt.ended.is_empty() {
        String::new()
    } else {
        told(user, &receipt)
    };
    let said = say(&result);
    // What is to be said of the end is said also where the result cannot be written.
    let outcome = outcome(&receipt, revoke, user);
    said?;
    Ok(outcome)
}

/// Whether to go on with all of them: what is to be kept exists, and the person at the terminal wants it.
async fn is_agreed(desk: &Desk, revoke: &Revoke) -> Result<bool, Failure> {
    if revoke.keep.is_none() && revoke.yes {
        return Ok(true);
    }
    let user = &revoke.whose.user;
    let entries = desk.sessions.list(user.clone()).await?;
    let name = text::user(user);
    let is_kept = |entry: &&_| is(entry, revoke.keep);
    if let Some(keep) = revoke.keep
        && !entries.iter().any(|entry| is(entry, Some(keep)))
    {
        // A slip of the pen must not end the one session that was to stay.
        mention(&format!("{name} has no live session {keep} to keep"));
        return Ok(false);
    }
    if revoke.yes {
        return Ok(true);
    }
    let kept = entries.iter().filter(is_kept).count();
    let sessions = text::count(entries.len() - kept, "session");
    let but = revoke
        .keep
        .map_or_else(String::new, |keep| format!(" but {keep}"));
    let mut stderr = io::stderr().lock();
    let _ = write!(
        stderr,
        "End all sessions of {name}{but}, now {sessions}? [y/N] "
    );
    let _ = stderr.flush();
    let mut answer = String::new();
    io::stdin()
        .read_line(&mut answer)
        .map_err(|error| Failure::Usage(format!("no answer can be read: {error}")))?;
    Ok(is_yes(&answer))
}

fn is(entry: &portcullis::SessionEntry, handle: Option<Handle>) -> bool {
    Some(entry.info.handle) == handle
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

fn told(user: &UserId, receipt: &Receipt) -> String {
    let mut told = format!(
        "ended {} of {}\n",
        text::count(receipt.ended.len(), "session"),
        text::user(user)
    );
    for handle in &receipt.ended {
        told.push_str(&format!("  {handle}\n"));
    }
    if let Some(Copies { asked, confirmed }) = receipt.copies {
        told.push_str(&format!("confirmed by {confirmed} of {asked} replicas\n"));
    }
    told
}

fn outcome(receipt: &Receipt, revoke: &Revoke, user: &UserId) -> Outcome {
    let is_confirmed = receipt.copies.is_none_or(Copies::are_enough);
    if receipt.ended.is_empty() {
        match revoke.handle {
            Some(handle) => mention(&format!(
                "{} has no live session {handle}",
                text::user(user)
            )),
            None => mention("there was no session to end"),
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
    fn a_receipt_says_what_was_ended_and_who_confirmed_it() {
        let receipt = Receipt {
            ended: vec![Handle::from_bytes([0; 12]), Handle::from_bytes([255; 12])],
            copies: Some(Copies {
                asked: 2,
                confirmed: 1,
            }),
        };
        assert_eq!(
            told(&UserId::from("eve\n"), &receipt),
            "ended 2 sessions of \"eve\\n\"\n  AAAAAAAAAAAAAAAA\n  ________________\nconfirmed by 1 of 2 replicas\n"
        );
    }
}
