//! The cost of a request in Redis: its commands, counted by `MONITOR`, and the round trips it waits
//! for, counted by making each take longer. Both would slow down the measurements, so they run
//! apart.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    Result,
    args::Args,
    case::Case,
    load::{Load, Plan},
    persistently,
    process::Cores,
    proxy::Proxy,
    redis,
    servers::{self, Settings, System},
};

const SENTINEL: &str = "end-of-trace";
const LONGER: Duration = Duration::from_millis(10);

/// The commands and round trips of one request.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Trace {
    pub(crate) system: System,
    pub(crate) case: Case,
    /// Sent by the server.
    pub(crate) sent: BTreeMap<String, f64>,
    /// Executed inside scripts.
    pub(crate) inside: BTreeMap<String, f64>,
    /// The number of consecutive round trips that the request waits for.
    pub(crate) round_trips: f64,
}

impl Trace {
    pub(crate) fn commands(&self) -> f64 {
        self.sent.values().fold(0.0, |sum, count| sum + count)
    }
}

pub(crate) fn all(args: &Args, redis: &redis::Server, cores: &Cores) -> Result<Vec<Trace>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let proxy = Proxy::start(redis.address())?;
    let pairs = args.pairs().into_iter();
    pairs
        .filter(|(_, system)| system.has_sessions() || system.is_raw())
        .map(|(case, system)| {
            persistently(&format!("{}, {}", system.title(), case.name()), || {
                runtime.block_on(one(redis, &proxy, cores, case, system))
            })
        })
        .collect()
}

async fn one(
    redis: &redis::Server,
    proxy: &Proxy,
    cores: &Cores,
    case: Case,
    system: System,
) -> Result<Trace> {
    let mut control = redis.client()?;
    control.flush()?;
    proxy.delay(Duration::ZERO);
    let served = servers::spawn(Settings::of(system, case, proxy.address), cores)?;
    let mut load = Load::prepare(served.address, Plan::of(system, case, 1)).await?;
    let requests = if case.sessions_per_user() > 1 { 5 } else { 20 };
    // The first use of a script is not in the trace.
    load.stock(2 + 2 * requests).await?;
    load.run(2).await?;
    let mut monitor = redis.client()?;
    monitor.ask(&["MONITOR"])?;
    let near = load.run(requests).await?;
    proxy.delay(LONGER);
    let far = load.run(requests).await?;
    proxy.delay(Duration::ZERO);
    control.ask(&["ECHO", SENTINEL])?;

    let own = format!("[0 {}]", control.own_address()?);
    let longer = far.least.saturating_sub(near.least);
    let mut trace = Trace {
        system,
        case,
        sent: BTreeMap::new(),
        inside: BTreeMap::new(),
        // Threads take a little longer than requested to wake up.
        round_trips: (longer.as_secs_f64() / LONGER.as_secs_f64() - 0.1)
            .round()
            .max(0.0),
    };
    loop {
        let line = monitor.reply()?;
        let line = String::from_utf8_lossy(&line);
        if line.contains(&own) {
            break;
        }
        let Some(name) = line.split('"').nth(1).map(str::to_uppercase) else {
            continue;
        };
        let inside = line.contains("[0 lua]");
        if name == "TIME" && !inside {
            // Portcullis sends it four times a second, at any load.
            continue;
        }
        let commands = if inside {
            &mut trace.inside
        } else {
            &mut trace.sent
        };
        *commands.entry(name).or_default() += 1.0;
    }
    let requests = u32::try_from(2 * requests)?;
    for count in trace.sent.values_mut().chain(trace.inside.values_mut()) {
        *count /= f64::from(requests);
    }
    Ok(trace)
}
