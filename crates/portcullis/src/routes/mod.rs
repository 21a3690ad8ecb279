//! Routes that report how long the session lasts, extend it, sign out, and end other sessions of
//! the user. They are for browsers and apps.

mod devices;
mod extension_check;
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
use http::{HeaderMap, Uri, header::CONTENT_TYPE};
use portcullis_core::{ConfigError, Scope, Timeouts};

use self::{scripts::Script, status::Status};
use crate::{
    guard::passive::PassiveLayer,
    headers::origin,
    reject::{
        audience, document::document, error::SessionError, problem::Problem, return_to::ReturnTo,
    },
    request::session::Session,
};

/// Routes that report how long the session lasts, extend it, and sign out, here or on other
/// devices.
///
/// They are for pages, single-page applications and mobile apps alike. Merge them into the router
/// that is inside of the [`SessionLayer`](crate::SessionLayer). Then they are below `/session`. For
/// another path, nest [`into_router`](Self::into_router).
///
/// ```
/// # use axum::Router;
/// # use portcullis::{MemoryStore, SessionLayer};
/// let sessions = SessionLayer::new(MemoryStore::new());
/// let app: Router = Router::new()
///     .merge(sessions.routes())
///     .layer(sessions);
/// ```
///
/// | route | answer |
/// |---|---|
/// | `GET /session/status` | 200 with the document below; 401 without a live session |
/// | `POST /session/extend` | the same, after the idle deadline was moved; only activity moves it otherwise |
/// | `POST /session/sign-out` | 200 with `now`, `reason` and `detail`, as in the 401 below; 303 to the [page after it](Self::after_sign_out) for a submitted form |
/// | `POST /session/devices/…` | ends other sessions of the user; only with [`devices`](Self::devices) |
/// | `GET /session/timeout.js` | the element `<portcullis-timeout>`, which speaks this protocol for a page |
///
/// A request for the status never counts as activity. All responses are `no-store`. The 401 is a
/// problem document (RFC 9457). Its `"reason"` is why the session ended, if known, such as
/// `"idle_timeout"`. Its `"detail"` is a text for users, and `"now"` is as below.
///
/// Responses can overtake each other. The one with the latest `now` holds: a client ignores a
/// response that is older than what it knows.
///
/// A response without `now` does not describe the state of the session. It may be the 401 to an
/// identifier that was just replaced (`"replaced"`, `"replaced_at_sign_in"`): its session continues
/// under another one. Or it is the 503 with `Retry-After` while the store is down.
///
/// ```json
/// {
///   "now": 1763727600000,
///   "idle_deadline": 1763729400000,
///   "absolute_deadline": 1763814000000,
///   "ends_at": 1763729400000,
///   "extends_to": 1763729400000,
///   "authenticated": true,
///   "user_fingerprint": "ri1dkD9oyVHCWAtaQyTsxg",
///   "privileged_until": 1763728500000,
///   "elevated_until": null,
///   "elevations": {}
/// }
/// ```
///
/// Times are milliseconds since 1970 by the *server's* clock, so only differences to `now` are
/// meaningful. `ends_at` is when the session ends without further activity. `extends_to` is when it
/// would end if it were extended now. It is `null` if the absolute deadline is earlier: then there
/// is no extension to offer. `user_fingerprint` is the same for the same user, and does not reveal
/// the name. `privileged_until` is until when the [privileged idle
/// timeout](crate::Timeouts::privileged_idle) admits the user to privileged routes, if it does now.
/// `elevated_until` is that of the default scope; `elevations` has all scopes in force.
///
/// # Time for extensions
///
/// A user must be able to extend a time limit at least ten times after a warning, unless the limit
/// is essential (WCAG 2.2, 2.2.1). So the routes log a warning if the absolute timeout of their
/// layer is shorter than eleven times the idle one. They do so once, when they are turned into a
/// router. It is no error, because programs and tests may need short limits.
/// [`essential_limit`](Self::essential_limit) states the reason for a short limit.
///
/// # Cross-site requests
///
/// Requests of another site to extend, to end sessions, or for the status are refused with 403.
/// `Sec-Fetch-Site` and `Origin` decide. `Origin` is compared with `Host` as URLs are:
/// `shop.example:443` is `https://shop.example`. The log shows both sides.
///
/// [Trusted origins](crate::SessionLayer::trusted_origins) are exempt. The application must let
/// them read the responses (CORS), and use a cookie with `SameSite=None`. Requests from within
/// their pages are no activity, except `POST /session/extend`.
///
/// Put tower-http's
/// [`CsrfLayer`](https://docs.rs/tower-http/latest/tower_http/csrf/struct.CsrfLayer.html) around
/// the whole application to protect its own routes. Add the trusted origins to it as well
/// (`add_trusted_origin`), or it refuses first.
#[derive(Debug, Clone, Default)]
#[must_use = "routes do nothing until they are mounted"]
pub struct SessionRoutes {
    after_sign_out: ReturnTo,
    devices: Router,
    trusted_origins: Vec<String>,
    /// Those of the layer, if it is known.
    timeouts: Option<Timeouts>,
    /// Why they may be too short for ten extensions.
    essential: Option<&'static str>,
}

