//! What a server is part of.

/// What the address says that the server is part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Topology {
    /// A server by itself.
    Single,
    Cluster,
    /// A primary and its replicas that Sentinels watch.
    Sentinels,
}
