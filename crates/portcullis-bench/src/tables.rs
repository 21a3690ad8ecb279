//! The report as text.

use std::collections::BTreeMap;

use crate::{
    case::Case,
    growth::By,
    report::Results,
    rounds::{CONNECTIONS, Measured},
    servers::System,
    stats::Summary,
    targets,
};

const INTRODUCTION: &str = "\
Written by `cargo run --release -p portcullis-bench -- --write`; [README.md](README.md) says what is measured, and how. \
Medians of all rounds, with the lowest and the highest; ratios are taken within a round. All figures are of this machine and of nothing else.";

/// For the terminal.
pub(crate) fn text(results: &Results) -> String {
    let mut parts = vec![facts(results)];
    parts.extend(sections(results));
    parts.join("\n")
}

/// For a file that shows `plots`: a title and a path each.
pub(crate) fn markdown(results: &Results, plots: &[(String, String)]) -> String {
    let mut parts = vec![
        "# Results\n".to_owned(),
        format!("{INTRODUCTION}\n"),
        facts(results),
    ];
    parts.push(targets::section(results));
    for (title, file) in plots {
        parts.push(format!("![{title}]({file})\n"));
    }
    parts.extend(sections(results).into_iter().skip(1));
    parts.join("\n")
}

fn facts(results: &Results) -> String {
    let facts = results.facts.iter();
    facts
        .map(|(name, value)| format!("* {name}: {value}\n"))
        .collect()
}

fn sections(results: &Results) -> Vec<String> {
    let mut parts = vec![targets::section(results)];
    for case in Case::ALL {
        for connections in CONNECTIONS {
            parts.push(timings(results, case, connections));
        }
        parts.push(counts(results, case));
    }
    parts.extend([memory(results), capacity(results)]);
    parts.extend([By::Sessions, By::PerUser, By::Payload].map(|by| growth(results, by)));
    parts.retain(|part| !part.is_empty());
    parts
}

fn timings(results: &Results, case: Case, connections: usize) -> String {
    let best = results.best_peer(case, connections);
    let mut rows = Vec::new();
    for system in System::ALL {
        let column = |value: fn(&Measured) -> f64| {
            let values = results.of(system, case, connections, |one| Some(value(one)));
            Summary::of(values.into_values())
        };
        let Some(per_second) = column(|one| one.per_second) else {
            continue;
        };
        let sessions = system.has_sessions();
        let above = results.above_floor(system, case, connections).into_values();
        // An ignored session costs so little that its ratio would be noise.
        let of_best = best
            .filter(|_| sessions && case != Case::Ignored)
            .and_then(|best| results.of_other(system, best, case, connections));
        let name = match best == Some(system) && case != Case::Ignored {
            true => format!("{} (best peer)", system.title()),
            false => system.title().to_owned(),
        };
        rows.push(vec![
            name,
            format!("{per_second:.0}"),
            shown(column(|one| one.p50), 0),
            shown(column(|one| one.p99), 0),
            shown(
                Summary::of(results.cpu(system, case, connections).into_values()),
                1,
            ),
            shown(Summary::of(above).filter(|_| system != system.floor()), 1),
            shown(
                results
                    .of_floor(system, case, connections)
                    .filter(|_| sessions),
                2,
            ),
            shown(of_best, 2),
            shown(
                column(|one| one.redis_cpu).filter(|_| system != system.floor()),
                1,
            ),
        ]);
    }
    if rows.is_empty() {
        return String::new();
    }
    let plural = if connections == 1 { "" } else { "s" };
    let head = [
        "",
        "requests/s",
        "p50, µs",
        "p99, µs",
        "server CPU, µs",
        "above the floor",
        "× floor",
        "of the best peer",
        "Redis CPU, µs",
    ];
    let heading = match connections {
        1 => format!("## {}\n\n", capital(case.title())),
        _ => String::new(),
    };
    let table = table(&head, &rows);
    format!("{heading}{connections} connection{plural}:\n\n{table}")
}

