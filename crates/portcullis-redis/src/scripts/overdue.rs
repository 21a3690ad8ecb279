//! Finds an expired session in the list of its bucket.

use bytes::Bytes;
use portcullis_core::SessionIdHash;

use super::{
    arguments::number,
    call::{Call, script},
};
use crate::{driver::Script, layout::Prefix};

/// A call of `lua/overdue.lua`.
pub(crate) struct Overdue<'c> {
    pub(crate) prefix: &'c Prefix,
    pub(crate) key: &'c SessionIdHash,
    /// How many members are checked at most.
    pub(crate) most: u64,
}

impl Call for Overdue<'_> {
    fn script(&self) -> &'static Script {
        script!("overdue.lua")
    }

    fn keys(&self) -> Vec<String> {
        vec![self.prefix.due_list(self.key.bucket())]
    }

    fn arguments(&self) -> Vec<Bytes> {
        vec![Bytes::copy_from_slice(self.key.digest()), number(self.most)]
    }
}
