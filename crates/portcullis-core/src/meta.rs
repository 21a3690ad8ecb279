//! What a store must know of a session besides its payload.

use crate::{Class, SessionHandle, Timestamp, UserId};

/// A session's public name and its user, by which stores list sessions and tell of them.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "whoever calls a store makes it")]
pub struct SessionMeta {
    /// The public name.
    pub handle: SessionHandle,
    /// Whose it is, if anybody's.
    pub owner: Option<Owner>,
    /// Its class.
    pub class: Class,
    /// Who signed its user in.
    pub source: Source,
}

/// Who signed the user of a session in. Lists of sessions tell it, so that a sign-out by an identity provider finds them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(clippy::exhaustive_enums, reason = "every store must write each")]
pub enum Source {
    /// The application itself, or nobody yet.
    #[default]
    Local,
    /// An identity provider. The tag is a digest of its issuer and its session.
    Federated([u8; 16]),
}

/// The user of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "whoever calls a store makes it")]
pub struct Owner {
    /// Who.
    pub user: UserId,
    /// When they authenticated. What a [revocation of all](crate::store::Store::revoke) compares itself with.
    pub authenticated_at: Timestamp,
}

impl SessionMeta {
    /// A session of no class that the application itself began.
    pub const fn new(handle: SessionHandle, owner: Option<Owner>) -> Self {
        Self {
            handle,
            owner,
            class: Class::NONE,
            source: Source::Local,
        }
    }

    /// The user, if there is one.
    pub fn user(&self) -> Option<&UserId> {
        self.owner.as_ref().map(|owner| &owner.user)
    }
}