fn counts(results: &Results, case: Case) -> String {
    let mut rows = Vec::new();
    for system in System::ALL {
        let trace = results.trace(system, case);
        let allocations = results.allocations(system, case);
        if trace.is_none() && allocations.is_none() {
            continue;
        }
        let bytes = results.of(system, case, 1, |one| Some(one.redis_bytes));
        let list = |commands: &BTreeMap<String, f64>| {
            let commands = commands
                .iter()
                .map(|(name, count)| format!("{name} {}", number(*count)));
            commands.collect::<Vec<_>>().join(", ")
        };
        let added = results.allocations_added(system, case);
        rows.push(vec![
            system.title().to_owned(),
            trace.map_or("–".into(), |trace| number(trace.commands())),
            trace.map_or("–".into(), |trace| number(trace.round_trips)),
            shown_short(
                Summary::of(bytes.into_values()).filter(|_| trace.is_some()),
                0,
            ),
            allocations.map_or("–".into(), |one| format!("{:.1}", one.count)),
            added
                .filter(|_| system != system.floor())
                .map_or("–".into(), |added| format!("{added:.1}")),
            allocations.map_or("–".into(), |one| format!("{:.0}", one.bytes)),
            trace.map_or("–".into(), |trace| match list(&trace.sent) {
                none if none.is_empty() => "nothing".into(),
                sent => sent,
            }),
            trace.map_or("–".into(), |trace| list(&trace.inside)),
        ]);
    }
    if rows.is_empty() {
        return String::new();
    }
    let head = [
        "",
        "commands",
        "round trips",
        "bytes to and from Redis",
        "allocations",
        "above the floor",
        "bytes allocated",
        "sent to Redis",
        "inside scripts",
    ];
    format!("Counts per request:\n\n{}", table(&head, &rows))
}

fn memory(results: &Results) -> String {
    let Some(first) = results.memory.first() else {
        return String::new();
    };
    let base = results.memory_of(System::TowerSessions, crate::case::PAYLOAD_BYTES);
    let rows: Vec<_> = results
        .memory
        .iter()
        .map(|one| {
            vec![
                one.system.title().to_owned(),
                one.payload.to_string(),
                format!("{:.0}", one.per_session),
                match one.log_per_session {
                    0.0 => "–".into(),
                    log => format!("{log:.0}"),
                },
                base.map_or("–".into(), |base| {
                    format!("{:.2}", one.per_session / base)
                }),
                format!("{:.2}", one.keys_per_session),
                format!("{:.2}", one_gib() / one.per_session / 1e6),
            ]
        })
        .collect();
    let head = [
        "",
        "bytes of data",
        "bytes of Redis",
        "of these, the log",
        "of tower-sessions with 200",
        "keys",
        "millions of sessions in a GiB",
    ];
    format!(
        "## Memory of Redis, per signed-in session\n\nGrowth of `used_memory` for {} sessions, with everything that is kept beside \
         them.\n\n{}",
        first.sessions,
        table(&head, &rows)
    )
}

fn capacity(results: &Results) -> String {
    let mut rows = Vec::new();
    let mut row = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            rows.push(vec![name.to_owned(), value]);
        }
    };
    let ours = System::Portcullis;
    let per_core = |case| {
        let cpu = results.of(ours, case, 64, |one| Some(one.redis_cpu));
        Summary::of(cpu.into_values()).map(|cpu| format!("{:.0}", 1e6 / cpu.median))
    };
    let memory = |payload| results.memory_of(ours, payload);
    row(
        "signed-in sessions with 200 bytes of data, in a GiB of Redis",
        memory(crate::case::PAYLOAD_BYTES).map(|bytes| format!("{:.0}", one_gib() / bytes)),
    );
    row(
        "signed-in sessions without data, in a GiB of Redis",
        memory(0).map(|bytes| format!("{:.0}", one_gib() / bytes)),
    );
    row("reads per second and core of Redis", per_core(Case::Read));
    row("writes per second and core of Redis", per_core(Case::Write));
    row(
        "sign-ins per second and core of Redis",
        per_core(Case::Enter),
    );
    row(
        "sign-outs per second and core of Redis",
        per_core(Case::SignOut),
    );
    for swept in &results.swept {
        let sessions = u32::try_from(swept.sessions).map_or(f64::INFINITY, f64::from);
        let (name, cost) = match swept.sessions {
            0 => (
                "a sweep that finds nothing".to_owned(),
                format!("{:.0} µs of Redis", swept.redis_cpu),
            ),
            many => (
                format!("a sweep that finds {many} sessions"),
                format!("{:.1} µs of Redis each", swept.redis_cpu / sessions),
            ),
        };
        row(
            &name,
            Some(format!(
                "{cost}, {} commands, {:.0} ms",
                swept.commands,
                swept.seconds * 1e3
            )),
        );
    }
    if rows.is_empty() {
        return String::new();
    }
    let intro = "Computed from the figures above: what one core of Redis would carry if it did nothing else.";
    format!(
        "## Capacity of Portcullis\n\n{intro}\n\n{}",
        table(&["", ""], &rows)
    )
}

