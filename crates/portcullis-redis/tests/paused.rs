//! Tests of applications that pause Tokio's clock.
#![allow(clippy::unwrap_used, reason = "it is a test")]

mod support;

use std::time::Duration;

use portcullis_core::store::{Store, StoreErrorKind};
use portcullis_redis::{RedisStore, testing::TestServer};
use tokio::{task::JoinSet, time};

use self::support::*;

#[tokio::test(start_paused = true)]
async fn a_paused_clock_does_not_run_ahead_of_the_answers_of_redis() {
    let server = TestServer::start();
    let store = RedisStore::connect(server.url()).await.unwrap();
    for _ in 0..50 {
        store.load(&key()).await.unwrap();
        create(&store, &key()).await;
    }
    let begun = time::Instant::now();
    let mut loads = JoinSet::new();
    for _ in 0..50 {
        let store = store.clone();
        loads.spawn(async move { store.load(&key()).await });
    }
    while let Some(loaded) = loads.join_next().await {
        loaded.unwrap().unwrap();
    }
    assert_eq!(begun.elapsed(), Duration::ZERO, "time stood still");
}

#[tokio::test]
async fn a_clock_that_is_paused_later_does_not_either() {
    let server = TestServer::start();
    let store = RedisStore::connect(server.url()).await.unwrap();
    time::pause();
    for _ in 0..50 {
        store.load(&key()).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn while_a_test_lets_time_pass_redis_is_not_taken_for_dead() {
    let server = TestServer::start();
    let store = RedisStore::connect(server.url()).await.unwrap();
    for _ in 0..20 {
        time::sleep(Duration::from_secs(2)).await;
        store.load(&key()).await.unwrap();
        time::advance(Duration::from_secs(2)).await;
        store.load(&key()).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn with_a_paused_clock_too_an_answer_that_does_not_come_is_an_outage() {
    let server = TestServer::start();
    let store = RedisStore::connect(server.url()).await.unwrap();
    server.pause();
    let answer = store.load(&key()).await;
    assert_eq!(kind(answer), StoreErrorKind::Unavailable);
    server.resume();
}
