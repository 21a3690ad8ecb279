//! tower-sessions with its Redis store, set up as its documentation does, with sessions that slide
//! on every request as Portcullis's do: `Expiry::OnInactivity` and `with_always_save(true)`.

use axum::{
    Router,
    extract::Path,
    http::StatusCode,
    routing::{get, post},
};
use tower_sessions::{Expiry, Session, SessionManagerLayer, cookie::time, session::Error};
use tower_sessions_redis_store::{
    RedisStore,
    fred::prelude::{ClientLike, Config, Pool},
};

use super::{Settings, ignored, proof};
use crate::Result;

const PAYLOAD: &str = "payload";
const COUNTER: &str = "counter";
const USER: &str = "user";

pub(super) async fn app(settings: &Settings, connections: usize) -> Result<Router> {
    let config = Config::from_url_centralized(&settings.url())?;
    let pool = Pool::new(config, None, None, None, connections)?;
    let _connection = pool.connect();
    pool.wait_for_connect().await?;
    let layer = SessionManagerLayer::new(RedisStore::new(pool))
        .with_expiry(Expiry::OnInactivity(time::Duration::try_from(
            settings.idle,
        )?))
        .with_always_save(true);
    Ok(Router::new()
        .route("/ignored", get(ignored))
        .route("/seed", post(seed))
        .route("/enter/{user}", post(enter))
        .route("/read", get(read))
        .route("/write", post(write))
        .route("/sign-in/{user}", post(sign_in))
        .route("/sign-out", post(sign_out))
        .route("/who", get(who))
        .layer(layer))
}

async fn seed(session: Session, body: String) -> std::result::Result<(), StatusCode> {
    session.insert(PAYLOAD, body).await.map_err(failed)
}

async fn enter(
    session: Session,
    Path(user): Path<String>,
    body: String,
) -> std::result::Result<String, StatusCode> {
    session.insert(USER, &user).await.map_err(failed)?;
    session.insert(PAYLOAD, body).await.map_err(failed)?;
    Ok(user)
}

async fn read(session: Session) -> std::result::Result<String, StatusCode> {
    Ok(proof(&payload(&session).await?))
}

async fn write(session: Session) -> std::result::Result<String, StatusCode> {
    let counter = session.get::<u64>(COUNTER).await.map_err(failed)?;
    let counter = counter.unwrap_or_default() + 1;
    session.insert(COUNTER, counter).await.map_err(failed)?;
    Ok(counter.to_string())
}

async fn sign_in(
    session: Session,
    Path(user): Path<String>,
) -> std::result::Result<String, StatusCode> {
    session.cycle_id().await.map_err(failed)?;
    session.insert(USER, &user).await.map_err(failed)?;
    Ok(format!("{user} {}", proof(&payload(&session).await?)))
}

async fn sign_out(session: Session) -> std::result::Result<&'static str, StatusCode> {
    session.flush().await.map_err(failed)?;
    Ok("ok")
}

async fn who(session: Session) -> std::result::Result<String, StatusCode> {
    let user = session.get(USER).await.map_err(failed)?;
    Ok(user.unwrap_or_else(|| "none".into()))
}

async fn payload(session: &Session) -> std::result::Result<String, StatusCode> {
    let payload = session.get(PAYLOAD).await.map_err(failed)?;
    Ok(payload.unwrap_or_default())
}

fn failed(_: Error) -> StatusCode {
    StatusCode::INTERNAL_SERVER_ERROR
}