fn growth(results: &Results, by: By) -> String {
    let rows: Vec<_> = results
        .growth
        .iter()
        .filter(|grown| grown.by == by)
        .map(|grown| {
            let one = grown.measured;
            let case = match (by, one.case) {
                (By::PerUser, Case::List10) => "list",
                (By::PerUser, Case::Enter) => "sign-in, one more than the limit",
                (_, case) => case.name(),
            };
            vec![
                grown.size.to_string(),
                one.system.title().to_owned(),
                case.to_owned(),
                format!("{:.0}", one.per_second),
                format!("{:.0}", one.p50),
                format!("{:.0}", one.p99),
                one.cpu.map_or("–".into(), |cpu| format!("{cpu:.1}")),
                format!("{:.1}", one.redis_cpu),
                format!("{:.1}", one.commands),
                format!("{:.0}", one.redis_bytes),
                grown
                    .memory
                    .map_or("–".into(), |bytes| format!("{bytes:.0}")),
            ]
        })
        .collect();
    if rows.is_empty() {
        return String::new();
    }
    let (title, of, intro) = match by {
        By::Sessions => (
            "With the sessions in Redis",
            "sessions",
            "64 connections. A list is of 10 sessions.",
        ),
        By::PerUser => (
            "With the sessions of a user",
            "sessions",
            "One connection. Portcullis signs in at its limit, so that one session has to go for each; session-guard has no limit.",
        ),
        By::Payload => ("With what a session holds", "bytes", "64 connections."),
    };
    let head = [
        of,
        "",
        "",
        "requests/s",
        "p50, µs",
        "p99, µs",
        "server CPU, µs",
        "Redis CPU, µs",
        "commands in Redis",
        "bytes to and from Redis",
        "bytes of Redis per session",
    ];
    format!("## {title}\n\n{intro}\n\n{}", table(&head, &rows))
}

fn one_gib() -> f64 {
    f64::from(1_u32 << 30)
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(letters).collect()
    })
}

/// Without decimals that are noise.
fn number(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn shown(summary: Option<Summary>, digits: usize) -> String {
    summary.map_or("–".into(), |summary| format!("{summary:.digits$}"))
}

/// The median alone.
fn shown_short(summary: Option<Summary>, digits: usize) -> String {
    summary.map_or("–".into(), |summary| {
        format!("{:.digits$}", summary.median)
    })
}

/// A table of Markdown that is aligned for the eye too: the first column to the left, the others to
/// the right.
pub(crate) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let head: Vec<String> = head.iter().copied().map(str::to_owned).collect();
    let width = |column: usize| {
        let all = std::iter::once(&head).chain(rows);
        let cells = all.filter_map(|row| row.get(column));
        cells
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or(0)
            .max(3)
    };
    let widths: Vec<_> = (0..head.len()).map(width).collect();
    let line = |row: &[String]| {
        let cells: Vec<_> = row
            .iter()
            .zip(&widths)
            .enumerate()
            .map(|(column, (cell, width))| match column {
                0 => format!("{cell:<width$}"),
                _ => format!("{cell:>width$}"),
            })
            .collect();
        format!("| {} |\n", cells.join(" | "))
    };
    let rule: Vec<_> = widths
        .iter()
        .enumerate()
        .map(|(column, width)| match column {
            0 => "-".repeat(*width),
            _ => format!("{}:", "-".repeat(width - 1)),
        })
        .collect();
    let mut text = line(&head) + &line(&rule);
    for row in rows {
        text += &line(row);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_aligned_and_its_numbers_are_to_the_right() {
        let text = table(&["", "n"], &[vec!["axum".into(), "7".into()]]);
        assert_eq!(text, "|      |   n |\n| ---- | --: |\n| axum |   7 |\n");
    }

    #[test]
    fn whole_numbers_have_no_decimals() {
        assert_eq!(number(2.0), "2");
        assert_eq!(number(0.15), "0.15");
        assert_eq!(number(10.0), "10");
    }
}
