//! Finding a primary through Sentinels.

use std::{
    cmp::Reverse,
    time::{Duration, Instant},
};

use bytes::Bytes;
use fred::prelude::Value;
use tokio::{task::JoinSet, time::timeout};

use super::{
    Settings,
    connection::{Connection, Restored},
    failure, reply,
};
use crate::{ConnectError, address::Sentinels, endpoint::Endpoint};

/// For one Sentinel.
const ANSWER: Duration = Duration::from_millis(500);

/// A connection to the primary: to the one that most Sentinels name, if it says so itself, or else to another one that
/// does. One that has not heard of a failover yet still names the old one.
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
            // More is known of it than of any Sentinel.
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

/// What Sentinels said.
struct Named {
    /// The servers that were named, and how often.
    votes: Vec<(Endpoint, usize)>,
    failed: Option<ConnectError>,
}

/// All at once, and until most of them agree.
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

/// Which server this Sentinel takes for the primary.
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
    let answer = timeout(ANSWER, async {
        let connection = Connection::open_to_sentinel(&asked).await?;
        let answer = connection.send("SENTINEL", command).await;
        answer.map_err(|error| match failure::is(&error, "ERR") {
            true => unnamed(settings, &format!("what is at {endpoint} is no Sentinel")),
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
    let host = reply::bytes(items.next()?)?;
    let port = items.next()?.as_u64()?;
    let host = std::str::from_utf8(&host).ok()?;
    Some(Endpoint::new(host, u16::try_from(port).ok()?))
}

/// The library does not restore it: what comes back at this address after a failover is a replica.
pub(super) async fn open_primary(
    settings: &Settings,
) -> Result<(Connection, Instant, u64), ConnectError> {
    let (connection, sent, server_ms) = Connection::open(settings, Restored::Never).await?;
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
