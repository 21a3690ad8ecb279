//! What a store must know of a session besides its payload.

use crate::{ClassCode, SessionHandle, Timestamp, UserId};

/// The public name, user, class and source of a session. Stores list and log sessions by them.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "callers of a store build it")]
pub struct SessionMeta {
    /// The public name.
    pub handle: SessionHandle,
    /// The user, if the session has one.
    pub owner: Option<Owner>,
    /// The class of the session.
    pub class: ClassCode,
    /// Where its user signed in.
    pub source: Source,
}

/// Where the user of a session signed in. Lists of sessions hold it, so that a sign-out by an
/// identity provider finds its sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(clippy::exhaustive_enums, reason = "every store must write each")]
pub enum Source {
    /// At the application itself. Sessions without a user have this source too.
    #[default]
    Local,
    /// At an identity provider. The tag is a digest of the issuer and the provider's session.
    Federated([u8; 16]),
}

/// The user of a session, and when they authenticated.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "callers of a store build it")]
pub struct Owner {
    /// The user.
    pub user: UserId,
    /// When the user authenticated. A [revocation of all sessions](crate::store::Store::revoke)
    /// compares its own time with it.
    pub authenticated_at: Timestamp,
}

impl SessionMeta {
    /// The meta of a session that has no class and that the application itself began.
    pub const fn new(handle: SessionHandle, owner: Option<Owner>) -> Self {
        Self {
            handle,
            owner,
            class: ClassCode::NONE,
            source: Source::Local,
        }
    }

    /// The user, if there is one.
    pub fn user(&self) -> Option<&UserId> {
        self.owner.as_ref().map(|owner| &owner.user)
    }
}
