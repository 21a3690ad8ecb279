//! Live connections end with their session.
//!
//! A guard is a look at one moment. What goes on after the response has begun, such as a stream of events or a
//! WebSocket, holds a [`Lifeline`]: it asks again and again what the guard had asked.

mod guarded;
mod lifeline;
mod listening;
mod lost;
mod need;
#[cfg(feature = "ws")]
mod origin;
mod pace;
#[cfg(test)]
mod samples;
#[cfg(feature = "ws")]
mod socket;
#[cfg(feature = "axum")]
mod sse;
mod watch;

#[cfg(feature = "ws")]
pub use self::socket::{SessionSocket, SessionWebSocket, SocketGuard};
#[cfg(feature = "axum")]
pub use self::sse::GuardedEvents;
pub use self::{
    guarded::{Guarded, GuardedBody},
    lifeline::Lifeline,
    lost::Lost,
};
pub(crate) use self::{need::Need, pace::Pace, watch::Watches};
