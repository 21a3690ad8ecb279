//! Results go to standard output, messages to standard error.

use std::io::{self, ErrorKind, Write};

use crate::exit::Failure;

/// Whether somebody reads the results.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Audience {
    Listening,
    /// The other end of the pipe was closed: there is nobody left to tell, which is no mistake.
    Gone,
}

/// Writes a result.
pub(crate) fn say(result: &str) -> Result<Audience, Failure> {
    let mut stdout = io::stdout().lock();
    let written = stdout
        .write_all(result.as_bytes())
        .and_then(|()| stdout.flush());
    match written {
        Ok(()) => Ok(Audience::Listening),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(Audience::Gone),
        Err(error) => Err(Failure::Output(format!(
            "the result could not be written: {error}"
        ))),
    }
}

/// How many columns there are for results: what `COLUMNS` says, or else the terminal. `None` in a pipe.
pub(crate) fn columns() -> Option<usize> {
    let said = std::env::var("COLUMNS").ok();
    let said = said.and_then(|columns| columns.parse().ok());
    said.filter(|columns| *columns > 0)
        .or_else(|| terminal_size::terminal_size_of(io::stdout()).map(|(width, _)| width.0.into()))
}

/// Writes a message, whose text is safe. Nobody has to be able to read it.
pub(crate) fn mention(message: &str) {
    let _ = writeln!(io::stderr().lock(), "portcullis: {message}");
}
