//! The contract of every store, on a cluster of three primaries: what one session needs is on one of them, and what
//! moves goes from one to another.
#![allow(clippy::unwrap_used)]

#[path = "support/harness.rs"]
mod harness;

use std::sync::{
    Arc, Weak,
    atomic::{AtomicU32, Ordering},
};

use harness::InRedis;
use portcullis_redis::testing::TestCluster;
use tokio::sync::Mutex;

/// It takes nodes seconds to become a cluster, so those who run at the same time share one.
async fn cluster() -> Arc<TestCluster> {
    static CLUSTER: Mutex<Weak<TestCluster>> = Mutex::const_new(Weak::new());
    let mut cluster = CLUSTER.lock().await;
    if let Some(cluster) = cluster.upgrade() {
        return cluster;
    }
    let started = Arc::new(TestCluster::start(3, 0));
    *cluster = Arc::downgrade(&started);
    started
}

/// Each rule has keys of its own.
async fn start() -> InRedis {
    static RULES: AtomicU32 = AtomicU32::new(0);
    let prefix = format!("rule{}", RULES.fetch_add(1, Ordering::Relaxed));
    let cluster = cluster().await;
    let url = cluster.url();
    InRedis::on(cluster, &url, &prefix).await
}

portcullis_core::store_conformance!(start());
