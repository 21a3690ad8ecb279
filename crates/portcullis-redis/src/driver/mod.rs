//! The connection to Redis. Nothing outside this module knows the client library.

mod codes;
mod connection;
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
use fred::prelude::{Error, ErrorKind, Key, KeysInterface, LuaInterface, Value};
use portcullis_core::{Timestamp, store::StoreError};
use tokio::{sync::Notify, task::JoinHandle};

use self::connection::Connection;
pub(crate) use self::{
    reply::Reply,
    script::{COMMIT, CREATE, END, REPLACE, SUPERSEDE, Script, TOUCH},
};
use crate::{ConnectError, address::Address, clock::ServerClock};

/// How to connect.
pub(crate) struct Settings {
    pub(crate) address: Address,
    pub(crate) wait: Duration,
    pub(crate) unsafe_eviction: bool,
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

    /// One `DEL`.
    pub(crate) async fn remove(&self, key: String) -> Result<(), StoreError> {
        let connection = self.shared.live_connection()?;
        let removed = self
            .shared
            .bounded(connection.client().del::<(), _>(key))
            .await;
        removed.map_err(|error| self.shared.failed(&error))
    }

    /// One script: `EVALSHA`, and `EVAL` if the server does not know it yet.
    pub(crate) async fn run(
        &self,
        script: &Script,
        keys: Vec<String>,
        arguments: Vec<Bytes>,
    ) -> Result<Reply, StoreError> {
        let connection = self.shared.live_connection()?;
        let client = connection.client();
        let sent = Instant::now();
        let keys: Vec<Key> = keys.into_iter().map(Key::from).collect();
        let value = self.shared.bounded(async {
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
        let value = value.await.map_err(|error| self.shared.failed(&error))?;
        let (reply, server_ms) = Reply::read(value).ok_or_else(failure::unexpected_reply)?;
        self.shared.clock.learn(sent, server_ms);
        Ok(reply)
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
