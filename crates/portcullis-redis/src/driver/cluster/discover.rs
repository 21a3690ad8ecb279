//! Discovers the nodes of a cluster and connects to them.

use std::sync::Arc;

use bytes::Bytes;
use fred::prelude::Error;
use tokio::{runtime::Handle as Runtime, sync::Notify, task::JoinSet};

use super::view::View;
use crate::{
    ConnectError,
    driver::{
        connection::{Connection, Reconnect},
        failure,
        node::Node,
        settings::Settings,
    },
    endpoint::Endpoint,
};

/// The view of the first of these nodes that answers.
pub(crate) async fn discover(
    settings: &Settings,
    endpoints: &[Endpoint],
) -> Result<View, ConnectError> {
    let mut failed = None;
    for endpoint in endpoints {
        match discover_through(&settings.at(endpoint), endpoint).await {
            Ok(view) => return Ok(view),
            Err(error) => failed = Some(error),
        }
    }
    Err(failed.unwrap_or(ConnectError::Address("it names no host")))
}

async fn discover_through(settings: &Settings, endpoint: &Endpoint) -> Result<View, ConnectError> {
    let (connection, ..) = Connection::open(settings, Reconnect::Never).await?;
    let unusable = |reason: &str| ConnectError::Cluster {
        address: endpoint.to_string(),
        reason: reason.to_owned(),
    };
    match query_view(&connection, endpoint).await {
        Ok(Some(view)) if !view.ranges().is_empty() => Ok(view),
        Ok(_) => Err(unusable("it has no slots yet; wait until it is formed")),
        Err(error) if failure::is(&error, "ERR") => Err(unusable(
            "it is a single server; write redis:// in the address",
        )),
        Err(error) => Err(failure::connect_error(&settings.address, &error)),
    }
}

/// The view of this node, if it can be read.
pub(super) async fn query_view(
    connection: &Connection,
    endpoint: &Endpoint,
) -> Result<Option<View>, Error> {
    let slots = vec![Bytes::from_static(b"SLOTS")];
    let value = connection.send("CLUSTER", slots).await?;
    Ok(View::read(value, endpoint))
}

/// Connects to all primaries at once. One that cannot be reached is connected to in the background,
/// unless none can be reached.
pub(super) async fn connect_all(
    settings: &Settings,
    view: &View,
    topology_changed: &Arc<Notify>,
) -> Result<Vec<Arc<Node>>, ConnectError> {
    let mut opening = JoinSet::new();
    for endpoint in view.primaries() {
        let (settings, topology_changed) = (settings.at(&endpoint), topology_changed.clone());
        opening.spawn(async move {
            match Node::connect(settings.clone(), Some(topology_changed.clone())).await {
                Err(error @ ConnectError::Unreachable { .. }) => {
                    let node = Node::start(settings, Some(topology_changed), Runtime::current());
                    (Ok(node), Some(error))
                }
                connected => (connected, None),
            }
        });
    }
    let (mut nodes, mut unreachable) = (Vec::new(), None);
    while let Some(opened) = opening.join_next().await {
        // The task does not panic. If it did, the refresh of the map would start the node.
        let Ok((node, error)) = opened else {
            continue;
        };
        nodes.push(Arc::new(node?));
        if let Some(error) = error {
            tracing::error!(
                %error,
                "a part of the Redis Cluster cannot be reached; sessions there are not available"
            );
            unreachable = Some(error);
        }
    }
    match unreachable {
        Some(error) if nodes.iter().all(|node| node.state().is_down()) => Err(error),
        _ => Ok(nodes),
    }
}
