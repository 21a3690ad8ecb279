//! The map of a cluster, from slots to nodes.

use std::sync::Arc;

use super::view::{SLOTS, View};
use crate::{driver::node::Node, endpoint::Endpoint};

/// Which node has which slots. It never changes: a newer map replaces it.
pub(super) struct Map {
    view: View,
    nodes: Vec<Arc<Node>>,
    /// For each slot the place of its node in `nodes`, or a place behind the last one if no node
    /// has it.
    owners: Box<[u16]>,
}

impl Map {
    /// The map of this view with these nodes. Slots of a primary that is not among them have no
    /// node.
    pub(super) fn new(view: View, nodes: Vec<Arc<Node>>) -> Self {
        let mut owners = vec![u16::MAX; usize::from(SLOTS)];
        for (first, last, primary) in view.ranges() {
            let place = nodes.iter().position(|node| is_at(node, primary));
            let place = place.and_then(|place| u16::try_from(place).ok());
            let range = owners.get_mut(usize::from(*first)..=usize::from(*last));
            if let (Some(place), Some(range)) = (place, range) {
                range.fill(place);
            }
        }
        Self {
            view,
            nodes,
            owners: owners.into(),
        }
    }

    pub(super) fn view(&self) -> &View {
        &self.view
    }

    pub(super) fn nodes(&self) -> &[Arc<Node>] {
        &self.nodes
    }

    pub(super) fn owner(&self, slot: u16) -> Option<&Arc<Node>> {
        let place = self.owners.get(usize::from(slot))?;
        self.nodes.get(usize::from(*place))
    }

    pub(super) fn at(&self, endpoint: &Endpoint) -> Option<&Arc<Node>> {
        self.nodes.iter().find(|node| is_at(node, endpoint))
    }
}

pub(super) fn is_at(node: &Node, endpoint: &Endpoint) -> bool {
    node.state().settings.address.endpoint() == Some(endpoint)
}
