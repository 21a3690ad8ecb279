//! Routes whose requests are no activity.

use std::task::{Context, Poll};

use http::Request;
use tower_layer::Layer;
use tower_service::Service;

use crate::state::{MarkedPassive, State};

/// Marks routes whose requests do not count as activity: polls, heartbeats, anything a page does by itself.
/// It may stand inside or outside of [`SessionLayer`](crate::SessionLayer).
///
/// ```
/// # use axum::{Router, routing::get};
/// # use portcullis::PassiveLayer;
/// # async fn unread() {}
/// let router: Router = Router::new()
///     .route("/notifications/unread", get(unread))
///     .route_layer(PassiveLayer::new());
/// ```
///
/// # What is activity
///
#[doc = include_str!("../docs/activity.md")]
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct PassiveLayer;

impl PassiveLayer {
    /// The layer.
    pub fn new() -> Self {
        Self
    }
}

impl<S> Layer<S> for PassiveLayer {
    type Service = Passive<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Passive { inner }
    }
}

/// The service of [`PassiveLayer`].
#[derive(Debug, Clone)]
pub struct Passive<S> {
    inner: S,
}

impl<S, B> Service<Request<B>> for Passive<S>
where
    S: Service<Request<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let mut states = State::all(request.extensions()).peekable();
        let inside = states.peek().is_some();
        states.for_each(|state| state.mark_passive());
        if !inside {
            // The session layer is further in, and will look for this.
            request.extensions_mut().insert(MarkedPassive);
        }
        self.inner.call(request)
    }
}
