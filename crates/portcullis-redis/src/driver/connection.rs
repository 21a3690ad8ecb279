//! One connection, with settings under which it cannot hang, grow or write twice.

use std::time::{Duration, Instant};

use bytes::Bytes;
use fred::{
    prelude::{
        Builder, Client, ClientLike, Config, ConnectionConfig, Error, ErrorKind, EventInterface,
        PerformanceConfig, PubsubInterface, ReconnectPolicy, TcpConfig, Value,
    },
    types::{
        ClusterHash, CustomCommand, InfoKind, Message,
        config::{Options, ServerConfig, UnresponsiveConfig},
    },
};
use socket2::TcpKeepalive;
use tokio::{sync::broadcast::Receiver, task::JoinHandle};

use super::{Settings, StillClock, failure, subscription};
use crate::{ConnectError, endpoint::Endpoint};

/// Who restores a connection that broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Restored {
    /// The library, at once, to the same address.
    ByItself,
    /// Nobody: what is there by then must be looked at first.
    Never,
}

const CONNECT: Duration = Duration::from_secs(1);
/// At least: whoever waits longer for an operation also waits longer for what it needs first.
const HANDSHAKE: Duration = Duration::from_millis(500);
const OPEN: Duration = Duration::from_secs(2);
/// Beyond the wait: the connection is not given up before the operation.
const UNRESPONSIVE: Duration = Duration::from_secs(1);

/// How many messages wait to be taken, where none are expected. The library makes room for each in advance, and has
/// channels of its own with as much.
const NO_MESSAGES: usize = 32;

/// A client and the task that serves it. Dropping it ends both.
pub(super) struct Connection {
    client: Client,
    task: JoinHandle<Result<(), Error>>,
    endpoint: Option<Endpoint>,
}

impl Connection {
    /// Connects. Also returns when the server was asked for its time, and what it said.
    pub(super) async fn open(
        settings: &Settings,
        restored: Restored,
    ) -> Result<(Self, Instant, u64), ConnectError> {
        let connection = Self::unproven(settings, restored, NO_MESSAGES)?;
        let ask = async |client: &Client| time(client, None).await;
        connection.answering(settings, ask).await
    }

    /// The same for what is published. The library does not restore it: what was missed meanwhile must be told.
    pub(super) async fn open_to_listen(settings: &Settings) -> Result<Self, ConnectError> {
        let connection = Self::unproven(settings, Restored::Never, subscription::ROOM)?;
        let ask = async |client: &Client| time(client, None).await;
        let opened = connection.answering(settings, ask).await?;
        Ok(opened.0)
    }

    /// The same to a server that does not tell the time to everybody, as a Sentinel does not.
    pub(super) async fn open_to_sentinel(settings: &Settings) -> Result<Self, ConnectError> {
        let connection = Self::unproven(settings, Restored::Never, NO_MESSAGES)?;
        let opened = connection.answering(settings, async |_| Ok(0)).await?;
        Ok(opened.0)
    }

    fn unproven(
        settings: &Settings,
        restored: Restored,
        messages: usize,
    ) -> Result<Self, ConnectError> {
        let client = build(settings, restored, messages)?;
        Ok(Self {
            task: client.connect(),
            client,
            endpoint: settings.address.endpoint().cloned(),
        })
    }

