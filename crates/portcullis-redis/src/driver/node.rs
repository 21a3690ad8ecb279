//! One server: its connection, its clock, and who watches them.

use std::{
    future::Future,
    sync::{
        Arc, OnceLock, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use bytes::Bytes;
use fred::{
    prelude::{ClientLike, Error, ErrorKind, Key, LuaInterface, Value},
    types::{ClusterHash, CustomCommand},
};
use portcullis_core::store::{ClockBounds, StoreError};
use tokio::{
    runtime::Handle as Runtime,
    sync::{Notify, futures::Notified},
    task::JoinHandle,
};

use super::{
    Answers, Command, Fetched, Reply, Script, Settings,
    budget::Visitors,
    bulk::Bulk,
    connection::{Connection, Restored},
    failure, inspect, sentinel,
    subscription::Place,
    supervisor::{self, Watched},
};
use crate::{ConnectError, address::Layout, clock::ServerClock};

/// A connection that heals by itself, until it is dropped.
pub(super) struct Node {
    shared: Arc<Shared>,
    supervisor: JoinHandle<()>,
}

/// What a node and its supervisor share.
pub(super) struct Shared {
    pub(super) settings: Settings,
    /// Unknown until the server was there for the first time.
    clock: OnceLock<ServerClock>,
    connection: RwLock<Option<Arc<Connection>>>,
    /// For long answers.
    pub(super) bulk: Bulk,
    /// The runtime that everything of this node runs on, whoever uses it.
    runtime: Runtime,
    /// The server is known not to answer: fail at once instead of waiting once more.
    pub(super) down: AtomicBool,
    /// Nobody restores the connection any more: the runtime has ended.
    pub(super) unwatched: AtomicBool,
    /// Sessions without a user, and how much room there is for them.
    pub(super) visitors: Visitors,
    /// The server answers but takes no writes: it may have been demoted, and the address may lead to
    /// another one by now.
    pub(super) demoted: AtomicBool,
    /// Something went wrong: look now.
    pub(super) suspicion: Notify,
    /// It was down and is not any more.
    risen: Notify,
    /// Of a node of a cluster: where it was, another one may be by now.
    elsewhere: Option<Arc<Notify>>,
}

impl Node {
    /// The server at the address of these settings, which must be there and one that sessions are safe on.
    pub(super) async fn connect(
        settings: Settings,
        elsewhere: Option<Arc<Notify>>,
    ) -> Result<Self, ConnectError> {
        let shared = Shared::new(settings, elsewhere, Runtime::current());
        let (connection, sent, server_ms) = shared.open().await?;
        inspect::at_start(&connection, &shared.settings).await?;
        shared.put_up(connection, sent, server_ms);
        Ok(Self::watched(shared))
    }

    /// The same, but it may be there later. Until then it is down. It runs on `runtime`, whoever calls this.
    pub(super) fn start(
        settings: Settings,
        elsewhere: Option<Arc<Notify>>,
        runtime: Runtime,
    ) -> Self {
        Self::watched(Shared::new(settings, elsewhere, runtime))
    }

    fn watched(shared: Shared) -> Self {
        let shared = Arc::new(shared);
        let watched = Watched::new(shared.clone());
        let supervisor = shared
            .runtime
            .spawn(async move { supervisor::watch(&watched).await });
        Self { shared, supervisor }
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Where to listen: at the server that everything else goes to.
    pub(super) fn place(&self) -> Place {
        let shared = self.shared.clone();
        Box::new(move |_| shared.here().ok())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.supervisor.abort();
    }
}

impl Shared {
    fn new(settings: Settings, elsewhere: Option<Arc<Notify>>, runtime: Runtime) -> Self {
        Self {
            settings,
            clock: OnceLock::new(),
            connection: RwLock::new(None),
            bulk: Bulk::default(),
            runtime,
            down: AtomicBool::new(true),
            unwatched: AtomicBool::new(false),
            visitors: Visitors::default(),
            demoted: AtomicBool::new(false),
            suspicion: Notify::new(),
            risen: Notify::new(),
            elsewhere,
        }
    }

    /// A new connection to whichever server is the one by now.
    pub(super) async fn open(&self) -> Result<(Connection, Instant, u64), ConnectError> {
        match self.settings.address.layout() {
            Layout::Sentinel(sentinels) => sentinel::open(&self.settings, sentinels).await,
            _ => Connection::open(&self.settings, Restored::ByItself).await,
        }
    }

    /// The server's clock, if it is known.
    pub(super) fn clock(&self) -> Option<ClockBounds> {
        self.clock.get().map(ServerClock::now)
    }

    pub(super) fn learn(&self, sent: Instant, server_ms: u64) {
        self.clock
            .get_or_init(|| ServerClock::starting(sent, server_ms))
            .learn(sent, server_ms);
    }

    pub(super) fn connection(&self) -> Option<Arc<Connection>> {
        self.connection
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// From now on this is the connection.
    pub(super) fn put_up(&self, connection: Connection, sent: Instant, server_ms: u64) {
        self.learn(sent, server_ms);
        *self
            .connection
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(connection));
        // It may lead to another server.
        self.bulk.close();
        self.down.store(false, Ordering::Release);
        self.risen.notify_waiters();
    }

    pub(super) fn is_down(&self) -> bool {
        self.down.load(Ordering::Acquire)
    }

    pub(super) fn live_connection(&self) -> Result<Arc<Connection>, StoreError> {
        if self.is_down() {
            return Err(self.why_down());
        }
        self.connection().ok_or_else(failure::known_down)
    }

    /// What to tell whoever asks while it is down.
    pub(super) fn why_down(&self) -> StoreError {
        if self.unwatched.load(Ordering::Relaxed) {
            failure::unwatched()
        } else {
            failure::known_down()
        }
    }

    /// Whether there is room for one more session without a user.
    pub(super) fn admits_visitor(&self) -> bool {
        let (admitted, look) = self.visitors.admit();
        if look {
            self.suspicion.notify_one();
        }
        admitted
    }

    /// The connection for long answers, and whether it was opened for this call.
    pub(super) async fn bulk_connection(&self) -> Result<(Arc<Connection>, bool), StoreError> {
        let open = || {
            let settings = self.here()?;
            let by_sentinel = matches!(self.settings.address.layout(), Layout::Sentinel(_));
            Ok(async move {
                let (connection, ..) = if by_sentinel {
                    sentinel::open_primary(&settings).await?
                } else {
                    Connection::open(&settings, Restored::Never).await?
                };
                Ok(connection)
            })
        };
        // Also where there is one already: what is known to be down is not waited for.
        self.live_connection()?;
        self.bulk.connection(&self.runtime, open).await
    }

    /// How to connect once more to the server that everything else goes to. Where Sentinel is asked, it may be another one
    /// by the next time.
    pub(super) fn here(&self) -> Result<Settings, StoreError> {
        let connection = self.live_connection()?;
        Ok(match connection.endpoint() {
            Some(endpoint) => self.settings.at(endpoint),
            None => self.settings.clone(),
        })
    }

    /// Waits for a server that was not there yet. One that was there and is not any more is not waited for.
    pub(super) async fn ready(&self) {
        let risen: Notified<'_> = self.risen.notified();
        if self.clock.get().is_none() {
            risen.await;
        }
    }

    /// Says that another node may be where this one was.
    pub(super) fn suspect_elsewhere(&self) {
        if let Some(elsewhere) = &self.elsewhere {
            elsewhere.notify_one();
        }
    }

    /// What came of a `GET`. A single command is bounded by the client library's own timeout; a second timer would
    /// only cost, on the path that everybody takes.
    pub(super) fn fetched(
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

    /// One script: `EVALSHA`, and `EVAL` if the server does not know it yet.
    pub(super) async fn run(
        &self,
        connection: &Connection,
        script: &Script,
        keys: Vec<String>,
        arguments: Vec<Bytes>,
    ) -> Result<Reply, StoreError> {
        let client = connection.client();
        let sent = Instant::now();
        let keys: Vec<Key> = keys.into_iter().map(Key::from).collect();
        // The library's futures take 7 kB each, and as much again for every step of ours that one is handed through.
        let value = self.bounded(async {
            let known = Box::pin(client.evalsha(script.hash(), keys.clone(), arguments.clone()));
            match known.await {
                Err(error) if failure::is(&error, "NOSCRIPT") => {
                    Box::pin(client.eval(script.source(), keys, arguments)).await
                }
                result => result,
            }
        });
        let value = value.await.map_err(|error| self.failed(&error))?;
        let (reply, server_ms) = Reply::read(value).ok_or_else(failure::unexpected_reply)?;
        self.learn(sent, server_ms);
        Ok(reply)
    }

    /// Several commands in one round trip, each with its answer.
    pub(super) async fn ask(
        &self,
        commands: &[Command],
        answers: Answers,
    ) -> Result<Vec<Result<Value, Error>>, StoreError> {
        match answers {
            Answers::Short => {
                let connection = self.live_connection()?;
                let answers = self.bounded(ask_over(&connection, commands)).await;
                answers.map_err(|error| self.failed(&error))
            }
            Answers::Long => {
                let answers = self.ask_in_bulk(commands);
                let late = || Error::new(ErrorKind::Timeout, "no answer");
                tokio::time::timeout(self.settings.wait, answers)
                    .await
                    .unwrap_or_else(|_| Err(self.failed_alone(&late())))
            }
        }
    }

    /// What was closed since it was last used, as servers do with connections that are idle, is opened anew once more.
    /// Nobody is harmed by asking again: long answers are to questions, and to what can be done twice.
    async fn ask_in_bulk(
        &self,
        commands: &[Command],
    ) -> Result<Vec<Result<Value, Error>>, StoreError> {
        loop {
            let (connection, is_new) = self.bulk_connection().await?;
            match ask_over(&connection, commands).await {
                Ok(answers) => return Ok(answers),
                Err(error) => {
                    self.bulk.discard(&connection);
                    if is_new || *error.kind() == ErrorKind::Timeout {
                        return Err(self.failed_alone(&error));
                    }
                }
            }
        }
    }

    /// The client library bounds single commands; this also bounds what it forgets, and two in a row.
    pub(super) async fn bounded<T>(
        &self,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        tokio::time::timeout(self.settings.wait, work)
            .await
            .unwrap_or_else(|_| Err(Error::new(ErrorKind::Timeout, "no answer")))
    }

    /// The connection for long answers failed. Whether the server is down, the other one tells: look now.
    fn failed_alone(&self, error: &Error) -> StoreError {
        self.suspicion.notify_one();
        failure::store_error(error)
    }

    pub(super) fn failed(&self, error: &Error) -> StoreError {
        if failure::is_outage(error) {
            self.suspicion.notify_one();
            self.suspect_elsewhere();
        } else if self.elsewhere.is_some() && failure::is_redirection(error) {
            self.suspect_elsewhere();
            return failure::moving();
        } else if failure::is(error, "READONLY") {
            self.demoted.store(true, Ordering::Relaxed);
            self.suspicion.notify_one();
        }
        failure::store_error(error)
    }
}

/// Several commands in one round trip over this connection. One error for all of them if it breaks.
async fn ask_over(
    connection: &Connection,
    commands: &[Command],
) -> Result<Vec<Result<Value, Error>>, Error> {
    let pipeline = connection.client().pipeline();
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
        match command.forgive(answer) {
            Err(error) if failure::is_outage(&error) => return Err(error),
            answer => answered.push(answer),
        }
    }
    Ok(answered)
}
