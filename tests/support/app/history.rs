//! Routes that read the log.

use axum::{Json, Router, routing::get};
use portcullis::{
    Authenticated, SessionError, Sessions,
    audit::{LogQuery, Logged},
};
use serde::{Deserialize, Serialize};

/// The routes.
pub(super) fn routes() -> Router {
    Router::new()
        .route("/history", get(history))
        .route("/operator/history", get(history_of_all))
}

/// An event in a log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// What happened, with its detail.
    pub event: String,
    /// Of which session.
    pub session: Option<String>,
    /// Of which user.
    pub user: Option<String>,
    /// Who caused it, with the operator's name.
    pub actor: String,
    /// The correlator of the session's events.
    pub correlator: Option<String>,
    /// The client of the request.
    pub client: Option<String>,
}

fn lines(logged: Vec<Logged>) -> Json<Vec<LogLine>> {
    let events = logged.into_iter().map(|line| line.event.expect("an event"));
    let lines = events.map(|event| LogLine {
        event: [event.kind.as_str(), event.kind.detail().unwrap_or_default()].join(" "),
        session: event.session.map(|session| session.to_string()),
        user: event.user.map(|user| user.to_string()),
        actor: [
            event.actor.as_str(),
            event.actor.operator().unwrap_or_default(),
        ]
        .join(" "),
        correlator: event.correlator.map(|correlator| correlator.to_string()),
        client: event.client.map(|client| client.to_string()),
    });
    Json(lines.collect())
}

async fn history(signed_in: Authenticated) -> Result<Json<Vec<LogLine>>, SessionError> {
    Ok(lines(signed_in.history(1000).await?))
}

/// The application decides which users may do this.
async fn history_of_all(sessions: Sessions) -> Result<Json<Vec<LogLine>>, SessionError> {
    let everything = LogQuery {
        most: 1000,
        ..LogQuery::default()
    };
    Ok(lines(sessions.history(everything).await?))
}
