//! The rules of Portcullis sessions, free of IO.
//!
//! Applications use the crate `portcullis`, which re-exports what they need from here. This crate
//! is for those who write a [`Store`](store::Store), and for those who want to read the rules
//! alone.
//!
//! # The model
//!
//! * A [`SessionId`] is the secret in the cookie. A [`SessionIdHash`] is its hash, the only form
//!   that a store sees.
//! * A [`SessionHandle`] is the public name of a session. It stays the same when the identifier
//!   changes.
//! * A session has two deadlines ([`Timeouts`]): *idle* moves with activity, *absolute* does not.
//! * It may be bound to a [`UserId`], and elevated for a [`Scope`] for a short, fixed time.
//! * A [`UnitOfWork`](unit_of_work::UnitOfWork) is one request's view of its session. It records
//!   the changes that the handler asks for and turns them into one step of the store.
//!
//! Only the methods of a store are async, and only a store reads a clock.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod approval;
mod class;
mod client;
mod correlator;
mod elevation;
mod end;
mod environment;
mod error;
mod event;
mod handle;
mod id;
mod key;
mod meta;
pub mod policy;
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
    approval::Operation,
    class::{Class, ClassCode},
    client::{Client, ClientChange, ClientFamily, ClientName, ClientSystem, Network},
    correlator::{CorrelationKey, Correlator},
    elevation::{DefaultScope, MAX_SCOPE_BYTES, Scope, scope_name},
    end::EndReason,
    environment::Environment,
    error::{ChangeError, ConfigError, debug_as_message},
    event::{Actor, Event, EventKind, Note, Severity},
    handle::{InvalidHandle, SessionHandle},
    id::{BUCKETS, Bucket, ID_CHARS, NoRandomness, SessionId, SessionIdHash, UserIdHash},
    key::{Key, ValueKey},
    meta::{Owner, SessionMeta, Source},
    policy::{Demand, Policy, demand_name},
    random::{RandomSource, SystemRandom},
    realm::Realm,
    remember::RememberMe,
    time::{Timestamp, millis},
    timeouts::Timeouts,
    unit_of_work::{SessionEntry, SessionInfo},
    user::UserId,
    visitors::VisitorLimits,
};
