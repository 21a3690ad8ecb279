//! The rules of Portcullis sessions, free of IO.
//!
//! Applications use the crate `portcullis`, which re-exports what they need from here. This crate is for
//! those who write a [`Store`](store::Store) or want to read the rules on their own.
//!
//! # The model
//!
//! * A [`SessionId`] is the secret in the cookie. A [`SessionIdHash`] is its hash, all that a store sees. A
//!   [`SessionHandle`] is the public name, the same for as long as the session lives.
//! * A session has two deadlines ([`Timeouts`]): *idle* moves with activity, *absolute* does not.
//! * It may be bound to a [`UserId`], and elevated for a [`Scope`] for a short, fixed time.
//! * A [`UnitOfWork`](unit_of_work::UnitOfWork) is one request's view of it: it records what the handler wants and turns it
//!   into one step of the store.
//!
//! Nothing here is async but the methods of a store, and nothing reads a clock but a store.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod class;
mod client;
mod correlator;
mod elevation;
mod end;
mod error;
mod event;
mod handle;
mod id;
mod key;
mod meta;
mod random;
mod realm;
mod record;
mod remember;
pub mod store;
mod time;
mod timeouts;
pub mod unit_of_work;
mod user;
mod value;
mod visitors;

pub use self::{
    class::Class,
    client::{Client, ClientChange, ClientFamily, ClientName, ClientSystem, Network},
    correlator::{CorrelationKey, Correlator},
    elevation::{DefaultScope, MAX_SCOPE_BYTES, Scope, scope_name},
    end::EndReason,
    error::{ChangeError, ConfigError, debug_as_message},
    event::{Actor, Event, EventKind, Note, Severity},
    handle::{InvalidHandle, SessionHandle},
    id::{BUCKETS, Bucket, ID_CHARS, NoRandomness, SessionId, SessionIdHash, UserIdHash},
    key::{Key, ValueKey},
    meta::{Owner, SessionMeta, Source},
    random::{RandomSource, SystemRandom},
    realm::Realm,
    remember::RememberMe,
    time::{Timestamp, millis},
    timeouts::Timeouts,
    unit_of_work::{SessionEntry, SessionInfo},
    user::UserId,
    visitors::VisitorLimits,
};
