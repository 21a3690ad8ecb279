//! Where a session is filed: the lists and the log that its changes reach, and what scripts are told of it.
//! `lua/prelude.lua` is the other side of this file.

use std::time::Duration;

use bytes::Bytes;
use portcullis_core::{Bucket, Handle, Label, SessionKey, UserId, UserKey};

use crate::{arguments::number, keys::Prefix, record::name_of};

const DIGEST: usize = 16;
const NAME: usize = 12;
const REF: usize = DIGEST + NAME;
const DEADLINE: usize = 11;

/// The keys beside the session's own. Those of a user are spelled for a session without one too, where no
/// script touches them.
pub(crate) struct Filing {
    pub(crate) session: String,
    pub(crate) due_list: String,
    pub(crate) log: String,
    pub(crate) user_list: String,
    pub(crate) mark: String,
}

impl Filing {
    pub(crate) fn of(prefix: &Prefix, key: &SessionKey, label: &Label) -> Self {
        let bucket = key.bucket();
        let due_list = prefix.due_list(bucket);
        let (user_list, mark) = match label.user() {
            Some(user) => {
                let user = UserKey::of(user);
                (prefix.user_list(&user), prefix.mark(&user))
            }
            None => (due_list.clone(), due_list.clone()),
        };
        Self {
            session: prefix.session(key),
            log: prefix.log(bucket, label.owner.is_some()),
            due_list,
            user_list,
            mark,
        }
    }
}

impl Filing {
    /// What scripts are told that end a session, in their order.
    pub(crate) fn keys_to_end(self) -> Vec<String> {
        vec![self.session, self.due_list, self.log, self.user_list]
    }

    /// What scripts are told that let it begin or go on, which a revocation may forbid.
    pub(crate) fn keys(self) -> Vec<String> {
        vec![
            self.session,
            self.due_list,
            self.log,
            self.user_list,
            self.mark,
        ]
    }
}

/// A session as lists hold it: the digest of its key, and its name.
pub(crate) fn reference(key: &SessionKey, handle: Handle) -> Bytes {
    let mut bytes = Vec::with_capacity(REF);
    bytes.extend_from_slice(key.digest());
    bytes.extend_from_slice(handle.as_bytes());
    bytes.into()
}

/// The session that a list of this bucket means.
pub(crate) fn referenced(bucket: Bucket, reference: &[u8]) -> Option<(SessionKey, Handle)> {
    let (digest, name) = reference.split_at_checked(DIGEST)?;
    let key = SessionKey::from_parts(bucket, digest.try_into().ok()?);
    Some((key, name_of(name)?))
}

pub(crate) fn names_of(list: &[Bytes]) -> Vec<Handle> {
    list.iter().filter_map(|name| name_of(name)).collect()
}

/// The user as scripts are told, and when they authenticated.
pub(crate) fn owner(label: &Label) -> [Bytes; 2] {
    owner_by_a_clock_behind(label, Duration::ZERO)
}

/// The same where the moment was told by a clock that is this much ahead of the one it is compared with.
pub(crate) fn owner_by_a_clock_behind(label: &Label, lead: Duration) -> [Bytes; 2] {
    match &label.owner {
        Some(owner) => [
            Bytes::copy_from_slice(owner.user.as_bytes()),
            number(owner.authenticated_at.before(lead).as_millis()),
        ],
        None => [Bytes::new(), Bytes::new()],
    }
}

/// What the list of a bucket holds of a session.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) key: SessionKey,
    pub(crate) handle: Handle,
    pub(crate) user: Option<UserId>,
}

impl Member {
    pub(crate) fn parse(bucket: Bucket, bytes: &[u8]) -> Option<Self> {
        let (_letter, rest) = bytes.split_first()?;
        let (reference, rest) = rest.split_at_checked(REF)?;
        let (_deadline, user) = rest.split_at_checked(DEADLINE)?;
        let (key, handle) = referenced(bucket, reference)?;
        Some(Self {
            key,
            handle,
            user: (!user.is_empty()).then(|| UserId::from(user)),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]

    use super::*;

    #[test]
    fn a_member_cut_short_anywhere_is_none() {
        let bucket = Bucket::from_number(5).unwrap();
        let key = SessionKey::from_parts(bucket, [7; 16]);
        let handle = Handle::from_bytes([9; 12]);
        let mut member = b"s".to_vec();
        member.extend_from_slice(&reference(&key, handle));
        member.extend_from_slice(b"0019a000000");
        for length in 0..member.len() {
            assert_eq!(Member::parse(bucket, &member[..length]), None);
        }
        let anonymous = Member {
            key,
            handle,
            user: None,
        };
        assert_eq!(Member::parse(bucket, &member), Some(anonymous));
        member.extend_from_slice(b"a\0b");
        let user = Member::parse(bucket, &member).unwrap().user;
        assert_eq!(user, Some(UserId::from("a\0b")));
    }
}
