//! Routes for browsers and apps to ask how long the session lasts, to stay, and to sign out.

mod room;
mod scripts;
mod status;

use std::sync::Arc;

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::{MethodRouter, get, post},
};
use http::{
    HeaderMap, HeaderValue, StatusCode, Uri,
    header::{CONTENT_TYPE, LOCATION},
};
use portcullis_core::{ConfigError, Timeouts};

use self::{scripts::Script, status::Status};
use crate::{PassiveLayer, Refusal, ReturnTo, Session, SessionError, origin, refusal};

/// Routes to mount below `/session`, inside of a [`SessionLayer`](crate::SessionLayer): how long the session lasts, to
/// stay, and to sign out. For pages, single-page applications and mobile apps alike.
///
/// ```
/// # use axum::Router;
/// # use portcullis::{MemoryStore, SessionLayer};
/// let sessions = SessionLayer::new(MemoryStore::new());
/// let app: Router = Router::new()
///     .nest("/session", sessions.routes().into_router())
///     .layer(sessions);
/// ```
///
/// | route | answer |
/// |---|---|
/// | `GET /session/status` | 200 with the document below; 401 without a live session |
/// | `POST /session/extend` | the same, once the idle deadline is moved; nothing else moves it but activity |
/// | `POST /session/sign-out` | 200 with `now`, `reason` and `detail`, as in the 401 below; 303 to the [page after it](Self::after_sign_out) for somebody who submitted a form |
/// | `GET /session/timeout.js` | the element `<portcullis-timeout>`, which speaks this protocol for a page |
///
/// To ask for the status never counts as activity. All answers are `no-store`. The 401 is a problem document (RFC 9457)
/// with `"reason"` where it is known why the session ended, such as `"idle_timeout"`, `"detail"` in words for people, and
/// `"now"` as below.
///
/// Answers overtake each other. The one with the latest `now` holds: a client that knows of a session, or of an end, at a
/// later moment does not listen to it. What has no `now` says nothing of the session: the 401 to an identifier that was
/// replaced a moment ago (`"replaced"`, `"replaced_at_sign_in"`), whose session has another by now, and 503 with
/// `Retry-After` while the store is down.
///
/// ```json
/// {
///   "now": 1763727600000,
///   "idle_deadline": 1763729400000,
///   "absolute_deadline": 1763814000000,
///   "ends_at": 1763729400000,
///   "extends_to": 1763729400000,
///   "authenticated": true,
///   "person": "ri1dkD9oyVHCWAtaQyTsxg",
///   "elevated_until": null,
///   "elevations": {}
/// }
/// ```
///
/// Moments are milliseconds since 1970 by the *server's* clock, so only differences to `now` mean anything. `ends_at` is
/// when the session ends without further activity; `extends_to` when it would end if it were extended now, and `null`
/// where the absolute deadline comes first, so that there is nothing to offer. `person` is the same for the same user,
/// and not their name. `elevated_until` is that of the general scope; `elevations` has all scopes in force.
///
/// # Room for extensions
///
/// Whoever is warned of a time limit must be able to extend it at least ten times, unless the limit is essential (WCAG 2.2,
/// 2.2.1). So the routes of a layer whose absolute timeout is shorter than eleven times the idle one say so in the log,
/// once, where they are made a router. It is no error: programs, and tests, may need short limits. Where people do,
/// [`essential_limit`](Self::essential_limit) has the reason.
///
/// # Cross-site requests
///
/// Extending and signing out are refused with 403 when another site asks (by `Sec-Fetch-Site` and `Origin`, which is
/// compared with `Host` as URLs are: `shop.example:443` is `https://shop.example`), and so is the status; but for the
/// [trusted origins](crate::SessionLayer::trusted_origins). The log has both sides. Trusted origins also need the permission to read the answers (CORS) and
/// a cookie with `SameSite=None`, which are the application's to give, and what they ask for is no activity but for
/// `POST /session/extend`. Put tower-http's
/// [`CsrfLayer`](https://docs.rs/tower-http/latest/tower_http/csrf/struct.CsrfLayer.html) around the whole application
/// to protect its own routes, and tell it of the trusted origins as well (`add_trusted_origin`), else it refuses first.
#[derive(Debug, Clone, Default)]
#[must_use = "routes do nothing until they are mounted"]
pub struct SessionRoutes {
    after_sign_out: ReturnTo,
    trusted_origins: Vec<String>,
    /// Of the layer, if it is known.
    timeouts: Option<Timeouts>,
    /// Why they may be too short to be extended often.
    essential: Option<&'static str>,
}

impl SessionRoutes {
    /// The routes, with `/` as the page after a sign-out, where there is no layer at hand. Those of
    /// [`SessionLayer::routes`](crate::SessionLayer::routes) know its trusted origins and its timeouts.
    pub fn new() -> Self {
        Self::default()
    }

