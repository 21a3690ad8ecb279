//! Requests leave nothing behind in memory, also those that no client waits for.
#![cfg(feature = "axum")]
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "the exemption for tests does not reach their helpers"
)]

use std::{
    future::{Future, pending, poll_fn},
    sync::{
        Arc, LazyLock,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
};

use axum::{
    Extension, Router,
    body::Body,
    extract::Request,
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{COOKIE, SET_COOKIE},
    },
    routing::{get, post},
};
use portcullis::{MemoryStore, Session, SessionError, SessionLayer};
use tower::ServiceExt;

static WATCHED: LazyLock<Arc<()>> = LazyLock::new(Arc::default);

/// A function that holds its session, which holds the function.
async fn hold(session: Session) -> Result<(), SessionError> {
    let held = (session.clone(), Arc::clone(&WATCHED));
    session.update("n", move |n: &mut u32| {
        let (session, _watched) = &held;
        *n += u32::from(session.user().is_none());
    })
}

async fn hold_and_fail(session: Session) -> StatusCode {
    let _ = hold(session).await;
    StatusCode::INTERNAL_SERVER_ERROR
}

async fn hold_and_wait(session: Session) -> Result<(), SessionError> {
    hold(session).await?;
    pending().await
}

/// Whether another server has written.
static WRITTEN: AtomicBool = AtomicBool::new(false);

/// Another server writes to the session before this one does.
async fn write_elsewhere(Elsewhere(app): Elsewhere, cookie: &HeaderValue) {
    let request = Request::post("/text")
        .header(COOKIE, cookie)
        .body(Body::empty())
        .unwrap();
    let answer = app.oneshot(request).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    WRITTEN.store(true, Ordering::SeqCst);
}

#[derive(Clone)]
struct Elsewhere(Router);

async fn text(session: Session) -> Result<(), SessionError> {
    session.insert("n", "text")
}

/// The function holds the session, and panics when it is applied to the write of another server.
async fn hold_and_panic(
    session: Session,
    Extension(elsewhere): Extension<Elsewhere>,
    headers: HeaderMap,
) -> Result<(), SessionError> {
    let held = (session.clone(), Arc::clone(&WATCHED));
    let mut first = true;
    session.update("m", move |m: &mut u32| {
        let (session, _watched) = &held;
        assert!(std::mem::take(&mut first), "the panic that the test needs");
        *m += u32::from(session.user().is_none());
    })?;
    write_elsewhere(elsewhere, &headers[COOKIE]).await;
    Ok(())
}

/// The function cannot be applied to the write of another server.
async fn hold_and_be_refused(
    session: Session,
    Extension(elsewhere): Extension<Elsewhere>,
    headers: HeaderMap,
) -> Result<(), SessionError> {
    hold(session).await?;
    write_elsewhere(elsewhere, &headers[COOKIE]).await;
    Ok(())
}

async fn released() {
    for _ in 0..1000 {
        if Arc::strong_count(&WATCHED) == 1 {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("the request is kept: {}", Arc::strong_count(&WATCHED));
}

async fn a_function_is_released_when_it_panics_or_is_refused_later() {
    let store = MemoryStore::new();
    let elsewhere = Router::new()
        .route("/text", post(text))
        .layer(SessionLayer::new(store.clone()));
    let app = Router::new()
        .route(
            "/seed",
            get(async |session: Session| session.insert("seed", 1)),
        )
        .route("/panics", get(hold_and_panic))
        .route("/refused", get(hold_and_be_refused))
        .layer(SessionLayer::new(store))
        .layer(Extension(Elsewhere(elsewhere)));
    for path in ["/panics", "/refused"] {
        let request = seeded(&app, path).await;
        let answer = tokio::spawn(app.clone().oneshot(request)).await;
        match path {
            "/panics" => assert!(answer.unwrap_err().is_panic()),
            _ => assert_eq!(answer.unwrap().unwrap().status(), 500),
        }
        released().await;

        // The client disconnects while the change is being written.
        let request = seeded(&app, path).await;
        released_without_a_client(app.clone().oneshot(request)).await;
    }
}

/// A request of a new session.
async fn seeded(app: &Router, path: &str) -> Request {
    let seed = Request::get("/seed").body(Body::empty()).unwrap();
    let seeded = app.clone().oneshot(seed).await.unwrap();
    let set = seeded.headers()[SET_COOKIE].to_str().unwrap();
    let cookie = set.split(';').next().unwrap();
    let request = Request::get(path).header(COOKIE, cookie);
    request.body(Body::empty()).unwrap()
}

async fn released_without_a_client(answer: impl Future) {
    let mut answer = Box::pin(answer);
    WRITTEN.store(false, Ordering::SeqCst);
    loop {
        let polled = poll_fn(|cx| Poll::Ready(answer.as_mut().poll(cx))).await;
        assert!(polled.is_pending());
        // The same call ran the handler, and began the write of its change on another task.
        if WRITTEN.load(Ordering::SeqCst) {
            break;
        }
        tokio::task::yield_now().await;
    }
    assert!(Arc::strong_count(&WATCHED) > 1);
    drop(answer);
    released().await;
}

/// One after the other, because both watch the same counter.
#[tokio::test]
async fn a_function_that_holds_its_session_is_released_with_the_request() {
    a_function_is_released_however_its_request_ends().await;
    a_function_is_released_when_it_panics_or_is_refused_later().await;
}

async fn a_function_is_released_however_its_request_ends() {
    let app = Router::new()
        .route("/answered", get(hold))
        .route("/failed", get(hold_and_fail))
        .route("/abandoned", get(hold_and_wait))
        .layer(SessionLayer::new(MemoryStore::new()));
    for (path, ends) in [
        ("/answered", true),
        ("/failed", true),
        ("/abandoned", false),
    ] {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let mut answer = Box::pin(app.clone().oneshot(request));
        let mut answered = false;
        for _ in 0..100 {
            let polled = poll_fn(|cx| Poll::Ready(answer.as_mut().poll(cx))).await;
            answered = polled.is_ready();
            if answered {
                break;
            }
            tokio::task::yield_now().await;
        }
        assert_eq!(answered, ends, "{path}");
        assert_eq!(Arc::strong_count(&WATCHED) > 1, !ends, "{path}");
        drop(answer);
        assert_eq!(Arc::strong_count(&WATCHED), 1, "{path}");
    }
}
