//! Suspends and resumes users.

use std::time::Duration;

use bytes::Bytes;
use portcullis_core::{
    Timestamp, UserIdHash,
    store::{Resume as Resumption, Suspend as Suspension},
};

use super::{
    arguments::{self, LogSize, memory_of_marker, moment},
    call::{Call, script},
};
use crate::{driver::Script, layout::Prefix};

/// A call of `lua/suspend.lua`.
pub(crate) struct Suspend<'c> {
    pub(crate) prefix: &'c Prefix,
    pub(crate) hash: &'c UserIdHash,
    pub(crate) suspension: Suspension<'c>,
    /// The longest absolute timeout of a session of the realm, if it is known.
    pub(crate) longest: Option<Duration>,
    pub(crate) not_after: Timestamp,
    pub(crate) log_size: LogSize,
}

impl Call for Suspend<'_> {
    fn script(&self) -> &'static Script {
        script!("suspend.lua")
    }

    fn keys(&self) -> Vec<String> {
        let bucket = self.hash.bucket();
        vec![
            self.prefix.user_list(self.hash),
            self.prefix.marker(self.hash),
            self.prefix.suspension(self.hash),
            self.prefix.suspended(bucket),
            self.prefix.log(bucket, true),
        ]
    }

    fn arguments(&self) -> Vec<Bytes> {
        let reason = self.suspension.reason.unwrap_or_default();
        vec![
            moment(self.not_after),
            arguments::code(Suspension::END),
            memory_of_marker(self.longest),
            self.suspension.note_of_end().encode(),
            Bytes::copy_from_slice(self.suspension.user.as_bytes()),
            Bytes::copy_from_slice(reason.as_bytes()),
            self.suspension.note().encode(),
            self.log_size.of(true),
        ]
    }
}

/// A call of `lua/resume.lua`.
pub(crate) struct Resume<'c> {
    pub(crate) prefix: &'c Prefix,
    pub(crate) hash: &'c UserIdHash,
    pub(crate) resumption: Resumption<'c>,
    /// The longest absolute timeout of a session of the realm, if it is known.
    pub(crate) longest: Option<Duration>,
    pub(crate) not_after: Timestamp,
    pub(crate) log_size: LogSize,
}

impl Call for Resume<'_> {
    fn script(&self) -> &'static Script {
        script!("resume.lua")
    }

    fn keys(&self) -> Vec<String> {
        let bucket = self.hash.bucket();
        vec![
            self.prefix.suspension(self.hash),
            self.prefix.marker(self.hash),
            self.prefix.suspended(bucket),
            self.prefix.log(bucket, true),
        ]
    }

    fn arguments(&self) -> Vec<Bytes> {
        vec![
            moment(self.not_after),
            arguments::code(Suspension::END),
            memory_of_marker(self.longest),
            self.resumption.note_of_end().encode(),
            Bytes::copy_from_slice(self.resumption.user.as_bytes()),
            self.resumption.note().encode(),
            self.log_size.of(true),
        ]
    }
}
