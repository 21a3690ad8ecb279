//! The growth of cost with the sessions in Redis, with the sessions of a user, and with the size of
//! a session.

use serde::{Deserialize, Serialize};

use crate::{
    Result,
    args::Args,
    case::Case,
    load::{Load, Plan},
    memory, persistently,
    process::Cores,
    redis,
    rounds::{self, Measured},
    servers::{self, Settings, System},
};

/// The quantity that grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum By {
    /// The sessions in Redis.
    Sessions,
    /// The sessions of the request's user.
    PerUser,
    /// The bytes in a session.
    Payload,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Grown {
    pub(crate) by: By,
    pub(crate) size: usize,
    pub(crate) measured: Measured,
    /// `used_memory` of Redis per session, where it is known.
    pub(crate) memory: Option<f64>,
}

const SESSIONS: [usize; 4] = [10_000, 100_000, 1_000_000, 10_000_000];
const PER_USER: [usize; 4] = [1, 10, 100, 1000];
/// The last is close to the most that Portcullis lets a session hold.
const PAYLOADS: [usize; 4] = [100, 1000, 10_000, 60_000];
const CONNECTIONS: usize = 64;

pub(crate) fn all(args: &Args, redis: &redis::Server, cores: &Cores) -> Result<Vec<Grown>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let mut grown = Vec::new();
    for system in [System::Portcullis, System::TowerSessions] {
        if args.wants_system(system) && system.takes_part_in(Case::Read) {
            grown.extend(persistently("by payload", || {
                runtime.block_on(with_payload(args, redis, cores, system))
            })?);
        }
    }
    for system in [System::Portcullis, System::SessionGuard] {
        if args.wants_system(system) && system.takes_part_in(Case::List10) {
            grown.extend(persistently("by sessions of a user", || {
                runtime.block_on(with_sessions_of_a_user(args, redis, cores, system))
            })?);
        }
    }
    grown.extend(persistently("by sessions", || {
        runtime.block_on(with_sessions(args, redis, cores))
    })?);
    Ok(grown)
}

async fn with_payload(
    args: &Args,
    redis: &redis::Server,
    cores: &Cores,
    system: System,
) -> Result<Vec<Grown>> {
    let mut grown = Vec::new();
    let mut client = redis.client()?;
    for size in PAYLOADS {
        for case in [Case::Read, Case::Write] {
            client.flush()?;
            let settings = Settings::of(system, case, redis.address());
            let served = servers::spawn(settings, cores)?;
            let plan = Plan {
                payload: size,
                ..Plan::of(system, case, CONNECTIONS)
            };
            let mut load = Load::prepare(served.address, plan).await?;
            let warmed = load.run(400).await?;
            let requests = args.requests(400, warmed.elapsed);
            grown.push(Grown {
                by: By::Payload,
                size,
                measured: rounds::once(&mut load, &served, &mut client, requests).await?,
                memory: None,
            });
        }
    }
    Ok(grown)
}

/// Over one connection. A sign-in is that of a user who has as many sessions as the limit allows,
/// so that one is displaced.
async fn with_sessions_of_a_user(
    args: &Args,
    redis: &redis::Server,
    cores: &Cores,
    system: System,
) -> Result<Vec<Grown>> {
    let mut grown = Vec::new();
    let mut client = redis.client()?;
    let sizes = PER_USER.into_iter().filter(|size| *size <= args.most / 100);
    for size in sizes {
        for (case, most) in [
            (Case::List10, 20_000 / size),
            (Case::RevokeAll, 3_000 / size),
            (Case::Enter, 200),
        ] {
            client.flush()?;
            let settings = Settings {
                limit: size,
                ..Settings::of(system, case, redis.address())
            };
            let served = servers::spawn(settings, cores)?;
            let plan = Plan {
                per_user: size,
                same_user: true,
                ..Plan::of(system, case, 1)
            };
            let mut load = Load::prepare(served.address, plan).await?;
            let requests = most.clamp(5, 300);
            load.stock(2).await?;
            load.run(2).await?;
            grown.push(Grown {
                by: By::PerUser,
                size,
                measured: rounds::once(&mut load, &served, &mut client, requests).await?,
                memory: None,
            });
        }
    }
    Ok(grown)
}

async fn with_sessions(args: &Args, redis: &redis::Server, cores: &Cores) -> Result<Vec<Grown>> {
    let mut grown = Vec::new();
    let mut client = redis.client()?;
    client.flush()?;
    let system = System::Portcullis;
    let empty = memory::settled(&mut client).await?;
    let mut there = 0;
    for size in SESSIONS.into_iter().filter(|size| *size <= args.most) {
        let settings = Settings::of(system, Case::Enter, redis.address());
        let served = servers::spawn(settings, cores)?;
        let mut filling =
            Load::prepare(served.address, Plan::of(system, Case::Enter, CONNECTIONS)).await?;
        filling.start_sessions(size - there).await?;
        there = size;
        let used = memory::settled(&mut client).await?.saturating_sub(empty);
        #[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
        let memory = Some(used as f64 / size as f64);
        for case in [Case::Read, Case::Write, Case::Enter, Case::List10] {
            let plan = Plan::of(system, case, CONNECTIONS);
            let mut load = Load::prepare(served.address, plan).await?;
            let warmed = load.run(400).await?;
            let requests = args.requests(400, warmed.elapsed);
            grown.push(Grown {
                by: By::Sessions,
                size,
                measured: rounds::once(&mut load, &served, &mut client, requests).await?,
                memory,
            });
        }
    }
    client.flush()?;
    Ok(grown)
}
