//! Routes that list and revoke sessions, for users and operators.

use axum::{
    Json, Router,
    extract::Path,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{delete, get},
};
use portcullis::{
    Authenticated, Elevated, Session, SessionError, Sessions,
    session::{RevocationReport, SessionEntry, SessionHandle, Timestamp},
};
use serde::{Deserialize, Serialize};

use super::millis;

/// The routes.
pub(super) fn routes() -> Router {
    Router::new()
        .route("/sessions", get(devices).delete(revoke_all))
        .route("/sessions/others", delete(revoke_others))
        .route("/sessions/{handle}", delete(revoke))
        .route("/operator", delete(operator_revokes_all_users))
        .route("/operator/flagged", get(flagged))
        .route(
            "/operator/{user}",
            get(devices_of).delete(operator_revokes_all),
        )
        .route("/operator/{user}/{handle}", delete(operator_revokes))
}

/// A session in a list. Moments in milliseconds before or after the present.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// Its public name.
    pub handle: String,
    /// Its user.
    pub user: Option<String>,
    /// It is the session of this request.
    pub current: bool,
    /// The name of its client, and its network.
    pub client: Option<String>,
    /// What is different about the device.
    pub flagged: Option<String>,
    /// Until the elevation ends.
    pub elevated_left: Option<u64>,
    /// Since it began.
    pub age: u64,
    /// Since the last activity.
    pub inactive: u64,
}

fn device(entry: SessionEntry, now: Timestamp) -> Device {
    Device {
        handle: entry.info.handle.to_string(),
        user: entry.user.map(|user| user.to_string()),
        current: entry.current,
        client: entry.client.map(|client| client.to_string()),
        flagged: entry.flagged.map(|change| change.as_str().to_owned()),
        elevated_left: entry.elevated_until.map(|until| millis(until.since(now))),
        age: millis(now.since(entry.info.created_at)),
        inactive: millis(now.since(entry.info.last_active_at)),
    }
}

fn table(entries: Vec<SessionEntry>, now: Timestamp) -> Json<Vec<Device>> {
    Json(
        entries
            .into_iter()
            .map(|entry| device(entry, now))
            .collect(),
    )
}

pub(super) async fn devices(signed_in: Authenticated) -> Result<Json<Vec<Device>>, SessionError> {
    let entries = signed_in.list_sessions().await?;
    Ok(table(entries, signed_in.session().now()))
}

/// The number of sessions that were ended. Zero is answered with 404.
fn ended(report: &RevocationReport) -> Response {
    match report.ended.len() {
        0 => StatusCode::NOT_FOUND.into_response(),
        ended => ended.to_string().into_response(),
    }
}

async fn revoke(elevated: Elevated, Path(name): Path<String>) -> Result<Response, SessionError> {
    let Some(handle) = SessionHandle::parse(&name) else {
        return Ok(StatusCode::NOT_FOUND.into_response());
    };
    Ok(ended(&elevated.revoke_session(handle).await?))
}

async fn revoke_others(elevated: Elevated) -> Result<String, SessionError> {
    let report = elevated.revoke_other_sessions().await?;
    Ok(report.ended.len().to_string())
}

async fn revoke_all(elevated: Elevated) -> Result<String, SessionError> {
    let report = elevated.revoke_all_sessions().await?;
    Ok(report.ended.len().to_string())
}

async fn flagged(session: Session, sessions: Sessions) -> Result<Json<Vec<Device>>, SessionError> {
    Ok(table(sessions.flagged().await?, session.now()))
}

async fn devices_of(
    session: Session,
    sessions: Sessions,
    Path(user): Path<String>,
) -> Result<Json<Vec<Device>>, SessionError> {
    Ok(table(sessions.list(user).await?, session.now()))
}

async fn operator_revokes(
    sessions: Sessions,
    Path((user, name)): Path<(String, String)>,
) -> Result<Response, SessionError> {
    let Some(handle) = SessionHandle::parse(&name) else {
        return Ok(StatusCode::NOT_FOUND.into_response());
    };
    let sessions = sessions.as_operator("ops\nolga");
    Ok(ended(&sessions.revoke(user, handle).await?))
}

async fn operator_revokes_all_users(sessions: Sessions) -> Result<String, SessionError> {
    let sessions = sessions.as_operator("ops\nolga");
    Ok(sessions.revoke_everybody().await?.ended.len().to_string())
}

async fn operator_revokes_all(
    sessions: Sessions,
    Path(user): Path<String>,
) -> Result<String, SessionError> {
    let sessions = sessions.as_operator("ops\nolga");
    Ok(sessions.revoke_all(user).await?.ended.len().to_string())
}
