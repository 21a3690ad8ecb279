//! The contract of every store, on a node of a cluster: it refuses whatever reaches over to another slot, also
//! from inside a script.
#![allow(clippy::unwrap_used)]

#[path = "support/harness.rs"]
mod harness;

use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use harness::InRedis;
use portcullis_redis::testing::TestServer;
use tokio::sync::Mutex;

/// It takes a node seconds to become part of a cluster, so those who run at the same time share one.
async fn node() -> Arc<TestServer> {
    static NODE: Mutex<Weak<TestServer>> = Mutex::const_new(Weak::new());
    let mut node = NODE.lock().await;
    if let Some(node) = node.upgrade() {
        return node;
    }
    let server = Arc::new(TestServer::start_with(&["--cluster-enabled", "yes"]));
    for slot in (0..16_384).step_by(1024) {
        // Version 6.2 does not know ranges.
        let slots: Vec<_> = (slot..slot + 1024).map(|slot| slot.to_string()).collect();
        let command: Vec<_> = ["CLUSTER", "ADDSLOTS"]
            .into_iter()
            .chain(slots.iter().map(String::as_str))
            .collect();
        assert_eq!(server.cli(&command).text(), "OK");
    }
    let since = Instant::now();
    let is_ok = || {
        server
            .cli(&["CLUSTER", "INFO"])
            .text()
            .contains("cluster_state:ok")
    };
    while !is_ok() {
        assert!(since.elapsed() < Duration::from_secs(10));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    *node = Arc::downgrade(&server);
    server
}

/// Each rule has keys of its own.
async fn start() -> InRedis {
    static RULES: AtomicU32 = AtomicU32::new(0);
    let prefix = format!("rule{}", RULES.fetch_add(1, Ordering::Relaxed));
    InRedis::on(node().await, &prefix).await
}

portcullis_core::store_conformance!(start());
