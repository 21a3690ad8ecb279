//! What Portcullis means to cost, beside what it does.

use crate::{
    case::Case,
    memory::Memory,
    report::{self, Results},
    rounds::CONNECTIONS,
    servers::System,
};

const READ_CPU: f64 = 0.5;
const RECORD: f64 = 1.2;
const WITH_LISTS: f64 = 2.0;

fn rows(results: &Results) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    let mut row = |name: String, target: String, found: Option<(String, bool)>| {
        if let Some((found, met)) = found {
            let verdict = if met { "met" } else { "MISSED" };
            rows.push(vec![name, target, found, verdict.to_owned()]);
        }
    };
    let sent = |case| {
        let trace = results.trace(System::Portcullis, case)?;
        Some(trace.round_trips())
    };
    let beyond_read = |case| Some(sent(case)? - sent(Case::Read)?);
    let at_most =
        |found: Option<f64>, most: f64| found.map(|found| (found.to_string(), found <= most));

    row(
        "commands, session ignored".into(),
        "0".into(),
        at_most(sent(Case::Ignored), 0.0),
    );
    row(
        "commands, read".into(),
        "1 GET".into(),
        results.trace(System::Portcullis, Case::Read).map(|trace| {
            let gets = trace.sent.get("GET").copied().unwrap_or(0.0);
            let met = trace.round_trips() <= 1.0 && gets >= 1.0;
            (format!("{} GET of {}", gets, trace.round_trips()), met)
        }),
    );
    row(
        "commands beyond a read, write".into(),
        "1".into(),
        at_most(beyond_read(Case::Write), 1.0),
    );
    row(
        "commands beyond a read, sign-in".into(),
        "≤ 3".into(),
        at_most(beyond_read(Case::SignIn), 3.0),
    );
    for connections in CONNECTIONS {
        row(
            format!("server CPU of a read, of tower-sessions', {connections} conn."),
            format!("≤ {READ_CPU}"),
            results
                .ratio(System::Portcullis, Case::Read, connections)
                .map(|ratio| (format!("{ratio:.2}"), ratio.median <= READ_CPU)),
        );
    }
    row(
        "memory of a session with lists and log, of its record's".into(),
        format!("≤ {WITH_LISTS}"),
        of(results, System::Portcullis)
            .map(|memory| memory.per_session / bytes(memory.usage))
            .map(|ratio| (format!("{ratio:.3}"), ratio <= WITH_LISTS)),
    );
    row(
        "memory of a record, of tower-sessions'".into(),
        format!("≤ {RECORD}"),
        of(results, System::Portcullis)
            .zip(of(results, System::TowerSessions))
            .map(|(ours, theirs)| bytes(ours.usage) / bytes(theirs.usage))
            .map(|ratio| (format!("{ratio:.3}"), ratio <= RECORD)),
    );
    rows
}

fn of(results: &Results, system: System) -> Option<&Memory> {
    results.memory.iter().find(|memory| memory.system == system)
}

fn bytes(count: u64) -> f64 {
    u32::try_from(count).map_or(f64::INFINITY, f64::from)
}

pub(crate) fn table(results: &Results) -> String {
    let rows = rows(results);
    if rows.is_empty() {
        return String::new();
    }
    let table = report::table(&["", "target", "found", ""], &rows);
    format!("Targets of Portcullis on Redis\n{table}")
}
