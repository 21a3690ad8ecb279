//! Why a store could not be made.

/// Why [`RedisStore::connect`](crate::RedisStore::connect) failed.
///
/// The message says what happened and what to do. It never holds a password. `Debug` is the message too, for a `main`
/// that returns the error.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The address begins with a scheme that is not understood.
    #[error(
        "the Redis address begins with {scheme:?}; only redis://, redis-cluster:// and redis-sentinel:// are understood and, for TLS, rediss://, rediss-cluster:// and rediss-sentinel://"
    )]
    #[non_exhaustive]
    Scheme {
        /// What stands before `://`, or nothing.
        scheme: String,
    },
    /// The address cannot be read. It is not repeated here because it may hold a password.
    #[error(
        "the Redis address is not valid: {0}; write redis://[user:password@]host[:port][/database], redis-cluster://[user:password@]host[:port][?node=host:port] or redis-sentinel://[user:password@]host[:port][/database]?sentinelServiceName=name[&node=host:port], and percent-encode special characters in the password"
    )]
    Address(&'static str),
    /// The address is one of a Redis Cluster, but what is there is none, or cannot serve all sessions.
    #[error("what is at {address} is no Redis Cluster that can be used: {reason}")]
    #[non_exhaustive]
    Cluster {
        /// Hosts and ports.
        address: String,
        /// What is wrong with it and what to do.
        reason: String,
    },
    /// No Sentinel names a primary.
    #[error(
        "the Sentinels name no primary of {address} ({reason}); check that they run, that they watch a service of this name, and the addresses"
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
        "the Redis address begins with rediss, but portcullis-redis was built without its feature \"tls\"; enable it"
    )]
    TlsNotBuilt,
    /// The certificate authorities to trust cannot be used.
    #[error("TLS to Redis cannot be set up: {0}")]
    Tls(String),
    /// A setting of the builder is out of range.
    #[error("{0}")]
    Setting(&'static str),
    /// The server does not answer at this address.
    #[error(
        "Redis at {address} cannot be reached ({reason}); check that it runs, that the address is right and that no firewall is in between"
    )]
    #[non_exhaustive]
    Unreachable {
        /// Host and port.
        address: String,
        /// What the attempt ended with.
        reason: String,
    },
    /// The server refuses the user, the password, or the right to a command this crate needs.
    #[error(
        "Redis at {address} refuses the connection ({reason}); check user and password in the address, and the user's rights against the list in this crate's README"
    )]
    #[non_exhaustive]
    Refused {
        /// Host and port.
        address: String,
        /// What the server said.
        reason: String,
    },
    /// The certificate of the server is not accepted, or the server accepts no TLS connection from this client.
    #[error(
        "the TLS connection to Redis at {address} fails ({reason}); the certificate must be valid now, be for the host in the address, and come from a trusted authority: name yours with ca_certificate_pem()"
    )]
    #[non_exhaustive]
    Certificate {
        /// Host and port.
        address: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The server has no database of the number in the address.
    #[error(
        "Redis at {address} has no database of the number in the address; use a lower one, or raise `databases` in its configuration"
    )]
    #[non_exhaustive]
    Database {
        /// Host and port.
        address: String,
    },
    /// The server is older than 6.2.
    #[error(
        "Redis at {address} has version {version}, but 6.2 is the oldest that will do; upgrade it"
    )]
    #[non_exhaustive]
    TooOld {
        /// Host and port.
        address: String,
        /// The version it gave.
        version: String,
    },
    /// When memory is short, the server throws keys away whatever they are.
    #[error(
        "Redis at {address} has maxmemory-policy {policy}, under which ends of sessions can be forgotten and live ones lost; set it to noeviction (or to one of volatile-*), give sessions a server of their own, or accept the loss with allow_unsafe_eviction()"
    )]
    #[non_exhaustive]
    UnsafeEviction {
        /// Host and port.
        address: String,
        /// The policy it gave.
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
    fn what_a_main_prints_of_an_error_is_its_message() {
        let error = ConnectError::TlsNotBuilt;
        assert_eq!(format!("{error:?}"), error.to_string());
    }
}
