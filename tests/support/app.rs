//! The application under test: one small route for everything an application does with a session.
//!
//! What a handler does and how it ends are chosen apart. Every route can be held before it answers,
//! answer with any status and field, or panic. See [`Call`](crate::Call).

mod commits;
mod devices;
mod history;
mod late;
mod nested;
mod reading;
mod rights;
mod sign_in;
mod values;

use std::{sync::atomic::Ordering, time::Duration};

use axum::{
    Extension, Router,
    extract::{Request, State},
    http::{HeaderName, StatusCode},
    middleware::{Next, from_fn_with_state},
    response::Response,
    routing::{get, post},
};
use portcullis::{
    Demand, GuardLayer, Key, Scope, SessionError, SessionRoutes, reject::KeepGrants,
    route::PassiveLayer, settings::Class,
};

pub(crate) use self::sign_in::SignIn;
pub use self::{
    devices::Device,
    history::LogLine,
    reading::{Explained, SessionView},
};
use self::{devices::devices, reading::view, values::put};
use crate::{Gates, live, world::Answered};

/// A scope beside the general one.
#[derive(Debug)]
pub struct Payments;

impl Scope for Payments {
    const NAME: &'static str = "payments";
}

/// A class that layers of tests declare.
pub const ADMIN: Class = Class::new("admin", 'a');

/// A class that no layer declares.
pub(crate) const UNDECLARED: Class = Class::new("undeclared", 'z');

/// A demand of the privileged idle timeout alone.
#[derive(Debug)]
pub struct Operate;

impl Demand for Operate {
    const NAME: &'static str = "operate";
}

/// A demand of a recent proof and of an elevation for payments.
#[derive(Debug)]
pub struct Deploy;

impl Demand for Deploy {
    const NAME: &'static str = "deploy";
    const MAX_AUTH_AGE: Option<Duration> = Some(Duration::from_secs(5 * 60));
    const SCOPE: Option<&'static str> = Some(Payments::NAME);
}

/// A demand of privileged activity in the last two minutes.
#[derive(Debug)]
pub(crate) struct Hurry;

impl Demand for Hurry {
    const NAME: &'static str = "hurry";
    const IDLE: Option<Duration> = Some(Duration::from_secs(2 * 60));
}

/// A scope with a name that tries to forge a second line of the log.
#[derive(Debug)]
struct Hostile;

impl Scope for Hostile {
    const NAME: &'static str = "a\n2026 ERROR forged\u{1b}[31m";
}

const CART: Key<Vec<u32>> = Key::new("cart");

type Done = Result<StatusCode, SessionError>;
const DONE: Done = Ok(StatusCode::NO_CONTENT);

/// The routes, without a session layer around them.
pub fn routes(gates: Gates) -> Router {
    let passive = Router::new()
        .route("/passive/session", get(view))
        .route("/passive/sessions", get(devices))
        .route("/passive/put/{key}/{value}", post(put))
        .route_layer(PassiveLayer::new());
    let account = Router::new()
        .route("/account", get(|| async { "account" }))
        .route_layer(GuardLayer::authenticated());
    let danger = Router::new()
        .route(
            "/danger",
            get(|| async { "danger" }).post(|| async { "danger" }),
        )
        .route_layer(GuardLayer::elevated());
    let payments = Router::new()
        .route("/danger/payments", get(|| async { "payments" }))
        .route_layer(GuardLayer::elevated_for::<Payments>());
    let operations = Router::new()
        .route("/operations", get(|| async { "operations" }))
        .route_layer(GuardLayer::privileged::<Operate>());
    Router::new()
        .merge(operations)
        .route(
            "/public",
            get(|| async { "public" }).post(|| async { "public" }),
        )
        .nest("/session", SessionRoutes::new().into_router())
        .merge(reading::routes())
        .merge(values::routes())
        .merge(sign_in::routes())
        .merge(rights::routes())
        .merge(devices::routes())
        .merge(history::routes())
        .merge(commits::routes())
        .merge(nested::routes())
        .merge(late::routes())
        .merge(passive)
        .merge(account)
        .merge(danger)
        .merge(payments)
        .merge(live::routes())
        .layer(Extension(gates.clone()))
        .layer(from_fn_with_state(gates, ending))
}

/// Ends a handler as the test configured it.
async fn ending(State(gates): State<Gates>, request: Request, next: Next) -> Response {
    let headers = request.headers().clone();
    let setting = |name: &str| Some(headers.get(name)?.to_str().expect("text"));
    let (gate, status, panics) = (
        setting("test-gate"),
        setting("test-status"),
        setting("test-panic"),
    );
    let (field, keeps) = (setting("test-field"), setting("test-keep"));
    let answered = request.extensions().get::<Answered>().cloned();
    let mut response = next.run(request).await;
    if let Some(name) = gate {
        gates.named(name).pass().await;
    }
    if let Some(status) = status {
        *response.status_mut() = status.parse().expect("a status");
    }
    if let Some((name, value)) = field.and_then(|field| field.split_once(": ")) {
        let name: HeaderName = name.parse().expect("a name");
        response
            .headers_mut()
            .append(name, value.parse().expect("a value"));
    }
    if keeps.is_some() {
        response.extensions_mut().insert(KeepGrants);
    }
    assert!(panics.is_none(), "the handler panics, as configured");
    if let Some(Answered(answered)) = answered {
        answered.store(true, Ordering::SeqCst);
    }
    response
}

fn millis(length: Duration) -> u64 {
    u64::try_from(length.as_millis()).expect("a short time")
}
