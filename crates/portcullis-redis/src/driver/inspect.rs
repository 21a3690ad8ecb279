//! Checks whether sessions are safe on a server.

use fred::prelude::Error;

use super::{connection::Connection, settings::Settings};
use crate::{ConnectError, info::Info};

/// Refuses a server that sessions are not safe on.
pub(super) async fn at_start(
    connection: &Connection,
    settings: &Settings,
) -> Result<(), ConnectError> {
    let text = connection.info().await.unwrap_or_default();
    let info = Info::new(&text);
    if let Some(version) = info.too_old() {
        return Err(ConnectError::TooOld {
            address: settings.address.to_string(),
            version: version.to_owned(),
        });
    }
    if info.get("maxmemory_policy").is_none() {
        tracing::warn!(
            address = %settings.address,
            "Redis does not show its maxmemory-policy; make sure that it is noeviction or one of \
             volatile-*"
        );
    }
    match info.unsafe_policy() {
        Some(policy) if !settings.unsafe_eviction => Err(ConnectError::UnsafeEviction {
            address: settings.address.to_string(),
            policy: policy.to_owned(),
        }),
        _ => Ok(()),
    }
}

/// Logs an error if sessions are no longer safe on the server. It does no more: a running
/// application is better off with this server than without any.
pub(super) async fn again(connection: &Connection, settings: &Settings) -> Result<(), Error> {
    let text = connection.info().await?;
    let policy = Info::new(&text).unsafe_policy();
    if let Some(policy) = policy.filter(|_| !settings.unsafe_eviction) {
        tracing::error!(
            address = %settings.address,
            policy,
            "Redis evicts any key, so sessions, their ends and suspensions of users can get lost; set \
             maxmemory-policy to noeviction or one of volatile-*"
        );
    }
    Ok(())
}
