//! Lists the sessions of a user.

use bytes::Bytes;
use portcullis_core::{
    EndReason, SessionIdHash, UserId, UserIdHash,
    store::{Listed, StoreError, StoreErrorKind},
};

use super::context::Context;
use crate::{
    driver::{Answer, Command},
    layout::{Entry, Record, record::length_with},
    scripts::number,
};

/// Records read in one round trip, each by a command of its own.
const RECORDS: usize = 500;

/// How often an operation is tried again for a session that moves to another key meanwhile.
pub(super) const ATTEMPTS: usize = 16;

/// Lists the live sessions of a user.
///
/// It takes one round trip for the list and one for each few hundred records. It starts again if a
/// session was moved in between: its new key was not listed yet.
pub(super) async fn list(context: &Context, user: &UserId) -> Result<Vec<Listed>, StoreError> {
    let user = UserIdHash::of(user);
    for _ in 0..ATTEMPTS {
        if let Some(sessions) = read_listed(context, &user).await? {
            return Ok(sessions);
        }
    }
    Err(moved_too_often())
}

/// The error for a session that moves to another key faster than it can be read.
pub(super) fn moved_too_often() -> StoreError {
    StoreError::new(
        StoreErrorKind::Unavailable,
        "a session was given new identifiers faster than it could be read, and is still live; try \
         again",
    )
}

/// The entries in the list of a user.
pub(super) async fn entries(
    context: &Context,
    user: &UserIdHash,
) -> Result<Vec<Entry>, StoreError> {
    let list = Command {
        name: "ZRANGE",
        arguments: vec![
            context.prefix().user_list(user).into(),
            Bytes::from_static(b"0"),
            Bytes::from_static(b"-1"),
        ],
    };
    let answers = context.driver().send_all_long(vec![list]).await?;
    let entries = answers.into_iter().flat_map(Answer::list).flatten();
    Ok(entries
        .filter_map(|entry| Entry::parse(user.bucket(), &entry))
        .collect())
}

/// The command that reads as much of a record as lists have.
pub(super) fn beginning(context: &Context, key: &SessionIdHash) -> Command {
    Command {
        name: "GETRANGE",
        arguments: vec![
            context.prefix().session(key).into(),
            Bytes::from_static(b"0"),
            number(length_with(Listed::PAYLOAD) - 1),
        ],
    }
}

/// The listed sessions, or `None` if one of them has just been moved.
async fn read_listed(
    context: &Context,
    user: &UserIdHash,
) -> Result<Option<Vec<Listed>>, StoreError> {
    let entries = entries(context, user).await?.into_iter();
    let keys: Vec<_> = entries.map(|entry| entry.key).collect();
    if keys.is_empty() {
        return Ok(Some(Vec::new()));
    }
    let mut values = Vec::with_capacity(keys.len());
    for keys in keys.chunks(RECORDS) {
        let commands = keys.iter().map(|key| beginning(context, key)).collect();
        let answers = context.driver().send_all_long(commands).await?;
        values.extend(answers.into_iter().map(Answer::bytes));
    }
    let now = context.now_in(user.bucket());
    let mut sessions = Vec::new();
    for (key, value) in keys.into_iter().zip(values) {
        match value.as_ref().map(Record::parse) {
            Some(Record::Session(stored)) if stored.timing.is_live(now) => {
                sessions.push(Listed { key, stored });
            }
            Some(Record::Ended(tombstone))
                if tombstone.reason.is_some_and(EndReason::is_replacement) =>
            {
                return Ok(None);
            }
            _ => {}
        }
    }
    Ok(Some(sessions))
}
