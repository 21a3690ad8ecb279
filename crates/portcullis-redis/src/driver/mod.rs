//! The connection to Redis. Only this folder knows the client library.
//!
//! Modules import from the ground up: settings, commands and replies; connections; nodes; the
//! cluster; [`Driver`].

mod answer;
mod backoff;
mod boxed;
mod bulk;
mod cluster;
mod codes;
mod command;
mod connection;
mod dedicated;
mod examine;
mod failure;
mod inspect;
mod node;
mod paused_clock;
mod reply;
mod script;
mod sentinel;
mod settings;
mod subscription;
#[cfg(feature = "tls")]
mod tls;

use std::{fmt, time::Duration};

use bytes::Bytes;
use fred::prelude::KeysInterface;
use portcullis_core::{
    Timestamp,
    store::{ClockBounds, Hint, StoreError},
};

pub(crate) use self::{
    answer::{Answer, Fetched},
    command::Command,
    dedicated::DedicatedConnection,
    examine::examine,
    failure::is_forbidden,
    reply::{ExpiredMember, Reply, wrong_reply},
    script::Script,
    settings::Settings,
};
use self::{
    boxed::boxed,
    cluster::Cluster,
    command::AnswerSize,
    connection::{Connection, Reconnect},
    node::Node,
    paused_clock::PausedClock,
    subscription::Subscriptions,
};
use crate::{ConnectError, address::Layout};

/// The connection to the servers that hold the sessions. It is restored until this is dropped.
pub(crate) struct Driver {
    servers: Servers,
    settings: Settings,
    subscriptions: Subscriptions,
}

enum Servers {
    /// One server, or the server that Sentinel names.
    Node(Node),
    Cluster(Cluster),
}

impl Driver {
    pub(crate) async fn connect(settings: Settings) -> Result<Self, ConnectError> {
        let _clock = PausedClock::hold();
        let servers = match settings.address.layout() {
            Layout::Cluster(seeds) => {
                Servers::Cluster(boxed(Cluster::connect(settings.clone(), seeds)).await?)
            }
            _ => Servers::Node(boxed(Node::connect(settings.clone(), None)).await?),
        };
        Ok(Self {
            servers,
            settings,
            subscriptions: Subscriptions::default(),
        })
    }

    /// The server's clock. A cluster has several clocks, and these bounds include all of them. By
    /// the latest time, no session lives too long; by the earliest, no sign-in seems newer than it
    /// is.
    pub(crate) fn clock(&self) -> ClockBounds {
        let clock = match &self.servers {
            Servers::Node(node) => node.state().clock(),
            Servers::Cluster(cluster) => cluster.clock(),
        };
        clock.unwrap_or(ClockBounds::exactly(Timestamp::from_millis(0)))
    }

    /// The clock by which the value under this key expires.
    pub(crate) fn clock_at(&self, key: impl FnOnce() -> String) -> ClockBounds {
        match &self.servers {
            Servers::Node(_) => self.clock(),
            Servers::Cluster(cluster) => cluster.clock_at(&key()).unwrap_or_else(|| self.clock()),
        }
    }

    /// How long one operation may take.
    pub(crate) fn wait(&self) -> Duration {
        self.settings.wait
    }

    /// How long every caller surely waits for an answer. A little later some have given up.
    pub(crate) fn give_up_after(&self) -> Duration {
        self.settings.give_up_after()
    }

    /// Sends one `GET`.
    pub(crate) async fn get(&self, key: String) -> Result<Fetched, StoreError> {
        let _clock = PausedClock::hold();
        match &self.servers {
            Servers::Node(node) => {
                // Not boxed: this is the most frequent command.
                let connection = node.state().live_connection()?;
                let fetched = connection.client().get::<Option<Bytes>, _>(key).await;
                node.state().fetched(fetched)
            }
            Servers::Cluster(cluster) => boxed(cluster.get(key)).await,
        }
    }

    /// Runs a script: `EVALSHA`, and `EVAL` if the server does not have it yet.
    pub(crate) async fn run(
        &self,
        script: &Script,
        keys: Vec<String>,
        arguments: Vec<Bytes>,
    ) -> Result<Reply, StoreError> {
        let _clock = PausedClock::hold();
        match &self.servers {
            Servers::Node(node) => {
                let connection = node.state().live_connection()?;
                let node = node.state();
                node.run(&connection, script, keys, arguments).await
            }
            Servers::Cluster(cluster) => boxed(cluster.run(script, keys, arguments)).await,
        }
    }

