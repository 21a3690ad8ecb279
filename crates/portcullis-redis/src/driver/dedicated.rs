//! A connection for one caller alone.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use fred::prelude::{Error, ErrorKind, FromValue};
use portcullis_core::store::StoreError;

use super::{
    connection::Connection, node::NodeState, paused_clock::PausedClock, reply::Reply,
    script::Script, settings::Settings,
};

/// Redis checks ten times a second which waits have ended.
const SLACK: Duration = Duration::from_millis(250);

/// Settings with a wait that is long enough for `WAIT`. The library gives up a little before it
/// ends.
pub(super) fn settings(settings: &Settings) -> Settings {
    Settings {
        wait: (settings.wait + SLACK) * 2,
        ..settings.clone()
    }
}

/// A connection that serves one caller alone, so that replicas can confirm what it wrote. It closes
/// when it is dropped.
pub(crate) struct DedicatedConnection {
    node: Arc<NodeState>,
    connection: Connection,
}

impl DedicatedConnection {
    pub(super) fn new(node: Arc<NodeState>, connection: Connection) -> Self {
        Self { node, connection }
    }

    /// Runs a script, as [`Driver::run`](super::Driver::run). If the slot moves away meanwhile, it
    /// fails: replicas of the new node cannot confirm what was written to the old one.
    pub(crate) async fn run(
        &self,
        script: &Script,
        keys: Vec<String>,
        arguments: Vec<Bytes>,
    ) -> Result<Reply, StoreError> {
        let _clock = PausedClock::hold();
        self.node
            .run(&self.connection, script, keys, arguments)
            .await
    }

    /// Waits until `copies` replicas have what was written here, at most for the wait. Returns how
    /// many have it.
    pub(crate) async fn confirmed(&self, copies: u32) -> Result<u32, StoreError> {
        let _clock = PausedClock::hold();
        let wait = self.node.settings.wait;
        let arguments = [copies.to_string(), wait.as_millis().to_string()].map(Bytes::from);
        let confirmed = self.connection.send("WAIT", arguments.into());
        tokio::time::timeout(wait + SLACK, confirmed)
            .await
            .unwrap_or_else(|_| Err(Error::new(ErrorKind::Timeout, "no answer")))
            .and_then(u32::from_value)
            .map_err(|error| self.node.failed(&error))
    }
}
