//! One connection, with settings under which it cannot hang, grow or write twice.

use std::time::{Duration, Instant};

use fred::{
    prelude::{
        Builder, Client, ClientLike, Config, ConnectionConfig, Error, ErrorKind, PerformanceConfig,
        ReconnectPolicy, TcpConfig, Value,
    },
    types::{ClusterHash, CustomCommand, config::UnresponsiveConfig},
};
use socket2::TcpKeepalive;
use tokio::task::JoinHandle;

use super::{Settings, failure};
use crate::ConnectError;

const CONNECT: Duration = Duration::from_secs(1);
const HANDSHAKE: Duration = Duration::from_millis(500);
const OPEN: Duration = Duration::from_secs(2);

/// A client and the task that serves it. Dropping it ends both.
pub(super) struct Connection {
    client: Client,
    task: JoinHandle<Result<(), Error>>,
}

impl Connection {
    /// Connects. Also returns when the server was asked for its time, and what it said.
    pub(super) async fn open(settings: &Settings) -> Result<(Self, Instant, u64), ConnectError> {
        let client = build(settings)?;
        let mut connection = Self {
            task: client.connect(),
            client,
        };
        let ready = async {
            while !connection.client.is_connected() {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            let sent = Instant::now();
            time(&connection.client)
                .await
                .map(|server_ms| (sent, server_ms))
        };
        let opened = tokio::select! {
            opened = ready => opened,
            ended = &mut connection.task => Err(match ended {
                Ok(Err(error)) => error,
                _ => Error::new(ErrorKind::IO, "closed"),
            }),
            () = tokio::time::sleep(OPEN) => Err(Error::new(ErrorKind::Timeout, "no answer")),
        };
        match opened {
            Ok((sent, server_ms)) => Ok((connection, sent, server_ms)),
            Err(error) => Err(failure::connect_error(&settings.address, &error)),
        }
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// The server's time in ms.
    pub(super) async fn time(&self) -> Result<u64, Error> {
        time(&self.client).await
    }

    /// What `INFO` says.
    pub(super) async fn info(&self) -> Result<String, Error> {
        self.client.info(None).await
    }
}

impl Drop for Connection {
    // The library's task holds the client and would wait for commands for ever.
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn time(client: &Client) -> Result<u64, Error> {
    let command = CustomCommand::new_static("TIME", ClusterHash::FirstKey, false);
    let (seconds, micros): (u64, u64) = client.custom(command, Vec::<Value>::new()).await?;
    Ok(seconds.saturating_mul(1000).saturating_add(micros / 1000))
}

fn build(settings: &Settings) -> Result<Client, ConnectError> {
    let mut config = Config::from_url_centralized(settings.address.plain_url())
        .map_err(|_| ConnectError::Address("host, port or database cannot be read"))?;
    if config.username.is_some() && config.password.is_none() {
        // The library would not log in at all and stay the default user.
        config.password = Some(String::new());
    }
    #[cfg(feature = "tls")]
    if settings.address.tls() {
        config.tls = Some(super::tls::config(settings.ca_certificate.as_deref())?);
    }
    Builder::from_config(config)
        .with_connection_config(|connection| *connection = connection_config())
        .with_performance_config(|performance| *performance = performance_config(settings.wait))
        .set_policy(ReconnectPolicy::new_exponential(0, 20, 1000, 2))
        .build()
        .map_err(|_| ConnectError::Address("it cannot be used"))
}

fn connection_config() -> ConnectionConfig {
    ConnectionConfig {
        connection_timeout: CONNECT,
        internal_command_timeout: HANDSHAKE,
        // A command whose answer was lost may have been carried out: only the caller may send it again.
        max_command_attempts: 1,
        // Without a bound, an outage fills the memory.
        max_command_buffer_len: 5000,
        unresponsive: UnresponsiveConfig {
            max_timeout: Some(Duration::from_secs(2)),
            interval: Duration::from_millis(250),
        },
        tcp: TcpConfig {
            nodelay: Some(true),
            keepalive: Some(TcpKeepalive::new().with_time(Duration::from_secs(15))),
            ..TcpConfig::default()
        },
        ..ConnectionConfig::default()
    }
}

fn performance_config(wait: Duration) -> PerformanceConfig {
    PerformanceConfig {
        // A little before the driver gives up itself: then the library knows, and does not send later what
        // nobody waits for.
        default_command_timeout: wait - wait / 20,
        ..PerformanceConfig::default()
    }
}
