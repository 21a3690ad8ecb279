//! Counts the live sessions of a bucket.

use bytes::Bytes;
use portcullis_core::Bucket;

use super::{
    arguments::number,
    call::{Call, script},
};
use crate::{driver::Script, layout::Prefix};

/// A call of `lua/count.lua`.
pub(crate) struct Count<'c> {
    pub(crate) prefix: &'c Prefix,
    pub(crate) bucket: Bucket,
    /// The moment after which the page begins, in ms, as Redis writes it.
    pub(crate) after: &'c Bytes,
    /// How many members the page has.
    pub(crate) most: u64,
}

impl Call for Count<'_> {
    fn script(&self) -> &'static Script {
        script!("count.lua")
    }

    fn keys(&self) -> Vec<String> {
        vec![self.prefix.due_list(self.bucket)]
    }

    fn arguments(&self) -> Vec<Bytes> {
        vec![self.after.clone(), number(self.most)]
    }
}
