//! The task that watches a connection and replaces it when the server does not answer.
//!
//! The client library restores a closed connection, but does not notice a server that hangs while
//! there is traffic: its own check counts from the last write. So this task asks the server for its
//! time, which also keeps the clock right. After two failures in a row it replaces the client. Both
//! probes together take as long as an operation may, so no operation fails before its wait is over.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use tokio::time::{sleep, timeout};

use super::{memory::MemoryCheck, state::NodeState};
use crate::{
    ConnectError,
    address::Layout,
    driver::{backoff::Backoff, failure, inspect, paused_clock::PausedClock, sentinel},
    endpoint::Endpoint,
};

const PROBE_EVERY: Duration = Duration::from_millis(250);
const PROBE_TIMEOUT: Duration = Duration::from_millis(250);
/// Pause between an error and the probe that follows it, so that a burst of errors causes one
/// probe.
const PAUSE: Duration = Duration::from_millis(20);
/// Interval of the checks of the server's settings.
const INSPECT_EVERY: Duration = Duration::from_secs(60);
/// Shortest time between two new connections to a demoted server.
const RECONNECT_EVERY: Duration = Duration::from_secs(1);

/// Interval of the questions to Sentinel whether the primary has changed.
const ASK_SENTINEL_EVERY: Duration = Duration::from_secs(1);

/// A node that is supervised. When this is dropped, its connection is no longer restored.
pub(super) struct Supervised(Arc<NodeState>);

impl Supervised {
    pub(super) fn new(node: Arc<NodeState>) -> Self {
        Self(node)
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        self.0.unsupervised.store(true, Ordering::Relaxed);
        self.0.down.store(true, Ordering::Release);
    }
}

/// Runs until it is aborted, or its runtime ends.
pub(super) async fn run(Supervised(node): &Supervised) {
    let mut memory = MemoryCheck::new();
    if node.connection().is_none() {
        restore(node).await;
    }
    memory.check(node).await;
    let mut inspected = Instant::now();
    let mut reconnected = Instant::now();
    let mut asked_sentinel = Instant::now();
    loop {
        tokio::select! {
            () = sleep(PROBE_EVERY) => {}
            () = node.check_now.notified() => sleep(PAUSE).await,
        }
        if !answers(node).await && !answers(node).await {
            restore(node).await;
            memory.check(node).await;
            reconnected = Instant::now();
            inspected = reconnected;
        }
        node.bulk.close_if_idle();
        memory.check_if_due(node).await;
        if asked_sentinel.elapsed() > ASK_SENTINEL_EVERY {
            if is_replaced(node).await {
                tracing::warn!(address = %node.settings.address, "another server is the primary");
                reconnect(node).await;
                reconnected = Instant::now();
            }
            asked_sentinel = Instant::now();
        }
        if node.demoted.swap(false, Ordering::Relaxed) && reconnected.elapsed() > RECONNECT_EVERY {
            reconnect(node).await;
            reconnected = Instant::now();
        }
        if inspected.elapsed() > INSPECT_EVERY {
            inspect_again(node).await;
            inspected = Instant::now();
        }
    }
}

async fn answers(node: &NodeState) -> bool {
    let Some(connection) = node.connection() else {
        return false;
    };
    // The library does not restore it, and commands on it would wait for their timeout.
    if connection.is_closed() {
        return false;
    }
    let probe_timeout = node.settings.probe_timeout();
    let _clock = PausedClock::hold();
    let sent = Instant::now();
    match timeout(probe_timeout, connection.time_within(probe_timeout)).await {
        Ok(Ok(server_ms)) => {
            node.learn_time(sent, server_ms);
            true
        }
        // A server that refuses has answered.
        Ok(Err(error)) if !failure::is_outage(&error) => true,
        Ok(Err(_)) => {
            // It failed at once. The library may reconnect within a moment.
            sleep(node.settings.reconnect_pause()).await;
            false
        }
        Err(_) => false,
    }
}

/// Whether another server has become the primary: this one reports another role, or more than half
/// of the Sentinels name another one. A primary that is cut off from the Sentinels still answers,
/// and does not know of the failover.
async fn is_replaced(node: &NodeState) -> bool {
    let Layout::Sentinel(sentinels) = node.settings.address.layout() else {
        return false;
    };
    let Some(connection) = node.connection() else {
        return false;
    };
    if let Ok(Ok(false)) = timeout(PROBE_TIMEOUT, connection.is_primary()).await {
        return true;
    }
    // All Sentinels are asked only if one of them names another server.
    let one = rand::random_range(0..sentinels.endpoints.len());
    let Some(one) = sentinels.endpoints.get(one) else {
        return false;
    };
    let is_ours = |named: &Endpoint| connection.endpoint() == Some(named);
    let named = sentinel::primary(&node.settings, sentinels, one);
    match timeout(PROBE_TIMEOUT, named).await {
        Ok(Ok(named)) if !is_ours(&named) => {}
        _ => return false,
    }
    let elected = sentinel::elected(&node.settings, sentinels).await;
    elected.is_some_and(|named| !is_ours(&named))
}

/// Marks the server as down and connects again and again until it answers.
async fn restore(node: &NodeState) {
    let mut reported = node.connection().is_some();
    node.down.store(true, Ordering::Release);
    node.bulk.close();
    node.report_topology_change();
    let since = Instant::now();
    if reported {
        let address = &node.settings.address;
        tracing::error!(%address, "Redis does not answer; sessions are not available");
    }
    let mut backoff = Backoff::new();
    let mut refused = String::new();
    loop {
        match node.open().await {
            Ok((connection, sent, server_ms)) => {
                node.install(connection, sent, server_ms);
                if reported {
                    let (address, after) = (&node.settings.address, since.elapsed());
                    tracing::info!(%address, ?after, "Redis answers again");
                }
                return inspect_again(node).await;
            }
            // The server answers and refuses. An operator has to change something.
            Err(
                error @ (ConnectError::Refused { .. }
                | ConnectError::Certificate { .. }
                | ConnectError::Database { .. }),
            ) if error.to_string() != refused => {
                refused = error.to_string();
                tracing::error!(%error, "there is no connection to Redis until this is corrected");
            }
            Err(error) if !reported => {
                reported = true;
                tracing::error!(%error, "sessions are not available");
            }
            Err(error) => tracing::debug!(%error, "Redis still does not answer"),
        }
        backoff.wait().await;
    }
}

/// Connects anew: the server is no longer the primary, and the address may lead to another one.
async fn reconnect(node: &NodeState) {
    match node.open().await {
        Ok((connection, sent, server_ms)) => {
            node.install(connection, sent, server_ms);
            inspect_again(node).await;
        }
        Err(error) => tracing::warn!(%error, "Redis takes no writes, and a new connection failed"),
    }
}

async fn inspect_again(node: &NodeState) {
    let Some(connection) = node.connection() else {
        return;
    };
    if let Err(error) = inspect::again(&connection, &node.settings).await {
        tracing::debug!(error = %failure::shown(&error), "Redis does not show its settings");
    }
}
