//! Which requests are activity of the person, and so move the idle deadline.
//!
//! A request is *not* activity when any of these holds:
//!
//! 1. its method is `HEAD` or `OPTIONS`;
//! 2. the browser says that nobody asked for it yet (`Sec-Purpose` or `Purpose` with `prefetch`);
//! 3. its route is marked with [`PassiveLayer`];
//! 4. it is answered with a status of 400 or above.
//!
//! Such requests read the session like any other (NIST SP 800-63B-4, 5.2, counts activity *from the
//! subscriber*; OWASP Session Management, "Idle Timeout").

use std::task::{Context, Poll};

use http::{HeaderMap, Method, Request, StatusCode};
use portcullis_core::store::Activity;
use tower_layer::Layer;
use tower_service::Service;

use crate::state::State;

pub(crate) fn of_request(method: &Method, headers: &HeaderMap) -> Activity {
    let speculative = ["sec-purpose", "purpose"]
        .into_iter()
        .filter_map(|name| headers.get(name))
        .any(|value| value.as_bytes().starts_with(b"prefetch"));
    if speculative || method == Method::HEAD || method == Method::OPTIONS {
        return Activity::Passive;
    }
    Activity::Active
}

pub(crate) fn of_response(status: StatusCode) -> Activity {
    if status.is_client_error() || status.is_server_error() {
        return Activity::Passive;
    }
    Activity::Active
}

/// The mark of [`PassiveLayer`] where it stands outside of the session layer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MarkedPassive;

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
        match State::of(request.extensions()) {
            Some(state) => state.mark_passive(),
            // The session layer is further in, and will look for this.
            None => {
                request.extensions_mut().insert(MarkedPassive);
            }
        }
        self.inner.call(request)
    }
}
