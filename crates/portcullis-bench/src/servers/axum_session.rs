//! axum_session on its Redis pool, as its example sets it up. Every process keeps a copy of each
//! session it has seen for an hour, answers from that, and writes it down at most every ten
//! seconds; another process does not see what this one has not written, nor that a session was
//! ended elsewhere. Without the copy, which is one setting, every request reads and writes.

use axum::{
    Router,
    extract::Path,
    routing::{get, post},
};
use axum_session::{Session, SessionConfig, SessionLayer, SessionStore};
use axum_session_redispool::SessionRedisPool;
use redis_pool::RedisPool;
use tower_sessions::cookie::time::Duration;

use super::{Settings, ignored, proof};
use crate::Result;

type Pooled = Session<SessionRedisPool>;

const PAYLOAD: &str = "payload";
const COUNTER: &str = "counter";
const USER: &str = "user";

pub(super) async fn app(settings: &Settings, local_copy: bool) -> Result<Router> {
    let client = redis::Client::open(settings.url())?;
    let pool = RedisPool::from(client);
    let idle = Duration::try_from(settings.idle)?;
    let mut config = SessionConfig::default().with_lifetime(idle);
    if !local_copy {
        config = config.with_memory_lifetime(Duration::ZERO);
    }
    let store = SessionStore::<SessionRedisPool>::new(Some(pool.into()), config).await?;
    Ok(Router::new()
        .route("/ignored", get(ignored))
        .route("/seed", post(seed))
        .route("/enter/{user}", post(enter))
        .route("/read", get(read))
        .route("/write", post(write))
        .route("/sign-in/{user}", post(sign_in))
        .route("/sign-out", post(sign_out))
        .route("/who", get(who))
        .layer(SessionLayer::new(store)))
}

async fn seed(session: Pooled, body: String) {
    session.set(PAYLOAD, body);
}

async fn enter(session: Pooled, Path(user): Path<String>, body: String) -> String {
    session.set(USER, &user);
    session.set(PAYLOAD, body);
    user
}

async fn read(session: Pooled) -> String {
    proof(&payload(&session))
}

async fn write(session: Pooled) -> String {
    let counter = session.get::<u64>(COUNTER).unwrap_or_default() + 1;
    session.set(COUNTER, counter);
    counter.to_string()
}

async fn sign_in(session: Pooled, Path(user): Path<String>) -> String {
    session.renew();
    session.set(USER, &user);
    format!("{user} {}", proof(&payload(&session)))
}

async fn sign_out(session: Pooled) -> &'static str {
    session.destroy();
    "ok"
}

async fn who(session: Pooled) -> String {
    session.get(USER).unwrap_or_else(|| "none".into())
}

fn payload(session: &Pooled) -> String {
    session.get(PAYLOAD).unwrap_or_default()
}
