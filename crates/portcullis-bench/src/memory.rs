//! The memory of a signed-in session in Redis, with its lists and logs.

use serde::{Deserialize, Serialize};

use crate::{
    Result,
    args::Args,
    case::{Case, PAYLOAD_BYTES},
    load::{Load, Plan},
    persistently,
    process::Cores,
    redis::{self, Client},
    servers::{self, Settings, System},
};

/// The memory of one system.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Memory {
    pub(crate) system: System,
    /// Bytes of text in each session.
    pub(crate) payload: usize,
    pub(crate) sessions: usize,
    /// Growth of `used_memory` per session: keys, values, lists, hash tables.
    pub(crate) per_session: f64,
    pub(crate) keys_per_session: f64,
    /// The part of it that is the log of events, which is optional.
    #[serde(default)]
    pub(crate) log_per_session: f64,
}

/// Removes the log of Portcullis.
const FORGET_LOGS: &str = "for bucket = 0, 1023 do
    local key = string.format('pc:id:{%x}:', bucket)
    redis.call('DEL', key .. 'l', key .. 'a')
end";

pub(crate) fn all(args: &Args, redis: &redis::Server, cores: &Cores) -> Result<Vec<Memory>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let mut found = Vec::new();
    for system in System::ALL {
        let wanted = args.wants_system(system) && system.takes_part_in(Case::Enter);
        if !wanted || !system.is_shared() {
            continue;
        }
        // Also without data, to compare with systems that store none.
        let compared = matches!(system, System::Portcullis | System::TowerSessions);
        let payloads: &[usize] = match (system.has_data(), compared) {
            (true, true) => &[PAYLOAD_BYTES, 0],
            (true, false) => &[PAYLOAD_BYTES],
            (false, _) => &[0],
        };
        for payload in payloads {
            found.push(persistently(system.title(), || {
                runtime.block_on(one(system, *payload, args.sessions, redis, cores))
            })?);
        }
    }
    Ok(found)
}

async fn one(
    system: System,
    payload: usize,
    sessions: usize,
    redis: &redis::Server,
    cores: &Cores,
) -> Result<Memory> {
    const CONNECTIONS: usize = 64;
    let mut client = redis.client()?;
    client.flush()?;
    let settings = Settings::of(system, Case::Enter, redis.address());
    let served = servers::spawn(settings, cores)?;
    let plan = Plan {
        payload,
        ..Plan::of(system, Case::Enter, CONNECTIONS)
    };
    let mut load = Load::prepare(served.address, plan).await?;
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
    client.ask(&["EVAL", FORGET_LOGS, "0"])?;
    let without_logs = settled(&mut client).await?;
    client.flush()?;
    #[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
    let per_session = |all: u64| all as f64 / sessions as f64;
    Ok(Memory {
        system,
        payload,
        sessions,
        per_session: per_session(after.saturating_sub(before)),
        keys_per_session: per_session(stored),
        log_per_session: match system {
            System::Portcullis => per_session(after.saturating_sub(without_logs)),
            _ => 0.0,
        },
    })
}

/// `used_memory`, once Redis has moved its keys to a larger table and given up the smaller one.
pub(crate) async fn settled(client: &mut Client) -> Result<u64> {
    let mut least = u64::MAX;
    for _ in 0..20 {
        least = least.min(client.number_of_info("memory", "used_memory")?);
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    Ok(least)
}
