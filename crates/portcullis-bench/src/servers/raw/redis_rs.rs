//! With redis-rs, on one connection that all requests share, as its docs recommend.

use std::sync::Arc;

use axum::{
    Router,
    extract::{Path, State},
    http::StatusCode,
    routing::{get, post},
};
use redis::{AsyncConnectionConfig, Client, Cmd, RedisError, aio::MultiplexedConnection};

use super::{KEY, SCRIPT, Settings, arguments, failed, ignored, keys, proof_of, value};
use crate::Result;

#[derive(Clone)]
struct Shared {
    connection: MultiplexedConnection,
    hash: Arc<str>,
}

pub(in super::super) async fn app(settings: &Settings) -> Result<Router> {
    let client = Client::open(settings.url())?;
    let mut connection = client
        .get_multiplexed_async_connection_with_config(&AsyncConnectionConfig::new())
        .await?;
    let hash: String = redis::cmd("SCRIPT")
        .arg("LOAD")
        .arg(SCRIPT)
        .query_async(&mut connection)
        .await?;
    Ok(Router::new()
        .route("/ignored", get(ignored))
        .route("/enter/{user}", post(enter))
        .route("/read", get(read))
        .route("/write", post(write))
        .with_state(Shared {
            connection,
            hash: hash.into(),
        }))
}

async fn enter(
    State(mut shared): State<Shared>,
    Path(user): Path<String>,
    body: String,
) -> std::result::Result<String, StatusCode> {
    let set = Cmd::set(KEY, value(&body));
    set.exec_async(&mut shared.connection)
        .await
        .map_err(failed::<RedisError>)?;
    Ok(user)
}

async fn read(State(mut shared): State<Shared>) -> std::result::Result<String, StatusCode> {
    let value: String = Cmd::get(KEY)
        .query_async(&mut shared.connection)
        .await
        .map_err(failed::<RedisError>)?;
    Ok(proof_of(&value))
}

async fn write(State(mut shared): State<Shared>) -> std::result::Result<String, StatusCode> {
    let keys = keys();
    let mut command = redis::cmd("EVALSHA");
    command
        .arg(&*shared.hash)
        .arg(keys.len())
        .arg(keys)
        .arg(arguments());
    let (_, counter, ..): (u64, u64, u64, u64, u64) = command
        .query_async(&mut shared.connection)
        .await
        .map_err(failed::<RedisError>)?;
    Ok(counter.to_string())
}
