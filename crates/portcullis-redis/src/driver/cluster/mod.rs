//! A Redis Cluster: its nodes, and which of them has what.
//!
//! The client library's own support for clusters is not used: it waits for a node that hangs while the others have
//! long replaced it, and asks for the slots once for each command that was sent away. Here each primary has a
//! connection, a clock and a supervisor of its own, as a single server has, and what one of them does is no matter to
//! the others.

mod keeper;
mod map;
mod redirection;
mod view;

use std::{
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::{Duration, Instant},
};

use bytes::Bytes;
use fred::{
    prelude::{Error, ErrorKind, Value},
    util::redis_keyslot,
};
use portcullis_core::store::{ClockBounds, StoreError};
use rand::seq::IteratorRandom;
use tokio::{
    runtime::Handle as Runtime,
    sync::Notify,
    task::{JoinHandle, JoinSet},
};

pub(super) use self::view::{SLOTS, View};
use self::{map::Map, redirection::Redirection};
use super::{
    Answers, Command, Fetched, Reply, Script, Settings,
    connection::{Connection, Restored},
    failure,
    node::{Node, Shared},
    reply,
    subscription::Place,
};
use crate::{ConnectError, endpoint::Endpoint};

/// How often a command is sent on to another node.
const REDIRECTIONS: usize = 5;

/// Before a command is tried again whose keys are being moved.
const PAUSE: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(40));

/// A cluster that is kept up with, until it is dropped.
pub(super) struct Cluster {
    inner: Arc<Inner>,
    keeper: JoinHandle<()>,
}

/// What the cluster and its keeper share.
struct Inner {
    settings: Settings,
    map: RwLock<Arc<Map>>,
    /// Nodes that somebody was sent to and that have no slots yet, each with when that was last.
    guests: Mutex<Vec<(Arc<Node>, Instant)>>,
    /// The map may be out of date: look now.
    outdated: Arc<Notify>,
    /// Of whoever connected. Nodes that turn up later are watched there too.
    runtime: Runtime,
}

/// Commands for one node, each with its place among all that were asked.
type Part = Vec<(usize, Command)>;

/// Their answers.
type PartAnswers = Vec<(usize, Result<Value, StoreError>)>;

/// What a node answered.
struct Answered {
    value: Value,
    by: Arc<Node>,
    sent: Instant,
}

impl Cluster {
    /// Finds the cluster through any of these nodes. A primary that cannot be reached is waited for in the
    /// background; one that refuses, or that sessions are not safe on, is an error, and so is none.
    pub(super) async fn connect(
        settings: Settings,
        seeds: &[Endpoint],
    ) -> Result<Self, ConnectError> {
        let view = look(&settings, seeds).await?;
        if view.served() < SLOTS {
            tracing::warn!(
                address = %settings.address, served = view.served(), of = SLOTS,
                "a part of the Redis Cluster is served by no node; sessions there are not available"
            );
        }
        let outdated = Arc::new(Notify::new());
        let nodes = connect_all(&settings, &view, &outdated).await?;
        let inner = Arc::new(Inner {
            map: RwLock::new(Arc::new(Map::new(view, nodes))),
            settings,
            guests: Mutex::default(),
            outdated,
            runtime: Runtime::current(),
        });
        let keeper = tokio::spawn(keeper::keep(inner.clone()));
        Ok(Self { inner, keeper })
    }

    /// What the clock that is behind all others shows at the earliest, and at the latest the one that is ahead of all.
    pub(super) fn clock(&self) -> Option<ClockBounds> {
        let map = self.inner.map();
        let clocks = map.nodes().iter().filter_map(|node| node.shared().clock());
        clocks.reduce(|one, other| ClockBounds {
            earliest: one.earliest.min(other.earliest),
            latest: one.latest.max(other.latest),
        })
    }

    /// The clock of the node that has this key.
    pub(super) fn clock_at(&self, key: &str) -> Option<ClockBounds> {
        let map = self.inner.map();
        map.owner(redis_keyslot(key.as_bytes()))?.shared().clock()
    }

    /// Whether the node that has this key has room for one more session without a user.
    pub(super) fn admits_visitor_at(&self, key: &str) -> bool {
        let map = self.inner.map();
        let owner = map.owner(redis_keyslot(key.as_bytes()));
        owner.is_none_or(|node| node.shared().admits_visitor())
    }

    /// The addresses of nodes that do not answer.
    pub(super) fn down(&self) -> Vec<String> {
        let map = self.inner.map();
        let down = map.nodes().iter().filter(|node| node.shared().is_down());
        down.map(|node| node.shared().settings.address.to_string())
            .collect()
    }

