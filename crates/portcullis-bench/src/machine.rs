//! What was measured where.

use std::{env::consts, fs};

use crate::{
    Result,
    process::{self, Cores},
    redis,
};

const LOCK_FILE: &str = include_str!("../../../Cargo.lock");
const CRATES: [&str; 8] = [
    "portcullis",
    "axum",
    "hyper",
    "tokio",
    "fred",
    "tower-sessions",
    "tower-sessions-core",
    "tower-sessions-redis-store",
];

pub(crate) fn facts(redis: &redis::Server, cores: &Cores) -> Result<String> {
    let mut client = redis.client()?;
    let versions: Vec<_> = CRATES
        .iter()
        .filter_map(|name| Some(format!("{name} {}", version(name)?)))
        .collect();
    let rustc = process::first_line("rustc", "--version").unwrap_or_default();
    let server = client.info("server", "redis_version")?;
    let allocator = client.info("memory", "mem_allocator")?;
    Ok(format!(
        "crates    {}\ncompiler  {rustc}{}\nRedis     {server}, {allocator}\nmachine   {} {}, {} cores, {}\nplaces    {}\n",
        versions.join(", "),
        if cfg!(debug_assertions) {
            " - WITHOUT OPTIMISATION, run with --release"
        } else {
            ""
        },
        consts::OS,
        consts::ARCH,
        cores.count,
        processor().unwrap_or_else(|| "processor not known".into()),
        cores.describe(),
    ))
}

/// The version of a package in the lock file that this was built with.
fn version(name: &str) -> Option<&'static str> {
    let entry = format!("name = \"{name}\"\nversion = \"");
    let (_, rest) = LOCK_FILE.split_once(&entry)?;
    Some(rest.split_once('"')?.0)
}

fn processor() -> Option<String> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}
