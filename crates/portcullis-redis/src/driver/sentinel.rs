//! Finds a primary through Sentinels.

use std::{
    cmp::Reverse,
    time::{Duration, Instant},
};

use bytes::Bytes;
use fred::prelude::Value;
use tokio::{task::JoinSet, time::timeout};

use super::{
    answer,
    connection::{Connection, Reconnect},
    failure,
    settings::Settings,
};
use crate::{ConnectError, address::Sentinels, endpoint::Endpoint};

/// Timeout of one Sentinel.
const TIMEOUT: Duration = Duration::from_millis(500);

/// Connects to the primary. Tries the servers that Sentinels name, the most often named first, and
/// takes one that reports to be a primary. A Sentinel may still name the old primary for a moment
/// after a failover.
pub(super) async fn open(
    settings: &Settings,
    sentinels: &Sentinels,
) -> Result<(Connection, Instant, u64), ConnectError> {
    let Named {
        mut votes,
        mut failed,
    } = ask_all(settings, sentinels).await;
    votes.sort_by_key(|(_, count)| Reverse(*count));
    for (primary, _) in votes {
        match open_primary(&settings.at(&primary)).await {
            Ok(opened) => return Ok(opened),
            // This error says more than that of a Sentinel.
            Err(error) => failed = Some(error),
        }
    }
    Err(failed.unwrap_or_else(|| unnamed(settings, "no answer")))
}

/// The primary that more than half of the Sentinels name.
pub(super) async fn elected(settings: &Settings, sentinels: &Sentinels) -> Option<Endpoint> {
    let votes = ask_all(settings, sentinels).await.votes.into_iter();
    let majority = |(primary, count)| is_majority(count, sentinels).then_some(primary);
    votes.filter_map(majority).next()
}

/// The answers of the Sentinels.
struct Named {
    /// The named servers, and how many Sentinels named each.
    votes: Vec<(Endpoint, usize)>,
    failed: Option<ConnectError>,
}

/// Asks all Sentinels at once, until more than half of them agree.
async fn ask_all(settings: &Settings, sentinels: &Sentinels) -> Named {
    let mut asked = JoinSet::new();
    for endpoint in &sentinels.endpoints {
        let (settings, sentinels) = (settings.clone(), sentinels.clone());
        let endpoint = endpoint.clone();
        asked.spawn(async move { primary(&settings, &sentinels, &endpoint).await });
    }
    let (mut votes, mut failed): (Vec<(Endpoint, usize)>, _) = (Vec::new(), None);
    while let Some(Ok(answer)) = asked.join_next().await {
        let named = match answer {
            Ok(named) => named,
            Err(error) => {
                failed = Some(error);
                continue;
            }
        };
        let count = match votes.iter_mut().find(|(other, _)| *other == named) {
            Some((_, count)) => {
                *count += 1;
                *count
            }
            None => {
                votes.push((named, 1));
                1
            }
        };
        if is_majority(count, sentinels) {
            break;
        }
    }
    Named { votes, failed }
}

fn is_majority(count: usize, sentinels: &Sentinels) -> bool {
    2 * count > sentinels.endpoints.len()
}

/// The server that this Sentinel names as the primary.
pub(super) async fn primary(
    settings: &Settings,
    sentinels: &Sentinels,
    endpoint: &Endpoint,
) -> Result<Endpoint, ConnectError> {
    let asked = Settings {
        address: settings.address.of_sentinel(sentinels, endpoint),
        ..settings.clone()
    };
    let command = vec![
        Bytes::from_static(b"GET-MASTER-ADDR-BY-NAME"),
        Bytes::copy_from_slice(sentinels.service.as_bytes()),
    ];
    let answer = timeout(TIMEOUT, async {
        let connection = Connection::open_to_sentinel(&asked).await?;
        let answer = connection.send("SENTINEL", command).await;
        answer.map_err(|error| match failure::is(&error, "ERR") {
            true => unnamed(
                settings,
                &format!("the server at {endpoint} is no Sentinel"),
            ),
            false => failure::connect_error(&asked.address, &error),
        })
    });
    let answer = answer
        .await
        .unwrap_or_else(|_| Err(unnamed(settings, "no answer in time")))?;
    read(answer).ok_or_else(|| unnamed(settings, "a Sentinel does not know the service"))
}

fn read(answer: Value) -> Option<Endpoint> {
    let Value::Array(items) = answer else {
        return None;
    };
    let mut items = items.into_iter();
    let host = answer::bytes(items.next()?)?;
    let port = items.next()?.as_u64()?;
    let host = std::str::from_utf8(&host).ok()?;
    Some(Endpoint::new(host, u16::try_from(port).ok()?))
}

/// Connects to a server that must be a primary. The library does not restore the connection: after
/// a failover a replica answers at this address.
pub(super) async fn open_primary(
    settings: &Settings,
) -> Result<(Connection, Instant, u64), ConnectError> {
    let (connection, sent, server_ms) = Connection::open(settings, Reconnect::Never).await?;
    match connection.is_primary().await {
        Ok(true) => Ok((connection, sent, server_ms)),
        Ok(false) => Err(unnamed(
            settings,
            "the server they name is a replica; a failover may be under way",
        )),
        Err(error) => Err(failure::connect_error(&settings.address, &error)),
    }
}

fn unnamed(settings: &Settings, reason: &str) -> ConnectError {
    ConnectError::Sentinel {
        address: settings.address.to_string(),
        reason: reason.to_owned(),
    }
}
