//! Sessions as operators and their own users list and revoke them.

pub(crate) mod own_sessions;
pub(crate) mod sessions;
