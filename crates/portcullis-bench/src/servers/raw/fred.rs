//! With fred, on a connection set up as Portcullis sets up its own.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{Path, State},
    http::StatusCode,
    routing::{get, post},
};
use fred::{
    prelude::{
        Builder, Client, ClientLike, Config, ConnectionConfig, Error, KeysInterface, LuaInterface,
        PerformanceConfig, ReconnectPolicy, TcpConfig,
    },
    types::config::UnresponsiveConfig,
};

use super::{KEY, SCRIPT, Settings, arguments, failed, ignored, keys, proof_of, value};
use crate::Result;

#[derive(Clone)]
struct Shared {
    client: Client,
    hash: Arc<str>,
}

pub(in super::super) async fn app(settings: &Settings) -> Result<Router> {
    let config = Config::from_url_centralized(&settings.url())?;
    let client = Builder::from_config(config)
        .with_connection_config(|connection| {
            *connection = ConnectionConfig {
                connection_timeout: Duration::from_secs(1),
                internal_command_timeout: Duration::from_millis(500),
                max_command_attempts: 1,
                max_command_buffer_len: 5000,
                unresponsive: UnresponsiveConfig {
                    max_timeout: Some(Duration::from_secs(2)),
                    interval: Duration::from_millis(250),
                },
                tcp: TcpConfig {
                    nodelay: Some(true),
                    ..TcpConfig::default()
                },
                ..ConnectionConfig::default()
            };
        })
        .with_performance_config(|performance| {
            *performance = PerformanceConfig {
                default_command_timeout: Duration::from_micros(237_500),
                ..PerformanceConfig::default()
            };
        })
        .set_policy(ReconnectPolicy::new_exponential(0, 20, 1000, 2))
        .build()?;
    client.init().await?;
    let hash: String = client.script_load(SCRIPT).await?;
    Ok(Router::new()
        .route("/ignored", get(ignored))
        .route("/enter/{user}", post(enter))
        .route("/read", get(read))
        .route("/write", post(write))
        .with_state(Shared {
            client,
            hash: hash.into(),
        }))
}

async fn enter(
    State(shared): State<Shared>,
    Path(user): Path<String>,
    body: String,
) -> std::result::Result<String, StatusCode> {
    let set = shared
        .client
        .set::<(), _, _>(KEY, value(&body), None, None, false);
    set.await.map_err(failed::<Error>)?;
    Ok(user)
}

async fn read(State(shared): State<Shared>) -> std::result::Result<String, StatusCode> {
    let value: String = shared.client.get(KEY).await.map_err(failed::<Error>)?;
    Ok(proof_of(&value))
}

async fn write(State(shared): State<Shared>) -> std::result::Result<String, StatusCode> {
    let script = shared.client.evalsha(&*shared.hash, keys(), arguments());
    let (_, counter, ..): (u64, u64, u64, u64, u64) = script.await.map_err(failed::<Error>)?;
    Ok(counter.to_string())
}
