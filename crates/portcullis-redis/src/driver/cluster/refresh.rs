//! The task that keeps the map of a cluster up to date.
//!
//! It queries the nodes and takes the view that most of them have. A node that was cut off from the
//! others, or has just started, may have an old view. A wrong map causes redirections, never wrong
//! answers.

use std::{
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

use rand::seq::SliceRandom;
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{
    discover::{discover, query_view},
    map::Map,
    state::ClusterState,
    view::View,
};
use crate::{address::Layout, endpoint::Endpoint};

/// Interval while all nodes answer. A redirection reports a change of slots sooner.
const EVERY: Duration = Duration::from_secs(10);
/// Interval while a node does not answer: a replica may take its place at any moment.
const EVERY_WHILE_DOWN: Duration = Duration::from_millis(200);
const TIMEOUT: Duration = Duration::from_millis(250);
/// Pause before each refresh, so that a burst of redirections or failures causes one.
const PAUSE: Duration = Duration::from_millis(50);
/// A node without slots is dropped when it has not been used for this long.
const DROP_AFTER: Duration = Duration::from_secs(60);

/// Runs until it is aborted.
pub(super) async fn run(cluster: Arc<ClusterState>) {
    loop {
        let is_any_down = cluster
            .map()
            .nodes()
            .iter()
            .any(|node| node.state().is_down());
        tokio::select! {
            () = sleep(if is_any_down { EVERY_WHILE_DOWN } else { EVERY }) => {}
            () = cluster.topology_changed.notified() => {}
        }
        sleep(PAUSE).await;
        if let Some(view) = common_view(&cluster).await {
            apply(&cluster, view);
        }
        drop_unused(&cluster);
    }
}

/// The view that most nodes have.
async fn common_view(cluster: &ClusterState) -> Option<View> {
    let map = cluster.map();
    let mut nodes: Vec<_> = map
        .nodes()
        .iter()
        .filter(|node| !node.state().is_down())
        .cloned()
        .collect();
    // Without a majority the first view counts, so the order must differ each time.
    nodes.shuffle(&mut rand::rng());
    let mut queries = JoinSet::new();
    for node in nodes {
        queries.spawn(async move {
            let node = node.state();
            let connection = node.connection()?;
            let endpoint = node.settings.address.endpoint()?;
            let view = timeout(TIMEOUT, query_view(&connection, endpoint)).await;
            view.ok()?.ok()?
        });
    }
    let mut views = Vec::new();
    while let Some(view) = queries.join_next().await {
        views.extend(view.ok().flatten().filter(|view| !view.ranges().is_empty()));
    }
    match View::most_common(&views) {
        Some(view) => Some(view.clone()),
        // No node answers. The nodes in the URL may know others.
        None => discover(&cluster.settings, seeds(cluster)).await.ok(),
    }
}

fn seeds(cluster: &ClusterState) -> &[Endpoint] {
    match cluster.settings.address.layout() {
        Layout::Cluster(seeds) => seeds,
        _ => &[],
    }
}

/// Replaces the map. Nodes that are in both maps keep their connections.
fn apply(cluster: &ClusterState, view: View) {
    let before = cluster.map();
    let complete = |map: &Map| map.nodes().len() == map.view().primaries().len();
    if *before.view() == view && complete(&before) {
        return;
    }
    let nodes = view
        .primaries()
        .iter()
        .map(|primary| cluster.node_at(primary))
        .collect();
    let map = Arc::new(Map::new(view, nodes));
    let primaries: Vec<_> = map
        .view()
        .primaries()
        .iter()
        .map(Endpoint::to_string)
        .collect();
    if before.view().primaries() != map.view().primaries() {
        let address = &cluster.settings.address;
        tracing::info!(%address, ?primaries, "the Redis Cluster has changed");
    }
    let unmapped = cluster.unmapped.lock();
    let mut unmapped = unmapped.unwrap_or_else(PoisonError::into_inner);
    unmapped.retain(|(other, _)| !map.nodes().iter().any(|node| Arc::ptr_eq(node, other)));
    drop(unmapped);
    *cluster.map.write().unwrap_or_else(PoisonError::into_inner) = map;
}

/// Drops nodes without slots that redirections no longer name.
fn drop_unused(cluster: &ClusterState) {
    let now = Instant::now();
    let unmapped = cluster.unmapped.lock();
    let mut unmapped = unmapped.unwrap_or_else(PoisonError::into_inner);
    unmapped.retain(|(_, used)| now.duration_since(*used) < DROP_AFTER);
}
