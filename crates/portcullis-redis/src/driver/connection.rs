//! One connection, set up so that it cannot hang, grow without bound or write twice.

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

#[cfg(feature = "tls")]
use super::tls;
use super::{command::Command, failure, paused_clock::PausedClock, settings::Settings};
use crate::{ConnectError, endpoint::Endpoint};

/// What restores a connection that broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reconnect {
    /// The client library, at once, to the same address.
    ByLibrary,
    /// Nothing: another server may be at the address by then and must be checked first.
    Never,
}

const CONNECT: Duration = Duration::from_secs(1);
/// Shortest timeout of the handshake. With a longer wait of operations it is longer too.
const HANDSHAKE: Duration = Duration::from_millis(500);
const OPEN: Duration = Duration::from_secs(2);
/// Added to the wait, so that the connection is not given up before an operation is.
const UNRESPONSIVE: Duration = Duration::from_secs(1);

/// Capacity for messages where none are expected. The library allocates it in advance, and as much
/// again for channels of its own.
const NO_MESSAGES: usize = 32;

/// A client and the task that serves it. Dropping it ends both.
pub(super) struct Connection {
    client: Client,
    task: JoinHandle<Result<(), Error>>,
    endpoint: Option<Endpoint>,
}

impl Connection {
    /// Connects. Also returns when the server was asked for its time, and its answer.
    pub(super) async fn open(
        settings: &Settings,
        reconnect: Reconnect,
    ) -> Result<(Self, Instant, u64), ConnectError> {
        let connection = Self::unproven(settings, reconnect, NO_MESSAGES)?;
        let ask = async |client: &Client| time(client, None).await;
        connection.answering(settings, ask).await
    }

    /// Connects for a subscription, with room for this many messages. The library does not restore
    /// it: the subscriber must know that it missed messages.
    pub(super) async fn open_to_subscribe(
        settings: &Settings,
        messages: usize,
    ) -> Result<Self, ConnectError> {
        let connection = Self::unproven(settings, Reconnect::Never, messages)?;
        let ask = async |client: &Client| time(client, None).await;
        let opened = connection.answering(settings, ask).await?;
        Ok(opened.0)
    }

    /// Connects to a Sentinel, which may refuse to tell the time.
    pub(super) async fn open_to_sentinel(settings: &Settings) -> Result<Self, ConnectError> {
        let connection = Self::unproven(settings, Reconnect::Never, NO_MESSAGES)?;
        let opened = connection.answering(settings, async |_| Ok(0)).await?;
        Ok(opened.0)
    }

    fn unproven(
        settings: &Settings,
        reconnect: Reconnect,
        messages: usize,
    ) -> Result<Self, ConnectError> {
        let client = build(settings, reconnect, messages)?;
        Ok(Self {
            task: client.connect(),
            client,
            endpoint: settings.address.endpoint().cloned(),
        })
    }

