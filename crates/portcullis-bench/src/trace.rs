//! Which commands a request sends: counted by `MONITOR`, apart from the measurements, which it would slow down.

use std::collections::BTreeMap;

use crate::{
    Result,
    args::Args,
    case::Case,
    load::Load,
    process::Cores,
    redis,
    servers::{self, System},
};

const REQUESTS: usize = 20;
const SENTINEL: &str = "end-of-trace";

/// The commands of one request.
#[derive(Debug, Clone)]
pub(crate) struct Trace {
    pub(crate) system: System,
    pub(crate) case: Case,
    /// Sent by the server: each is a round trip.
    pub(crate) sent: BTreeMap<String, f64>,
    /// Executed inside scripts.
    pub(crate) inside: BTreeMap<String, f64>,
}

impl Trace {
    pub(crate) fn round_trips(&self) -> f64 {
        self.sent.values().fold(0.0, |sum, count| sum + count)
    }
}

pub(crate) fn all(args: &Args, redis: &redis::Server, cores: &Cores) -> Result<Vec<Trace>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let pairs = args.pairs().into_iter();
    pairs
        .map(|(case, system)| runtime.block_on(one(redis, cores, case, system)))
        .collect()
}

async fn one(redis: &redis::Server, cores: &Cores, case: Case, system: System) -> Result<Trace> {
    let mut control = redis.client()?;
    control.flush()?;
    let served = servers::spawn(system, case.idle(), redis, cores)?;
    let mut load = Load::prepare(served.address, system, case, 1).await?;
    // The first use of a script is not in the trace.
    load.stock(2).await?;
    load.run(2).await?;
    load.stock(REQUESTS).await?;
    let mut monitor = redis.client()?;
    monitor.ask(&["MONITOR"])?;
    load.run(REQUESTS).await?;
    control.ask(&["ECHO", SENTINEL])?;

    let own = format!("[0 {}]", control.own_address()?);
    let mut trace = Trace {
        system,
        case,
        sent: BTreeMap::new(),
        inside: BTreeMap::new(),
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
            // Portcullis asks for it four times a second, whatever the load.
            continue;
        }
        let commands = if inside {
            &mut trace.inside
        } else {
            &mut trace.sent
        };
        *commands.entry(name).or_default() += 1.0;
    }
    #[allow(clippy::cast_precision_loss, reason = "a small number")]
    for count in trace.sent.values_mut().chain(trace.inside.values_mut()) {
        *count /= REQUESTS as f64;
    }
    Ok(trace)
}