    pub(super) async fn get(&self, key: String) -> Result<Fetched, StoreError> {
        let command = Command {
            name: "GET",
            arguments: vec![key.into()],
        };
        match self.inner.carry_out(&command, None, Answers::Short).await {
            Ok(answered) => Ok(match reply::bytes(answered.value) {
                Some(value) => Fetched::Value(value),
                None => Fetched::Nothing,
            }),
            Err(Failed::WrongType) => Ok(Fetched::OtherType),
            Err(Failed::Other(error)) => Err(error),
        }
    }

    pub(super) async fn run(
        &self,
        script: &Script,
        keys: Vec<String>,
        arguments: Vec<Bytes>,
    ) -> Result<Reply, StoreError> {
        let mut all = vec![
            Bytes::copy_from_slice(script.hash().as_bytes()),
            keys.len().to_string().into(),
        ];
        all.extend(keys.into_iter().map(Bytes::from));
        all.extend(arguments);
        let command = Command {
            name: "EVALSHA",
            arguments: all,
        };
        let script = Some(script);
        let answered = self.inner.carry_out(&command, script, Answers::Short).await;
        let answered = answered.map_err(Failed::error)?;
        let (reply, server_ms) =
            Reply::read(answered.value).ok_or_else(failure::unexpected_reply)?;
        answered.by.shared().learn(answered.sent, server_ms);
        Ok(reply)
    }

    /// Several commands in one round trip to each node, all nodes at once.
    pub(super) async fn ask(
        &self,
        commands: Vec<Command>,
        length: Answers,
    ) -> Vec<Result<Value, StoreError>> {
        let mut answers: Vec<_> = commands.iter().map(|_| Err(failure::unserved())).collect();
        let mut parts: JoinSet<PartAnswers> = JoinSet::new();
        for (node, part) in self.inner.by_node(commands) {
            let inner = self.inner.clone();
            parts.spawn(async move { inner.ask_one(node, part, length).await });
        }
        while let Some(part) = parts.join_next().await {
            for (place, answer) in part.unwrap_or_default() {
                if let Some(slot) = answers.get_mut(place) {
                    *slot = answer;
                }
            }
        }
        answers
    }

    /// Where to listen: at any node that has slots and answers, and always the same one.
    pub(super) fn place(&self) -> Place {
        let inner = self.inner.clone();
        Box::new(move |now| {
            let map = inner.map();
            let up = map.nodes().iter().filter(|node| !node.shared().is_down());
            let is_now = |node: &&Arc<Node>| now.is_some_and(|now| map::is_at(node, now));
            let kept = up.clone().find(is_now);
            let node = kept.or_else(|| up.choose(&mut rand::rng()))?;
            Some(node.shared().settings.clone())
        })
    }

