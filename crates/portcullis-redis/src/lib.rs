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
//! A session is read with one `GET` and changed with one script, which is atomic. It expires by the
//! key's own TTL, and the deadlines in the record are checked too, always by the server's clock.
//! When the server does not answer, every operation fails within [a bounded
//! wait](RedisStoreBuilder::wait), and after about a second it fails at once. The connection is
//! restored in the background. Lists and logs use a connection of their own, so that no other
//! operation waits behind them. When memory is nearly full, sessions without a user are refused
//! before sign-ins are.
//!
//! It needs Redis 6.2 or later, or a compatible server: one primary, the primary that Sentinels
//! name, or a Redis Cluster. The [README](https://crates.io/crates/portcullis-redis) describes what
//! holds on a cluster, settings of the server and the rights that it must grant.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod address;
mod builder;
mod check;
mod clock;
mod connect_error;
mod driver;
mod endpoint;
mod info;
mod layout;
mod scripts;
mod store;
#[cfg(feature = "testing")]
pub mod testing;

pub use self::{
    builder::RedisStoreBuilder,
    check::{Finding, Subject, Verdict},
    connect_error::ConnectError,
    store::RedisStore,
};
