//! A primary, a replica and Sentinels for one test.

use std::{
    thread,
    time::{Duration, Instant},
};

use super::server::TestServer;

/// The name of the primary in the Sentinels.
const SERVICE: &str = "mymaster";

/// A primary, a replica of it, and three Sentinels that promote the replica when the primary does
/// not answer for a third of a second. They end when this is dropped.
///
/// All methods block the thread. Starting takes some three seconds.
#[derive(Debug)]
#[non_exhaustive]
pub struct TestSentinels {
    /// The initial primary, and then the initial replica.
    pub servers: Vec<TestServer>,
    /// The Sentinels that watch them.
    pub sentinels: Vec<TestServer>,
}

impl TestSentinels {
    /// Starts all of them.
    ///
    /// # Panics
    ///
    /// When they do not start or do not find each other.
    pub fn start() -> Self {
        Self::start_in(&[], Duration::from_millis(300))
    }

    /// Starts all of them. The servers have these variables in their environment. A server is down
    /// for a Sentinel once it has not answered for `down_after`.
    ///
    /// # Panics
    ///
    /// When they do not start or do not find each other.
    pub fn start_in(environment: &[(&str, &str)], down_after: Duration) -> Self {
        let diskless = ["--repl-diskless-sync-delay", "0"];
        let primary = TestServer::start_in(&diskless, environment);
        let port = primary.port().to_string();
        let replica = TestServer::start_in(&["--replicaof", "127.0.0.1", &port], environment);
        let down_after = down_after.as_millis();
        let watches = format!(
            "sentinel monitor {SERVICE} 127.0.0.1 {port} 2\n\
             sentinel down-after-milliseconds {SERVICE} {down_after}\n\
             sentinel failover-timeout {SERVICE} 3000\n"
        );
        let watched = Self {
            servers: vec![primary, replica],
            sentinels: (0..3)
                .map(|_| TestServer::start_sentinel(watches.clone()))
                .collect(),
        };
        watched.wait_until("the replica follows", |all| {
            let info = all.servers[1].cli(&["INFO", "replication"]).text();
            info.contains("master_link_status:up")
        });
        watched.wait_until("the Sentinels know each other and the replica", |all| {
            all.sentinels.iter().all(|sentinel| {
                let info = sentinel.cli(&["INFO", "sentinel"]).text();
                info.contains("slaves=1,sentinels=3")
            })
        });
        watched
    }

    /// The address for [`RedisStore::connect`](crate::RedisStore::connect).
    pub fn url(&self) -> String {
        let mut url = String::from("redis-sentinel://");
        for (place, sentinel) in self.sentinels.iter().enumerate() {
            let before = ["", "?node=", "&node="][place.min(2)];
            url.push_str(&format!("{before}127.0.0.1:{}", sentinel.port()));
        }
        format!("{url}&sentinelServiceName={SERVICE}")
    }

    /// Waits until a condition holds. `what` names the condition.
    ///
    /// # Panics
    ///
    /// When it does not hold within a minute. Sentinels may take 20 seconds to make a server a replica.
    pub fn wait_until(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let since = Instant::now();
        while !is_so(self) {
            assert!(since.elapsed() < Duration::from_secs(60), "not yet: {what}");
            thread::sleep(Duration::from_millis(10));
        }
    }
}
