//! Suspends and resumes users, and lists those who are suspended.

use std::collections::BTreeSet;

use bytes::Bytes;
use portcullis_core::{
    BUCKETS, Bucket, UserId, UserIdHash,
    store::{
        Interrupted, Resume, Resumed, Revocation, RevokeScope, StoreError, StoreErrorKind, Suspend,
        Suspension, SuspensionReport, UsersAfter,
    },
};

use super::{
    context::{Context, late},
    realms::longest_registered,
    revoke::Running,
    users,
};
use crate::{
    driver::{Answer, Command, Fetched, Reply, wrong_reply},
    layout, scripts,
};

/// How many lists are read in one round trip.
const LISTS: usize = 16;

/// Suspensions read in one round trip, each by a command of its own.
const SUSPENSIONS: usize = 500;

/// Suspends a user and ends their sessions. The first script is the moment of it, as that of a
/// revocation: the sessions listed then are ended by further scripts.
pub(super) async fn suspend(
    context: &Context,
    suspend: Suspend<'_>,
) -> Result<SuspensionReport, Interrupted> {
    let longest = match suspend.longest {
        Some(longest) => Some(longest),
        None => longest_registered(context).await?,
    };
    let revocation = Revocation {
        user: suspend.user.clone(),
        which: RevokeScope::All,
        reason: Suspend::END,
        note: suspend.note_of_end(),
        longest,
    };
    let running = Running::start(context, &revocation).await?;
    let bucket = running.user.bucket();
    let not_after = context.not_after(bucket);
    let call = scripts::Suspend {
        prefix: context.prefix(),
        hash: &running.user,
        suspension: suspend,
        longest,
        not_after,
        log_size: context.log_size(),
    };
    let (is_new, entries) = match answered(running.run(&call).await) {
        Ok(Reply::Listed(is_new, entries)) => (is_new == 1, entries),
        Ok(_) => return Err(wrong_reply().into()),
        Err(error) => return Err(context.once_late(bucket, not_after, error).await.into()),
    };
    Ok(SuspensionReport {
        was_suspended: !is_new,
        ended: running.end_listed(&entries).await?,
        copies: running.confirmed().await,
    })
}

/// Lets a suspended user sign in again.
pub(super) async fn resume(context: &Context, resume: Resume<'_>) -> Result<Resumed, StoreError> {
    let longest = match resume.longest {
        Some(longest) => Some(longest),
        None => longest_registered(context).await?,
    };
    let user = UserIdHash::of(resume.user);
    let not_after = context.not_after(user.bucket());
    let call = scripts::Resume {
        prefix: context.prefix(),
        hash: &user,
        resumption: resume,
        longest,
        not_after,
        log_size: context.log_size(),
    };
    match answered(context.run(&call).await) {
        Ok(Reply::Listed(..)) => Ok(Resumed::Done),
        Ok(Reply::Gone) => Ok(Resumed::NotSuspended),
        Ok(_) => Err(wrong_reply()),
        Err(error) => Err(context.once_late(user.bucket(), not_after, error).await),
    }
}

/// The reply of a script that was carried out.
fn answered(reply: Result<Reply, StoreError>) -> Result<Reply, StoreError> {
    match reply? {
        Reply::Late => Err(late()),
        Reply::Newer => Err(newer()),
        reply => Ok(reply),
    }
}

/// The suspension of a user, if they are suspended.
pub(super) async fn of_user(
    context: &Context,
    user: &UserId,
) -> Result<Option<Suspension>, StoreError> {
    let key = context.prefix().suspension(&UserIdHash::of(user));
    match context.driver().get(key).await? {
        Fetched::Nothing => Ok(None),
        Fetched::Value(stored) => read(user.clone(), &stored).map(Some),
        Fetched::OtherType => Err(newer()),
    }
}

/// A page of the suspended users. They are sorted by their bucket, and in a bucket by their bytes.
pub(super) async fn after(
    context: &Context,
    page: UsersAfter<'_>,
) -> Result<Vec<Suspension>, StoreError> {
    let UsersAfter { after, most, .. } = page;
    let first = after.map_or(0, |user| Bucket::of(user).number());
    let buckets: Vec<_> = (first..BUCKETS).filter_map(Bucket::from_number).collect();
    let mut suspensions = Vec::new();
    for buckets in buckets.chunks(LISTS) {
        for users in listed(context, buckets).await? {
            let users = users.into_iter().filter(|user| users::is_on(user, after));
            let users: Vec<_> = users.collect();
            suspensions.extend(of_listed(context, &users).await?);
        }
        if suspensions.len() >= most.get() {
            break;
        }
    }
    suspensions.truncate(most.get());
    Ok(suspensions)
}

/// The users in the lists of these buckets, sorted.
async fn listed(
    context: &Context,
    buckets: &[Bucket],
) -> Result<Vec<BTreeSet<UserId>>, StoreError> {
    let list = |bucket: &Bucket| Command {
        name: "ZRANGE",
        arguments: vec![
            context.prefix().suspended(*bucket).into(),
            Bytes::from_static(b"0"),
            Bytes::from_static(b"-1"),
        ],
    };
    let commands = buckets.iter().map(list).collect();
    let answers = context.driver().send_all_long(commands).await?;
    let users = |answer: Answer| {
        let users = answer.list().into_iter().flatten();
        users.map(|user| UserId::from(user.to_vec())).collect()
    };
    Ok(answers.into_iter().map(users).collect())
}

/// The suspensions of listed users. A user whose suspension was lost is not suspended.
async fn of_listed(context: &Context, users: &[UserId]) -> Result<Vec<Suspension>, StoreError> {
    let mut suspensions = Vec::new();
    for users in users.chunks(SUSPENSIONS) {
        let get = |user| Command {
            name: "GET",
            arguments: vec![context.prefix().suspension(&UserIdHash::of(user)).into()],
        };
        let commands = users.iter().map(get).collect();
        let answers = context.driver().send_all_long(commands).await?;
        for (user, answer) in users.iter().zip(answers) {
            if let Some(stored) = answer.bytes() {
                suspensions.push(read(user.clone(), &stored)?);
            }
        }
    }
    Ok(suspensions)
}

fn read(user: UserId, stored: &Bytes) -> Result<Suspension, StoreError> {
    layout::suspension::read(user, stored).ok_or_else(newer)
}

fn newer() -> StoreError {
    StoreError::new(
        StoreErrorKind::NewerFormat,
        "a newer version of Portcullis suspended the user or revoked their sessions; finish the \
         upgrade of this program",
    )
}
