//! One request: its state, its session and the commit of its changes.

pub(crate) mod annotations;
pub(crate) mod commit;
pub(crate) mod session;
pub(crate) mod state;
