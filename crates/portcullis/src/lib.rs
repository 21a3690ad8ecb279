//! Session security for Axum and Tower: logout, expiry and rotation that hold under concurrency and
//! outage, with session data.
//!
//! One [`SessionLayer`] in front of a router, one [`Session`] extractor in the handlers, and the
//! state in Redis or in memory. `SessionLayer::new(store)` is secure without further settings, and
//! needs no key or secret.
//!
#![cfg_attr(feature = "axum", doc = "```")]
#![cfg_attr(not(feature = "axum"), doc = "```ignore")]
//! use axum::{Router, response::Redirect, routing::{get, post}};
//! use portcullis::{
//!     Authenticated, Elevated, Key, MemoryStore, Session, SessionError, SessionLayer,
//! };
//!
//! const CART: Key<Vec<String>> = Key::new("cart");
//!
//! async fn home() -> &'static str {
//!     "Costs no store command." // the session is not read
//! }
//!
//! async fn add_to_cart(session: Session, item: String) -> Result<(), SessionError> {
//!     session.update(CART, move |cart| cart.push(item.clone()))
//! }
//!
//! async fn sign_in(session: Session) -> Result<Redirect, SessionError> {
//!     // … after the password was verified:
//!     session.authenticate("alice")?; // new identifier, the old one is invalid; the cart is kept
//!     Ok(Redirect::to("/account"))
//! }
//!
//! async fn account(signed_in: Authenticated) -> String {
//!     format!("Hello, {}", signed_in.user())
//! }
//!
//! async fn confirm(signed_in: Authenticated) -> Result<(), SessionError> {
//!     // … after the password of `signed_in.user()` was verified again:
//!     signed_in.session().elevate() // for 15 minutes
//! }
//!
//! async fn change_password(elevated: Elevated) -> Result<(), SessionError> {
//!     // … runs only after a recent proof; once the new password is stored:
//!     elevated.revoke_other_sessions().await?;
//!     elevated.session().regenerate()
//! }
//!
//! async fn devices(signed_in: Authenticated) -> Result<String, SessionError> {
//!     Ok(format!("{} devices are signed in.", signed_in.list_sessions().await?.len()))
//! }
//!
//! async fn sign_out(session: Session) -> Result<Redirect, SessionError> {
//!     session.terminate()?;
//!     Ok(Redirect::to("/"))
//! }
//!
//! let app: Router = Router::new()
//!     .route("/", get(home))
//!     .route("/cart", post(add_to_cart))
//!     .route("/sign-in", post(sign_in))
//!     .route("/account", get(account))
//!     .route("/confirm", post(confirm))
//!     .route("/password", post(change_password))
//!     .route("/devices", get(devices))
//!     .route("/sign-out", post(sign_out))
//!     .layer(SessionLayer::new(MemoryStore::new()));
//! ```
//!
//! # What holds
//!
//! 1. **Ended means ended.** A write to a session that was signed out, expired or replaced changes
//!    and creates nothing. The request of such a write gets a 401 without a cookie.
//! 2. **A new identifier at every change of privilege.** The old one is invalid in the same step.
//!    This holds for [`authenticate`](Session::authenticate), [`elevate`](Session::elevate),
//!    [`regenerate`](Session::regenerate) and [`drop_elevation`](Session::drop_elevation).
//! 3. **Two deadlines, always.** Activity moves the idle deadline, and never the absolute one. The
//!    store's clock decides, and rounding shortens a session.
//! 4. **No write is lost.** Changes of different values by parallel requests all survive.
//!    [`update`](Session::update) is applied again if another request was faster.
//! 5. **An outage grants nothing and removes nothing.** Each step of the store is given 250 ms.
//!    After that, the response is a 503 with `Retry-After`, and the cookie is kept. Service resumes
//!    without intervention. Requests that do not use the session are served as usual.
//! 6. **The identifier is in the cookie and nowhere else.** The store holds a hash, logs hold a
//!    [`SessionHandle`](session::SessionHandle), `Debug` shows nothing.
//! 7. **A request that is refused or fails grants nothing.** A status of 400 or above drops
//!    sign-ins and elevations, and every write after the first of them. A status of 500 or above,
//!    or 408, drops all data. Ends and new identifiers are carried out. See
//!    [`Outcome`](reject::Outcome).
//! 8. **Every end is reported once, with its reason.** It is passed to the
//!    [`Audit`](audit::Audit), and written to the store's log in the same step as the change. That
//!    includes sessions that expired without another request.
//! 9. **The list of a user's sessions is exact.** A session is in it from the step that begins it
//!    to the step that ends it. So it can be listed, ended from another device, and limited
//!    ([`SessionLimit`](settings::SessionLimit)).
//! 10. **Streams and WebSockets end with their session**, or with the elevation that they need.
//!     They end at once, or at the deadline, if this process can know. Otherwise they usually end
//!     at once, and within 5 seconds at the latest. They also end if the store cannot answer. See
//!     [`Lifeline`](live::Lifeline).
//!
//! An application must add a limit on sign-in attempts. It must also refuse forged cross-site
//! requests, beyond `SameSite=Lax` (tower-http's `CsrfLayer`). A crash of Redis loses what was not
//! yet written to disk or to a replica, even the end of a session. `appendfsync always` prevents
//! that.
//!
//! # Where to look
//!
//! The root holds the types of everyday use. Each module holds the rest of one subject.
//!
//! * Settings: [`SessionLayer`], with [`Timeouts`], [`CookieConfig`], and the modules [`settings`],
//!   [`cookie`] and [`client`].
//! * In handlers: [`Session`] and [`Key`], [`Authenticated`], [`Elevated`].
//! * A recent proof for one purpose: [`Elevated`] with a [`Scope`], which [`scope!`] declares in
//!   one line.
//! * For groups of routes: [`GuardLayer`], and the layers of the module [`route`].
//! * Code that runs after the response has begun: [`Authenticated::lifeline`] and the module
//!   [`live`], with bodies, event streams and WebSockets (`live::SessionSocket`, feature `ws`).
//! * A page with the user's own devices: [`Authenticated::list_sessions`],
//!   [`Elevated::revoke_session`], [`Elevated::revoke_other_sessions`]; as ready routes:
//!   `SessionRoutes::devices`.
//! * For operators and jobs: [`Sessions`], with [`count`](Sessions::count) and
//!   [`users`](Sessions::users).
//! * Recipes for most applications: `how_to`.
//! * Tests of handlers as a signed-in user: `testing::TestSession` (feature `testing`). For
//!   example, `TestSession::of("ada").get(&sessions, "/account")` returns a request.
//! * Timeouts, warnings and sign-out as users see them: `SessionRoutes`, and the guide `browser`.
//! * Responses to refused requests, and how users return: the guide [`refused`], and the module
//!   [`reject`].
//! * Events: [`Audit`](audit::Audit), [`Event`](audit::Event), [`Sessions::history`].
//! * Stores: [`MemoryStore`], `RedisStore` (feature `redis`), or your own [`Store`](store::Store).
//!
//! # Features
//!
//! | feature | default | adds |
//! |---|---|---|
//! | `axum` | yes | the extractors; without it, [`Session::load`] |
//! | `ws` | no | `live::SessionSocket`, a WebSocket that is closed when its session ends |
//! | `policy` | no | `SessionLayer::policy`: limits from a document |
//! | `redis` | no | `RedisStore`, with TLS |
//! | `testing` | no | [`testing::TestSession`](https://docs.rs/portcullis/latest/portcullis/testing/struct.TestSession.html): a session for a test, in one call |
//! | `uuid` | no | `UserId::from(Uuid)` |
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "axum")]
#[doc = include_str!("../docs/browser.md")]
pub mod browser {}

