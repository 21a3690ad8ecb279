//! Requests without a session cookie because the browser withheld it: another site caused them.
//!
//! A session that began with such a request would replace the cookie that the browser has, and sign
//! the user out. `fetch_metadata.rs` decides which requests these are.

use bytes::Bytes;
use http::{
    HeaderValue, Response,
    header::{CACHE_CONTROL, CONTENT_TYPE},
};
use tower_layer::Layer;

use crate::Annotated;

/// RouteAnnotations routes that sign in by a request of another site: OpenID Connect's
/// `response_mode=form_post`, or SAML's POST binding. It may stand inside or outside of
/// [`SessionLayer`](crate::SessionLayer).
///
/// Such a request comes [without the session
/// cookie](crate::Session#requests-that-another-site-causes), so other routes refuse to begin a
/// session with it. A marked route begins a new session, whose cookie replaces the one in the
/// browser. The previous session does not end, because its cookie did not come; it lasts until its
/// timeout. With a status from 400 on, nothing is written and the browser keeps its cookie. Of
/// nested layers, only the innermost is meant.
///
/// **The route itself must check that this browser began the sign-in.** Otherwise any site can sign
/// users in as a user of its choice (login CSRF; RFC 9700, 4.7). A value that is written before that
/// check, such as a message for the next page, signs them out. Compare the `state` or `RelayState`
/// with a short-lived cookie. The application sets that cookie at the start with
/// `SameSite=None; Secure`. The session cannot hold the value, because its cookie does not come.
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

/// Refreshes the page at once, without a referrer.
const REFRESH: &str = "<meta name=\"referrer\" content=\"no-referrer\">\n<meta http-equiv=\"refresh\" content=\"0\">\n";

/// A page that requests the same address again. That request comes from a page of the site, so
/// `Strict` cookies come along, and `Sec-Fetch-Site: same-origin` says that none is withheld.
///
/// In a sandbox a page has an opaque origin, and its requests are cross-site: there a refresh would
/// repeat for ever. So the page refreshes only in answer to a request with a referrer or a user
/// activation, and the refresh has neither. Otherwise it shows a link. It needs no script and no
/// style, so no policy blocks it, and it shows nothing of the request.
pub(crate) fn ask_again(refreshes: bool) -> Response<Bytes> {
    let refresh = if refreshes { REFRESH } else { "" };
    let page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<meta name=\"robots\" content=\"noindex\">\n\
         {refresh}<title>One moment</title>\n<p>This page was opened from another site. <a href=\"\">Continue</a>\n"
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