    /// This connection, when it is there, and what it was first asked.
    async fn answering(
        mut self,
        settings: &Settings,
        ask: impl AsyncFnOnce(&Client) -> Result<u64, Error>,
    ) -> Result<(Self, Instant, u64), ConnectError> {
        let still = StillClock::hold();
        let client = self.client.clone();
        let ready = async {
            while !client.is_connected() {
                still.sleep(Duration::from_millis(2)).await;
            }
            let sent = Instant::now();
            ask(&client).await.map(|answer| (sent, answer))
        };
        let opened = tokio::select! {
            opened = ready => opened,
            ended = &mut self.task => Err(match ended {
                Ok(Err(error)) => error,
                _ => Error::new(ErrorKind::IO, "closed"),
            }),
            () = tokio::time::sleep(OPEN.max(CONNECT + settings.wait)) => Err(Error::new(ErrorKind::Timeout, "no answer")),
        };
        match opened {
            Ok((sent, answer)) => Ok((self, sent, answer)),
            Err(error) => Err(failure::connect_error(&settings.address, &error)),
        }
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// The server's time in ms.
    pub(super) async fn time(&self) -> Result<u64, Error> {
        time(&self.client, None).await
    }

    /// The same, and whatever the wait of other operations is, it may take this long.
    pub(super) async fn time_within(&self, wait: Duration) -> Result<u64, Error> {
        time(&self.client, Some(wait)).await
    }

    /// What `INFO` says.
    pub(super) async fn info(&self) -> Result<String, Error> {
        self.client.info(None).await
    }

    /// What `INFO` says of the memory.
    pub(super) async fn memory(&self) -> Result<String, Error> {
        self.client.info(Some(InfoKind::Memory)).await
    }

    /// Whether the server says that it is a primary.
    pub(super) async fn is_primary(&self) -> Result<bool, Error> {
        let told = self.send("ROLE", Vec::new()).await?;
        let role = told.into_array().first().and_then(Value::as_string);
        Ok(role.as_deref() == Some("master"))
    }

    /// What is published on the channels it subscribes to, from now on.
    pub(super) fn messages(&self) -> Receiver<Message> {
        self.client.message_rx()
    }

    /// Sends the command, and does not wait for an answer.
    pub(super) async fn subscribe(&self, channel: &str) -> Result<(), Error> {
        self.client.subscribe(channel).await
    }

    /// One of the few commands that a connection which is subscribed may send.
    pub(super) async fn ping(&self) -> Result<(), Error> {
        self.send("PING", Vec::new()).await.map(drop)
    }

    /// Waits until it is closed, unless it is restored.
    pub(super) async fn ended(&mut self) {
        let _ = (&mut self.task).await;
    }

    /// Whether it is closed for good.
    pub(super) fn is_over(&self) -> bool {
        self.task.is_finished()
    }

    /// Where it leads.
    pub(super) fn endpoint(&self) -> Option<&Endpoint> {
        self.endpoint.as_ref()
    }

    /// One command, as it stands.
    pub(super) async fn send(
        &self,
        name: &'static str,
        arguments: Vec<Bytes>,
    ) -> Result<Value, Error> {
        let name = CustomCommand::new_static(name, ClusterHash::FirstKey, false);
        self.client.custom(name, arguments).await
    }

    /// One command on a slot that is moving to this node.
    pub(super) async fn send_asking(
        &self,
        name: &'static str,
        arguments: Vec<Bytes>,
    ) -> Result<Value, Error> {
        let pipeline = self.client.pipeline();
        let asking = CustomCommand::new_static("ASKING", ClusterHash::FirstKey, false);
        let () = pipeline.custom(asking, Vec::<Bytes>::new()).await?;
        let name = CustomCommand::new_static(name, ClusterHash::FirstKey, false);
        let () = pipeline.custom(name, arguments).await?;
        let mut answers = pipeline.try_all::<Value>().await;
        answers
            .pop()
            .unwrap_or_else(|| Err(Error::new(ErrorKind::Protocol, "no answer")))
    }
}

impl Drop for Connection {
    // The library's task holds the client and would wait for commands for ever.
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn time(client: &Client, timeout: Option<Duration>) -> Result<u64, Error> {
    let command = CustomCommand::new_static("TIME", ClusterHash::FirstKey, false);
    let client = client.with_options(&Options {
        timeout,
        ..Options::default()
    });
    let (seconds, micros): (u64, u64) = client.custom(command, Vec::<Value>::new()).await?;
    Ok(seconds.saturating_mul(1000).saturating_add(micros / 1000))
}

fn build(settings: &Settings, restored: Restored, messages: usize) -> Result<Client, ConnectError> {
    let mut config = Config::from_url_centralized(settings.address.plain_url())
        .map_err(|_| ConnectError::Address("host, port or database cannot be read"))?;
    if let Some(endpoint) = settings.address.endpoint() {
        config.server = ServerConfig::new_centralized(endpoint.host(), endpoint.port());
    }
    if config.username.is_some() && config.password.is_none() {
        // The library would not log in at all and stay the default user.
        config.password = Some(String::new());
    }
    #[cfg(feature = "tls")]
    if settings.address.tls() {
        config.tls = Some(super::tls::config(settings.ca_certificate.as_deref())?);
    }
    let mut builder = Builder::from_config(config);
    builder
        .with_connection_config(|connection| *connection = connection_config(settings.wait))
        .with_performance_config(|performance| {
            *performance = performance_config(settings.give_up_after(), messages);
        });
    if restored == Restored::ByItself {
        builder.set_policy(ReconnectPolicy::new_exponential(0, 20, 1000, 2));
    }
    builder
        .build()
        .map_err(|_| ConnectError::Address("it cannot be used"))
}

fn connection_config(wait: Duration) -> ConnectionConfig {
    ConnectionConfig {
        connection_timeout: CONNECT,
        internal_command_timeout: HANDSHAKE.max(wait),
        // A command whose answer was lost may have been carried out: only the caller may send it again.
        max_command_attempts: 1,
        // Without a bound, an outage fills the memory.
        max_command_buffer_len: 5000,
        unresponsive: UnresponsiveConfig {
            max_timeout: Some(UNRESPONSIVE + wait.max(UNRESPONSIVE)),
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

fn performance_config(give_up_after: Duration, messages: usize) -> PerformanceConfig {
    PerformanceConfig {
        default_command_timeout: give_up_after,
        broadcast_channel_capacity: messages,
        ..PerformanceConfig::default()
    }
}
