//! What a session costs in the memory of Redis.

use std::{ops::RangeInclusive, time::Duration};

use crate::{
    Result,
    args::Args,
    case::{Case, PAYLOAD_BYTES},
    load::Load,
    process::Cores,
    redis::{self, Client},
    servers::{self, System},
};

/// What was found of one system.
#[derive(Debug, Clone)]
pub(crate) struct Memory {
    pub(crate) system: System,
    pub(crate) sessions: usize,
    /// Growth of `used_memory` per session: key, value, both hash tables.
    pub(crate) per_session: f64,
    /// `MEMORY USAGE` of one key.
    pub(crate) usage: u64,
    pub(crate) key_bytes: usize,
    pub(crate) value_bytes: u64,
    pub(crate) encoding: String,
    pub(crate) ttl_ms: u64,
    /// Lengths of a value, under a key as long, that cost the same.
    pub(crate) same_cost: RangeInclusive<u64>,
}

pub(crate) fn all(args: &Args, redis: &redis::Server, cores: &Cores) -> Result<Vec<Memory>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    [System::Portcullis, System::TowerSessions]
        .into_iter()
        .map(|system| runtime.block_on(one(system, args.sessions, redis, cores)))
        .collect()
}

async fn one(
    system: System,
    sessions: usize,
    redis: &redis::Server,
    cores: &Cores,
) -> Result<Memory> {
    const CONNECTIONS: usize = 16;
    let mut client = redis.client()?;
    let case = Case::Read;
    let served = servers::spawn(system, case.idle(), redis, cores)?;
    let mut load = Load::prepare(served.address, system, case, CONNECTIONS).await?;
    // Connections, buffers and scripts are in place now, and not counted.
    load.start_sessions(CONNECTIONS).await?;
    client.flush()?;
    let before = settled(&mut client).await?;
    load.start_sessions(sessions).await?;
    let after = settled(&mut client).await?;
    let stored = client.number(&["DBSIZE"])?;
    if stored < u64::try_from(sessions)? {
        return Err(format!("{stored} keys for {sessions} sessions").into());
    }

    let key = a_record(&mut client)?;
    let usage = client.number(&["MEMORY", "USAGE", &key])?;
    let value_bytes = client.number(&["STRLEN", &key])?;
    #[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
    let memory = Memory {
        system,
        sessions,
        per_session: after.saturating_sub(before) as f64 / sessions as f64,
        usage,
        key_bytes: key.len(),
        value_bytes,
        encoding: client.ask(&["OBJECT", "ENCODING", &key])?,
        ttl_ms: client.number(&["PTTL", &key])?,
        same_cost: same_cost(&mut client, &key, value_bytes)?,
    };
    client.flush()?;
    Ok(memory)
}

/// The key of a session. Portcullis keeps lists and logs beside them, whose keys go on with a colon.
fn a_record(client: &mut Client) -> Result<String> {
    loop {
        let key = client.ask(&["RANDOMKEY"])?;
        if !key.contains("}:") {
            return Ok(key);
        }
    }
}

/// `used_memory`, once Redis has moved its keys to a larger table and given up the smaller one.
async fn settled(client: &mut Client) -> Result<u64> {
    let mut least = u64::MAX;
    for _ in 0..20 {
        least = least.min(client.number_of_info("memory", "used_memory")?);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(least)
}

/// Between which lengths the allocator gives the value the same room, found by trying.
fn same_cost(client: &mut Client, key: &str, length: u64) -> Result<RangeInclusive<u64>> {
    let mut cost = |length: u64| -> Result<u64> {
        client.ask(&["SET", key, &"x".repeat(usize::try_from(length)?)])?;
        client.number(&["MEMORY", "USAGE", key])
    };
    let here = cost(length)?;
    let (mut least, mut most) = (length, length);
    // A value of up to 44 bytes is kept in another way.
    while least > 45 && cost(least - 1)? == here {
        least -= 1;
    }
    while cost(most + 1)? == here {
        most += 1;
    }
    Ok(least..=most)
}

/// The share of a record that is not the application's.
pub(crate) fn beside_payload(memory: &Memory) -> u64 {
    memory
        .value_bytes
        .saturating_sub(u64::try_from(PAYLOAD_BYTES).unwrap_or(u64::MAX))
}
