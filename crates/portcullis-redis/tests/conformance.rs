//! The contract of every store, on a real server and in real time.
#![allow(clippy::unwrap_used)]

#[path = "support/harness.rs"]
mod harness;

use std::sync::Arc;

use harness::InRedis;
use portcullis_redis::testing::TestServer;

async fn start() -> InRedis {
    let server = Arc::new(TestServer::start());
    let url = server.url();
    InRedis::on(server, &url, "pc").await
}

portcullis_core::store_conformance!(start());
