//! Lists and ends sessions, for operators and for users, suspends users, and activates policies.

pub(crate) mod own_sessions;
#[cfg(feature = "policy")]
pub(crate) mod policies;
pub(crate) mod selection;
pub(crate) mod sessions;
mod suspensions;