    /// Whether the server that has this key has room for one more session without a user. When its
    /// memory is nearly full, the rest is reserved for sign-ins.
    pub(crate) fn admits_visitor_at(&self, key: impl FnOnce() -> String) -> bool {
        match &self.servers {
            Servers::Node(node) => node.state().admits_visitor(),
            Servers::Cluster(cluster) => cluster.admits_visitor_at(&key()),
        }
    }

    /// Sends several commands in one round trip, in a cluster in one to each node. Fails if one of
    /// them fails.
    pub(crate) async fn send_all(&self, commands: Vec<Command>) -> Result<Vec<Answer>, StoreError> {
        let answers = self.send_each(commands, AnswerSize::Short).await;
        answers.into_iter().collect()
    }

    /// As [`send_all`](Self::send_all) for long answers. They come over a second connection, so
    /// that short answers do not wait behind them. The commands may be sent twice.
    pub(crate) async fn send_all_long(
        &self,
        commands: Vec<Command>,
    ) -> Result<Vec<Answer>, StoreError> {
        self.send_each_long(commands).await.into_iter().collect()
    }

    /// As [`send_all_long`](Self::send_all_long), with a result for each command.
    pub(crate) async fn send_each_long(
        &self,
        commands: Vec<Command>,
    ) -> Vec<Result<Answer, StoreError>> {
        self.send_each(commands, AnswerSize::Long).await
    }

    async fn send_each(
        &self,
        commands: Vec<Command>,
        size: AnswerSize,
    ) -> Vec<Result<Answer, StoreError>> {
        let _clock = PausedClock::hold();
        let answers = match &self.servers {
            Servers::Node(node) => {
                let node = node.state();
                let failed = |error| node.failed(&error);
                match boxed(node.send_all(&commands, size)).await {
                    Ok(answers) => answers
                        .into_iter()
                        .map(|answer| answer.map_err(failed))
                        .collect(),
                    Err(error) => commands
                        .iter()
                        .map(|_| Err(failure::copy_of(&error)))
                        .collect(),
                }
            }
            Servers::Cluster(cluster) => boxed(cluster.send_all(commands, size)).await,
        };
        answers
            .into_iter()
            .map(|answer: Result<_, _>| answer.map(Answer))
            .collect()
    }

    /// Opens a connection for one caller, to the server that has this key, so that replicas can
    /// confirm what is written over it.
    pub(crate) async fn open_dedicated(
        &self,
        key: String,
    ) -> Result<DedicatedConnection, StoreError> {
        let _clock = PausedClock::hold();
        let (node, connection) = match &self.servers {
            Servers::Node(node) => {
                let node = node.state();
                let settings = dedicated::settings(&node.server_settings()?);
                let opened = boxed(Connection::open(&settings, Reconnect::Never)).await;
                let (connection, ..) = opened.map_err(failure::not_connected)?;
                (node.clone(), connection)
            }
            Servers::Cluster(cluster) => {
                let opened = boxed(cluster.open_dedicated(key, dedicated::settings));
                let (node, connection) = opened.await?;
                (node.state().clone(), connection)
            }
        };
        Ok(DedicatedConnection::new(node, connection))
    }

    /// Emits what scripts publish on this channel, until it is dropped.
    pub(crate) async fn listen(&self, channel: String, emit: &(dyn Fn(Hint) + Send + Sync)) {
        let choose_server = || match &self.servers {
            Servers::Node(node) => node.choose_server(),
            Servers::Cluster(cluster) => cluster.choose_server(),
        };
        let subscriptions = &self.subscriptions;
        subscriptions.listen(&channel, choose_server, emit).await;
    }

    /// How many replicas must confirm a revocation.
    pub(crate) fn copies(&self) -> Option<u32> {
        self.settings.copies
    }
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Driver");
        shown
            .field("address", &self.settings.address)
            .field("wait", &self.settings.wait);
        match &self.servers {
            Servers::Node(node) => shown.field("down", &node.state().is_down()),
            Servers::Cluster(cluster) => shown.field("down", &cluster.down()),
        };
        shown.finish_non_exhaustive()
    }
}
