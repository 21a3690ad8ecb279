//! The connection to Redis. Nothing outside this module knows the client library.

mod codes;
mod connection;
mod examine;
mod failure;
mod inspect;
mod reply;
mod script;
mod supervisor;
#[cfg(feature = "tls")]
mod tls;

use std::{
    fmt,
    future::Future,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use fred::{
    prelude::{ClientLike, Error, ErrorKind, Key, KeysInterface, LuaInterface, Value},
    types::{ClusterHash, CustomCommand},
};
use portcullis_core::{Timestamp, store::StoreError};
use tokio::{sync::Notify, task::JoinHandle};

use self::connection::Connection;
pub(crate) use self::{
    examine::examine,
    reply::{Over, Reply},
    script::{CLAIM, COMMIT, CREATE, END, MARK, REPLACE, REVOKE, STRAYS, SUPERSEDE, Script, TOUCH},
};
use crate::{ConnectError, address::Address, clock::ServerClock};

/// How to connect.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) address: Address,
    pub(crate) wait: Duration,
    pub(crate) unsafe_eviction: bool,
    pub(crate) copies: Option<u32>,
    #[cfg(feature = "tls")]
    pub(crate) ca_certificate: Option<Vec<u8>>,
}

/// What a `GET` found.
#[derive(Debug)]
pub(crate) enum Fetched {
    Value(Bytes),
    Nothing,
    /// A value of another type than string.
    OtherType,
}

/// A connection that heals by itself, until it is dropped.
pub(crate) struct Driver {
    shared: Arc<Shared>,
    supervisor: JoinHandle<()>,
}

/// What the driver and its supervisor share.
struct Shared {
    settings: Settings,
    clock: ServerClock,
    connection: RwLock<Arc<Connection>>,
    /// The server is known not to answer: fail at once instead of waiting once more.
    down: AtomicBool,
    /// The server answers but takes no writes: it may have been demoted, and the address may lead to
    /// another one by now.
    demoted: AtomicBool,
    /// Something went wrong: look now.
    suspicion: Notify,
}

impl Driver {
    pub(crate) async fn connect(settings: Settings) -> Result<Self, ConnectError> {
        let (connection, sent, server_ms) = Connection::open(&settings).await?;
        inspect::at_start(&connection, &settings).await?;
        let shared = Arc::new(Shared {
            settings,
            clock: ServerClock::starting(sent, server_ms),
            connection: RwLock::new(Arc::new(connection)),
            down: AtomicBool::new(false),
            demoted: AtomicBool::new(false),
            suspicion: Notify::new(),
        });
        let supervisor = tokio::spawn(supervisor::watch(shared.clone()));
        Ok(Self { shared, supervisor })
    }

    /// The server's clock.
    pub(crate) fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    /// One `GET`. A single command is bounded by the client library's own timeout; a second timer would
    /// only cost, on the path that everybody takes.
    pub(crate) async fn get(&self, key: String) -> Result<Fetched, StoreError> {
        let connection = self.shared.live_connection()?;
        match connection.client().get::<Option<Bytes>, _>(key).await {
            Ok(Some(value)) => Ok(Fetched::Value(value)),
            Ok(None) => Ok(Fetched::Nothing),
            Err(error) if failure::is(&error, "WRONGTYPE") => Ok(Fetched::OtherType),
            Err(error) => Err(self.shared.failed(&error)),
        }
    }

    /// One script: `EVALSHA`, and `EVAL` if the server does not know it yet.
    pub(crate) async fn run(
        &self,
        script: &Script,
        keys: Vec<String>,
        arguments: Vec<Bytes>,
    ) -> Result<Reply, StoreError> {
        let connection = self.shared.live_connection()?;
        self.shared.run(&connection, script, keys, arguments).await
    }

    /// Several commands in one round trip, each with its answer.
    pub(crate) async fn ask(&self, commands: Vec<Command>) -> Result<Vec<Answer>, StoreError> {
        let connection = self.shared.live_connection()?;
        let answers = self.shared.bounded(async {
            let pipeline = connection.client().pipeline();
            for command in commands {
                let name = CustomCommand::new_static(command.name, ClusterHash::FirstKey, false);
                let () = pipeline.custom(name, command.arguments).await?;
            }
            pipeline.all::<Vec<Value>>().await
        });
        let answers = answers.await.map_err(|error| self.shared.failed(&error))?;
        Ok(answers.into_iter().map(Answer).collect())
    }

    /// A connection of one's own on which what is written can be confirmed by replicas.
    pub(crate) async fn own_line(&self) -> Result<Line<'_>, StoreError> {
        if self.shared.down.load(Ordering::Relaxed) {
            return Err(failure::known_down());
        }
        let settings = Settings {
            // The library gives up a little before this.
            wait: (self.shared.settings.wait + SLACK) * 2,
            ..self.shared.settings.clone()
        };
        match Connection::open(&settings).await {
            Ok((connection, ..)) => Ok(Line {
                shared: &self.shared,
                connection,
            }),
            Err(error) => Err(failure::not_connected(error)),
        }
    }

    /// How many replicas are to confirm a revocation.
    pub(crate) fn copies(&self) -> Option<u32> {
        self.shared.settings.copies
    }
}

