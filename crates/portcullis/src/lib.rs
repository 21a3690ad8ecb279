//! Session security for Axum and Tower.

mod activity;
mod audit;
mod body;
mod cache;
mod commit;
mod cookie;
mod erased;
mod error;
#[cfg(feature = "axum")]
mod extract;
mod guard;
mod layer;
mod refusal;
mod return_to;
mod service;
mod session;
mod state;

#[doc(no_inline)]
pub use portcullis_core::{
    AsKey, ConfigError, DraftError, EndReason, General, Handle, Key, NoRandomness, Scope,
    SessionInfo, Timeouts, Timestamp, UserId,
    store::{ManualClock, MemoryStore, Store, StoreError, StoreErrorKind},
};
#[cfg(feature = "redis")]
#[doc(no_inline)]
pub use portcullis_redis::RedisStore;

pub use self::{
    activity::{Passive, PassiveLayer},
    audit::{Audit, Event, EventKind, TracingAudit},
    body::SessionBody,
    cookie::{CookieBuilder, CookieConfig, SameSite},
    error::SessionError,
    guard::{Authenticated, Elevated, Guard, GuardLayer, Rejection},
    layer::SessionLayer,
    refusal::Refusal,
    return_to::ReturnTo,
    service::{ResponseFuture, SessionService},
    session::Session,
};
