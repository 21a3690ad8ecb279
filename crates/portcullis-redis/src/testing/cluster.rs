//! A Redis Cluster for one test.

use std::{
    thread,
    time::{Duration, Instant},
};

use super::{resp::Answer, server::TestServer};

/// How many slots a cluster has.
const SLOTS: usize = 16_384;

/// After how many ms without an answer a node counts as failed.
const NODE_TIMEOUT: &str = "600";

/// A Redis Cluster on free ports of this machine: primaries, each with an equal share of the slots,
/// and replicas of them. It ends when this is dropped.
///
/// All methods block the thread. Starting takes some three seconds: a node takes no writes before
/// it has been up for two.
#[derive(Debug)]
pub struct TestCluster {
    /// The initial primaries in the order of their slots, and then the replicas in the order of
    /// their primaries.
    pub nodes: Vec<TestServer>,
    primaries: usize,
}

impl TestCluster {
    /// Starts this many primaries, and a replica for each of the first `replicas` of them.
    ///
    /// # Panics
    ///
    /// When the nodes do not start or do not form a cluster.
    pub fn start(primaries: usize, replicas: usize) -> Self {
        Self::start_with(primaries, replicas, &[])
    }

    /// As [`start`](Self::start), with further options of `redis-server`.
    ///
    /// # Panics
    ///
    /// When the nodes do not start or do not form a cluster.
    pub fn start_with(primaries: usize, replicas: usize, options: &[&str]) -> Self {
        Self::start_as(primaries, &vec![&[][..]; primaries + replicas], options)
    }

    /// Starts a primary in each of these environments, which are variables and their values.
    ///
    /// # Panics
    ///
    /// When the nodes do not start or do not form a cluster.
    pub fn start_in(environments: &[&[(&str, &str)]]) -> Self {
        Self::start_as(environments.len(), environments, &[])
    }

    /// One node in each of the environments.
    fn start_as(primaries: usize, environments: &[&[(&str, &str)]], options: &[&str]) -> Self {
        let mut all = vec!["--cluster-enabled", "yes"];
        all.extend(["--cluster-node-timeout", NODE_TIMEOUT]);
        all.extend(["--cluster-require-full-coverage", "no"]);
        all.extend(["--repl-diskless-sync-delay", "0"]);
        all.extend(options);
        let nodes = thread::scope(|scope| {
            let all = &all;
            let starting: Vec<_> = environments
                .iter()
                .map(|environment| scope.spawn(move || TestServer::start_in(all, environment)))
                .collect();
            let started = starting.into_iter().map(|node| node.join());
            started.map(|node| node.expect("a node")).collect()
        });
        let cluster = Self { nodes, primaries };
        cluster.form();
        cluster
    }

    /// The address for [`RedisStore::connect`](crate::RedisStore::connect), with all nodes in it.
    pub fn url(&self) -> String {
        let mut url = String::from("redis-cluster://");
        for (place, node) in self.nodes.iter().enumerate() {
            let before = ["", "?node=", "&node="][place.min(2)];
            url.push_str(&format!("{before}127.0.0.1:{}", node.port()));
        }
        url
    }

    /// The slot of this key.
    ///
    /// # Panics
    ///
    /// When no node answers.
    pub fn slot(&self, key: &str) -> u16 {
        let slot = self.nodes[0].cli(&["CLUSTER", "KEYSLOT", key]).integer();
        u16::try_from(slot).expect("a slot")
    }

    /// The place among the nodes of the primary that had this slot at the start.
    pub fn owner(&self, slot: u16) -> usize {
        (0..self.primaries)
            .find(|primary| self.share(*primary).contains(&usize::from(slot)))
            .expect("an owner")
    }

    /// The place among the nodes of the replica of this primary.
    pub fn replica_of(&self, primary: usize) -> usize {
        self.primaries + primary
    }

    /// The identifier of this node in the cluster.
    pub fn id(&self, node: usize) -> String {
        self.nodes[node].cli(&["CLUSTER", "MYID"]).text()
    }

    /// Waits until a condition holds. `what` names the condition.
    ///
    /// # Panics
    ///
    /// When it does not hold within 20 seconds.
    pub fn wait_until(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let since = Instant::now();
        while !is_so(self) {
            assert!(since.elapsed() < Duration::from_secs(20), "not yet: {what}");
            thread::sleep(Duration::from_millis(10));
        }
    }

    fn share(&self, primary: usize) -> std::ops::Range<usize> {
        SLOTS * primary / self.primaries..SLOTS * (primary + 1) / self.primaries
    }

    fn form(&self) {
        for (primary, node) in self.nodes.iter().take(self.primaries).enumerate() {
            // Version 6.2 does not know ranges.
            let slots: Vec<_> = self.share(primary).map(|slot| slot.to_string()).collect();
            let mut command = vec!["CLUSTER", "ADDSLOTS"];
            command.extend(slots.iter().map(String::as_str));
            assert_eq!(node.cli(&command).text(), "OK");
        }
        let port = self.nodes[0].port().to_string();
        for (place, node) in self.nodes.iter().enumerate() {
            // Otherwise two nodes claim the same epoch, and one of them has to change its own.
            let epoch = (place + 1).to_string();
            assert_eq!(
                node.cli(&["CLUSTER", "SET-CONFIG-EPOCH", &epoch]).text(),
                "OK"
            );
            if place > 0 {
                assert_eq!(
                    node.cli(&["CLUSTER", "MEET", "127.0.0.1", &port]).text(),
                    "OK"
                );
            }
        }
        self.wait_until("all nodes know each other", |cluster| {
            let known = format!("cluster_known_nodes:{}", cluster.nodes.len());
            let mut nodes = cluster.nodes.iter();
            nodes.all(|node| node.cli(&["CLUSTER", "INFO"]).text().contains(&known))
        });
        for (place, node) in self.nodes.iter().enumerate().skip(self.primaries) {
            let primary = self.id(place - self.primaries);
            let followed = |_: &Self| {
                let answer = node.cli(&["CLUSTER", "REPLICATE", &primary]);
                matches!(answer, Answer::Bytes(_))
            };
            self.wait_until("a replica knows its primary", followed);
        }
        self.wait_until("the cluster serves all slots", Self::is_whole);
    }

    /// Whether all nodes take part, and all see all slots served.
    pub fn is_whole(&self) -> bool {
        self.nodes.iter().enumerate().all(|(place, node)| {
            let info = node.cli(&["CLUSTER", "INFO"]).text();
            let linked = place < self.primaries
                || node
                    .cli(&["INFO", "replication"])
                    .text()
                    .contains("master_link_status:up");
            linked
                && info.contains("cluster_state:ok")
                && info.contains(&format!("cluster_slots_ok:{SLOTS}"))
                && info.contains(&format!("cluster_size:{}", self.primaries))
        })
    }
}
