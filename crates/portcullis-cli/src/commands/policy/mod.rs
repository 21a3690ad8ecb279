//! Policy documents in files, and the policy that is active in the store.

mod check;
mod diff;
mod explain;
mod export;
mod live;
mod plan;
mod tighten;

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use portcullis_policy::{
    Document, InvalidDocument, MAX_DOCUMENT_BYTES, PolicyBounds, Problem, Resolved,
};

use super::in_each_realm;
use crate::{
    args::{Connection, OutputOptions, Policy},
    context::Context,
    exit::{Code, Failure},
    screen::print_message,
    text::shown,
};

pub(crate) async fn policy(
    connection: &Connection,
    output: OutputOptions,
    policy: &Policy,
) -> Result<Code, Failure> {
    let realms = || Context::open(connection, output);
    match policy {
        Policy::Check(check) => check::check(output, check).map(Code::from),
        Policy::Diff(diff) => diff::diff(output, diff).map(Code::from),
        Policy::Explain(explain) => explain::explain(output, explain).map(Code::from),
        Policy::Export(export) => export::export(output, export).map(Code::from),
        Policy::Apply(apply) => {
            let apply = async |context: &Context| live::apply(context, output, apply).await;
            in_each_realm(&realms().await?, apply).await
        }
        Policy::Plan(planned) => {
            let plan = async |context: &Context| plan::plan(context, output, planned).await;
            in_each_realm(&realms().await?, plan).await
        }
        Policy::Tighten(change) => {
            let tighten = async |context: &Context| tighten::tighten(context, output, change).await;
            in_each_realm(&realms().await?, tighten).await
        }
        Policy::RollBack(back) => {
            let back = async |context: &Context| live::roll_back(context, output, back).await;
            in_each_realm(&realms().await?, back).await
        }
        Policy::Drift(drift) => {
            let drift = async |context: &Context| live::drift(context, output, drift).await;
            in_each_realm(&realms().await?, drift).await
        }
        Policy::Status => {
            let status = async |context: &Context| live::status(context, output).await;
            in_each_realm(&realms().await?, status).await
        }
        Policy::History => {
            let history = async |context: &Context| live::history(context, output).await;
            in_each_realm(&realms().await?, history).await
        }
    }
}

/// A document that is accepted.
struct Accepted {
    text: String,
    document: Document,
    resolved: Resolved,
}

/// The document in a file, or why it is refused.
fn read(file: &Path) -> Result<Result<Accepted, Vec<Problem>>, Failure> {
    let text = text_of(file)
        .map_err(|reason| Failure::Usage(format!("{} cannot be read: {reason}", name(file))))?;
    let parsed = Document::parse(&text).map_err(InvalidDocument::into_problems);
    Ok(parsed.and_then(|document| {
        let resolved = document.resolve_all(&PolicyBounds::new())?;
        Ok(Accepted {
            text,
            document,
            resolved,
        })
    }))
}

/// The text, and no more of it than shows that it is too long.
fn text_of(file: &Path) -> Result<String, String> {
    let bytes =
        start_of(file).map_err(|error| format!("{error}; check its path and permissions"))?;
    if bytes.len() > MAX_DOCUMENT_BYTES {
        // It may have been cut within a character.
        return Ok(String::from_utf8_lossy(&bytes).into_owned());
    }
    String::from_utf8(bytes).map_err(|_| "it is not UTF-8; save it as UTF-8".to_owned())
}

fn start_of(file: &Path) -> io::Result<Vec<u8>> {
    let most = u64::try_from(MAX_DOCUMENT_BYTES).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    File::open(file)?
        .take(most.saturating_add(1))
        .read_to_end(&mut bytes)?;
    Ok(bytes)
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
