//! The session layer and its service.

#[cfg(feature = "policy")]
pub(crate) mod policy;
pub(crate) mod service;
pub(crate) mod session_layer;
