//! Errors of connecting a store.

/// Why [`RedisStore::connect`](crate::RedisStore::connect) failed.
///
/// The message says what happened and what to do. It never contains a password. `Debug` shows the
/// same message, for a `main` that returns the error.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The address begins with an unknown scheme.
    #[error(
        "the Redis address begins with {scheme:?}; supported are redis://, redis-cluster:// and \
         redis-sentinel://, and with TLS rediss://, rediss-cluster:// and rediss-sentinel://"
    )]
    #[non_exhaustive]
    Scheme {
        /// The text before `://`, or an empty text.
        scheme: String,
    },
    /// The address is not valid. The message does not repeat it, because it may contain a password.
    #[error(
        "the Redis address is not valid: {0}; write redis://[user:password@]host[:port][/database], \
         redis-cluster://[user:password@]host[:port][?node=host:port] or \
         redis-sentinel://[user:password@]host[:port][/database]?sentinelServiceName=name[&node=host:port], \
         and percent-encode special characters in the password"
    )]
    Address(&'static str),
    /// The address names a Redis Cluster, but the server there cannot be used as a node of one.
    #[error("the server at {address} cannot be used as a node of a Redis Cluster: {reason}")]
    #[non_exhaustive]
    Cluster {
        /// Hosts and ports.
        address: String,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// No Sentinel names a primary.
    #[error(
        "the Sentinels name no primary of {address} ({reason}); check that the addresses are right, that \
         the Sentinels run, and that they monitor a service with this name"
    )]
    #[non_exhaustive]
    Sentinel {
        /// The service, and hosts and ports of the Sentinels.
        address: String,
        /// What they answered.
        reason: String,
    },
    /// The address asks for TLS, but this crate was built without it.
    #[error(
        "the Redis address begins with rediss, but portcullis-redis was built without its feature \
         \"tls\"; enable it"
    )]
    TlsNotBuilt,
    /// The certificate authorities to trust cannot be used.
    #[error("TLS to Redis cannot be set up: {0}")]
    Tls(String),
    /// A setting of the builder is out of range.
    #[error("{0}")]
    Setting(&'static str),
    /// The server cannot be reached at this address.
    #[error(
        "Redis at {address} cannot be reached ({reason}); check that it runs, that the address is \
         right, and that no firewall blocks the connection"
    )]
    #[non_exhaustive]
    Unreachable {
        /// Host and port.
        address: String,
        /// The error of the attempt.
        reason: String,
    },
    /// The server refuses the user, the password, or the right to a command this crate needs.
    #[error(
        "Redis at {address} refuses the connection ({reason}); check user and password in the address, \
         and the user's rights against the list in this crate's README"
    )]
    #[non_exhaustive]
    Refused {
        /// Host and port.
        address: String,
        /// The answer of the server.
        reason: String,
    },
    /// The certificate of the server is not accepted, or the server refuses the TLS connection of
    /// this client.
    #[error(
        "the TLS connection to Redis at {address} fails ({reason}); the certificate must be valid now, \
         name the host in the address, and be issued by a trusted authority; to trust your own \
         authority, use ca_certificate_pem()"
    )]
    #[non_exhaustive]
    Certificate {
        /// Host and port.
        address: String,
        /// What is wrong with the certificate or the handshake.
        reason: String,
    },
    /// The server has no database with the number in the address.
    #[error(
        "Redis at {address} has no database with the number in the address; use a lower one, or raise \
         `databases` in its configuration"
    )]
    #[non_exhaustive]
    Database {
        /// Host and port.
        address: String,
    },
    /// The server is older than 6.2.
    #[error(
        "Redis at {address} has version {version}, but the oldest supported version is 6.2; upgrade it"
    )]
    #[non_exhaustive]
    TooOld {
        /// Host and port.
        address: String,
        /// Its version.
        version: String,
    },
    /// The server may evict any key when its memory is full.
    #[error(
        "Redis at {address} has maxmemory-policy {policy}, which can lose sessions and records of \
         their ends; set it to noeviction (or to one of volatile-*), use a separate server for \
         sessions, or accept the loss with allow_unsafe_eviction()"
    )]
    #[non_exhaustive]
    UnsafeEviction {
        /// Host and port.
        address: String,
        /// Its policy.
        policy: String,
    },
}

impl std::fmt::Debug for ConnectError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        portcullis_core::debug_as_message(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_the_message_of_an_error() {
        let error = ConnectError::TlsNotBuilt;
        assert_eq!(format!("{error:?}"), error.to_string());
    }
}
