//! Portcullis, with its defaults.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{Path, State},
    http::StatusCode,
    routing::{get, post},
};
use portcullis::{
    Authenticated, ConfigError, Key, MemoryStore, RedisStore, Session, SessionError, SessionLayer,
    Sessions, Timeouts, settings::SessionLimit, store::Store,
};

use super::{Settings, ignored, proof};
use crate::Result;

const PAYLOAD: Key<String> = Key::new("payload");
const COUNTER: Key<u64> = Key::new("counter");
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

pub(super) async fn on_redis(settings: &Settings) -> Result<Router> {
    let store = RedisStore::connect(settings.url()).await?;
    Ok(app(store, settings.idle, settings.limit)?)
}

pub(crate) fn in_memory(idle: Duration, limit: usize) -> Result<Router> {
    Ok(app(MemoryStore::new(), idle, limit)?)
}

fn app(
    store: impl Store,
    idle: Duration,
    limit: usize,
) -> std::result::Result<Router, ConfigError> {
    let layer = SessionLayer::new(store)
        .timeouts(Timeouts::new(idle, DAY)?)
        .session_limit(SessionLimit::displace(limit)?);
    Ok(Router::new()
        .route("/ignored", get(ignored))
        .route("/seed", post(seed))
        .route("/enter/{user}", post(enter))
        .route("/read", get(read))
        .route("/write", post(write))
        .route("/sign-in/{user}", post(sign_in))
        .route("/sign-out", post(sign_out))
        .route("/sessions", get(sessions))
        .route("/revoke-all/{user}", post(revoke_all))
        .route("/who", get(who))
        .with_state(Arc::new(layer.sessions()))
        .layer(layer))
}

async fn seed(session: Session, body: String) -> std::result::Result<(), SessionError> {
    session.insert(PAYLOAD, body)
}

async fn enter(
    session: Session,
    Path(user): Path<String>,
    body: String,
) -> std::result::Result<String, SessionError> {
    session.authenticate(&user)?;
    session.insert(PAYLOAD, body)?;
    Ok(user)
}

async fn read(session: Session) -> std::result::Result<String, SessionError> {
    Ok(proof(&session.get(PAYLOAD)?.unwrap_or_default()))
}

async fn write(session: Session) -> std::result::Result<String, SessionError> {
    session.update(COUNTER, |counter| *counter += 1)?;
    Ok(session.get(COUNTER)?.unwrap_or_default().to_string())
}

async fn sign_in(
    session: Session,
    Path(user): Path<String>,
) -> std::result::Result<String, SessionError> {
    session.authenticate(&user)?;
    let payload = session.get(PAYLOAD)?.unwrap_or_default();
    Ok(format!("{user} {}", proof(&payload)))
}

async fn sign_out(session: Session) -> std::result::Result<&'static str, SessionError> {
    session.terminate()?;
    Ok("ok")
}

async fn sessions(signed_in: Authenticated) -> std::result::Result<String, SessionError> {
    Ok(signed_in.list_sessions().await?.len().to_string())
}

async fn revoke_all(
    State(sessions): State<Arc<Sessions>>,
    Path(user): Path<String>,
) -> std::result::Result<String, StatusCode> {
    let receipt = sessions.revoke_all(user).await;
    let receipt = receipt.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
    Ok(receipt.ended.len().to_string())
}

async fn who(session: Session) -> String {
    session
        .user()
        .map_or_else(|| "none".into(), |user| user.to_string())
}
