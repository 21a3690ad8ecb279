//! Serves the routes of the tests on the Redis server at the address given as argument, and prints
//! its own address. It ends when its input is closed.
#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "it is a part of tests, which read its address"
)]

use std::io::Read;

use portcullis::{RedisStore, SessionLayer};
use portcullis_tests::{Gates, Server, routes};

#[tokio::main]
async fn main() {
    let redis = std::env::args()
        .nth(1)
        .expect("the address of a Redis server");
    let store = RedisStore::connect(redis).await.expect("Redis");
    let layer = SessionLayer::new(store).sweeping(false);
    let server = Server::of_router(routes(Gates::default()).layer(layer)).await;
    println!("{}", server.address());
    let until_closed = || std::io::stdin().read_to_end(&mut Vec::new());
    let _ = tokio::task::spawn_blocking(until_closed).await;
}
