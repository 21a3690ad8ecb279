//! Lists and ends sessions, for operators and for users.

pub(crate) mod own_sessions;
pub(crate) mod sessions;
