//! Measures Portcullis beside its peers. `README.md` describes what and how.
//!
//! A library, so that it can be linked twice: `portcullis-bench` measures, and
//! `portcullis-bench-counted` is the same with an allocator that counts.

mod allocations;
mod args;
mod case;
mod growth;
mod http;
mod load;
mod machine;
mod memory;
mod plot;
mod process;
mod proxy;
mod redis;
mod report;
mod rounds;
mod servers;
mod stats;
mod sweep;
mod tables;
mod targets;
mod trace;

use std::{io::Write, process::ExitCode};

use crate::{
    args::{Args, Command},
    report::Results,
};

/// Errors are for the terminal, so a sentence is enough.
pub(crate) type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// The allocations of the process since its start.
#[derive(Debug, Clone, Copy)]
#[allow(
    clippy::exhaustive_structs,
    reason = "made only by a binary of this package"
)]
pub struct Allocated {
    /// The number of allocations. Enlarging one counts as one more.
    pub count: usize,
    /// The bytes of all allocations, also of those that were freed.
    pub bytes: usize,
}

/// The main function of a binary. `counter` counts its allocations, if it does.
#[must_use]
pub fn run(counter: Option<fn() -> Allocated>) -> ExitCode {
    let done = Args::parse(std::env::args().skip(1)).and_then(|command| match command {
        Command::Help => say(args::HELP),
        Command::Serve(settings) => servers::serve(&settings, counter),
        Command::Measure(args) => measure(&args),
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(args: &Args) -> Result<()> {
    let results = match &args.from {
        Some(path) => serde_json::from_str(&std::fs::read_to_string(path)?)?,
        None => found(args)?,
    };
    say(&tables::text(&results))?;
    if let Some(path) = &args.json {
        std::fs::write(path, serde_json::to_string_pretty(&results)?)?;
    }
    if args.write {
        report::write(&results)?;
    }
    Ok(())
}

fn found(args: &Args) -> Result<Results> {
    let cores = process::Cores::assign();
    let redis = redis::Server::start(&cores)?;
    let mut results = Results::new(args, machine::facts(args, &redis, &cores)?);
    if args.wants_rounds() {
        results.traces = trace::all(args, &redis, &cores)?;
        results.allocations = allocations::all(args, &redis, &cores)?;
        results.measured = rounds::all(args, &redis, &cores)?;
    }
    if args.wants_memory() {
        results.memory = memory::all(args, &redis, &cores)?;
    }
    if args.wants_growth() {
        results.growth = growth::all(args, &redis, &cores)?;
        results.swept = sweep::all(args, &redis, &cores)?;
    }
    Ok(results)
}

/// Tries something three times. A machine that is busy with something else can hold a server up for
/// longer than it waits for Redis. Such a measurement is discarded, with a message.
pub(crate) fn persistently<T>(what: &str, mut attempt: impl FnMut() -> Result<T>) -> Result<T> {
    for _ in 0..2 {
        match attempt() {
            Ok(found) => return Ok(found),
            Err(error) => writeln!(std::io::stderr(), "\n{what}: {error}; measured once more")?,
        }
    }
    attempt().map_err(|error| format!("{what}: {error}").into())
}

fn say(text: &str) -> Result<()> {
    Ok(writeln!(std::io::stdout().lock(), "{text}")?)
}
