//! The number of allocations of a request, counted in a server of its own, which is built with an
//! allocator that counts.

use std::{path::PathBuf, process::Command};

use serde::{Deserialize, Serialize};

use crate::{
    Result,
    args::Args,
    case::Case,
    load::{Load, Plan},
    persistently,
    process::Cores,
    redis,
    servers::{self, Settings, System},
};

const PROGRAM: &str = "portcullis-bench-counted";
const WARM_UP: usize = 50;

/// Of one request.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Allocations {
    pub(crate) system: System,
    pub(crate) case: Case,
    pub(crate) count: f64,
    pub(crate) bytes: f64,
}

/// `None` if the other program cannot be built.
pub(crate) fn all(args: &Args, redis: &redis::Server, cores: &Cores) -> Result<Vec<Allocations>> {
    let Some(program) = built()? else {
        return Ok(Vec::new());
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    args.pairs()
        .into_iter()
        .map(|(case, system)| {
            persistently(&format!("{}, {}", system.title(), case.name()), || {
                runtime.block_on(one(args, redis, cores, &program, (case, system)))
            })
        })
        .collect()
}

/// This program with the other allocator, made by the cargo that runs this one.
fn built() -> Result<Option<PathBuf>> {
    let program = std::env::current_exe()?.with_file_name(PROGRAM);
    let Some(cargo) = std::env::var_os("CARGO") else {
        return Ok(program.exists().then_some(program));
    };
    let mut command = Command::new(cargo);
    command.args([
        "build",
        "--quiet",
        "-p",
        env!("CARGO_PKG_NAME"),
        "--bin",
        PROGRAM,
    ]);
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    if !cfg!(feature = "peers") {
        command.arg("--no-default-features");
    }
    // With the variables that cargo sets for this program, it would build some dependencies anew.
    for (name, _) in std::env::vars_os() {
        let set_by_cargo = [
            "CARGO_MANIFEST_",
            "CARGO_PKG_",
            "CARGO_BIN_",
            "CARGO_CRATE_",
        ];
        if set_by_cargo
            .iter()
            .any(|prefix| name.to_string_lossy().starts_with(prefix))
        {
            command.env_remove(name);
        }
    }
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    Ok(command.status()?.success().then_some(program))
}

async fn one(
    args: &Args,
    redis: &redis::Server,
    cores: &Cores,
    program: &std::path::Path,
    (case, system): (Case, System),
) -> Result<Allocations> {
    redis.client()?.flush()?;
    let settings = Settings::of(system, case, redis.address());
    let mut served = servers::spawn_program(program, settings, cores)?;
    let mut load = Load::prepare(served.address, Plan::of(system, case, 1)).await?;
    let requests = args.counted.min(case.most_requests());
    load.stock(WARM_UP + requests).await?;
    load.run(WARM_UP).await?;
    let before = served.allocated()?;
    load.run(requests).await?;
    let after = served.allocated()?;
    let per_request = |after: usize, before: usize| -> Result<f64> {
        let (many, requests) = (u32::try_from(after - before)?, u32::try_from(requests)?);
        Ok(f64::from(many) / f64::from(requests))
    };
    Ok(Allocations {
        system,
        case,
        count: per_request(after.count, before.count)?,
        bytes: per_request(after.bytes, before.bytes)?,
    })
}
