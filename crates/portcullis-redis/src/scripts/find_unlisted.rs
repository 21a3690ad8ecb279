//! Finds sessions of a user that are missing in the user's list.

use bytes::Bytes;
use portcullis_core::{UserId, UserIdHash};

use super::{
    arguments::number,
    call::{Call, script},
};
use crate::{driver::Script, layout::Prefix};

/// A call of `lua/find_unlisted.lua`.
pub(crate) struct FindUnlisted<'c> {
    pub(crate) prefix: &'c Prefix,
    pub(crate) user: &'c UserId,
    pub(crate) hash: &'c UserIdHash,
    /// The moment at which the page of the bucket's list begins, as Redis writes it.
    pub(crate) from: &'c Bytes,
    /// How many members the page has at most.
    pub(crate) most: u64,
}

impl Call for FindUnlisted<'_> {
    fn script(&self) -> &'static Script {
        script!("find_unlisted.lua")
    }

    fn keys(&self) -> Vec<String> {
        vec![
            self.prefix.due_list(self.hash.bucket()),
            self.prefix.user_list(self.hash),
        ]
    }

    fn arguments(&self) -> Vec<Bytes> {
        vec![
            Bytes::copy_from_slice(self.user.as_bytes()),
            self.from.clone(),
            number(self.most),
        ]
    }
}
