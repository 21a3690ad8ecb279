//! Guards: extractors and layers that let only some requests pass.

pub(crate) mod annotate;
pub(crate) mod cross_site;
#[cfg(feature = "axum")]
mod extract;
pub(crate) mod passive;
pub(crate) mod session_guard;

#[doc(inline)]
pub use portcullis_core::{DefaultScope, MAX_SCOPE_BYTES};

pub use self::session_guard::{Guard, Rejection};
