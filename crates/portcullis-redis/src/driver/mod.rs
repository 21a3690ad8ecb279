//! The connection to Redis. Nothing outside this module knows the client library.

mod backoff;
mod budget;
mod bulk;
mod cluster;
mod codes;
mod connection;
mod examine;
mod failure;
mod inspect;
mod node;
mod reply;
mod script;
mod sentinel;
mod still_clock;
mod subscription;
mod supervisor;
#[cfg(feature = "tls")]
mod tls;

use std::{fmt, future::Future, pin::Pin, sync::Arc, time::Duration};

use bytes::Bytes;
use fred::{
    prelude::{Error, ErrorKind, FromValue, KeysInterface, Value},
    util::redis_keyslot,
};
use portcullis_core::{
    Timestamp,
    store::{ClockBounds, Hint, StoreError},
};

pub(crate) use self::{
    budget::FOR_VISITORS,
    examine::examine,
    failure::is_forbidden,
    reply::{Over, Reply, out_of_place},
    script::{
        COMMIT, COUNT, CREATE, END, EXPIRE_DUE, FIND_UNLISTED, OBSERVE, OVERDUE, REGISTER, REPLACE,
        REVOKE, SET_MARKER, SUPERSEDE, Script, TOUCH,
    },
};
use self::{
    cluster::Cluster,
    connection::{Connection, Restored},
    node::{Node, Shared},
    still_clock::StillClock,
    subscription::Subscriptions,
};
use crate::{
    ConnectError,
    address::{Address, Layout},
    endpoint::Endpoint,
};

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

/// Of a probe, at least.
const ANSWER: Duration = Duration::from_millis(250);

impl Settings {
    /// How long a server may take to answer a probe. After two without an answer it is taken to be down: when it has been
    /// silent for as long as an operation waits, and for half a second at least.
    fn answer(&self) -> Duration {
        ANSWER.max(self.wait / 2)
    }

    /// How long one command may take at least until its caller gives up. The client library does so a little before the
    /// driver does: then it knows, and does not send later what nobody waits for.
    fn give_up_after(&self) -> Duration {
        self.wait - self.wait / 20
    }

    /// For one of the servers of the address.
    fn at(&self, endpoint: &Endpoint) -> Self {
        Self {
            address: self.address.at(endpoint),
            ..self.clone()
        }
    }
}

/// What a `GET` found.
#[derive(Debug)]
pub(crate) enum Fetched {
    Value(Bytes),
    Nothing,
    /// A value of another type than string.
    OtherType,
}

/// The way to whatever keeps the sessions, until it is dropped.
pub(crate) struct Driver {
    way: Way,
    settings: Settings,
    subscriptions: Subscriptions,
}

enum Way {
    /// To one server, or to whichever one Sentinel names.
    Node(Node),
    Cluster(Cluster),
}

impl Driver {
    pub(crate) async fn connect(settings: Settings) -> Result<Self, ConnectError> {
        let _still = StillClock::hold();
        let way = match settings.address.layout() {
            Layout::Cluster(seeds) => {
                Way::Cluster(boxed(Cluster::connect(settings.clone(), seeds)).await?)
            }
            _ => Way::Node(boxed(Node::connect(settings.clone(), None)).await?),
        };
        Ok(Self {
            way,
            settings,
            subscriptions: Subscriptions::new(),
        })
    }

    /// The server's clock. In a cluster, which has several, no clock of a node is outside of these bounds: no session
    /// lives too long by the latest, and no sign-in looks younger than it is by the earliest.
    pub(crate) fn clock(&self) -> ClockBounds {
        let clock = match &self.way {
            Way::Node(node) => node.shared().clock(),
            Way::Cluster(cluster) => cluster.clock(),
        };
        clock.unwrap_or(ClockBounds::exactly(Timestamp::from_millis(0)))
    }

    /// The clock by which what is stored under this key ends.
    pub(crate) fn clock_at(&self, key: impl FnOnce() -> String) -> ClockBounds {
        match &self.way {
            Way::Node(_) => self.clock(),
            Way::Cluster(cluster) => cluster.clock_at(&key()).unwrap_or_else(|| self.clock()),
        }
    }

    /// How long one operation may take.
    pub(crate) fn wait(&self) -> Duration {
        self.settings.wait
    }

    /// For how long whoever asks now is sure to wait for the answer. A little later some have given up already.
    pub(crate) fn give_up_after(&self) -> Duration {
        self.settings.give_up_after()
    }

