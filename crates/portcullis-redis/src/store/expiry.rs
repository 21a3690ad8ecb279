//! Reports expired sessions, each once.
//!
//! Redis removes an expired session and reports it to no caller. The list of its bucket still has
//! it, with everything to report. The caller that removes it from the list reports it.

use bytes::Bytes;
use portcullis_core::{
    Bucket, EndReason, SessionIdHash, Timestamp,
    store::{Expired, Expiry, StoreError},
};

use super::context::Context;
use crate::{
    driver::{ExpiredMember, Reply, wrong_reply},
    layout::Member,
    scripts::{ExpireDue, Overdue},
};

/// How many expired members of a bucket are searched for one session. There are more only if no
/// server has swept for long.
const SEARCHED: u64 = 500;

/// Removes members from the list of their bucket, and returns those that no other caller had
/// removed. `remember`: the end of a session without a user is remembered too.
pub(super) async fn expire_due(
    context: &Context,
    bucket: Bucket,
    members: &[Bytes],
    remember: bool,
) -> Result<Vec<Expired>, StoreError> {
    let call = ExpireDue {
        prefix: context.prefix(),
        bucket,
        members,
        remember,
        log_size: context.log_size(),
    };
    match context.run(&call).await? {
        Reply::Expired(members) => Ok(members
            .iter()
            .filter_map(|member| expired(bucket, member))
            .collect()),
        _ => Err(wrong_reply()),
    }
}

/// The member of the session under this key in the list of its bucket, if it has expired.
pub(super) async fn overdue(
    context: &Context,
    key: &SessionIdHash,
) -> Result<Option<Bytes>, StoreError> {
    let call = Overdue {
        prefix: context.prefix(),
        key,
        most: SEARCHED,
    };
    let Reply::Listed(_, members) = context.run(&call).await? else {
        return Err(wrong_reply());
    };
    let is_it = |member: &Bytes| {
        Member::parse(key.bucket(), member).is_some_and(|member| member.entry.key == *key)
    };
    Ok(members.into_iter().find(is_it))
}

fn expired(bucket: Bucket, expired: &ExpiredMember) -> Option<Expired> {
    let member = Member::parse(bucket, &expired.member)?;
    Some(Expired {
        handle: member.entry.handle,
        user: member.user,
        what: match expired.code {
            b'e' => Expiry::Elevation,
            code => Expiry::Session(EndReason::from_code(char::from(code))?),
        },
        at: Timestamp::from_millis(expired.at),
    })
}
