//! Applications whose tests pause Tokio's clock, and call the service without a network.

use std::time::Duration;

use axum::{
    body::Body,
    http::{Request, header},
};
use portcullis::{MemoryStore, RedisStore, SessionLayer, store::Store};
use portcullis_redis::testing::TestServer;
use portcullis_tests::{Gates, routes};
use tower::ServiceExt;

/// A browser that signs in, reads pages and signs out, with a second between any two requests.
async fn requests_are_answered(store: impl Store) {
    let app = routes(Gates::default()).layer(SessionLayer::new(store));
    for _ in 0..5 {
        let mut cookie = String::new();
        for (method, target, status) in [
            ("POST", "/put/a/b", 204),
            ("POST", "/login?user=alice", 204),
            ("GET", "/me", 200),
            ("POST", "/elevate", 204),
            ("POST", "/transfer", 200),
            ("GET", "/sessions", 200),
            ("POST", "/logout", 204),
        ] {
            let request = Request::builder()
                .method(method)
                .uri(target)
                .header(header::COOKIE, &cookie);
            let request = request.body(Body::empty()).unwrap();
            let response = app.clone().oneshot(request).await.unwrap();
            assert_eq!(response.status(), status, "{target}");
            if let Some(set) = response.headers().get(header::SET_COOKIE) {
                let set = set.to_str().unwrap();
                cookie = set.split(';').next().unwrap().to_owned();
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn with_a_paused_clock_sessions_in_memory_are_served() {
    requests_are_answered(MemoryStore::new()).await;
}

#[tokio::test(start_paused = true)]
async fn with_a_paused_clock_sessions_in_redis_are_served() {
    let server = TestServer::start();
    requests_are_answered(RedisStore::connect(server.url()).await.unwrap()).await;
}
