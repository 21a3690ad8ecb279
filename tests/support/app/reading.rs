//! Routes that read the session.

use std::collections::BTreeMap;

use axum::{Json, Router, extract::Request, routing::get};
use portcullis::{Authenticated, Elevated, Session, SessionError, session::Timestamp};
use serde::{Deserialize, Serialize};

use super::{CART, Payments, millis};

/// The routes.
pub(super) fn routes() -> Router {
    Router::new()
        .route("/session", get(view))
        .route("/me", get(me).options(me))
        .route("/maybe", get(maybe))
        .route("/explain", get(explain))
        .route("/debug", get(debug))
}

/// The session as the application sees it. All times in milliseconds before or after the present.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionView {
    /// The session's public name, if there is a session.
    pub handle: Option<String>,
    /// Its user.
    pub user: Option<String>,
    /// Why the session of the cookie ended.
    pub ended: Option<String>,
    /// What is different about the device.
    pub flagged: Option<String>,
    /// Its user asked to be remembered.
    pub remembered: bool,
    /// The value `cart`.
    pub cart: Vec<u32>,
    /// Since the session began.
    pub age: u64,
    /// Since its user signed in.
    pub authenticated: Option<u64>,
    /// Since the last activity.
    pub inactive: u64,
    /// Until it ends without activity.
    pub idle_left: u64,
    /// Until it ends despite activity.
    pub absolute_left: u64,
    /// Until the elevation ends.
    pub elevated_left: Option<u64>,
    /// Until the elevation for payments ends.
    pub payments_left: Option<u64>,
}

pub(super) async fn view(session: Session) -> Result<Json<SessionView>, SessionError> {
    let now = session.now();
    let since = |moment: Timestamp| millis(now.since(moment));
    let until = |moment: Timestamp| millis(moment.since(now));
    let mut view = SessionView {
        user: session.user().map(|user| user.to_string()),
        ended: session
            .end_reason()
            .map(|reason| reason.as_str().to_owned()),
        flagged: session.flagged().map(|change| change.as_str().to_owned()),
        cart: session.get(CART)?.unwrap_or_default(),
        elevated_left: session.elevated_until().map(until),
        payments_left: session.elevated_until_for::<Payments>().map(until),
        ..SessionView::default()
    };
    if let Some(info) = session.info() {
        view.handle = Some(info.handle.to_string());
        view.remembered = info.remembered;
        view.age = since(info.created_at);
        view.authenticated = info.authenticated_at.map(since);
        view.inactive = since(info.last_active_at);
        view.idle_left = until(info.idle_deadline);
        view.absolute_left = until(info.absolute_deadline);
    }
    Ok(Json(view))
}

pub(super) async fn me(signed_in: Authenticated) -> String {
    signed_in.user().to_string()
}

async fn maybe(
    session: Option<Session>,
    signed_in: Option<Authenticated>,
    elevated: Option<Elevated>,
) -> String {
    let (session, signed_in, elevated) =
        (session.is_some(), signed_in.is_some(), elevated.is_some());
    format!("session {session}, signed in {signed_in}, elevated {elevated}")
}

async fn debug(
    session: Session,
    signed_in: Option<Authenticated>,
    elevated: Option<Elevated>,
    request: Request,
) -> String {
    let late = session.insert("", 0);
    format!(
        "{session:?} {signed_in:?} {elevated:?} {:?} {:?} {late:?} {:?} {:#?}",
        session.info(),
        session.user(),
        session.end_reason(),
        request.extensions()
    )
}

/// The class, and each deadline with its reason.
async fn explain(session: Session) -> Json<Explained> {
    let explanation = session.explain();
    let limits = explanation
        .iter()
        .flat_map(|explanation| &explanation.limits);
    Json(Explained {
        class: session.class().map(|class| class.name().to_owned()),
        text: explanation.as_ref().map(ToString::to_string),
        ends: limits
            .map(|limit| (limit.limit.as_str().to_owned(), limit.ends_at.as_millis()))
            .collect(),
    })
}

/// Why a session ends when it does.
#[derive(Debug, Serialize, Deserialize)]
pub struct Explained {
    /// The name of its class.
    pub class: Option<String>,
    /// The explanation for people.
    pub text: Option<String>,
    /// The name of each limit, and when it ends.
    pub ends: BTreeMap<String, u64>,
}
