//! Session cookies that a browser kept to itself because another site caused the request.
//!
//! Such a request looks like that of a stranger. If it began a session, the new cookie would replace the one that the
//! browser has, and sign the person out.

use std::task::{Context, Poll};

use bytes::Bytes;
use http::{
    HeaderValue, Request, Response,
    header::{CACHE_CONTROL, CONTENT_TYPE},
};
use tower_layer::Layer;
use tower_service::Service;

use crate::state::{MarkedCrossSite, State};

/// Marks routes that must sign people in, or begin a session, at the request of another site: the answer of an identity
/// provider that comes as a form (OpenID Connect's `response_mode=form_post`, SAML's POST binding). It may stand inside or
/// outside of [`SessionLayer`](crate::SessionLayer).
///
/// Such a request comes without the session cookie, so it is refused elsewhere, see [`Session`](crate::Session). Here it
/// begins a session of its own, and the new cookie replaces the one that the browser has. So **the route itself must check
/// that this browser asked for the answer**, by a `state` (or `RelayState`) that it finds again in a short-lived cookie of
/// its own with `SameSite=None; Secure`. Otherwise any site signs people in as somebody of its choice (login CSRF, RFC 9700,
/// 4.7). The session that the browser had goes on until it times out: nobody knows here which one it was.
///
/// A layer against forged requests refuses such a route too, unless it is told of it:
///
/// ```
/// # use axum::{Router, routing::{get, post}};
/// # use portcullis::{CrossSiteSignInLayer, MemoryStore, SessionLayer};
/// # use tower_http::csrf::CsrfLayer;
/// # async fn sign_in() {}
/// # async fn handler() {}
/// let callback = Router::new()
///     .route("/oidc/callback", post(sign_in)) // checks `state` against its own cookie
///     .route_layer(CrossSiteSignInLayer::new());
/// let app: Router = Router::new()
///     .route("/", get(handler))
///     .merge(callback)
///     .layer(SessionLayer::new(MemoryStore::new()))
///     .layer(CsrfLayer::new().with_insecure_bypass(|_, uri| uri.path() == "/oidc/callback"));
/// ```
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct CrossSiteSignInLayer;

impl CrossSiteSignInLayer {
    /// The layer.
    pub fn new() -> Self {
        Self
    }
}

impl<S> Layer<S> for CrossSiteSignInLayer {
    type Service = CrossSiteSignIn<S>;

    fn layer(&self, inner: S) -> Self::Service {
        CrossSiteSignIn { inner }
    }
}

/// The service of [`CrossSiteSignInLayer`].
#[derive(Debug, Clone)]
pub struct CrossSiteSignIn<S> {
    inner: S,
}

impl<S, B> Service<Request<B>> for CrossSiteSignIn<S>
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
            Some(state) => state.admit_cross_site(),
            // The session layer is further in, and will look for this.
            None => {
                request.extensions_mut().insert(MarkedCrossSite);
            }
        }
        self.inner.call(request)
    }
}

/// The beginning of a page that goes on by itself. Its request has neither a user nor a referrer, whatever else stands in
/// the way of it, so it is never answered with such a page again.
const BY_ITSELF: &str = "<meta name=\"referrer\" content=\"no-referrer\">\n<meta http-equiv=\"refresh\" content=\"0\">\n";

/// A page that asks for the same address once more. What asks then is a page of the site, so every cookie comes along, and
/// the browser says `Sec-Fetch-Site: same-origin`: the cookie does not count as withheld again.
///
/// In a sandbox pages have no origin, so there it does. Therefore it goes on `by_itself` only where that is bounded.
/// Otherwise it has a link, which a person must follow. It has no script, no style and no address, so no policy is in the
/// way of it and nothing of the request is in it.
pub(crate) fn ask_again(by_itself: bool) -> Response<Bytes> {
    let refresh = if by_itself { BY_ITSELF } else { "" };
    let page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<meta name=\"robots\" content=\"noindex\">\n\
         {refresh}<title>One moment</title>\n<p>You come from another site. <a href=\"\">Continue</a>\n"
    );
    let mut response = Response::new(Bytes::from(page));
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/html; charset=utf-8"),
    );
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