#[cfg(feature = "axum")]
#[doc = include_str!("../docs/how-to.md")]
pub mod how_to {}

#[doc = include_str!("../docs/refused.md")]
pub mod refused {}

mod activity;
mod admin;
mod body;
pub mod client;
mod config;
pub mod guard;
mod headers;
mod layer;
pub mod live;
mod outcome;
pub mod reject;
mod request;
#[cfg(feature = "axum")]
mod routes;
mod runtime;
#[cfg(feature = "testing")]
#[allow(
    clippy::expect_used,
    clippy::panic,
    reason = "it is for tests, and a panic is how one fails"
)]
pub mod testing;
mod writing;

/// Events: receive them in this process, and read them from the store's log.
///
/// An [`Event`](audit::Event) has an [`EventKind`](audit::EventKind), the session and its user, and
/// the [`Actor`](audit::Actor) that caused it. An [`Audit`](audit::Audit) receives the events of
/// this process. The default is [`TracingAudit`](audit::TracingAudit). The store's log has the
/// events of all processes:
///
/// ```
/// # use portcullis::{Sessions, UserId, audit::LogQuery, store::StoreError};
/// async fn print_log(sessions: Sessions) -> Result<(), StoreError> {
///     let query = LogQuery { user: Some(UserId::from("ada")), ..LogQuery::default() };
///     for entry in sessions.history(query).await? {
///         if let Some(event) = entry.event {
///             println!("{} by {:?}", event.kind.as_str(), event.actor);
///         }
///     }
///     Ok(())
/// }
/// ```
pub mod audit {
    #[doc(inline)]
    pub use portcullis_core::{
        Actor, CorrelationKey, Correlator, Event, EventKind, Severity,
        store::{LogPlace, LogQuery, Logged},
    };

    #[doc(inline)]
    pub use crate::runtime::audit::{Audit, TracingAudit};
}

/// The session cookie, and what a sign-out clears in the browser.
///
/// [`CookieConfig`] has the settings of the cookie.
pub mod cookie {
    #[doc(inline)]
    pub use crate::headers::{
        clear_site_data::ClearSiteData,
        cookie::{CookieBuilder, SameSite},
    };
}

