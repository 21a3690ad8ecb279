//! Measures everything once per round, so that a disturbance of the machine affects every system.

use std::{collections::HashMap, io::Write};

use serde::{Deserialize, Serialize};

use crate::{
    Result,
    args::Args,
    case::Case,
    load::{Load, Plan},
    persistently,
    process::Cores,
    redis,
    servers::{self, Served, Settings, System},
};

pub(crate) const CONNECTIONS: [usize; 2] = [1, 64];

const WARM_UP: usize = 400;

/// One system in one case with one number of connections, in one round.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Measured {
    pub(crate) system: System,
    pub(crate) case: Case,
    pub(crate) connections: usize,
    pub(crate) round: usize,
    pub(crate) requests: usize,
    pub(crate) per_second: f64,
    /// Microseconds, as all below.
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    /// CPU time of the server process per request. `None` if the system does not report it.
    pub(crate) cpu: Option<f64>,
    /// Commands that Redis executed per request, also from inside scripts.
    pub(crate) commands: f64,
    pub(crate) redis_cpu: f64,
    /// Bytes to and from Redis per request.
    pub(crate) redis_bytes: f64,
}

pub(crate) fn all(args: &Args, redis: &redis::Server, cores: &Cores) -> Result<Vec<Measured>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let mut measured = Vec::new();
    // The first round determines the number of requests. It stays the same afterwards.
    let mut requests = HashMap::new();
    for round in 0..args.rounds {
        write!(
            std::io::stderr(),
            "\rround {} of {} ",
            round + 1,
            args.rounds
        )?;
        for connections in CONNECTIONS {
            for (case, system) in args.pairs() {
                let known = requests
                    .entry((case.name(), system.name(), connections))
                    .or_default();
                let what = format!("{}, {}", system.title(), case.name());
                let result = persistently(&what, || {
                    let work = one(args, redis, cores, (case, system, connections), known);
                    runtime.block_on(work)
                })?;
                measured.push(Measured { round, ..result });
                write!(std::io::stderr(), ".")?;
            }
        }
    }
    writeln!(std::io::stderr())?;
    Ok(measured)
}

async fn one(
    args: &Args,
    redis: &redis::Server,
    cores: &Cores,
    (case, system, connections): (Case, System, usize),
    requests: &mut usize,
) -> Result<Measured> {
    let mut client = redis.client()?;
    client.flush()?;
    let settings = Settings::of(system, case, redis.address());
    let served = servers::spawn(settings, cores)?;
    let mut load = Load::prepare(served.address, Plan::of(system, case, connections)).await?;
    let warm_up = WARM_UP.min(case.most_requests() / 4);
    load.stock(warm_up).await?;
    let warmed = load.run(warm_up).await?;
    if *requests == 0 {
        *requests = args
            .requests(warm_up, warmed.elapsed)
            .min(case.most_requests());
    }
    let measured = once(&mut load, &served, &mut client, *requests).await?;
    load.verify().await?;
    Ok(measured)
}

/// Sends this many requests, and returns the cost of each.
pub(crate) async fn once(
    load: &mut Load,
    served: &Served,
    client: &mut redis::Client,
    requests: usize,
) -> Result<Measured> {
    load.stock(requests).await?;
    let (cpu, counters) = (served.process.cpu(), client.counters()?);
    let run = load.run(requests).await?;
    let (cpu_after, counters_after) = (served.process.cpu(), client.counters()?);

    #[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
    let (count, calls, bytes) = (
        requests as f64,
        counters_after.calls_since(&counters) as f64,
        counters_after.bytes_since(&counters) as f64,
    );
    let cpu = cpu.zip(cpu_after).map(|(before, after)| after - before);
    let Plan {
        system,
        case,
        connections,
        ..
    } = load.plan();
    Ok(Measured {
        system,
        case,
        connections,
        round: 0,
        requests,
        per_second: count / run.elapsed.as_secs_f64(),
        p50: run.p50.as_secs_f64() * 1e6,
        p99: run.p99.as_secs_f64() * 1e6,
        cpu: cpu.map(|cpu| cpu.as_secs_f64() * 1e6 / count),
        commands: calls / count,
        redis_cpu: (counters_after.cpu - counters.cpu) * 1e6 / count,
        redis_bytes: bytes / count,
    })
}
