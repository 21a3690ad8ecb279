//! The machine, the versions and the date of a measurement.

use std::{env::consts, fs};

use crate::{
    Result,
    args::Args,
    process::{self, Cores},
    redis,
};

const LOCK_FILE: &str = include_str!("../../../Cargo.lock");
const CRATES: [&str; 14] = [
    "portcullis",
    "axum",
    "hyper",
    "tokio",
    "fred",
    "session-guard",
    "tower-sessions",
    "tower-sessions-core",
    "tower-sessions-redis-store",
    "axum_session",
    "axum_session_redispool",
    "redis_pool",
    "actix-web",
    "actix-session",
];

/// Names and values.
pub(crate) fn facts(
    args: &Args,
    redis: &redis::Server,
    cores: &Cores,
) -> Result<Vec<(String, String)>> {
    let mut client = redis.client()?;
    let versions: Vec<_> = CRATES
        .iter()
        .filter_map(|name| Some(format!("{name} {}", versions(name)?)))
        .collect();
    let compiler = process::first_line("rustc", "--version").unwrap_or_default();
    let server = client.info("server", "redis_version")?;
    let allocator = client.info("memory", "mem_allocator")?;
    let machine = format!(
        "{} {}, {} cores, {}{}",
        consts::OS,
        consts::ARCH,
        cores.count,
        processor().unwrap_or_else(|| "processor not known".into()),
        memory().map_or_else(String::new, |gib| format!(", {gib} GiB")),
    );
    let length = args.length.as_secs_f64();
    let facts = [
        (
            "date",
            process::first_line("date", "+%Y-%m-%d").unwrap_or_default(),
        ),
        ("crates", versions.join(", ")),
        (
            "compiler",
            if cfg!(debug_assertions) {
                format!("{compiler} - WITHOUT OPTIMISATION, run with --release")
            } else {
                compiler
            },
        ),
        (
            "Redis",
            format!("{server}, {allocator}, nothing written to disk"),
        ),
        ("machine", machine),
        ("places", cores.describe()),
        (
            "rounds",
            format!("{}, each measurement about {length} s", args.rounds),
        ),
    ];
    Ok(facts.map(|(name, value)| (name.to_owned(), value)).into())
}

/// The versions of a package in the lock file that this was built with.
fn versions(name: &str) -> Option<String> {
    let entry = format!("name = \"{name}\"\nversion = \"");
    let found: Vec<_> = LOCK_FILE
        .split(&entry)
        .skip(1)
        .filter_map(|rest| Some(rest.split_once('"')?.0))
        .collect();
    (!found.is_empty()).then(|| found.join(" and "))
}

fn processor() -> Option<String> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn memory() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("MemTotal"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib.div_ceil(1024 * 1024))
}
