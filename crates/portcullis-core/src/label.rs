//! What a store must know of a session besides its payload.

use crate::{Handle, Timestamp, UserId};

/// A session's public name and its user, by which stores list sessions and tell of them.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "whoever calls a store makes it")]
pub struct Label {
    /// The public name.
    pub handle: Handle,
    /// Whose it is, if anybody's.
    pub owner: Option<Owner>,
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

impl Label {
    /// The user, if there is one.
    pub fn user(&self) -> Option<&UserId> {
        self.owner.as_ref().map(|owner| &owner.user)
    }
}
