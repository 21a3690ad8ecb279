//! How keys, records, list entries and the registry are stored.
//!
//! `keys.rs` has the key of a session, and `record.rs` describes the value under it.

pub(crate) mod entry;
pub(crate) mod policy;
pub(crate) mod record;
pub(crate) mod registry;
pub(crate) mod suspension;

mod key_set;
mod keys;

pub(crate) use self::{
    entry::{Entry, Member},
    key_set::KeySet,
    keys::Prefix,
    record::Record,
};
