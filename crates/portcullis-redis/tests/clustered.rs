//! The contract of every store, on a cluster of three primaries: what one session needs is on one of them, and what
//! moves goes from one to another.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

#[path = "support/clock.rs"]
mod clock;
#[path = "support/harness.rs"]
mod harness;

use std::sync::{
    Arc, PoisonError, Weak,
    atomic::{AtomicU32, Ordering},
};

use clock::TestClock;
use harness::{InRedis, Timed};
use portcullis_redis::testing::TestCluster;
use tokio::sync::{Mutex, OwnedMutexGuard};

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

/// It takes nodes seconds to become a cluster, so rules share one. Each has it to itself while it runs, since time passes
/// for all there is in it.
async fn cluster() -> OwnedMutexGuard<Cluster> {
    static CLUSTER: std::sync::Mutex<Weak<Mutex<Cluster>>> = std::sync::Mutex::new(Weak::new());
    let cluster = {
        let mut shared = CLUSTER.lock().unwrap_or_else(PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let started = Arc::new(Mutex::new(Cluster::start()));
            *shared = Arc::downgrade(&started);
            started
        })
    };
    cluster.lock_owned().await
}

/// Each rule has keys of its own.
async fn start() -> InRedis {
    static RULES: AtomicU32 = AtomicU32::new(0);
    let prefix = format!("rule{}", RULES.fetch_add(1, Ordering::Relaxed));
    let cluster = cluster().await;
    let url = cluster.nodes.url();
    InRedis::on(cluster, &url, &prefix).await
}

portcullis_core::store_conformance!(start());