impl SessionRoutes {
    /// Creates the routes without a layer, with `/` as the page after a sign-out.
    /// [`SessionLayer::routes`](crate::SessionLayer::routes) returns routes that know the trusted
    /// origins and timeouts of the layer.
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

    /// The page after a sign-out by a submitted form: a path of this site.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when it is not a path of this site.
    pub fn after_sign_out(self, path: &str) -> Result<Self, ConfigError> {
        let after_sign_out = crate::reject::return_to::page(path)?;
        Ok(Self {
            after_sign_out,
            ..self
        })
    }

    /// Adds the routes for a page of the user's devices. They need an elevation for the scope `S`
    /// (OWASP ASVS 5.0, 7.5.2). The page itself is a handler of the application that calls
    /// [`list_sessions`](crate::Authenticated::list_sessions).
    ///
    /// | route | does |
    /// |---|---|
    /// | `POST /session/devices/{handle}/revoke` | [`revoke_session`](crate::Elevated::revoke_session) |
    /// | `POST /session/devices/revoke-others` | [`revoke_other_sessions`](crate::Elevated::revoke_other_sessions) |
    ///
    /// After a submitted form, a browser is redirected with 303 to the parameter `return_to` of the
    /// form's address, see [`ReturnTo`]. Without it, the target is the page that contained the
    /// form, or the front page if the browser does not name it. A program gets 204, or 404 if the
    /// user has no session with this handle.
    ///
    /// ```
    /// use axum::{Router, response::{Html, Result}, routing::get};
    /// use portcullis::{Authenticated, MemoryStore, SessionLayer};
    ///
    /// portcullis::scope!(Account = "account");
    ///
    /// async fn devices(signed_in: Authenticated) -> Result<Html<String>> {
    ///     let mut page = String::new();
    ///     for session in signed_in.list_sessions().await? {
    ///         let handle = session.info.handle;
    ///         page += &format!(
    ///             "<form method=post action=/session/devices/{handle}/revoke>\
    ///              <button>Sign out</button></form>"
    ///         );
    ///     }
    ///     Ok(Html(page))
    /// }
    ///
    /// let sessions = SessionLayer::new(MemoryStore::new());
    /// let app: Router = Router::new()
    ///     .route("/devices", get(devices))
    ///     .merge(sessions.routes().devices::<Account>())
    ///     .layer(sessions);
    /// ```
    pub fn devices<S: Scope>(self) -> Self {
        Self {
            devices: devices::routes::<S>(),
            ..self
        }
    }

    /// States why the absolute timeout permits fewer than ten extensions: a longer one would defeat
    /// its purpose. The reason is for reviewers of the application. The routes then log no warning.
    ///
    /// ```
    /// use std::time::Duration;
    /// # use axum::Router;
    /// use portcullis::{MemoryStore, SessionLayer, Timeouts};
    ///
    /// let timeouts = Timeouts::new(Duration::from_secs(15 * 60), Duration::from_secs(60 * 60))?;
    /// let sessions = SessionLayer::new(MemoryStore::new()).timeouts(timeouts);
    /// let routes = sessions
    ///     .routes()
    ///     .essential_limit("the terminal is shared, and shifts change every hour");
    /// # let _: Router = routes.into_router();
    /// # Ok::<(), portcullis::ConfigError>(())
    /// ```
    pub fn essential_limit(self, why: &'static str) -> Self {
        Self {
            essential: Some(why),
            ..self
        }
    }

    /// The routes as a router, to be nested below a path of your choice.
    pub fn into_router<S: Clone + Send + Sync + 'static>(self) -> Router<S> {
        if let (Some(timeouts), None) = (&self.timeouts, self.essential) {
            extension_check::warn_if_short(timeouts);
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
            .merge(self.devices.with_state(()))
            .layer(guard)
    }
}

/// The routes below `/session`, to be merged.
impl<S: Clone + Send + Sync + 'static> From<SessionRoutes> for Router<S> {
    fn from(routes: SessionRoutes) -> Self {
        Self::new().nest("/session", routes.into_router())
    }
}

fn script<S: Clone + Send + Sync + 'static>(script: &'static Script) -> MethodRouter<S> {
    get(move |headers: HeaderMap| async move { script.answer(&headers) })
}

/// Refuses requests of other sites.
async fn guard(State(trusted): State<Arc<[String]>>, request: Request, next: Next) -> Response {
    let (method, uri, headers) = (request.method(), request.uri(), request.headers());
    if origin::is_forged(method, uri, headers, &trusted) {
        return refused(uri, headers);
    }
    next.run(request).await
}

/// The response to a request of another site.
fn refused(uri: &Uri, headers: &HeaderMap) -> Response {
    origin::log_refusal("a session route", uri, headers);
    document(Problem::CrossSite, None).map(Body::from)
}

/// The guard does not refuse a GET, so this handler does.
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
            document(Problem::SignInRequired { ended }, Some(session.now())).map(Body::from)
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
    if audience::wants_page(&headers) {
        return Ok(page.below(base).into_response());
    }
    // The reported moment must not be before the end.
    session.commit().await?;
    Ok(json(status::signed_out(session.now())))
}
