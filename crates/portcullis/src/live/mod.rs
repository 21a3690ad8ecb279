//! Live connections end with their session.
//!
//! A guard checks at one moment. Work that continues after the response has begun, such as a stream
//! of events or a WebSocket, holds a [`Lifeline`], which repeats the guard's check.

mod guarded;
mod lifeline;
#[cfg(feature = "ws")]
mod socket;
#[cfg(feature = "ws")]
mod socket_origin;
#[cfg(feature = "axum")]
mod sse;

#[cfg(feature = "ws")]
pub use self::socket::{SessionSocket, SessionWebSocket, SocketGuard};
#[cfg(feature = "axum")]
pub use self::sse::GuardedEvents;
pub use self::{
    guarded::{Guarded, GuardedBody},
    lifeline::Lifeline,
};
#[doc(inline)]
pub use crate::reject::connection_ended::ConnectionEnded;
