//! Is this a server that sessions are safe on?

use fred::prelude::Error;

use super::{Settings, connection::Connection};
use crate::ConnectError;

const OLDEST: (u64, u64) = (6, 2);

/// What `INFO` says of version and eviction. What it does not say is `None`.
#[derive(Debug, Default, PartialEq, Eq)]
struct Server {
    version: Option<String>,
    policy: Option<String>,
    bounded: Option<bool>,
}

impl Server {
    fn read(info: &str) -> Self {
        let value = |name: &str| {
            info.lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
                .map(|value| value.trim().to_owned())
        };
        Self {
            version: value("redis_version"),
            policy: value("maxmemory_policy"),
            bounded: value("maxmemory").map(|bytes| bytes != "0"),
        }
    }

    fn too_old(&self) -> Option<&str> {
        let version = self.version.as_deref()?;
        let mut parts = version.split('.').map(str::parse);
        match (parts.next()?, parts.next()?) {
            (Ok(major), Ok(minor)) if (major, minor) < OLDEST => Some(version),
            _ => None,
        }
    }

    /// The policy, if it throws away keys whatever they are.
    fn unsafe_policy(&self) -> Option<&str> {
        let policy = self.policy.as_deref()?;
        (policy.starts_with("allkeys") && self.bounded != Some(false)).then_some(policy)
    }
}

/// Refuses a server that sessions are not safe on.
pub(super) async fn at_start(
    connection: &Connection,
    settings: &Settings,
) -> Result<(), ConnectError> {
    let server = Server::read(&connection.info().await.unwrap_or_default());
    if let Some(version) = server.too_old() {
        return Err(ConnectError::TooOld {
            address: settings.address.to_string(),
            version: version.to_owned(),
        });
    }
    if server.policy.is_none() {
        tracing::warn!(
            address = %settings.address,
            "Redis does not tell its maxmemory-policy; make sure that it is noeviction or one of volatile-*"
        );
    }
    match server.unsafe_policy() {
        Some(policy) if !settings.unsafe_eviction => Err(ConnectError::UnsafeEviction {
            address: settings.address.to_string(),
            policy: policy.to_owned(),
        }),
        _ => Ok(()),
    }
}

/// Says so if the server has become one that sessions are not safe on. A running application is better off
/// with it than without, so this is all it does.
pub(super) async fn again(connection: &Connection, settings: &Settings) -> Result<(), Error> {
    let server = Server::read(&connection.info().await?);
    if let Some(policy) = server.unsafe_policy().filter(|_| !settings.unsafe_eviction) {
        tracing::error!(
            address = %settings.address,
            policy,
            "Redis evicts keys whatever they are, so sessions and their ends can get lost; set \
             maxmemory-policy to noeviction or one of volatile-*"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_before_6_2_are_too_old_and_odd_ones_are_given_the_benefit_of_the_doubt() {
        for (version, old) in [
            ("5.0.14", true),
            ("6.0.16", true),
            ("6.2.0", false),
            ("7.0.15", false),
            ("10.0", false),
            ("255.255.255", false),
            ("odd", false),
        ] {
            let server = Server::read(&format!("# Server\r\nredis_version:{version}\r\n"));
            assert_eq!(server.too_old().is_some(), old, "{version}");
        }
    }

    #[test]
    fn a_policy_is_unsafe_only_where_memory_is_bounded() {
        let server = |maxmemory: u32, policy: &str| {
            Server::read(&format!(
                "maxmemory:{maxmemory}\r\nmaxmemory_human:x\r\nmaxmemory_policy:{policy}\r\n"
            ))
        };
        assert!(server(1, "allkeys-lru").unsafe_policy().is_some());
        assert!(server(0, "allkeys-lru").unsafe_policy().is_none());
        assert!(server(1, "noeviction").unsafe_policy().is_none());
        assert!(server(1, "volatile-ttl").unsafe_policy().is_none());
        assert_eq!(Server::read(""), Server::default());
    }
}
