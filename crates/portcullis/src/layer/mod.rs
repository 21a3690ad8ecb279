//! The session layer and its service.

pub(crate) mod service;
pub(crate) mod session_layer;
