//! Bodies, streams and WebSockets that end with their session.
//!
//! A guard checks at one moment. Work that continues after the response has begun, such as a stream
//! of events or a WebSocket, holds a [`Lifeline`], which repeats the guard's check:
//!
//! ```
//! # use axum::body::{Body, Bytes};
//! # use futures_core::Stream;
//! # use portcullis::Authenticated;
//! # type Row = Result<Bytes, std::io::Error>;
//! # fn rows() -> impl Stream<Item = Row> + Send + 'static { futures_util::stream::empty() }
//! async fn export(signed_in: Authenticated) -> Body {
//!     Body::new(signed_in.lifeline().guard_body(Body::from_stream(rows())))
//! }
//! ```

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
