//! One server: its connection, its clock and the task that supervises them.

mod memory;
mod state;
mod supervisor;
mod visitors;

use std::sync::Arc;

use tokio::{runtime::Handle as Runtime, sync::Notify, task::JoinHandle};

pub(super) use self::state::NodeState;
use self::supervisor::Supervised;
use super::{inspect, settings::Settings, subscription::ChooseServer};
use crate::ConnectError;

/// A server with a connection that is restored until this is dropped.
pub(super) struct Node {
    state: Arc<NodeState>,
    supervisor: JoinHandle<()>,
}

impl Node {
    /// Connects to the server at the address of these settings. Fails if it cannot be reached, or
    /// if sessions are not safe on it.
    pub(super) async fn connect(
        settings: Settings,
        topology_changed: Option<Arc<Notify>>,
    ) -> Result<Self, ConnectError> {
        let state = NodeState::new(settings, topology_changed, Runtime::current());
        let (connection, sent, server_ms) = state.open().await?;
        inspect::at_start(&connection, &state.settings).await?;
        state.install(connection, sent, server_ms);
        Ok(Self::supervised(state))
    }

    /// Connects in the background, on `runtime`. The node is down until the server can be reached.
    pub(super) fn start(
        settings: Settings,
        topology_changed: Option<Arc<Notify>>,
        runtime: Runtime,
    ) -> Self {
        Self::supervised(NodeState::new(settings, topology_changed, runtime))
    }

    fn supervised(state: NodeState) -> Self {
        let state = Arc::new(state);
        let supervised = Supervised::new(state.clone());
        let supervisor = state
            .runtime
            .spawn(async move { supervisor::run(&supervised).await });
        Self { state, supervisor }
    }

    pub(super) fn state(&self) -> &Arc<NodeState> {
        &self.state
    }

    /// Subscribes to the server that commands go to.
    pub(super) fn choose_server(&self) -> ChooseServer {
        let state = self.state.clone();
        Box::new(move |_| state.server_settings().ok())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.supervisor.abort();
    }
}