    /// A connection of one's own to the node that has this key, which it is asked for.
    pub(super) async fn own_line(
        &self,
        key: String,
        settings: impl Fn(&Settings) -> Settings + Send + Sync,
    ) -> Result<(Arc<Node>, Connection), StoreError> {
        let mut node = self.inner.owner(redis_keyslot(key.as_bytes()))?;
        for _ in 0..=REDIRECTIONS {
            let shared = node.shared();
            if shared.is_down() {
                return Err(shared.why_down());
            }
            let opened = Connection::open(&settings(&shared.settings), Restored::Never).await;
            let (connection, ..) = opened.map_err(failure::not_connected)?;
            let probe = connection.send("GET", vec![key.clone().into()]).await;
            let sent_away = probe.err().map(|error| {
                let redirection = self.inner.redirection(&error, shared);
                (error, redirection)
            });
            match sent_away {
                Some((_, Some(Redirection::Moved(endpoint)))) => {
                    node = self.inner.node_at(&endpoint);
                    let ready = node.shared().ready();
                    let _ = tokio::time::timeout(self.inner.settings.wait, ready).await;
                }
                Some((error, Some(_))) => return Err(shared.failed(&error)),
                // Any other answer is one of the node that has the key.
                Some((error, None)) if failure::is_outage(&error) => {
                    return Err(shared.failed(&error));
                }
                _ => return Ok((node, connection)),
            }
        }
        Err(failure::moving())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

/// Why a command came to nothing.
enum Failed {
    WrongType,
    Other(StoreError),
}

impl Failed {
    fn error(self) -> StoreError {
        match self {
            Self::WrongType => {
                failure::store_error(&Error::new(ErrorKind::InvalidArgument, "WRONGTYPE"))
            }
            Self::Other(error) => error,
        }
    }
}

impl Inner {
    fn map(&self) -> Arc<Map> {
        self.map
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn owner(&self, slot: u16) -> Result<Arc<Node>, StoreError> {
        self.map().owner(slot).cloned().ok_or_else(|| {
            self.outdated.notify_one();
            failure::unserved()
        })
    }

    /// The node at this address. Where nobody knows of one, it is connected to.
    fn node_at(&self, endpoint: &Endpoint) -> Arc<Node> {
        if let Some(node) = self.map().at(endpoint) {
            return node.clone();
        }
        let mut guests = self.guests.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let known = |(node, _): &&mut (Arc<Node>, Instant)| map::is_at(node, endpoint);
        if let Some((node, asked)) = guests.iter_mut().find(known) {
            *asked = now;
            return node.clone();
        }
        let node = Arc::new(self.start(endpoint));
        guests.push((node.clone(), now));
        node
    }

    fn start(&self, endpoint: &Endpoint) -> Node {
        let runtime = self.runtime.clone();
        Node::start(
            self.settings.at(endpoint),
            Some(self.outdated.clone()),
            runtime,
        )
    }

    /// Commands by the node that has their keys, each with its place. Those of nobody are left out.
    fn by_node(&self, commands: Vec<Command>) -> Vec<(Arc<Node>, Part)> {
        let map = self.map();
        let mut parts: Vec<(Arc<Node>, Part)> = Vec::new();
        for (place, command) in commands.into_iter().enumerate() {
            let Some(node) = map.owner(command.slot()) else {
                self.outdated.notify_one();
                continue;
            };
            match parts.iter_mut().find(|(other, _)| Arc::ptr_eq(other, node)) {
                Some((_, part)) => part.push((place, command)),
                None => parts.push((node.clone(), vec![(place, command)])),
            }
        }
        parts
    }

    /// What is sent away is asked for again, one by one, and all of it within the wait.
    async fn ask_one(&self, node: Arc<Node>, part: Part, length: Answers) -> PartAnswers {
        let shared = node.shared();
        let (places, commands): (Vec<_>, Vec<_>) = part.into_iter().unzip();
        let answers = match shared.ask(&commands, length).await {
            Ok(answers) => answers,
            Err(error) => return everywhere(places, &error),
        };
        let over = tokio::time::Instant::now() + self.settings.wait;
        let mut told = Vec::with_capacity(places.len());
        for ((place, command), answer) in places.into_iter().zip(&commands).zip(answers) {
            let answer = match answer {
                Ok(value) => Ok(value),
                Err(error) if self.redirection(&error, shared).is_some() => {
                    let again = self.carry_out(command, None, length);
                    let again = tokio::time::timeout_at(over, again);
                    match again.await {
                        Ok(Ok(answered)) => Ok(answered.value),
                        Ok(Err(failed)) => Err(failed.error()),
                        Err(_) => Err(failure::moving()),
                    }
                }
                Err(error) => Err(shared.failed(&error)),
            };
            told.push((place, answer));
        }
        told
    }

    /// Where this error sends somebody who asked this node. The map is out of date then.
    fn redirection(&self, error: &Error, asked: &Shared) -> Option<Redirection> {
        let redirection = Redirection::of(error, asked.settings.address.endpoint()?)?;
        if matches!(redirection, Redirection::Moved(_)) {
            self.outdated.notify_one();
        }
        Some(redirection)
    }

    /// One command, by the node that has its key, within the wait. It is sent again only where the answer
    /// was that nothing was done.
    async fn carry_out(
        &self,
        command: &Command,
        script: Option<&Script>,
        length: Answers,
    ) -> Result<Answered, Failed> {
        let mut node = self.owner(command.slot()).map_err(Failed::Other)?;
        let followed = self.follow(&mut node, command, script, length);
        match tokio::time::timeout(self.settings.wait, followed).await {
            Ok(Ok((value, sent))) => Ok(Answered {
                value,
                by: node,
                sent,
            }),
            Ok(Err(failed)) => Err(failed),
            Err(_) => {
                let error = Error::new(ErrorKind::Timeout, "no answer");
                Err(Failed::Other(node.shared().failed(&error)))
            }
        }
    }

    async fn follow(
        &self,
        node: &mut Arc<Node>,
        command: &Command,
        script: Option<&Script>,
        length: Answers,
    ) -> Result<(Value, Instant), Failed> {
        let (mut redirections, mut asking) = (0, false);
        let (mut pause, longest) = PAUSE;
        let mut whole = None;
        loop {
            let shared = node.shared();
            let connection = match length {
                Answers::Short => shared.live_connection(),
                Answers::Long => Box::pin(shared.bulk_connection()).await.map(|(it, _)| it),
            };
            let connection = connection.map_err(Failed::Other)?;
            let Command { name, arguments } = whole.as_ref().unwrap_or(command);
            let sent = Instant::now();
            let answer = if asking {
                Box::pin(connection.send_asking(name, arguments.clone())).await
            } else {
                connection.send(name, arguments.clone()).await
            };
            let error = match command.forgive(answer) {
                Ok(value) => return Ok((value, sent)),
                Err(error) => error,
            };
            if let (Some(script), true) = (script, failure::is(&error, "NOSCRIPT"))
                && whole.is_none()
            {
                whole = Some(command.in_full(script));
                continue;
            }
            if failure::is(&error, "WRONGTYPE") {
                return Err(Failed::WrongType);
            }
            let Some(redirection) = self.redirection(&error, shared) else {
                return Err(Failed::Other(shared.failed(&error)));
            };
            redirections += 1;
            match redirection {
                Redirection::Moved(endpoint) | Redirection::Ask(endpoint)
                    if redirections > REDIRECTIONS =>
                {
                    tracing::debug!(%endpoint, "one redirection too many");
                    return Err(Failed::Other(failure::moving()));
                }
                Redirection::Moved(endpoint) => (*node, asking) = (self.node_at(&endpoint), false),
                Redirection::Ask(endpoint) => (*node, asking) = (self.node_at(&endpoint), true),
                // Until the wait is over: a slot moves key by key.
                Redirection::TryAgain => {
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(longest);
                    redirections = 0;
                    (*node, asking) = (self.owner(command.slot()).map_err(Failed::Other)?, false);
                }
            }
            node.shared().ready().await;
        }
    }
}

/// The same error for each of them.
fn everywhere(places: Vec<usize>, error: &StoreError) -> PartAnswers {
    let again = |place| (place, Err(failure::again(error)));
    places.into_iter().map(again).collect()
}

/// What the first of these nodes that answers sees.
pub(super) async fn look(
    settings: &Settings,
    endpoints: &[Endpoint],
) -> Result<View, ConnectError> {
    let mut failed = None;
    for endpoint in endpoints {
        match look_through(&settings.at(endpoint), endpoint).await {
            Ok(view) => return Ok(view),
            Err(error) => failed = Some(error),
        }
    }
    Err(failed.unwrap_or(ConnectError::Address("it names no host")))
}

async fn look_through(settings: &Settings, endpoint: &Endpoint) -> Result<View, ConnectError> {
    let (connection, ..) = Connection::open(settings, Restored::Never).await?;
    let unusable = |reason: &str| ConnectError::Cluster {
        address: endpoint.to_string(),
        reason: reason.to_owned(),
    };
    match view_of(&connection, endpoint).await {
        Ok(Some(view)) if !view.ranges().is_empty() => Ok(view),
        Ok(_) => Err(unusable("it has no slots yet; wait until it is formed")),
        Err(error) if failure::is(&error, "ERR") => Err(unusable(
            "it is a single server; write redis:// in the address",
        )),
        Err(error) => Err(failure::connect_error(&settings.address, &error)),
    }
}

/// What this node sees, if it can be read.
async fn view_of(connection: &Connection, endpoint: &Endpoint) -> Result<Option<View>, Error> {
    let slots = vec![Bytes::from_static(b"SLOTS")];
    let value = connection.send("CLUSTER", slots).await?;
    Ok(View::read(value, endpoint))
}

async fn connect_all(
    settings: &Settings,
    view: &View,
    outdated: &Arc<Notify>,
) -> Result<Vec<Arc<Node>>, ConnectError> {
    let mut opening = JoinSet::new();
    for endpoint in view.primaries() {
        let (settings, outdated) = (settings.at(&endpoint), outdated.clone());
        opening.spawn(async move {
            match Node::connect(settings.clone(), Some(outdated.clone())).await {
                Err(error @ ConnectError::Unreachable { .. }) => {
                    let node = Node::start(settings, Some(outdated), Runtime::current());
                    (Ok(node), Some(error))
                }
                connected => (connected, None),
            }
        });
    }
    let (mut nodes, mut away) = (Vec::new(), None);
    while let Some(opened) = opening.join_next().await {
        // It does not panic; should it, the node is started by the keeper.
        let Ok((node, unreachable)) = opened else {
            continue;
        };
        nodes.push(Arc::new(node?));
        if let Some(error) = unreachable {
            tracing::error!(%error, "a part of the Redis Cluster is away; sessions there are not available");
            away = Some(error);
        }
    }
    match away {
        Some(error) if nodes.iter().all(|node| node.shared().is_down()) => Err(error),
        _ => Ok(nodes),
    }
}
