//! Live connections end with their session.
//!
//! A guard is a look at one moment. What goes on after the response has begun, such as a stream of events or a
//! WebSocket, holds a [`Lifeline`]: it asks again and again what the guard had asked.

mod connection_ended;
mod guarded;
mod lifeline;
mod listening;
#[cfg(feature = "ws")]
mod origin;
mod poll_schedule;
mod requirement;
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
    connection_ended::ConnectionEnded,
    guarded::{Guarded, GuardedBody},
    lifeline::Lifeline,
};
pub(crate) use self::{poll_schedule::PollSchedule, requirement::Requirement, watch::Watches};
