//! Ends several sessions of a user.

use bytes::Bytes;
use portcullis_core::{EndReason, Note, UserId, UserIdHash};

use super::{
    arguments::{self, LogSize},
    call::{Call, script},
};
use crate::{
    driver::Script,
    layout::{Entry, Prefix},
};

/// A call of `lua/revoke.lua`.
pub(crate) struct Revoke<'c> {
    pub(crate) prefix: &'c Prefix,
    pub(crate) user: &'c UserId,
    pub(crate) hash: &'c UserIdHash,
    pub(crate) reason: EndReason,
    pub(crate) note: &'c Note,
    pub(crate) sessions: &'c [Entry],
    pub(crate) log_size: LogSize,
}

impl Call for Revoke<'_> {
    fn script(&self) -> &'static Script {
        script!("revoke.lua")
    }

    fn keys(&self) -> Vec<String> {
        let bucket = self.hash.bucket();
        let mut keys = vec![
            self.prefix.due_list(bucket),
            self.prefix.log(bucket, true),
            self.prefix.user_list(self.hash),
        ];
        let sessions = self.sessions.iter();
        keys.extend(sessions.map(|entry| self.prefix.session(&entry.key)));
        keys
    }

    fn arguments(&self) -> Vec<Bytes> {
        let mut arguments = vec![
            arguments::code(self.reason),
            arguments::memory(self.reason),
            self.note.encode(),
            self.log_size.of(true),
            Bytes::copy_from_slice(self.user.as_bytes()),
        ];
        arguments.extend(self.sessions.iter().map(Entry::encode));
        arguments
    }
}