    /// One `GET`.
    pub(crate) async fn get(&self, key: String) -> Result<Fetched, StoreError> {
        let _still = StillClock::hold();
        match &self.way {
            Way::Node(node) => {
                // In place: this is what there is most of, and the deepest that applications wrap.
                let connection = node.shared().live_connection()?;
                let fetched = connection.client().get::<Option<Bytes>, _>(key).await;
                node.shared().fetched(fetched)
            }
            Way::Cluster(cluster) => boxed(cluster.get(key)).await,
        }
    }

    /// One script: `EVALSHA`, and `EVAL` if the server does not know it yet.
    pub(crate) async fn run(
        &self,
        script: &Script,
        keys: Vec<String>,
        arguments: Vec<Bytes>,
    ) -> Result<Reply, StoreError> {
        let _still = StillClock::hold();
        match &self.way {
            Way::Node(node) => {
                let connection = node.shared().live_connection()?;
                let shared = node.shared();
                shared.run(&connection, script, keys, arguments).await
            }
            Way::Cluster(cluster) => boxed(cluster.run(script, keys, arguments)).await,
        }
    }

    /// Whether the server that has this key has room for one more session without a user. Where too much of its memory is
    /// used it has not, for what is left is kept for sign-ins.
    pub(crate) fn admits_visitor_at(&self, key: impl FnOnce() -> String) -> bool {
        match &self.way {
            Way::Node(node) => node.shared().admits_visitor(),
            Way::Cluster(cluster) => cluster.admits_visitor_at(&key()),
        }
    }

    /// Several commands in one round trip, each with its answer; in a cluster in one to each node.
    pub(crate) async fn ask(&self, commands: Vec<Command>) -> Result<Vec<Answer>, StoreError> {
        let answers = self.ask_all(commands, Answers::Short).await;
        answers.into_iter().collect()
    }

    /// The same where answers may be long. They come over a second connection, and nothing else waits behind them. What is
    /// asked may be asked twice.
    pub(crate) async fn ask_long(&self, commands: Vec<Command>) -> Result<Vec<Answer>, StoreError> {
        self.ask_each_long(commands).await.into_iter().collect()
    }

    /// The same where one may fail and others not.
    pub(crate) async fn ask_each_long(
        &self,
        commands: Vec<Command>,
    ) -> Vec<Result<Answer, StoreError>> {
        self.ask_all(commands, Answers::Long).await
    }

    async fn ask_all(
        &self,
        commands: Vec<Command>,
        answers: Answers,
    ) -> Vec<Result<Answer, StoreError>> {
        let _still = StillClock::hold();
        let answers = match &self.way {
            Way::Node(node) => {
                let shared = node.shared();
                let failed = |error| shared.failed(&error);
                match boxed(shared.ask(&commands, answers)).await {
                    Ok(answers) => answers
                        .into_iter()
                        .map(|answer| answer.map_err(failed))
                        .collect(),
                    Err(error) => commands
                        .iter()
                        .map(|_| Err(failure::again(&error)))
                        .collect(),
                }
            }
            Way::Cluster(cluster) => boxed(cluster.ask(commands, answers)).await,
        };
        answers
            .into_iter()
            .map(|answer: Result<_, _>| answer.map(Answer))
            .collect()
    }

    /// A connection of one's own, to the server that has this key, on which what is written can be confirmed by
    /// replicas.
    pub(crate) async fn own_line(&self, key: String) -> Result<Line, StoreError> {
        let _still = StillClock::hold();
        let patient = |settings: &Settings| Settings {
            // The library gives up a little before this.
            wait: (settings.wait + SLACK) * 2,
            ..settings.clone()
        };
        let (shared, connection) = match &self.way {
            Way::Node(node) => {
                let shared = node.shared();
                let settings = patient(&shared.here()?);
                let opened = boxed(Connection::open(&settings, Restored::Never)).await;
                let (connection, ..) = opened.map_err(failure::not_connected)?;
                (shared.clone(), connection)
            }
            Way::Cluster(cluster) => {
                let (node, connection) = boxed(cluster.own_line(key, patient)).await?;
                (node.shared().clone(), connection)
            }
        };
        Ok(Line { shared, connection })
    }

