//! Sets the marker of a revocation of all sessions of a user.

use std::time::Duration;

use bytes::Bytes;
use portcullis_core::{EndReason, Note, SessionHandle, Timestamp, UserIdHash};

use super::{
    arguments::{self, memory_of_marker, moment},
    call::{Call, script},
};
use crate::{driver::Script, layout::Prefix};

/// A call of `lua/set_marker.lua`.
pub(crate) struct SetMarker<'c> {
    pub(crate) prefix: &'c Prefix,
    pub(crate) user: &'c UserIdHash,
    pub(crate) reason: EndReason,
    pub(crate) note: &'c Note,
    /// The session that is not revoked.
    pub(crate) kept: Option<SessionHandle>,
    /// The longest absolute timeout of a session of the realm, if it is known.
    pub(crate) longest: Option<Duration>,
    pub(crate) not_after: Timestamp,
    pub(crate) requested_at: Timestamp,
}

impl Call for SetMarker<'_> {
    fn script(&self) -> &'static Script {
        script!("set_marker.lua")
    }

    fn keys(&self) -> Vec<String> {
        vec![
            self.prefix.user_list(self.user),
            self.prefix.marker(self.user),
        ]
    }

    fn arguments(&self) -> Vec<Bytes> {
        let kept = self
            .kept
            .map(|handle| Bytes::copy_from_slice(handle.as_bytes()));
        vec![
            arguments::code(self.reason),
            kept.unwrap_or_default(),
            memory_of_marker(self.longest),
            self.note.encode(),
            moment(self.not_after),
            moment(self.requested_at),
        ]
    }
}
