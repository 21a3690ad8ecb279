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
//!     "Costs no store command." // the session is not looked at
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
//!    [`SessionHandle`], `Debug` shows nothing.
//! 7. **A request that is refused or fails grants nothing.** A status of 400 or above drops
//!    sign-ins and elevations, and every write after the first of them. A status of 500 or above,
//!    or 408, drops all data. Ends and new identifiers are carried out. See [`Outcome`].
//! 8. **Every end is reported once, with its reason.** It goes to the [`Audit`], and to the store's
//!    log, which is written in the same step as the change. That includes sessions that expired
//!    without another request.
//! 9. **The list of a user's sessions is exact.** A session is in it from the step that begins it
//!    to the step that ends it. So it can be listed, limited ([`SessionLimit`]) and ended from
//!    another device.
//! 10. **Streams and WebSockets end with their session**, or with the elevation that they need.
//!     They end at once, or at the deadline, if this process can know. Otherwise they end usually
//!     at once, and within 5 seconds at the latest. They also end if the store cannot answer. See
//!     [`Lifeline`].
//!
//! An application must add a limit on sign-in attempts. It must also refuse forged cross-site
//! requests, beyond `SameSite=Lax` (tower-http's `CsrfLayer`). A crash of Redis loses what was not
//! yet written to disk or to a replica, even the end of a session. `appendfsync always` prevents
//! that.
//!
//! # Where to look
//!
//! * Settings: [`SessionLayer`], [`Timeouts`], [`RememberMe`], [`CookieConfig`], [`SessionLimit`],
//!   [`DeviceBinding`], [`ClientAddresses`].
//! * In handlers: [`Session`], [`Authenticated`], [`Elevated`]; for groups of routes
//!   [`GuardLayer`], [`PassiveLayer`], [`CrossSiteSignInLayer`].
//! * Code that runs after the response has begun: [`Authenticated::lifeline`],
//!   [`Lifeline::guard_body`], `SessionSocket` (feature `ws`).
//! * A page with the user's own devices: [`Authenticated::list_sessions`],
//!   [`Elevated::revoke_session`], [`Elevated::revoke_other_sessions`].
//! * For operators: [`Sessions`], with [`count`](Sessions::count) and [`users`](Sessions::users).
//! * Recipes, such as how to test a handler as a signed-in user: `how_to`.
//! * What users see: `SessionRoutes`, and the guide `browser`.
//! * Responses to refused requests, and how users come back: the guide [`refused`], [`Refusal`],
//!   [`ApiLayer`], [`ReauthenticationPageLayer`].
//! * Events: [`Audit`], [`Event`], [`Sessions::history`].
//! * Stores: [`MemoryStore`], `RedisStore` (feature `redis`), or your own [`Store`].
//!
//! # Features
//!
//! | feature | default | adds |
//! |---|---|---|
//! | `axum` | yes | the extractors; without it, [`Session::load`] |
//! | `ws` | no | `SessionSocket`, a WebSocket that is closed when its session ends |
//! | `redis` | no | `RedisStore`, with TLS |
//! | `testing` | no | [`testing`](https://docs.rs/portcullis/latest/portcullis/testing): a session for a test, in one call |
//! | `uuid` | no | `UserId::from(Uuid)` |
#![cfg_attr(docsrs, feature(doc_cfg))]

/// A guide, without code of its own.
#[cfg(feature = "axum")]
#[doc = include_str!("../docs/browser.md")]
pub mod browser {}

/// Recipes, without code of their own.
#[cfg(feature = "axum")]
#[doc = include_str!("../docs/how-to.md")]
pub mod how_to {}

/// A guide, without code of its own.
#[doc = include_str!("../docs/refused.md")]
pub mod refused {}

mod accept;
mod activity;
mod annotation;
mod audience;
mod audit;
mod body;
mod cache_control;
mod clear_site_data;
mod client;
mod commit;
mod config;
mod cookie;
mod device_binding;
mod dyn_store;
mod error;
#[cfg(feature = "axum")]
mod extract;
mod fetch_metadata;
mod fields;
mod guard;
mod host;
mod layer;
mod live;
mod log_queue;
mod nesting;
#[cfg(feature = "axum")]
mod origin;
mod outcome;
mod own_sessions;
mod page;
mod passive;
mod refusal;
mod registration;
mod reported;
mod retained_headers;
mod retry_page;
mod return_to;
#[cfg(feature = "axum")]
mod routes;
mod service;
mod session;
mod session_timeout;
mod sessions;
mod shared;
mod state;
mod sweeper;
mod task;
#[cfg(feature = "testing")]
#[allow(
    clippy::expect_used,
    clippy::panic,
    reason = "it is for tests, and a panic is how one fails"
)]
pub mod testing;
mod withheld;
mod write_queue;

#[doc(inline)]
pub use portcullis_core::{
    Actor, ChangeError, Client, ClientChange, ClientFamily, ClientName, ClientSystem, ConfigError,
    CorrelationKey, Correlator, DefaultScope, EndReason, Event, EventKind, InvalidHandle, Key,
    MAX_SCOPE_BYTES, Network, NoRandomness, Realm, RememberMe, Scope, SessionEntry, SessionHandle,
    SessionInfo, Severity, Timeouts, Timestamp, UserId, ValueKey, VisitorLimits,
    store::{
        LogLimits, LogPlace, LogQuery, Logged, ManualClock, MemoryStore, OnLimit, RegisteredRealm,
        ReplicaAcks, RevocationReport, SessionCount, SessionLimit, Store, StoreError,
        StoreErrorKind,
    },
};
#[cfg(feature = "redis")]
#[doc(inline)]
pub use portcullis_redis::RedisStore;

#[cfg(feature = "ws")]
pub use self::live::{SessionSocket, SessionWebSocket, SocketGuard};
pub use self::{
    annotation::{Annotated, ApiLayer, ReauthenticationPageLayer},
    audit::{Audit, TracingAudit},
    body::SessionBody,
    clear_site_data::ClearSiteData,
    client::{ClientAddresses, ForwardedHeader, PeerAddress},
    cookie::{CookieBuilder, CookieConfig, SameSite},
    device_binding::DeviceBinding,
    error::SessionError,
    guard::{Authenticated, Elevated, Guard, GuardLayer, Rejection},
    layer::SessionLayer,
    live::{ConnectionEnded, Guarded, GuardedBody, Lifeline},
    outcome::{KeepGrants, Outcome},
    passive::PassiveLayer,
    refusal::Refusal,
    return_to::ReturnTo,
    service::{ResponseFuture, SessionService},
    session::Session,
    sessions::Sessions,
    withheld::CrossSiteSignInLayer,
};
#[cfg(feature = "axum")]
pub use self::{live::GuardedEvents, routes::SessionRoutes};
