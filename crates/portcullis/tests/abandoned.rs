//! Requests leave nothing behind in memory, also those that nobody waits for any more.
#![cfg(feature = "axum")]

use std::{
    future::{Future, pending, poll_fn},
    sync::{Arc, LazyLock},
    task::Poll,
};

use axum::{Router, body::Body, extract::Request, http::StatusCode, routing::get};
use portcullis::{MemoryStore, Session, SessionError, SessionLayer};
use tower::ServiceExt;

static WATCHED: LazyLock<Arc<()>> = LazyLock::new(Arc::default);

/// The function given to `update` holds the session, which holds the function.
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

async fn hold_for_ever(session: Session) -> Result<(), SessionError> {
    hold(session).await?;
    pending().await
}

#[tokio::test]
async fn a_function_that_holds_its_session_is_let_go_with_the_request() {
    let app = Router::new()
        .route("/answered", get(hold))
        .route("/failed", get(hold_and_fail))
        .route("/abandoned", get(hold_for_ever))
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
