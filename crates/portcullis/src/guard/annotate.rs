//! Layers that annotate routes: an API, a re-authentication page.

use std::task::{Context, Poll};

use http::Request;
use tower_layer::Layer;
use tower_service::Service;

use crate::request::{annotations::RouteAnnotations, state::State};

/// Annotates the routes of an API. A refusal there is a status with a problem document, never a
/// redirect or a page. The headers of the request do not matter.
///
/// Add it outside of the guards of the same routes, that is, after them. It may stand inside or
/// outside of [`SessionLayer`](crate::SessionLayer). The guide [`refused`](crate::refused)
/// describes the responses on other routes.
///
/// ```
/// # use axum::{Router, routing::get};
/// # use portcullis::{GuardLayer, route::ApiLayer};
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

/// Annotates the routes on which users prove their identity again: the page, and the target of its
/// form.
///
/// Requests on these routes are never redirected to the [re-authentication
/// page](crate::SessionLayer::reauthentication_page), so the page cannot redirect to itself. Guards
/// admit sessions that [`DeviceBinding::StepUp`](crate::client::DeviceBinding::StepUp) flagged.
///
/// The path of the page is recognized without this layer, if the application sees it as configured.
/// Annotate the routes if a proxy removes a prefix that is not set, or if each language has its own
/// page.
///
/// Add it outside of the guards of the same routes, that is, after them. It may stand inside or
/// outside of [`SessionLayer`](crate::SessionLayer).
///
/// ```
/// # use axum::{Router, routing::get};
/// # use portcullis::{Authenticated, route::ReauthenticationPageLayer};
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
    type Service = Annotated<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Annotated::new(inner, |annotations| annotations.api = true)
    }
}

impl<S> Layer<S> for ReauthenticationPageLayer {
    type Service = Annotated<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Annotated::new(inner, |annotations| {
            annotations.reauthentication_page = true
        })
    }
}

/// The service of [`ApiLayer`], [`ReauthenticationPageLayer`],
/// [`PassiveLayer`](crate::route::PassiveLayer) and
/// [`CrossSiteSignInLayer`](crate::route::CrossSiteSignInLayer).
#[derive(Debug, Clone)]
pub struct Annotated<S> {
    inner: S,
    annotations: RouteAnnotations,
}

impl<S> Annotated<S> {
    pub(crate) fn new(inner: S, annotate: impl FnOnce(&mut RouteAnnotations)) -> Self {
        let mut annotations = RouteAnnotations::default();
        annotate(&mut annotations);
        Self { inner, annotations }
    }
}

impl<S, B> Service<Request<B>> for Annotated<S>
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
        let mut annotations = self.annotations;
        for state in State::all(request.extensions()) {
            state.annotate(annotations);
            // A route signs in to the innermost session only.
            annotations.cross_site_sign_in = false;
        }
        // Session layers further inside read this.
        let annotations = RouteAnnotations::of(request.extensions()).and(self.annotations);
        request.extensions_mut().insert(annotations);
        self.inner.call(request)
    }
}
