//! Routes that use the session after the head of the response.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::Request,
    response::{IntoResponse, Response},
    routing::get,
};
use hyper::body::Frame;
use portcullis::Session;

/// The routes.
pub(super) fn routes() -> Router {
    Router::new()
        .route("/late", get(late))
        .route("/late/commit", get(late_commit))
        .route("/late/load", get(late_load))
}

/// Changes the session after the head of the response was sent.
async fn late(session: Session) -> Response {
    body_of(async move {
        let results = [
            session.insert("late", "x"),
            session.authenticate("mallory"),
            session.regenerate(),
            session.terminate(),
        ];
        format!("{results:?}")
    })
}

/// Commits the session after the head of the response was sent.
async fn late_commit(session: Session) -> Response {
    body_of(async move { format!("{:?}", session.commit().await) })
}

/// Loads the session after the head of the response was sent.
async fn late_load(request: Request) -> Response {
    body_of(async move {
        match Session::load(request.extensions()).await {
            Ok(session) => format!("{:?} {:?}", session.user(), session.regenerate()),
            Err(error) => format!("{error:?}"),
        }
    })
}

/// A body that is produced when it is polled.
fn body_of(text: impl Future<Output = String> + Send + 'static) -> Response {
    Body::new(LateBody(Some(Box::pin(text)))).into_response()
}

struct LateBody(Option<Pin<Box<dyn Future<Output = String> + Send>>>);

impl hyper::body::Body for LateBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some(text) = &mut self.0 else {
            return Poll::Ready(None);
        };
        let text = ready!(text.as_mut().poll(cx));
        self.0 = None;
        Poll::Ready(Some(Ok(Frame::data(text.into()))))
    }
}
