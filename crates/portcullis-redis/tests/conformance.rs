//! The contract of every store, on a real server and in real time.
#![allow(clippy::unwrap_used)]

#[path = "support/harness.rs"]
mod harness;

use std::sync::Arc;

use harness::InRedis;
use portcullis_redis::testing::TestServer;

portcullis_core::store_conformance!(InRedis::on(Arc::new(TestServer::start()), "pc"));