/// Layers that annotate routes: an API, a re-authentication page, background requests, sign-ins
/// from another site.
///
/// ```
/// # use axum::{Router, routing::get};
/// # use portcullis::{MemoryStore, SessionLayer, route::{ApiLayer, PassiveLayer}};
/// # async fn handler() {}
/// let api = Router::new()
///     .route("/api/orders", get(handler))
///     .route_layer(ApiLayer::new()); // a refusal is a status, never a redirect
/// let polled = Router::new()
///     .route("/unread", get(handler))
///     .route_layer(PassiveLayer::new()); // a poll does not keep a session alive
/// let app: Router = Router::new()
///     .merge(api)
///     .merge(polled)
///     .layer(SessionLayer::new(MemoryStore::new()));
/// ```
///
/// [`GuardLayer`] refuses requests on groups of routes.
pub mod route {
    #[doc(inline)]
    pub use crate::guard::{
        annotate::{Annotated, ApiLayer, ReauthenticationPageLayer},
        cross_site::CrossSiteSignInLayer,
        passive::PassiveLayer,
    };
}

/// The Tower service that [`SessionLayer`] makes, and its future and body.
///
/// Applications rarely name these types.
pub mod service {
    #[doc(inline)]
    pub use crate::{
        body::SessionBody,
        layer::service::{ResponseFuture, SessionService},
    };
}

/// Policy documents, and why limits are what they are.
///
/// With the feature `policy`, `SessionLayer::policy` takes the limits from a `Document`.
///
/// [`Session::explain`] returns an [`Explanation`](policy::Explanation):
///
/// ```
/// # use portcullis::Session;
/// async fn why(session: Session) -> String {
///     session.explain().map(|why| why.to_string()).unwrap_or_default()
/// }
/// ```
pub mod policy {
    #[doc(inline)]
    pub use portcullis_core::policy::{
        Decision, ExplainedLimit, Explanation, LimitName, LimitValue, Why,
    };
    #[cfg(feature = "policy")]
    #[doc(inline)]
    pub use portcullis_core::store::{PolicyReport, ReceivedReport};
    #[cfg(feature = "policy")]
    #[doc(inline)]
    pub use portcullis_policy::{
        Against, Document, InvalidDocument, Overlay, Place, PolicyBounds, Problem, Profile,
        Tightening, UnreadablePolicy, Version, Versions,
    };

    #[cfg(feature = "policy")]
    pub use crate::admin::policies::{
        ActivatedPolicy, EndsAtMost, PlanSample, PlannedClass, Policies, PolicyChange, PolicyError,
        PolicyPlan, PolicyReceipt,
    };
}

/// The public data of sessions: handles, times and ends, and the reports of revocations and
/// suspensions.
///
/// [`Session`] and [`Sessions`] return these types.
pub mod session {
    #[doc(inline)]
    pub use portcullis_core::{
        ChangeError, EndReason, InvalidHandle, NoRandomness, SessionEntry, SessionHandle,
        SessionInfo, Timestamp, ValueKey,
        store::{
            ReplicaAcks, Resumed, RevocationReport, SessionCount, Suspension, SuspensionReport,
        },
    };

    pub use crate::admin::selection::{Selected, Selection};
}

/// Settings of a layer, in addition to its [`Timeouts`] and [`CookieConfig`].
///
/// ```
/// # use portcullis::{ConfigError, MemoryStore, SessionLayer};
/// # use portcullis::settings::{RememberMe, SessionLimit};
/// let sessions = SessionLayer::new(MemoryStore::new())
///     .session_limit(SessionLimit::refuse(3)?) // the fourth sign-in of a user is refused
///     .remember_me(RememberMe::default()); // users may ask for it, see `Session::remember`
/// # Ok::<(), ConfigError>(())
/// ```
pub mod settings {
    #[doc(inline)]
    pub use portcullis_core::{
        Class, ClassCode, Environment, Realm, RememberMe, VisitorLimits,
        store::{OnLimit, SessionLimit},
    };
}

/// The contract of stores, their errors, and the clock and log limits of the included stores.
///
/// [`MemoryStore`] and `RedisStore` (feature `redis`) implement [`Store`](store::Store).
pub mod store {
    #[doc(inline)]
    pub use portcullis_core::store::{
        EnvironmentSet, LogLimits, ManualClock, RegisteredClass, RegisteredRealm, Store,
        StoreError, StoreErrorKind,
    };
}

#[doc(inline)]
pub use portcullis_core::{ConfigError, Demand, Key, Scope, Timeouts, UserId, store::MemoryStore};
#[cfg(feature = "redis")]
#[doc(inline)]
pub use portcullis_redis::RedisStore;

#[cfg(feature = "axum")]
#[doc(inline)]
pub use self::routes::SessionRoutes;
#[doc(inline)]
pub use self::{
    admin::sessions::Sessions,
    guard::{
        demand::Privileged,
        session_guard::{Authenticated, Elevated, GuardLayer},
    },
    headers::cookie::CookieConfig,
    layer::session_layer::SessionLayer,
    reject::{error::SessionError, return_to::ReturnTo},
    request::session::Session,
};
