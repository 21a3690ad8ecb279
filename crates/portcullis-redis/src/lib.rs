//! Keeps Portcullis sessions in Redis.
//!
//! ```no_run
//! use portcullis_redis::{ConnectError, RedisStore};
//!
//! # async fn connect() -> Result<(), ConnectError> {
//! let store = RedisStore::connect("redis://127.0.0.1:6379").await?;
//! # Ok(())
//! # }
//! ```
//!
//! A session is read with one `GET` and changed with one script, which is atomic. Expiry is the key's own
//! TTL and is checked again against the record, always by the server's clock. When the server does not
//! answer, every operation fails within [a bounded wait](RedisStoreBuilder::wait), after about a second at
//! once, and the connection heals by itself. Lists and logs come over a connection of their own, and nothing else waits
//! behind them. Where memory is nearly full, sessions without a user are refused before sign-ins are.
//!
//! Redis 6.2 or later, or a server compatible with it: one primary, the primary that Sentinels name, or a Redis Cluster. What
//! holds on a cluster, settings of the server and the rights it must grant are in the [README](https://crates.io/crates/portcullis-redis).
#![cfg_attr(docsrs, feature(doc_cfg))]

mod address;
mod arguments;
mod builder;
mod census;
mod check;
mod clock;
mod compensation;
mod connect_error;
mod creation;
mod displacement;
mod driver;
mod endpoint;
mod entry;
mod info;
mod inventory;
mod key_set;
mod keys;
mod log;
mod realms;
mod record;
mod registry;
mod relocation;
mod store;
mod sweep;
#[cfg(feature = "testing")]
pub mod testing;

pub use self::{
    builder::RedisStoreBuilder,
    check::{Finding, Subject, Verdict},
    connect_error::ConnectError,
    store::RedisStore,
};
