//! Counts the allocations of a request because of its session. The counts are exact, so that none
//! grows unnoticed.
//!
//! It is a program of its own with one test, since other tests in the process would be counted too.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::alloc::System;

use axum::{
    Router,
    body::{Body, to_bytes},
    routing::{get, post},
};
use http::{
    Request,
    header::{COOKIE, SET_COOKIE, USER_AGENT},
};
use portcullis::{Key, MemoryStore, Session, SessionError, SessionLayer};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use tower::ServiceExt;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// The allocations of a request beyond those of the same request without the layer. Three of them
/// are axum's for any layer.
///
/// If a count falls, write the new one. If it rises, find out what allocates on every
/// request. If that is necessary, write the new count and the reason in the commit.
const EXPECTED: [(&str, usize); 5] = [
    ("GET /unused", 8),
    ("GET /read", 13),
    ("POST /write", 28),
    ("POST /sign-in", 52),
    ("POST /sign-out", 31),
];

const TEXT: Key<String> = Key::new("text");
const COUNTER: Key<u64> = Key::new("counter");

async fn unused() {}

async fn seed(session: Session) -> Result<(), SessionError> {
    session.insert(TEXT, "x".repeat(200))
}

async fn read(session: Session) -> Result<(), SessionError> {
    assert!(session.get(TEXT)?.is_some());
    Ok(())
}

async fn write(session: Session) -> Result<(), SessionError> {
    session.update(COUNTER, |counter| *counter = (*counter + 1) % 2)
}

async fn sign_in(session: Session) -> Result<(), SessionError> {
    session.authenticate("ada")
}

async fn sign_out(session: Session) -> Result<(), SessionError> {
    session.terminate()
}

fn routes() -> Router {
    Router::new().route("/unused", get(unused))
}

fn app() -> Router {
    routes()
        .route("/seed", post(seed))
        .route("/read", get(read))
        .route("/write", post(write))
        .route("/sign-in", post(sign_in))
        .route("/sign-out", post(sign_out))
        .layer(SessionLayer::new(MemoryStore::new()))
}

/// The number of allocations of this request, and the cookie of the response.
async fn send(app: &Router, request: &str, cookie: &str) -> (usize, String) {
    let (method, path) = request.split_once(' ').unwrap();
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(
            USER_AGENT,
            "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0",
        )
        .header(COOKIE, cookie)
        .body(Body::empty())
        .unwrap();
    let app = app.clone();
    // A server passes on a shared part of the received bytes: a copy allocates nothing.
    let _shared = (request.uri().clone(), request.headers().clone());
    let counted = Region::new(ALLOCATOR);
    let (head, body) = app.oneshot(request).await.unwrap().into_parts();
    to_bytes(body, usize::MAX).await.unwrap();
    let change = counted.change();
    assert_eq!(head.status, 200);
    let cookie = head
        .headers
        .get(SET_COOKIE)
        .map_or("", |set| set.to_str().unwrap().split(';').next().unwrap());
    (change.allocations + change.reallocations, cookie.to_owned())
}

/// The fewest of many runs: the growth of a table in the store is no cost of a request.
async fn fewest(app: &Router, request: &str, cookie: Option<&Router>) -> usize {
    let mut fewest = usize::MAX;
    for _ in 0..50 {
        let cookie = match cookie {
            Some(app) => send(app, "POST /seed", "a=b").await.1,
            None => format!("__Host-Http-id={:A<43}", ""),
        };
        fewest = fewest.min(send(app, request, &cookie).await.0);
    }
    fewest
}

#[test]
fn a_request_allocates_for_its_session_as_often_as_is_written_here() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let counted: Vec<_> = runtime.block_on(async {
        let floor = fewest(&routes(), "GET /unused", None).await;
        let app = app();
        let mut counted = Vec::new();
        for (request, _) in EXPECTED {
            let all = fewest(&app, request, Some(&app)).await;
            counted.push((request, all - floor));
        }
        counted
    });
    assert_eq!(
        counted, EXPECTED,
        "a request allocates more or less often than is expected; what to do is written at EXPECTED"
    );
}
