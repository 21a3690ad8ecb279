//! Watches how full the memory of a server is, so that visitors do not take the room that sign-ins
//! need.

use std::time::{Duration, Instant};

use tokio::time::timeout;

use super::state::NodeState;
use crate::{
    driver::failure,
    info::{Info, REFUSE_VISITORS_FROM},
};

const EVERY: Duration = Duration::from_secs(1);
/// Interval where the server does not show its memory. Each refusal may be logged in its `ACL LOG`.
const WHERE_HIDDEN: Duration = Duration::from_secs(60);

/// Checks of the memory of one server.
pub(super) struct MemoryCheck {
    next: Instant,
    hidden: bool,
}

impl MemoryCheck {
    pub(super) fn new() -> Self {
        Self {
            next: Instant::now(),
            hidden: false,
        }
    }

    /// Checks at once: it may be another server than the last time.
    pub(super) async fn check(&mut self, node: &NodeState) {
        self.next = Instant::now();
        self.check_if_due(node).await;
    }

    /// Checks once a second, and sooner when many visitors were admitted.
    pub(super) async fn check_if_due(&mut self, node: &NodeState) {
        if Instant::now() < self.next && (self.hidden || !node.visitors.need_check()) {
            return;
        }
        let Some(connection) = node.connection() else {
            return;
        };
        self.next = Instant::now() + EVERY;
        node.visitors.reset();
        match timeout(node.settings.probe_timeout(), connection.memory()).await {
            Ok(Ok(text)) => match Info::new(&text).memory_percent() {
                Some(percent) => {
                    self.hidden = false;
                    refuse_visitors(node, percent >= REFUSE_VISITORS_FROM, percent);
                }
                None => self.hidden(node),
            },
            Ok(Err(error)) if !failure::is_outage(&error) => self.hidden(node),
            // The supervisor finds out whether the server is down.
            _ => {}
        }
    }

    /// The server does not show its memory.
    fn hidden(&mut self, node: &NodeState) {
        refuse_visitors(node, false, 0);
        self.next = Instant::now() + WHERE_HIDDEN;
        if !self.hidden {
            tracing::warn!(
                address = %node.settings.address,
                "Redis does not show how full its memory is, so sessions without a user may fill it; \
                 grant +info"
            );
            self.hidden = true;
        }
    }
}

fn refuse_visitors(node: &NodeState, refuse: bool, percent: u8) {
    let before = node.visitors.refuse(refuse);
    let address = &node.settings.address;
    match (before, refuse) {
        (false, true) => tracing::error!(
            %address,
            percent,
            "the memory of Redis is nearly full: sessions without a user are refused, so that users \
             can still sign in; raise maxmemory"
        ),
        (true, false) => {
            tracing::info!(%address, "Redis has room for sessions without a user again");
        }
        _ => {}
    }
}
