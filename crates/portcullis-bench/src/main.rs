//! Measures Portcullis beside plain axum and tower-sessions. `README.md` says what and how.

mod args;
mod case;
mod http;
mod load;
mod machine;
mod memory;
mod process;
mod redis;
mod report;
mod rounds;
mod servers;
mod stats;
mod targets;
mod trace;

use std::{io::Write, process::ExitCode};

use crate::args::{Args, Command};

/// Errors are for the person at the terminal, so a sentence is enough.
pub(crate) type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn main() -> ExitCode {
    let done = Args::parse(std::env::args().skip(1)).and_then(|command| match command {
        Command::Help => say(args::HELP),
        Command::Serve(settings) => servers::serve(&settings),
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
    let cores = process::Cores::assign();
    let redis = redis::Server::start(&cores)?;
    say(&machine::facts(&redis, &cores)?)?;
    let mut results = report::Results::new(args);
    if args.wants_rounds() {
        results.traces = trace::all(args, &redis, &cores)?;
        results.measured = rounds::all(args, &redis, &cores)?;
    }
    if args.wants_memory() {
        results.memory = memory::all(args, &redis, &cores)?;
    }
    say(&report::tables(&results)?)?;
    say(&targets::table(&results))?;
    if let Some(path) = &args.json {
        std::fs::write(path, report::json(&results)?)?;
    }
    Ok(())
}

fn say(text: &str) -> Result<()> {
    Ok(writeln!(std::io::stdout().lock(), "{text}")?)
}
