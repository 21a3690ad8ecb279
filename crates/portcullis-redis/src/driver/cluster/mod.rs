//! A Redis Cluster: its nodes, and which node serves which slots.
//!
//! The client library's own support for clusters is not used. It waits for a node that hangs even
//! after the cluster has replaced it, and queries the slots once for each redirected command. Here
//! each primary has its own connection, clock and supervisor, as a single server has. So a failure
//! of one node does not affect the others.

mod discover;
mod map;
mod redirection;
mod refresh;
mod route;
mod state;
mod view;

use std::sync::Arc;

use bytes::Bytes;
use fred::{prelude::Value, util::redis_keyslot};
use portcullis_core::store::{ClockBounds, StoreError};
use rand::seq::IteratorRandom;
use tokio::{
    sync::Notify,
    task::{JoinHandle, JoinSet},
};

pub(super) use self::discover::discover;
use self::{
    redirection::Redirection,
    route::{Failed, PartAnswers},
    state::ClusterState,
    view::SLOTS,
};
use super::{
    answer::{self, Fetched},
    command::{AnswerSize, Command},
    connection::{Connection, Reconnect},
    failure,
    node::Node,
    reply::Reply,
    script::Script,
    settings::Settings,
    subscription::ChooseServer,
};
use crate::{ConnectError, endpoint::Endpoint};

/// A cluster whose map of slots is kept up to date until this is dropped.
pub(super) struct Cluster {
    state: Arc<ClusterState>,
    refresh: JoinHandle<()>,
}

impl Cluster {
    /// Discovers the cluster through any of these nodes. A primary that cannot be reached is
    /// connected to in the background. It is an error if a primary refuses, if sessions are not
    /// safe on one, or if none can be reached.
    pub(super) async fn connect(
        settings: Settings,
        seeds: &[Endpoint],
    ) -> Result<Self, ConnectError> {
        let view = discover(&settings, seeds).await?;
        if view.served() < SLOTS {
            tracing::warn!(
                address = %settings.address, served = view.served(), of = SLOTS,
                "a part of the Redis Cluster is served by no node; sessions there are not available"
            );
        }
        let topology_changed = Arc::new(Notify::new());
        let nodes = discover::connect_all(&settings, &view, &topology_changed).await?;
        let state = Arc::new(ClusterState::new(settings, view, nodes, topology_changed));
        let refresh = tokio::spawn(refresh::run(state.clone()));
        Ok(Self { state, refresh })
    }

    /// Bounds of all clocks: the earliest time of the slowest clock and the latest of the fastest.
    pub(super) fn clock(&self) -> Option<ClockBounds> {
        let map = self.state.map();
        let clocks = map.nodes().iter().filter_map(|node| node.state().clock());
        clocks.reduce(|one, other| ClockBounds {
            earliest: one.earliest.min(other.earliest),
            latest: one.latest.max(other.latest),
        })
    }

    /// The clock of the node that has this key.
    pub(super) fn clock_at(&self, key: &str) -> Option<ClockBounds> {
        let map = self.state.map();
        map.owner(redis_keyslot(key.as_bytes()))?.state().clock()
    }

    /// Whether the node that has this key has room for one more session without a user.
    pub(super) fn admits_visitor_at(&self, key: &str) -> bool {
        let map = self.state.map();
        let owner = map.owner(redis_keyslot(key.as_bytes()));
        owner.is_none_or(|node| node.state().admits_visitor())
    }

    /// The addresses of nodes that do not answer.
    pub(super) fn down(&self) -> Vec<String> {
        let map = self.state.map();
        let down = map.nodes().iter().filter(|node| node.state().is_down());
        down.map(|node| node.state().settings.address.to_string())
            .collect()
    }

    pub(super) async fn get(&self, key: String) -> Result<Fetched, StoreError> {
        let command = Command {
            name: "GET",
            arguments: vec![key.into()],
        };
        let executed = self.state.execute(&command, None, AnswerSize::Short);
        match executed.await {
            Ok(answered) => Ok(match answer::bytes(answered.value) {
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
        let executed = self.state.execute(&command, script, AnswerSize::Short);
        let answered = executed.await.map_err(Failed::error)?;
        let (reply, server_ms) =
            Reply::read(answered.value).ok_or_else(failure::unreadable_reply)?;
        answered.by.state().learn_time(answered.sent, server_ms);
        Ok(reply)
    }

    /// Sends several commands in one round trip to each node, to all nodes at once.
    pub(super) async fn send_all(
        &self,
        commands: Vec<Command>,
        size: AnswerSize,
    ) -> Vec<Result<Value, StoreError>> {
        let mut answers: Vec<_> = commands.iter().map(|_| Err(failure::unserved())).collect();
        let mut parts: JoinSet<PartAnswers> = JoinSet::new();
        for (node, part) in self.state.by_node(commands) {
            let state = self.state.clone();
            parts.spawn(async move { state.send_part(node, part, size).await });
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

    /// Subscribes to any node that has slots and answers, and stays with it: each node receives
    /// what is published on the others.
    pub(super) fn choose_server(&self) -> ChooseServer {
        let state = self.state.clone();
        Box::new(move |current| {
            let map = state.map();
            let up = map.nodes().iter().filter(|node| !node.state().is_down());
            let is_current =
                |node: &&Arc<Node>| current.is_some_and(|current| map::is_at(node, current));
            let kept = up.clone().find(is_current);
            let node = kept.or_else(|| up.choose(&mut rand::rng()))?;
            Some(node.state().settings.clone())
        })
    }

    /// Opens a connection for one caller, to the node that has this key. Reads the key first, to
    /// find out which node that is.
    pub(super) async fn open_dedicated(
        &self,
        key: String,
        settings: impl Fn(&Settings) -> Settings + Send + Sync,
    ) -> Result<(Arc<Node>, Connection), StoreError> {
        let mut node = self.state.owner(redis_keyslot(key.as_bytes()))?;
        for _ in 0..=route::REDIRECTIONS {
            let asked = node.state();
            if asked.is_down() {
                return Err(asked.down_error());
            }
            let opened = Connection::open(&settings(&asked.settings), Reconnect::Never).await;
            let (connection, ..) = opened.map_err(failure::not_connected)?;
            let probe = connection.send("GET", vec![key.clone().into()]).await;
            let failed = probe.err().map(|error| {
                let redirection = self.state.redirection(&error, asked);
                (error, redirection)
            });
            match failed {
                Some((_, Some(Redirection::Moved(endpoint)))) => {
                    node = self.state.node_at(&endpoint);
                    let connected = node.state().first_connected();
                    let _ = tokio::time::timeout(self.state.settings.wait, connected).await;
                }
                Some((error, Some(_))) => return Err(asked.failed(&error)),
                Some((error, None)) if failure::is_outage(&error) => {
                    return Err(asked.failed(&error));
                }
                // Any other answer comes from the node that has the key.
                _ => return Ok((node, connection)),
            }
        }
        Err(failure::moving())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.refresh.abort();
    }
}
