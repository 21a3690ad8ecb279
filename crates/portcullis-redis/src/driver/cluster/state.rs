//! What a cluster and the task that refreshes it share.

use std::{
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Instant,
};

use fred::prelude::Error;
use portcullis_core::store::StoreError;
use tokio::{runtime::Handle as Runtime, sync::Notify};

use super::{
    map::{self, Map},
    redirection::Redirection,
    view::View,
};
use crate::{
    driver::{
        failure,
        node::{Node, NodeState},
        settings::Settings,
    },
    endpoint::Endpoint,
};

/// The current map of a cluster, and the nodes that are not in it yet.
pub(super) struct ClusterState {
    pub(super) settings: Settings,
    pub(super) map: RwLock<Arc<Map>>,
    /// Nodes that a redirection named and that have no slots in the map yet, each with the moment
    /// of its last use.
    pub(super) unmapped: Mutex<Vec<(Arc<Node>, Instant)>>,
    /// The map may be out of date and must be refreshed now.
    pub(super) topology_changed: Arc<Notify>,
    /// The runtime that the store was connected on. Nodes found later are supervised there too.
    runtime: Runtime,
}

impl ClusterState {
    pub(super) fn new(
        settings: Settings,
        view: View,
        nodes: Vec<Arc<Node>>,
        topology_changed: Arc<Notify>,
    ) -> Self {
        Self {
            settings,
            map: RwLock::new(Arc::new(Map::new(view, nodes))),
            unmapped: Mutex::default(),
            topology_changed,
            runtime: Runtime::current(),
        }
    }

    pub(super) fn map(&self) -> Arc<Map> {
        self.map
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(super) fn owner(&self, slot: u16) -> Result<Arc<Node>, StoreError> {
        self.map().owner(slot).cloned().ok_or_else(|| {
            self.topology_changed.notify_one();
            failure::unserved()
        })
    }

    /// The node at this address. Connects to it if it is new.
    pub(super) fn node_at(&self, endpoint: &Endpoint) -> Arc<Node> {
        if let Some(node) = self.map().at(endpoint) {
            return node.clone();
        }
        let mut unmapped = self.unmapped.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let is_it = |(node, _): &&mut (Arc<Node>, Instant)| map::is_at(node, endpoint);
        if let Some((node, used)) = unmapped.iter_mut().find(is_it) {
            *used = now;
            return node.clone();
        }
        let node = Arc::new(Node::start(
            self.settings.at(endpoint),
            Some(self.topology_changed.clone()),
            self.runtime.clone(),
        ));
        unmapped.push((node.clone(), now));
        node
    }

    /// The redirection in this error of the node that was asked. It means that the map is out of
    /// date.
    pub(super) fn redirection(&self, error: &Error, asked: &NodeState) -> Option<Redirection> {
        let redirection = Redirection::of(error, asked.settings.address.endpoint()?)?;
        if matches!(redirection, Redirection::Moved(_)) {
            self.topology_changed.notify_one();
        }
        Some(redirection)
    }
}
