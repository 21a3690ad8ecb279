//! Settings of a connection: where the servers are and how long to wait for them.

use std::time::Duration;

use crate::{address::Address, endpoint::Endpoint};

/// Settings of a driver, checked by the builder.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) address: Address,
    /// How long one operation may take.
    pub(crate) wait: Duration,
    pub(crate) unsafe_eviction: bool,
    /// How many replicas must confirm a revocation.
    pub(crate) copies: Option<u32>,
    #[cfg(feature = "tls")]
    pub(crate) ca_certificate: Option<Vec<u8>>,
}

/// Shortest timeout of a probe.
const SHORTEST_PROBE: Duration = Duration::from_millis(250);

/// Shortest pause after a probe that failed at once.
const SHORTEST_PAUSE: Duration = Duration::from_millis(20);

impl Settings {
    /// Timeout of a probe. After two probes without an answer the server counts as down. So it has
    /// been silent for as long as an operation waits, and for half a second at least.
    pub(crate) fn probe_timeout(&self) -> Duration {
        SHORTEST_PROBE.max(self.wait / 2)
    }

    /// Pause after a probe that failed at once, because the connection broke. The client library
    /// may connect again meanwhile. Two such probes leave it two of 25 parts of the wait.
    pub(crate) fn reconnect_pause(&self) -> Duration {
        SHORTEST_PAUSE.max(self.wait / 25)
    }

    /// Timeout of one command in the client library. It is a little shorter than the wait: a
    /// command that the library has given up is not sent after its caller has left.
    pub(crate) fn give_up_after(&self) -> Duration {
        self.wait - self.wait / 20
    }

    /// The same settings for one of the servers of the address.
    pub(crate) fn at(&self, endpoint: &Endpoint) -> Self {
        Self {
            address: self.address.at(endpoint),
            ..self.clone()
        }
    }
}
