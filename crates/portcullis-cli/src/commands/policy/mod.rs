//! Policy documents in files. No command of these uses a server.

mod check;
mod diff;
mod explain;
mod export;

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use portcullis_policy::{
    Document, InvalidDocument, MAX_DOCUMENT_BYTES, PolicyBounds, Problem, Resolved,
};

use crate::{
    args::{OutputOptions, Policy},
    exit::{Failure, Outcome},
    screen::print_message,
    text::shown,
};

pub(crate) fn policy(output: OutputOptions, policy: &Policy) -> Result<Outcome, Failure> {
    match policy {
        Policy::Check(check) => check::check(output, check),
        Policy::Diff(diff) => diff::diff(output, diff),
        Policy::Explain(explain) => explain::explain(output, explain),
        Policy::Export(export) => export::export(output, export),
    }
}

/// A document that is accepted.
struct Accepted {
    document: Document,
    resolved: Resolved,
}

/// The document in a file, or why it is refused.
fn read(file: &Path) -> Result<Result<Accepted, Vec<Problem>>, Failure> {
    let text = text_of(file)
        .map_err(|error| Failure::Usage(format!("{} cannot be read: {error}", name(file))))?;
    let parsed = Document::parse(&text).map_err(InvalidDocument::into_problems);
    Ok(parsed.and_then(|document| {
        let resolved = document.resolve_all(&PolicyBounds::new())?;
        Ok(Accepted { document, resolved })
    }))
}

/// The text, and no more of it than shows that it is too long.
fn text_of(file: &Path) -> io::Result<String> {
    let most = u64::try_from(MAX_DOCUMENT_BYTES).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    File::open(file)?
        .take(most.saturating_add(1))
        .read_to_end(&mut bytes)?;
    if bytes.len() > MAX_DOCUMENT_BYTES {
        // It may have been cut within a character.
        return Ok(String::from_utf8_lossy(&bytes).into_owned());
    }
    String::from_utf8(bytes).map_err(|_| io::Error::other("it is not UTF-8"))
}

/// The document in a file, for a command that has no result without it. Problems are messages.
fn read_accepted(file: &Path) -> Result<Option<Accepted>, Failure> {
    match read(file)? {
        Ok(accepted) => Ok(Some(accepted)),
        Err(problems) => {
            for problem in problems {
                print_message(&format!("{}: {}", name(file), shown(&problem.to_string())));
            }
            Ok(None)
        }
    }
}

fn name(file: &Path) -> String {
    shown(&file.to_string_lossy())
}
