//! Guards: extractors and layers that admit only some requests.
//!
//! The guards are at the root: [`Authenticated`](crate::Authenticated),
//! [`Elevated`](crate::Elevated), [`Privileged`](crate::Privileged) and
//! [`GuardLayer`](crate::GuardLayer). [`scope!`](crate::scope) declares a
//! [`Scope`](crate::Scope). This module has the default scope, the refusal of a guard,
//! and the service of its layer.

pub(crate) mod annotate;
mod approval;
pub(crate) mod cross_site;
pub(crate) mod demand;
#[cfg(feature = "axum")]
mod extract;
pub(crate) mod passive;
pub(crate) mod session_guard;

#[doc(inline)]
pub use portcullis_core::{DefaultScope, MAX_SCOPE_BYTES};

pub use self::session_guard::{Guard, Rejection};
