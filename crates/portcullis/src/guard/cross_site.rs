//! Requests without a session cookie because the browser withheld it: another site caused them.
//!
//! A session that began with such a request would replace the cookie that the browser has, and sign
//! the user out. `headers::fetch_metadata` decides which requests these are.

use tower_layer::Layer;

use crate::guard::annotate::Annotated;

/// Annotates routes that sign in by a request of another site: OpenID Connect's
/// `response_mode=form_post`, or SAML's POST binding. It may stand inside or outside of
/// [`SessionLayer`](crate::SessionLayer).
///
/// Such a request arrives [without the session
/// cookie](crate::Session#requests-that-another-site-causes), so other routes refuse to begin a
/// session with it. An annotated route begins a new session. Its cookie replaces the one in the
/// browser. The previous session does not end, because its cookie was not sent; it lasts until its
/// timeout. With a status of 400 or above, nothing is written and the browser keeps its cookie. Of
/// nested layers, the annotation applies to the innermost only.
///
/// **The route itself must check that this browser began the sign-in.** Otherwise any site can sign
/// users in as a user of its choice (login CSRF; RFC 9700, 4.7). A value that is written before
/// that check, such as a message for the next page, signs them out. Compare the `state` or
/// `RelayState` with a short-lived cookie. The application sets that cookie at the start with
/// `SameSite=None; Secure`. The session cannot hold the value, because its cookie is not sent.
///
/// A `CsrfLayer` refuses such a route too, and needs an exception:
///
/// ```
/// # use axum::{Router, routing::{get, post}};
/// # use portcullis::{MemoryStore, SessionLayer, route::CrossSiteSignInLayer};
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
    type Service = Annotated<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Annotated::new(inner, |annotations| annotations.cross_site_sign_in = true)
    }
}