    /// Waits until the connection is established, and sends the first command.
    async fn answering(
        mut self,
        settings: &Settings,
        ask: impl AsyncFnOnce(&Client) -> Result<u64, Error>,
    ) -> Result<(Self, Instant, u64), ConnectError> {
        let clock = PausedClock::hold();
        let client = self.client.clone();
        let ready = async {
            while !client.is_connected() {
                clock.sleep(Duration::from_millis(2)).await;
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
            () = tokio::time::sleep(OPEN.max(CONNECT + settings.wait)) => {
                Err(Error::new(ErrorKind::Timeout, "no answer"))
            }
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

    /// The server's time in ms, with a timeout of its own.
    pub(super) async fn time_within(&self, timeout: Duration) -> Result<u64, Error> {
        time(&self.client, Some(timeout)).await
    }

    /// The text of `INFO`.
    pub(super) async fn info(&self) -> Result<String, Error> {
        self.client.info(None).await
    }

    /// The section on memory of `INFO`.
    pub(super) async fn memory(&self) -> Result<String, Error> {
        self.client.info(Some(InfoKind::Memory)).await
    }

    /// Whether the server reports that it is a primary.
    pub(super) async fn is_primary(&self) -> Result<bool, Error> {
        let answer = self.send("ROLE", Vec::new()).await?;
        let role = answer.into_array().first().and_then(Value::as_string);
        Ok(role.as_deref() == Some("master"))
    }

    /// Messages published from now on, on the channels it subscribes to.
    pub(super) fn messages(&self) -> Receiver<Message> {
        self.client.message_rx()
    }

    /// Sends `SUBSCRIBE`. Does not wait for the answer.
    pub(super) async fn subscribe(&self, channel: &str) -> Result<(), Error> {
        self.client.subscribe(channel).await
    }

    /// Sends `PING`, one of the few commands that a subscribed connection may send.
    pub(super) async fn ping(&self) -> Result<(), Error> {
        self.send("PING", Vec::new()).await.map(drop)
    }

    /// Waits until the connection is closed for good.
    pub(super) async fn ended(&mut self) {
        let _ = (&mut self.task).await;
    }

    /// Whether it is closed for good.
    pub(super) fn is_closed(&self) -> bool {
        self.task.is_finished()
    }

    /// The server it leads to, where the address alone does not say.
    pub(super) fn endpoint(&self) -> Option<&Endpoint> {
        self.endpoint.as_ref()
    }

    /// Sends one command.
    pub(super) async fn send(
        &self,
        name: &'static str,
        arguments: Vec<Bytes>,
    ) -> Result<Value, Error> {
        let name = CustomCommand::new_static(name, ClusterHash::FirstKey, false);
        self.client.custom(name, arguments).await
    }

    /// Sends one command on a slot that is moving to this node.
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

    /// Sends several commands in one round trip. If the connection breaks, all of them fail.
    pub(super) async fn send_all(
        &self,
        commands: &[Command],
    ) -> Result<Vec<Result<Value, Error>>, Error> {
        let pipeline = self.client.pipeline();
        for command in commands {
            let name = CustomCommand::new_static(command.name, ClusterHash::FirstKey, false);
            let () = pipeline.custom(name, command.arguments.clone()).await?;
        }
        let answers = pipeline.try_all::<Value>().await;
        if answers.len() < commands.len() {
            let missing = || Error::new(ErrorKind::Protocol, "answers are missing");
            let first = answers.into_iter().find_map(Result::err);
            return Err(first.unwrap_or_else(missing));
        }
        let mut answered = Vec::with_capacity(answers.len());
        for (answer, command) in answers.into_iter().zip(commands) {
            match command.ignore_other_type(answer) {
                Err(error) if failure::is_outage(&error) => return Err(error),
                answer => answered.push(answer),
            }
        }
        Ok(answered)
    }
}

impl Drop for Connection {
    // The library's task holds the client and would wait for commands forever.
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

fn build(
    settings: &Settings,
    reconnect: Reconnect,
    messages: usize,
) -> Result<Client, ConnectError> {
    let mut config = Config::from_url_centralized(settings.address.plain_url())
        .map_err(|_| ConnectError::Address("host, port or database cannot be read"))?;
    if let Some(endpoint) = settings.address.endpoint() {
        config.server = ServerConfig::new_centralized(endpoint.host(), endpoint.port());
    }
    if config.username.is_some() && config.password.is_none() {
        // Without a password the library would not log in, and would stay the default user.
        config.password = Some(String::new());
    }
    #[cfg(feature = "tls")]
    if settings.address.tls() {
        config.tls = Some(tls::config(settings.ca_certificate.as_deref())?);
    }
    let mut builder = Builder::from_config(config);
    builder
        .with_connection_config(|connection| *connection = connection_config(settings.wait))
        .with_performance_config(|performance| {
            *performance = performance_config(settings.give_up_after(), messages);
        });
    if reconnect == Reconnect::ByLibrary {
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
        // A command whose answer was lost may have been executed: only its caller may send it
        // again.
        max_command_attempts: 1,
        // Without a bound, commands fill the memory during an outage.
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
