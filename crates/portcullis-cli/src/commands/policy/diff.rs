//! Compares two documents.

use portcullis_policy::{Change, Direction, Resolved};
use serde::Serialize;

use super::read_accepted;
use crate::{
    args::{OutputOptions, PolicyDiff},
    exit::{Failure, Outcome},
    json,
    screen::{columns, print_result},
    text::{self, Ink, Pen, Table},
};

#[derive(Serialize)]
struct Comparison<'c> {
    old: &'c str,
    new: &'c str,
    changes: &'c [Change],
}

pub(super) fn diff(output: OutputOptions, diff: &PolicyDiff) -> Result<Outcome, Failure> {
    // Of two refused documents, both are reported.
    let (old, new) = (read_accepted(&diff.old)?, read_accepted(&diff.new)?);
    let (Some(old), Some(new)) = (old, new) else {
        return Ok(Outcome::Broken);
    };
    print(output, &old.resolved, &new.resolved)
}

/// Prints the changes, and answers whether any tightens or loosens.
pub(super) fn print(
    output: OutputOptions,
    old: &Resolved,
    new: &Resolved,
) -> Result<Outcome, Failure> {
    let changes = old.changes_to(new);
    print_result(&if output.json {
        json::document(&Comparison {
            old: &old.digest,
            new: &new.digest,
            changes: &changes,
        })?
    } else {
        text(&changes, Pen::of_stdout())
    })?;
    Ok(outcome(&changes))
}

fn outcome(changes: &[Change]) -> Outcome {
    let has = |direction| changes.iter().any(|change| change.direction == direction);
    if has(Direction::Loosens) {
        Outcome::Loosens
    } else if has(Direction::Tightens) {
        Outcome::Tightens
    } else {
        Outcome::Done
    }
}

fn text(changes: &[Change], pen: Pen) -> String {
    let mut table = Table::new(["CHANGE", "ENVIRONMENT", "CLASS", "LIMIT", "OLD", "NEW"]);
    let number = |direction| {
        let same = changes
            .iter()
            .filter(|change| change.direction == direction);
        same.count()
    };
    for change in changes {
        let (ink, word) = match change.direction {
            Direction::Tightens => (Ink::Good, "tightens"),
            Direction::Loosens => (Ink::Warning, "loosens"),
            Direction::Stays => continue,
        };
        let plain = |text: &str| (Ink::Plain, text.to_owned());
        table.push(vec![
            (ink, word.to_owned()),
            plain(&text::or_dash(change.environment.as_deref())),
            plain(&text::or_dash(change.class.as_deref())),
            plain(&change.limit),
            plain(&text::or_dash(change.old.as_deref())),
            plain(&text::or_dash(change.new.as_deref())),
        ]);
    }
    let (tighter, looser) = (number(Direction::Tightens), number(Direction::Loosens));
    let stay = number(Direction::Stays);
    let summary = format!("{tighter} tighten, {looser} loosen, {stay} stay\n");
    if tighter + looser == 0 {
        return summary;
    }
    format!("{}\n{summary}", table.render(pen, columns()))
}
