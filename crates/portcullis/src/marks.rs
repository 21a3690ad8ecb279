//! Layers that say of their routes what a refusal has to know.

use std::task::{Context, Poll};

use http::{Extensions, Request};
use tower_layer::Layer;
use tower_service::Service;

use crate::state::State;

/// What layers have said of a route.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Marks {
    pub(crate) api: bool,
    pub(crate) reauthentication_page: bool,
}

impl Marks {
    /// Those of layers that stand outside of the session layer.
    pub(crate) fn of(extensions: &Extensions) -> Self {
        extensions.get().copied().unwrap_or_default()
    }

    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            api: self.api || other.api,
            reauthentication_page: self.reauthentication_page || other.reauthentication_page,
        }
    }
}

/// Marks the routes of an API: what is refused there is answered with a status and a problem document, never with a
/// redirection or a page, whatever the request says of itself.
///
/// Put it outside of the guards of the same routes, that is, after them. It may stand inside or outside of
/// [`SessionLayer`](crate::SessionLayer). What is answered without it is in the guide [`refused`](crate::refused).
///
/// ```
/// # use axum::{Router, routing::get};
/// # use portcullis::{ApiLayer, GuardLayer};
/// # async fn orders() {}
/// let api: Router = Router::new()
///     .route("/api/orders", get(orders))
///     .route_layer(GuardLayer::authenticated())
///     .route_layer(ApiLayer::new());
/// ```
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct ApiLayer;

impl ApiLayer {
    /// The layer.
    pub fn new() -> Self {
        Self
    }
}

/// Marks the routes on which people prove again who they are: the page, and what its form is sent to.
///
/// Nobody is sent to the [re-authentication page](crate::SessionLayer::reauthentication_page) from there, so it cannot
/// redirect to itself, and guards let sessions through that
/// [`DeviceBinding::StepUp`](crate::DeviceBinding::StepUp) flagged. The path of the page counts as marked already, as
/// long as it is what the application sees: behind a proxy that takes off a prefix, or with one page for each language,
/// mark the routes.
///
/// Put it outside of the guards of the same routes, that is, after them. It may stand inside or outside of
/// [`SessionLayer`](crate::SessionLayer).
///
/// ```
/// # use axum::{Router, routing::get};
/// # use portcullis::{Authenticated, ReauthenticationPageLayer};
/// # async fn form(signed_in: Authenticated) {}
/// # async fn submit(signed_in: Authenticated) {}
/// let confirm: Router = Router::new()
///     .route("/en/confirm", get(form).post(submit))
///     .route("/de/bestaetigen", get(form).post(submit))
///     .route_layer(ReauthenticationPageLayer::new());
/// ```
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct ReauthenticationPageLayer;

impl ReauthenticationPageLayer {
    /// The layer.
    pub fn new() -> Self {
        Self
    }
}

impl<S> Layer<S> for ApiLayer {
    type Service = Marked<S>;

    fn layer(&self, inner: S) -> Self::Service {
        let marks = Marks {
            api: true,
            ..Marks::default()
        };
        Marked { inner, marks }
    }
}

impl<S> Layer<S> for ReauthenticationPageLayer {
    type Service = Marked<S>;

    fn layer(&self, inner: S) -> Self::Service {
        let marks = Marks {
            reauthentication_page: true,
            ..Marks::default()
        };
        Marked { inner, marks }
    }
}

/// The service of [`ApiLayer`] and [`ReauthenticationPageLayer`].
#[derive(Debug, Clone)]
pub struct Marked<S> {
    inner: S,
    marks: Marks,
}

impl<S, B> Service<Request<B>> for Marked<S>
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
            Some(state) => state.mark(self.marks),
            // The session layer is further in, and will look for this.
            None => {
                let marks = Marks::of(request.extensions()).and(self.marks);
                request.extensions_mut().insert(marks);
            }
        }
        self.inner.call(request)
    }
}
