//! What Portcullis promises, over real HTTP, on every store.
//!
//! The name of a test is the sentence it proves. A number in front of it is that of the requirement
//! (`s026`), of the trap that real systems fell into (`t01`), or of the rule in ARCHITECTURE.md
//! (`rule_13`).
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "the exemption for tests does not reach their helpers"
)]

mod all_users;
mod approvals;
mod audit;
mod bodies;
mod caching;
mod candidates;
mod classes;
mod clearing;
mod concurrency;
mod cookies;
mod cost;
mod cross_site;
mod device;
mod disconnects;
mod elevation;
mod expiry;
mod failure;
mod fixation;
mod flagged;
mod guards;
mod handler;
mod history;
mod incidents;
mod inventory;
mod layers;
mod limits;
mod live;
mod live_policies;
mod logout;
mod long_run;
mod many_sessions;
mod nesting;
mod other_processes;
mod outage;
mod overtaken_writes;
mod parallel_writes;
mod password_reset;
mod paused;
mod plain_tower;
mod planned_policies;
mod policies;
mod privileged;
mod push;
mod realms;
mod reasons;
mod records;
mod refused;
mod refused_grants;
mod registry;
mod remember;
mod renaming;
mod revocation;
mod revocation_races;
mod routes;
mod secrecy;
mod session_limit;
mod shortening;
mod sockets;
mod suspension;
mod sweeping;
mod test_sessions;
mod tightened_policies;
mod values;
mod write_queue;
