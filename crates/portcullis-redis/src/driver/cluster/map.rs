//! Which node has which slot, and what is known of it.

use std::sync::Arc;

use super::{
    super::node::Node,
    view::{SLOTS, View},
};
use crate::endpoint::Endpoint;

/// Never changed: a newer one takes its place.
pub(super) struct Map {
    view: View,
    nodes: Vec<Arc<Node>>,
    /// For each slot its place among the nodes; beyond the last one if nobody has it.
    owners: Box<[u16]>,
}

impl Map {
    /// What this view says, with these nodes. A primary that is not among them has its slots in vain.
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
    node.shared().settings.address.endpoint() == Some(endpoint)
}