    pub(crate) fn of_layer(trusted_origins: &[String], timeouts: Timeouts) -> Self {
        Self {
            trusted_origins: trusted_origins.to_vec(),
            timeouts: Some(timeouts),
            ..Self::default()
        }
    }

    /// Where somebody is sent who signed out by submitting a form: a path of this site.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when it is not a path of this site.
    pub fn after_sign_out(self, path: &str) -> Result<Self, ConfigError> {
        let after_sign_out = crate::layer::page(path)?;
        Ok(Self {
            after_sign_out,
            ..self
        })
    }

    /// Declares that the absolute timeout leaves no room for ten extensions because a longer one would defeat its purpose,
    /// and why: for whoever reviews the application. Nothing is said of it in the log then.
    ///
    /// ```
    /// use std::time::Duration;
    /// # use axum::Router;
    /// use portcullis::{MemoryStore, SessionLayer, Timeouts};
    ///
    /// let timeouts = Timeouts::new(Duration::from_secs(15 * 60), Duration::from_secs(60 * 60))?;
    /// let sessions = SessionLayer::new(MemoryStore::new()).timeouts(timeouts);
    /// let routes = sessions.routes().essential_limit("the terminal is shared, and shifts change every hour");
    /// # let _: Router = routes.into_router();
    /// # Ok::<(), portcullis::ConfigError>(())
    /// ```
    pub fn essential_limit(self, why: &'static str) -> Self {
        Self {
            essential: Some(why),
            ..self
        }
    }

    /// The routes as a router, to be nested where they shall be.
    pub fn into_router<S: Clone + Send + Sync + 'static>(self) -> Router<S> {
        if let (Some(timeouts), None) = (&self.timeouts, self.essential) {
            room::warn_if_short(timeouts);
        }
        let page = self.after_sign_out;
        let trusted = Arc::<[String]>::from(self.trusted_origins);
        let guard = from_fn_with_state(Arc::clone(&trusted), guard);
        let status = get(
            async move |session: Session, uri: Uri, headers: HeaderMap| {
                status_of_session(&session, &uri, &headers, &trusted)
            },
        );
        Router::new()
            .route("/status", status.route_layer(PassiveLayer::new()))
            .route("/extend", post(extend))
            .route(
                "/sign-out",
                post(move |session, headers| sign_out(session, headers, page)),
            )
            .route("/timeout.js", script(&scripts::TIMEOUT))
            .route("/keep.js", script(&scripts::KEEP))
            .layer(guard)
    }
}

fn script<S: Clone + Send + Sync + 'static>(script: &'static Script) -> MethodRouter<S> {
    get(move |headers: HeaderMap| async move { script.answer(&headers) })
}

/// Lets through what no other site asks for.
async fn guard(State(trusted): State<Arc<[String]>>, request: Request, next: Next) -> Response {
    let (method, uri, headers) = (request.method(), request.uri(), request.headers());
    if origin::is_forged(method, uri, headers, &trusted) {
        return refused(uri, headers);
    }
    next.run(request).await
}

/// The answer to what another site asks for.
fn refused(uri: &Uri, headers: &HeaderMap) -> Response {
    origin::log_refusal("a session route", uri, headers);
    refusal::of(Refusal::CrossSite, None).map(Body::from)
}

/// The guard lets every GET through.
fn status_of_session(
    session: &Session,
    uri: &Uri,
    headers: &HeaderMap,
    trusted: &[String],
) -> Response {
    let cross_site = headers
        .get("sec-fetch-site")
        .is_some_and(|site| site == "cross-site");
    if cross_site && !origin::is_trusted(headers, trusted) {
        return refused(uri, headers);
    }
    answer(session)
}

async fn extend(session: Session) -> Result<Response, SessionError> {
    if session.extend()? {
        session.commit().await?;
    }
    Ok(answer(&session))
}

fn answer(session: &Session) -> Response {
    match Status::of(session) {
        Some(status) => json(status.to_json()),
        None => {
            let ended = session.end_reason();
            refusal::of(Refusal::SignInRequired { ended }, Some(session.now())).map(Body::from)
        }
    }
}

fn json(document: String) -> Response {
    ([(CONTENT_TYPE, "application/json")], document).into_response()
}

async fn sign_out(
    session: Session,
    headers: HeaderMap,
    page: ReturnTo,
) -> Result<Response, SessionError> {
    session.terminate()?;
    let base = &session.state().config.pages.base;
    if refusal::wants_page(&headers)
        && let Ok(location) = HeaderValue::from_str(&page.location(base, &[]))
    {
        return Ok((StatusCode::SEE_OTHER, [(LOCATION, location)]).into_response());
    }
    // The moment that is told must not be before the end.
    session.commit().await?;
    Ok(json(status::signed_out(session.now())))
}
