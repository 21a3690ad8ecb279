//! The contract of every store, on a cluster of three primaries: what one session needs is on one of them, and what
//! moves goes from one to another.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

#[path = "support/clock.rs"]
mod clock;
#[path = "support/harness.rs"]
mod harness;
#[path = "support/shared.rs"]
mod shared;

use clock::TestClock;
use harness::{InRedis, Timed};
use portcullis_redis::testing::TestCluster;
use shared::{Shared, prefix};
use tokio::sync::OwnedMutexGuard;

struct Cluster {
    nodes: TestCluster,
    /// Of all nodes.
    clock: TestClock,
}

impl Cluster {
    fn start() -> Self {
        let clock = TestClock::new();
        let nodes = TestCluster::start_in(&[&clock.environment()[..]; 3]);
        for node in &nodes.nodes {
            // However far time jumps, no node takes another one for failed.
            let year = (365 * 24 * 60 * 60 * 1000_u64).to_string();
            let set = node.cli(&["CONFIG", "SET", "cluster-node-timeout", &year]);
            assert_eq!(set.text(), "OK");
        }
        Self { nodes, clock }
    }
}

impl Timed for OwnedMutexGuard<Cluster> {
    fn clock(&self) -> &TestClock {
        &self.clock
    }
}

async fn start() -> InRedis {
    static CLUSTER: Shared<Cluster> = Shared::new();
    let cluster = CLUSTER.get(Cluster::start).await;
    let url = cluster.nodes.url();
    InRedis::on(cluster, &url, &prefix()).await
}

portcullis_core::store_conformance!(start());
