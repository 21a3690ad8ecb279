//! The cost of removing expired sessions in Redis.

use std::time::{Duration, Instant};

use portcullis::{RedisStore, Sessions};
use serde::{Deserialize, Serialize};

use crate::{
    Result,
    args::Args,
    case::Case,
    load::{Load, Plan},
    process::Cores,
    redis,
    servers::{self, Settings, System},
};

/// One sweep.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Swept {
    /// The number of expired sessions.
    pub(crate) sessions: usize,
    pub(crate) seconds: f64,
    /// Microseconds, of the whole sweep.
    pub(crate) redis_cpu: f64,
    pub(crate) commands: u64,
}

const IDLE: Duration = Duration::from_secs(10);
const CONNECTIONS: usize = 64;

/// One sweep that finds a number of sessions, and one that finds nothing.
pub(crate) fn all(args: &Args, redis: &redis::Server, cores: &Cores) -> Result<Vec<Swept>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let sessions = args.sessions;
    let mut client = redis.client()?;
    client.flush()?;
    runtime.block_on(async {
        {
            let settings = Settings {
                idle: IDLE,
                ..Settings::of(System::Portcullis, Case::Enter, redis.address())
            };
            let served = servers::spawn(settings, cores)?;
            let plan = Plan::of(System::Portcullis, Case::Enter, CONNECTIONS);
            let mut load = Load::prepare(served.address, plan).await?;
            load.start_sessions(sessions).await?;
            // The server ends before it sweeps much itself.
        }
        tokio::time::sleep(IDLE + Duration::from_secs(1)).await;
        let url = format!("redis://{}", redis.address());
        let sweeper = Sessions::new(RedisStore::connect(url).await?);
        let mut swept = Vec::new();
        for _ in 0..2 {
            let (before, started) = (client.counters()?, Instant::now());
            let sessions = sweeper.sweep().await?;
            let (after, elapsed) = (client.counters()?, started.elapsed());
            swept.push(Swept {
                sessions,
                seconds: elapsed.as_secs_f64(),
                redis_cpu: (after.cpu - before.cpu) * 1e6,
                commands: after.calls_since(&before),
            });
        }
        client.flush()?;
        Ok(swept)
    })
}
