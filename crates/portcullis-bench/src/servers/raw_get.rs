//! axum and one GET per request: what the bare round trip costs, on a connection set up as Portcullis sets up
//! its own.

use std::time::Duration;

use axum::{
    Router,
    extract::{Path, State},
    http::StatusCode,
    routing::{get, post},
};
use fred::{
    prelude::{
        Builder, Client, ClientLike, Config, ConnectionConfig, Error, KeysInterface,
        PerformanceConfig, ReconnectPolicy, TcpConfig,
    },
    types::config::UnresponsiveConfig,
};

use super::{Settings, ignored, proof};
use crate::{Result, case::PAYLOAD_BYTES};

/// As long as the key of a session.
const KEY: &str = "pc:{512}:s:AAAAAAAAAAAAAAAAAAAAAA";
/// What a record of Portcullis holds beside the payload.
const BESIDE_PAYLOAD: usize = 76;

pub(super) async fn app(settings: &Settings) -> Result<Router> {
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
    Ok(Router::new()
        .route("/ignored", get(ignored))
        .route("/enter/{user}", post(enter))
        .route("/read", get(read))
        .with_state(client))
}

async fn enter(
    State(client): State<Client>,
    Path(user): Path<String>,
    body: String,
) -> std::result::Result<String, StatusCode> {
    let value = body + &"-".repeat(BESIDE_PAYLOAD);
    client
        .set::<(), _, _>(KEY, value, None, None, false)
        .await
        .map_err(failed)?;
    Ok(user)
}

async fn read(State(client): State<Client>) -> std::result::Result<String, StatusCode> {
    let value: String = client.get(KEY).await.map_err(failed)?;
    Ok(proof(value.get(..PAYLOAD_BYTES).unwrap_or_default()))
}

fn failed(_: Error) -> StatusCode {
    StatusCode::INTERNAL_SERVER_ERROR
}
