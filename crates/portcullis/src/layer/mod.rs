//! The session layer and its service.

#[cfg(feature = "policy")]
mod policy;
pub(crate) mod service;
pub(crate) mod session_layer;
