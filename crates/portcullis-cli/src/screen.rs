//! Results go to standard output, messages to standard error.

use std::io::{self, ErrorKind, Write};

use crate::exit::Failure;

/// Whether the results are still read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reader {
    Open,
    /// The other end of the pipe was closed, which is no error.
    Closed,
}

/// Writes a result.
pub(crate) fn print_result(result: &str) -> Result<Reader, Failure> {
    let mut stdout = io::stdout().lock();
    let written = stdout
        .write_all(result.as_bytes())
        .and_then(|()| stdout.flush());
    match written {
        Ok(()) => Ok(Reader::Open),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(Reader::Closed),
        Err(error) => Err(Failure::Output(format!(
            "the result could not be written: {error}"
        ))),
    }
}

/// The number of columns for results, from `COLUMNS` or the terminal. `None` in a pipe.
pub(crate) fn columns() -> Option<usize> {
    let variable = std::env::var("COLUMNS").ok();
    let variable = variable.and_then(|columns| columns.parse().ok());
    variable
        .filter(|columns| *columns > 0)
        .or_else(|| terminal_size::terminal_size_of(io::stdout()).map(|(width, _)| width.0.into()))
}

/// Asks the operator at the terminal, and returns whether they agree.
pub(crate) fn is_agreed(question: &str) -> Result<bool, Failure> {
    let mut stderr = io::stderr().lock();
    let _ = write!(stderr, "{question} [y/N] ");
    let _ = stderr.flush();
    let mut answer = String::new();
    io::stdin()
        .read_line(&mut answer)
        .map_err(|error| Failure::Usage(format!("the answer cannot be read: {error}")))?;
    Ok(is_yes(&answer))
}

fn is_yes(answer: &str) -> bool {
    ["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str())
}

/// Writes a message, whose text is safe. Errors are ignored.
pub(crate) fn print_message(message: &str) {
    let _ = writeln!(io::stderr().lock(), "portcullis: {message}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_yes_is_yes() {
        for (answer, is) in [
            ("y\n", true),
            ("YES\r\n", true),
            ("", false),
            ("\n", false),
            ("n\n", false),
            ("yeah\n", false),
        ] {
            assert_eq!(is_yes(answer), is, "{answer:?}");
        }
    }
}