    /// Tells of what scripts publish on this channel, until it is dropped.
    pub(crate) async fn listen(&self, channel: String, told: &(dyn Fn(Hint) + Send + Sync)) {
        let place = || match &self.way {
            Way::Node(node) => node.place(),
            // Any node: each hears what is published on any other.
            Way::Cluster(cluster) => cluster.place(),
        };
        self.subscriptions.listen(&channel, place, told).await;
    }

    /// How many replicas are to confirm a revocation.
    pub(crate) fn copies(&self) -> Option<u32> {
        self.settings.copies
    }
}

/// Takes no room in the future of whoever waits, and the compiler need not look inside: what applications put around
/// it is deep already. Not for the one `GET` that everybody takes.
fn boxed<'f, T>(
    future: impl Future<Output = T> + Send + 'f,
) -> Pin<Box<dyn Future<Output = T> + Send + 'f>> {
    Box::pin(future)
}

/// How long answers may be, which decides over which connection they come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answers {
    Short,
    Long,
}

/// A command of Redis.
pub(crate) struct Command {
    pub(crate) name: &'static str,
    pub(crate) arguments: Vec<Bytes>,
}

impl Command {
    /// That of its key. Of several keys all have the same.
    fn slot(&self) -> u16 {
        let scripts = ["EVALSHA", "EVAL"].contains(&self.name);
        // The script and the number of keys come first.
        let key = self.arguments.get(if scripts { 2 } else { 0 });
        redis_keyslot(key.map(AsRef::as_ref).unwrap_or_default())
    }

    /// To a question for parts of records, a value of another type is no record and no failure. `GETRANGE` refuses one.
    fn forgive(&self, answer: Result<Value, Error>) -> Result<Value, Error> {
        match answer {
            Err(error) if self.name == "GETRANGE" && failure::is(&error, "WRONGTYPE") => {
                Ok(Value::Null)
            }
            answer => answer,
        }
    }

    /// With the script itself in place of its hash.
    fn in_full(&self, script: &Script) -> Self {
        let mut arguments = self.arguments.clone();
        if let Some(first) = arguments.first_mut() {
            *first = Bytes::from_static(script.source().as_bytes());
        }
        Self {
            name: "EVAL",
            arguments,
        }
    }
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

    /// The fields of a hash, each with its value, in either version of the protocol.
    pub(crate) fn pairs(self) -> Vec<(Bytes, Bytes)> {
        let mut parts = match self.0 {
            Value::Map(map) => {
                let fields = map.inner().into_iter();
                let pairs = fields.map(|(field, value)| {
                    let field = Bytes::copy_from_slice(field.as_bytes());
                    Some((field, reply::bytes(value)?))
                });
                return pairs.flatten().collect();
            }
            Value::Array(items) => items.into_iter().filter_map(reply::bytes),
            _ => return Vec::new(),
        };
        let mut pairs = Vec::new();
        while let (Some(field), Some(value)) = (parts.next(), parts.next()) {
            pairs.push((field, value));
        }
        pairs
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
pub(crate) struct Line {
    shared: Arc<Shared>,
    connection: Connection,
}

impl Line {
    /// As [`Driver::run`]. A slot that moves away meanwhile is an error: what was written before would not be
    /// confirmed by where it is then.
    pub(crate) async fn run(
        &self,
        script: &Script,
        keys: Vec<String>,
        arguments: Vec<Bytes>,
    ) -> Result<Reply, StoreError> {
        let _still = StillClock::hold();
        self.shared
            .run(&self.connection, script, keys, arguments)
            .await
    }

    /// How many replicas have what was written here, when `copies` do or the wait is over.
    pub(crate) async fn confirmed(&self, copies: u32) -> Result<u32, StoreError> {
        let _still = StillClock::hold();
        let wait = self.shared.settings.wait;
        let arguments = [copies.to_string(), wait.as_millis().to_string()].map(Bytes::from);
        let confirmed = self.connection.send("WAIT", arguments.into());
        tokio::time::timeout(wait + SLACK, confirmed)
            .await
            .unwrap_or_else(|_| Err(Error::new(ErrorKind::Timeout, "no answer")))
            .and_then(u32::from_value)
            .map_err(|error| self.shared.failed(&error))
    }
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Driver");
        shown
            .field("address", &self.settings.address)
            .field("wait", &self.settings.wait);
        match &self.way {
            Way::Node(node) => shown.field("down", &node.shared().is_down()),
            Way::Cluster(cluster) => shown.field("down", &cluster.down()),
        };
        shown.finish_non_exhaustive()
    }
}
