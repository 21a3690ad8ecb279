//! Measures Portcullis beside its peers. `README.md` describes what and how.

use std::process::ExitCode;

fn main() -> ExitCode {
    portcullis_bench::run(None)
}