/// A command of Redis.
pub(crate) struct Command {
    pub(crate) name: &'static str,
    pub(crate) arguments: Vec<Bytes>,
}

/// What a command was answered.
#[derive(Debug)]
pub(crate) struct Answer(Value);

impl Answer {
    /// Bytes, if there are any.
    pub(crate) fn bytes(self) -> Option<Bytes> {
        reply::bytes(self.0)
    }

    /// A list of bytes; nothing in place of what is not there.
    pub(crate) fn list(self) -> Vec<Option<Bytes>> {
        match self.0 {
            Value::Array(items) => items.into_iter().map(reply::bytes).collect(),
            _ => Vec::new(),
        }
    }

    /// Entries of a stream: the number of each, and its fields.
    pub(crate) fn entries(self) -> Vec<(Bytes, Vec<Bytes>)> {
        let Value::Array(items) = self.0 else {
            return Vec::new();
        };
        let entry = |item| {
            let Value::Array(parts) = item else {
                return None;
            };
            let mut parts = parts.into_iter();
            let number = reply::bytes(parts.next()?)?;
            let Value::Array(fields) = parts.next()? else {
                return None;
            };
            Some((
                number,
                fields.into_iter().filter_map(reply::bytes).collect(),
            ))
        };
        items.into_iter().filter_map(entry).collect()
    }
}

/// Redis looks ten times a second whose wait is over.
const SLACK: Duration = Duration::from_millis(250);

/// A connection that serves one caller alone. It closes when it is dropped.
pub(crate) struct Line<'d> {
    shared: &'d Shared,
    connection: Connection,
}

impl Line<'_> {
    /// As [`Driver::run`].
    pub(crate) async fn run(
        &self,
        script: &Script,
        keys: Vec<String>,
        arguments: Vec<Bytes>,
    ) -> Result<Reply, StoreError> {
        self.shared
            .run(&self.connection, script, keys, arguments)
            .await
    }

    /// How many replicas have what was written here, when `copies` do or the wait is over.
    pub(crate) async fn confirmed(&self, copies: u32) -> Result<u32, StoreError> {
        let wait = self.shared.settings.wait;
        let command = CustomCommand::new_static("WAIT", ClusterHash::FirstKey, true);
        let arguments = vec![copies.to_string(), wait.as_millis().to_string()];
        let confirmed = self.connection.client().custom(command, arguments);
        tokio::time::timeout(wait + SLACK, confirmed)
            .await
            .unwrap_or_else(|_| Err(Error::new(ErrorKind::Timeout, "no answer")))
            .map_err(|error| self.shared.failed(&error))
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.supervisor.abort();
    }
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver")
            .field("address", &self.shared.settings.address)
            .field("wait", &self.shared.settings.wait)
            .field("down", &self.shared.down.load(Ordering::Relaxed))
            .finish_non_exhaustive()
    }
}

impl Shared {
    fn connection(&self) -> Arc<Connection> {
        self.connection
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn swap_in(&self, connection: Connection) {
        *self
            .connection
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Arc::new(connection);
    }

    fn live_connection(&self) -> Result<Arc<Connection>, StoreError> {
        if self.down.load(Ordering::Relaxed) {
            return Err(failure::known_down());
        }
        Ok(self.connection())
    }

    async fn run(
        &self,
        connection: &Connection,
        script: &Script,
        keys: Vec<String>,
        arguments: Vec<Bytes>,
    ) -> Result<Reply, StoreError> {
        let client = connection.client();
        let sent = Instant::now();
        let keys: Vec<Key> = keys.into_iter().map(Key::from).collect();
        let value = self.bounded(async {
            let known =
                client.evalsha::<Value, _, _, _>(script.hash(), keys.clone(), arguments.clone());
            match known.await {
                // Boxed, so that what hardly ever happens takes no room in the future of what always does.
                Err(error) if failure::is(&error, "NOSCRIPT") => {
                    Box::pin(client.eval(script.source(), keys, arguments)).await
                }
                result => result,
            }
        });
        let value = value.await.map_err(|error| self.failed(&error))?;
        let (reply, server_ms) = Reply::read(value).ok_or_else(failure::unexpected_reply)?;
        self.clock.learn(sent, server_ms);
        Ok(reply)
    }

    /// The client library bounds single commands; this also bounds what it forgets, and two in a row.
    async fn bounded<T>(&self, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        tokio::time::timeout(self.settings.wait, work)
            .await
            .unwrap_or_else(|_| Err(Error::new(ErrorKind::Timeout, "no answer")))
    }

    fn failed(&self, error: &Error) -> StoreError {
        if failure::is_outage(error) {
            self.suspicion.notify_one();
        } else if failure::is(error, "READONLY") {
            self.demoted.store(true, Ordering::Relaxed);
            self.suspicion.notify_one();
        }
        failure::store_error(error)
    }
}
