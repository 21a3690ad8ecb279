//! Counts instructions with valgrind.

use std::{
    env,
    ffi::OsString,
    fs,
    process::{self, Command},
};

use crate::{Result, case::Case};

const FEW: u64 = 200;
const MANY: u64 = 1200;

/// The difference between a longer and a shorter run is the cost of its requests.
pub(crate) fn of_a_request(case: Case) -> Result<u64> {
    let (few, many) = (of_a_run(case, FEW)?, of_a_run(case, MANY)?);
    Ok(many.saturating_sub(few) / (MANY - FEW))
}

fn of_a_run(case: Case, requests: u64) -> Result<u64> {
    let profile = env::temp_dir().join(format!("portcullis-instructions-{}", process::id()));
    let mut out = OsString::from("--callgrind-out-file=");
    out.push(&profile);
    let status = Command::new("valgrind")
        .args(["--tool=callgrind", "--quiet"])
        .arg(out)
        .arg(env::current_exe()?)
        .args(["drive", case.name(), &requests.to_string()])
        .status()
        .map_err(|_| "instructions are counted by valgrind, which was not found")?;
    let text = fs::read_to_string(&profile);
    let _ = fs::remove_file(&profile);
    if !status.success() {
        return Err(format!("{} failed under valgrind", case.name()).into());
    }
    let text = text?;
    let summary = |line: &str| {
        let total = line
            .strip_prefix("summary: ")
            .or(line.strip_prefix("totals: "))?;
        total.trim().parse().ok()
    };
    Ok(text
        .lines()
        .find_map(summary)
        .ok_or("valgrind has not printed a total")?)
}

/// The version of `rustc`.
pub(crate) fn compiler() -> Result<String> {
    let output = Command::new("rustc").arg("--version").output()?;
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}
