//! The number of instructions of a request, counted by valgrind: no clock, no network, hardly any
//! noise. So a change that makes requests slower is visible on any machine, before any benchmark.
//!
//! Valgrind knows no instructions for SHA-256, so hashing counts more here than in production.

mod app;
mod case;
mod count;

use std::{
    collections::BTreeMap, env, error::Error, fmt::Write as _, fs, io::Write as _,
    process::ExitCode,
};

use self::case::Case;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

const EXPECTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/expected.txt");

/// The largest difference from the expected count: seeds of hash maps, versions of libc.
const TOLERANCE: f64 = 0.03;

/// The same if another compiler made the program.
const TOLERANCE_BETWEEN_COMPILERS: f64 = 0.15;

const HELP: &str = "\
cargo run --release -p portcullis-instructions            compares with tests/instructions/expected.txt
cargo run --release -p portcullis-instructions -- accept  expects from now on what was counted";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let words: Vec<_> = env::args().skip(1).collect();
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    match *words {
        [] => compare(),
        ["accept"] => accept(),
        ["drive", case, requests] => {
            app::drive(Case::named(case).ok_or("not a case")?, requests.parse()?)
        }
        _ => Err(HELP.into()),
    }
}

fn counted() -> Result<BTreeMap<String, u64>> {
    if cfg!(debug_assertions) {
        return Err("instructions are counted with optimisation; run with --release".into());
    }
    Case::ALL
        .into_iter()
        .map(|case| Ok((case.name().to_owned(), count::of_a_request(case)?)))
        .collect()
}

fn accept() -> Result<()> {
    let compiler = count::compiler()?;
    let mut text = format!("# Instructions of a request on the memory store, by {compiler}.\n");
    for (name, count) in counted()? {
        writeln!(text, "{name} {count}")?;
    }
    fs::write(EXPECTED, &text)?;
    Ok(write!(std::io::stdout(), "{text}")?)
}

fn compare() -> Result<()> {
    let text = fs::read_to_string(EXPECTED)?;
    let tolerance = match text.contains(&count::compiler()?) {
        true => TOLERANCE,
        false => TOLERANCE_BETWEEN_COMPILERS,
    };
    let expected: BTreeMap<_, _> = text
        .lines()
        .filter_map(|line| line.split_once(' '))
        .filter_map(|(name, count)| Some((name, count.parse::<u32>().ok()?)))
        .collect();
    let mut all_fit = true;
    for (name, count) in counted()? {
        let expected = expected.get(name.as_str()).copied().unwrap_or(0);
        let ratio = f64::from(u32::try_from(count)?) / f64::from(expected);
        let fits = (ratio - 1.0).abs() <= tolerance;
        all_fit &= fits;
        let verdict = if fits { "as expected" } else { "DIFFERS" };
        let line = format!("{name:<8} {count:>8} of {expected:>8}, {ratio:.3}: {verdict}");
        writeln!(std::io::stdout(), "{line}")?;
    }
    match all_fit {
        true => Ok(()),
        false => Err(format!(
            "a request takes more or fewer instructions than expected. If there is a good reason, expect them from now on, and \
             commit that with what was changed:\n{HELP}"
        )
        .into()),
    }
}
