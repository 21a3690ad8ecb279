//! What a node, its supervisor and its callers share.

use std::{
    future::Future,
    sync::{
        Arc, OnceLock, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use bytes::Bytes;
use fred::prelude::{Error, ErrorKind, Key, LuaInterface, Value};
use portcullis_core::store::{ClockBounds, StoreError};
use tokio::{
    runtime::Handle as Runtime,
    sync::{Notify, futures::Notified},
};

use super::visitors::Visitors;
use crate::{
    ConnectError,
    address::Layout,
    clock::ServerClock,
    driver::{
        answer::Fetched,
        bulk::Bulk,
        command::{AnswerSize, Command},
        connection::{Connection, Reconnect},
        failure,
        reply::Reply,
        script::Script,
        sentinel,
        settings::Settings,
    },
};

/// The connection to one server, and what is known about the server.
pub(crate) struct NodeState {
    pub(crate) settings: Settings,
    /// Unknown until the first connection.
    clock: OnceLock<ServerClock>,
    connection: RwLock<Option<Arc<Connection>>>,
    /// The connection for long answers.
    pub(super) bulk: Bulk,
    /// The runtime of all tasks of this node.
    pub(super) runtime: Runtime,
    /// The server is known not to answer: operations fail at once instead of waiting.
    pub(super) down: AtomicBool,
    /// The supervisor has ended with its runtime, so the connection is no longer restored.
    pub(super) unsupervised: AtomicBool,
    pub(super) visitors: Visitors,
    /// The server answers but takes no writes. It may have become a replica, and the address may
    /// lead to another server by now.
    pub(super) demoted: AtomicBool,
    /// An operation failed: the supervisor must check the server now.
    pub(super) check_now: Notify,
    /// A connection was installed.
    connected: Notify,
    /// For a node of a cluster: another node may serve its slots by now.
    topology_changed: Option<Arc<Notify>>,
}

impl NodeState {
    pub(super) fn new(
        settings: Settings,
        topology_changed: Option<Arc<Notify>>,
        runtime: Runtime,
    ) -> Self {
        Self {
            settings,
            clock: OnceLock::new(),
            connection: RwLock::new(None),
            bulk: Bulk::default(),
            runtime,
            down: AtomicBool::new(true),
            unsupervised: AtomicBool::new(false),
            visitors: Visitors::default(),
            demoted: AtomicBool::new(false),
            check_now: Notify::new(),
            connected: Notify::new(),
            topology_changed,
        }
    }

    /// Opens a new connection to the current server.
    pub(super) async fn open(&self) -> Result<(Connection, Instant, u64), ConnectError> {
        match self.settings.address.layout() {
            Layout::Sentinel(sentinels) => sentinel::open(&self.settings, sentinels).await,
            _ => Connection::open(&self.settings, Reconnect::ByLibrary).await,
        }
    }

    /// The server's clock, if it is known.
    pub(crate) fn clock(&self) -> Option<ClockBounds> {
        self.clock.get().map(ServerClock::now)
    }

    /// Learns the server's time from an answer to a command that was `sent` then.
    pub(crate) fn learn_time(&self, sent: Instant, server_ms: u64) {
        self.clock
            .get_or_init(|| ServerClock::starting(sent, server_ms))
            .learn(sent, server_ms);
    }

    pub(crate) fn connection(&self) -> Option<Arc<Connection>> {
        self.connection
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Uses this connection from now on.
    pub(super) fn install(&self, connection: Connection, sent: Instant, server_ms: u64) {
        self.learn_time(sent, server_ms);
        *self
            .connection
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(connection));
        // It may lead to another server than the connection for long answers.
        self.bulk.close();
        self.down.store(false, Ordering::Release);
        self.connected.notify_waiters();
    }

    pub(crate) fn is_down(&self) -> bool {
        self.down.load(Ordering::Acquire)
    }

    pub(crate) fn live_connection(&self) -> Result<Arc<Connection>, StoreError> {
        if self.is_down() {
            return Err(self.down_error());
        }
        self.connection().ok_or_else(failure::known_down)
    }

    /// The error of operations while the server is down.
    pub(crate) fn down_error(&self) -> StoreError {
        if self.unsupervised.load(Ordering::Relaxed) {
            failure::unsupervised()
        } else {
            failure::known_down()
        }
    }

    /// Whether there is room for one more session without a user.
    pub(crate) fn admits_visitor(&self) -> bool {
        let (admitted, must_check) = self.visitors.admit();
        if must_check {
            self.check_now.notify_one();
        }
        admitted
    }

    /// The connection for long answers, and whether it was opened for this call.
    pub(crate) async fn bulk_connection(&self) -> Result<(Arc<Connection>, bool), StoreError> {
        let open = || {
            let settings = self.server_settings()?;
            let by_sentinel = matches!(self.settings.address.layout(), Layout::Sentinel(_));
            Ok(async move {
                let (connection, ..) = if by_sentinel {
                    sentinel::open_primary(&settings).await?
                } else {
                    Connection::open(&settings, Reconnect::Never).await?
                };
                Ok(connection)
            })
        };
        // Fail at once if the server is down, even if this connection is open.
        self.live_connection()?;
        self.bulk.connection(&self.runtime, open).await
    }

    /// Settings for a further connection to the current server. Where Sentinels name the server, it
    /// may be another one at the next call.
    pub(crate) fn server_settings(&self) -> Result<Settings, StoreError> {
        let connection = self.live_connection()?;
        Ok(match connection.endpoint() {
            Some(endpoint) => self.settings.at(endpoint),
            None => self.settings.clone(),
        })
    }

    /// Waits for the first connection to a server. Returns at once if there ever was one.
    pub(crate) async fn first_connected(&self) {
        let connected: Notified<'_> = self.connected.notified();
        if self.clock.get().is_none() {
            connected.await;
        }
    }

    /// Reports that another node may serve the slots of this one.
    pub(super) fn report_topology_change(&self) {
        if let Some(topology_changed) = &self.topology_changed {
            topology_changed.notify_one();
        }
    }

    /// Reads the answer to a `GET`. The client library bounds a single command. A second timer
    /// would cost time on the path of every request.
    pub(crate) fn fetched(
        &self,
        answer: Result<Option<Bytes>, Error>,
    ) -> Result<Fetched, StoreError> {
        match answer {
            Ok(Some(value)) => Ok(Fetched::Value(value)),
            Ok(None) => Ok(Fetched::Nothing),
            Err(error) if failure::is(&error, "WRONGTYPE") => Ok(Fetched::OtherType),
            Err(error) => Err(self.failed(&error)),
        }
    }

    /// Runs a script: `EVALSHA`, and `EVAL` if the server does not have it yet.
    pub(crate) async fn run(
        &self,
        connection: &Connection,
        script: &Script,
        keys: Vec<String>,
        arguments: Vec<Bytes>,
    ) -> Result<Reply, StoreError> {
        let client = connection.client();
        let sent = Instant::now();
        let keys: Vec<Key> = keys.into_iter().map(Key::from).collect();
        // Boxed: the library's futures take 7 kB each, and as much again in each future around
        // them.
        let value = self.bounded(async {
            let cached = Box::pin(client.evalsha(script.hash(), keys.clone(), arguments.clone()));
            match cached.await {
                Err(error) if failure::is(&error, "NOSCRIPT") => {
                    Box::pin(client.eval(script.source(), keys, arguments)).await
                }
                result => result,
            }
        });
        let value = value.await.map_err(|error| self.failed(&error))?;
        let (reply, server_ms) = Reply::read(value).ok_or_else(failure::unreadable_reply)?;
        self.learn_time(sent, server_ms);
        Ok(reply)
    }

    /// Sends several commands in one round trip.
    pub(crate) async fn send_all(
        &self,
        commands: &[Command],
        size: AnswerSize,
    ) -> Result<Vec<Result<Value, Error>>, StoreError> {
        match size {
            AnswerSize::Short => {
                let connection = self.live_connection()?;
                let answers = self.bounded(connection.send_all(commands)).await;
                answers.map_err(|error| self.failed(&error))
            }
            AnswerSize::Long => {
                let answers = self.send_all_in_bulk(commands);
                let late = || Error::new(ErrorKind::Timeout, "no answer");
                tokio::time::timeout(self.settings.wait, answers)
                    .await
                    .unwrap_or_else(|_| Err(self.failed_in_bulk(&late())))
            }
        }
    }

    /// Sends commands over the connection for long answers. Servers close idle connections: then it
    /// is opened anew once. Sending twice is harmless: these commands read, or may be repeated.
    async fn send_all_in_bulk(
        &self,
        commands: &[Command],
    ) -> Result<Vec<Result<Value, Error>>, StoreError> {
        loop {
            let (connection, is_new) = self.bulk_connection().await?;
            match connection.send_all(commands).await {
                Ok(answers) => return Ok(answers),
                Err(error) => {
                    self.bulk.discard(&connection);
                    if is_new || *error.kind() == ErrorKind::Timeout {
                        return Err(self.failed_in_bulk(&error));
                    }
                }
            }
        }
    }

    /// Bounds several commands in a row. The client library bounds only single ones.
    pub(super) async fn bounded<T>(
        &self,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        tokio::time::timeout(self.settings.wait, work)
            .await
            .unwrap_or_else(|_| Err(Error::new(ErrorKind::Timeout, "no answer")))
    }

    /// Converts an error of the connection for long answers. Only the other connection shows
    /// whether the server is down, so it is checked now.
    fn failed_in_bulk(&self, error: &Error) -> StoreError {
        self.check_now.notify_one();
        failure::store_error(error)
    }

    /// Converts an error, and reports what it says about the server.
    pub(crate) fn failed(&self, error: &Error) -> StoreError {
        if failure::is_outage(error) {
            self.check_now.notify_one();
            self.report_topology_change();
        } else if self.topology_changed.is_some() && failure::is_redirection(error) {
            self.report_topology_change();
            return failure::moving();
        } else if failure::is(error, "READONLY") {
            self.demoted.store(true, Ordering::Relaxed);
            self.check_now.notify_one();
        }
        failure::store_error(error)
    }
}
