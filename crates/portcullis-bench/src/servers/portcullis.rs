//! Portcullis, with its defaults.

use std::time::Duration;

use axum::{
    Router,
    extract::Path,
    routing::{get, post},
};
use portcullis::{
    Key, MemoryStore, RedisStore, Session, SessionError, SessionLayer, Store, Timeouts,
};

use super::{ignored, proof};
use crate::Result;

const PAYLOAD: Key<String> = Key::new("payload");
const COUNTER: Key<u64> = Key::new("counter");
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

pub(super) async fn on_redis(redis: &str, idle: Duration) -> Result<Router> {
    app(RedisStore::connect(format!("redis://{redis}")).await?, idle)
}

pub(super) fn in_memory(idle: Duration) -> Result<Router> {
    app(MemoryStore::new(), idle)
}

fn app(store: impl Store, idle: Duration) -> Result<Router> {
    Ok(Router::new()
        .route("/ignored", get(ignored))
        .route("/seed", post(seed))
        .route("/read", get(read))
        .route("/write", post(write))
        .route("/sign-in/{user}", post(sign_in))
        .route("/who", get(who))
        .layer(SessionLayer::new(store).timeouts(Timeouts::new(idle, DAY)?)))
}

async fn seed(session: Session, body: String) -> std::result::Result<(), SessionError> {
    session.insert(PAYLOAD, body)
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

async fn who(session: Session) -> String {
    session
        .user()
        .map_or_else(|| "nobody".into(), |user| user.to_string())
}
