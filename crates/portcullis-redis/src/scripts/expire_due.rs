//! Removes expired sessions from the lists.

use bytes::Bytes;
use portcullis_core::{Bucket, EndReason, UserIdHash, store::Expiry};

use super::{
    arguments::{self, LogSize, flag},
    call::{Call, script},
};
use crate::{
    driver::Script,
    layout::{Member, Prefix},
};

/// A call of `lua/expire_due.lua`.
pub(crate) struct ExpireDue<'c> {
    pub(crate) prefix: &'c Prefix,
    pub(crate) bucket: Bucket,
    /// Members of the list of the bucket.
    pub(crate) members: &'c [Bytes],
    /// Whether the end of a session without a user is remembered too.
    pub(crate) remember: bool,
    pub(crate) log_size: LogSize,
}

impl Call for ExpireDue<'_> {
    fn script(&self) -> &'static Script {
        script!("expire_due.lua")
    }

    fn keys(&self) -> Vec<String> {
        let prefix = self.prefix;
        let mut keys = vec![
            prefix.due_list(self.bucket),
            prefix.log(self.bucket, true),
            prefix.log(self.bucket, false),
        ];
        for bytes in self.members {
            let member = Member::parse(self.bucket, bytes);
            let user = member.as_ref().and_then(|member| member.user.as_ref());
            keys.push(match &member {
                Some(member) => prefix.session(&member.entry.key),
                // A member of a later version. The script does not use this key.
                None => prefix.due_list(self.bucket),
            });
            keys.push(match user {
                Some(user) => prefix.user_list(&UserIdHash::of(user)),
                None => prefix.due_list(self.bucket),
            });
        }
        keys
    }

    fn arguments(&self) -> Vec<Bytes> {
        let note = |expiry: Expiry| expiry.note().encode();
        let mut arguments = vec![
            self.log_size.of(true),
            self.log_size.of(false),
            arguments::memory(EndReason::IdleTimeout),
            flag(self.remember),
            note(Expiry::Session(EndReason::IdleTimeout)),
            note(Expiry::Session(EndReason::AbsoluteTimeout)),
            note(Expiry::Elevation),
        ];
        arguments.extend(self.members.iter().cloned());
        arguments
    }
}
