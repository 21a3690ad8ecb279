//! For tests of applications and of this crate: Redis servers for one test, and a way to let time
//! pass in them.
//!
//! ```no_run
//! # use std::time::Duration;
//! # use portcullis_redis::{RedisStore, testing::TestServer};
//! # async fn test() -> Result<(), portcullis_redis::ConnectError> {
//! let server = TestServer::start();
//! let store = RedisStore::connect(server.url()).await?;
//! // … sign a user in …
//! server.age_sessions(Duration::from_secs(31 * 60));
//! // … and the user is signed out.
//! # Ok(())
//! # }
//! ```
//!
//! Everything here panics when something fails, as tests do.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "only tests use it"
)]

mod cluster;
mod resp;
mod sentinels;
mod server;
mod wait;
mod wire;

pub use self::{
    cluster::TestCluster,
    resp::Answer,
    sentinels::TestSentinels,
    server::TestServer,
    wait::wait_until,
    wire::{Held, TestWire},
};
