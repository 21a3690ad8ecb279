//! The built program, on a server of its own.
#![cfg(unix)]
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests panic when something does not work"
)]

mod audit;
mod check;
mod connection;
mod incident;
mod list;
mod live_policy;
mod messages;
mod policy;
mod realms;
mod revoke;
mod safety;
mod support;
mod suspend;
mod sweep;
