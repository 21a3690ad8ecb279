//! Exports a document: its canonical form, or evidence for auditors.

use portcullis_policy::{Evidence, NOT_CLAIMED};
use serde::Serialize;

use super::{Accepted, read_accepted};
use crate::{
    args::{OutputOptions, PolicyExport},
    exit::{Failure, Outcome},
    json,
    screen::{columns, print_result},
    text::{self, Ink, Pen, Table, shown},
};

#[derive(Serialize)]
struct Export<'e> {
    policy: &'e str,
    profile: &'static str,
    evidence: &'e [Evidence],
    not_claimed: &'static [&'static str],
}

pub(super) fn export(output: OutputOptions, export: &PolicyExport) -> Result<Outcome, Failure> {
    let Some(accepted) = read_accepted(&export.file)? else {
        return Ok(Outcome::Broken);
    };
    print_result(&match (export.evidence, output.json) {
        // Byte for byte, so that its digest can be computed.
        (false, _) => accepted.document.canonical(),
        (true, true) => json::document(&Export {
            policy: &accepted.resolved.digest,
            profile: accepted.resolved.profile.name(),
            evidence: &accepted.document.evidence(&accepted.resolved),
            not_claimed: &NOT_CLAIMED,
        })?,
        (true, false) => text(&accepted, Pen::of_stdout()),
    })?;
    Ok(Outcome::Done)
}

fn text(accepted: &Accepted, pen: Pen) -> String {
    let Accepted {
        document, resolved, ..
    } = accepted;
    let mut table = Table::new([
        "ENVIRONMENT",
        "CLASS",
        "LIMIT",
        "VALUE",
        "RULE",
        "RECOMMENDED",
        "AT MOST",
        "CLAUSE",
        "JUSTIFICATION",
    ]);
    for evidence in document.evidence(resolved) {
        let cells = [
            text::or_dash(evidence.environment.as_deref()),
            text::or_dash(evidence.class.as_deref()),
            evidence.limit.to_owned(),
            evidence.value,
            evidence.rule,
            text::or_dash(evidence.recommended.as_deref()),
            evidence.refused_above,
            evidence.clause.to_owned(),
            text::or_dash(evidence.justification.as_deref().map(shown).as_deref()),
        ];
        table.push(cells.map(|cell| (Ink::Plain, cell)).into());
    }
    let not_claimed = NOT_CLAIMED.map(|rule| format!("  {rule}\n")).concat();
    format!(
        "profile {}, policy {}\n\n{}\nnot claimed, because sessions cannot meet it:\n{not_claimed}",
        resolved.profile,
        resolved.digest,
        table.render(pen, columns()),
    )
}
