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
        "memory of a session, of tower-sessions'".into(),
        format!("≤ {RECORD}"),
        ratio(results, |memory| memory.per_session)
            .map(|ratio| (format!("{ratio:.3}"), ratio <= RECORD)),
    );
    row(
        "the same by MEMORY USAGE".into(),
        format!("≤ {RECORD}"),
        ratio(results, |memory| {
            u32::try_from(memory.usage).map_or(f64::INFINITY, f64::from)
        })
        .map(|ratio| (format!("{ratio:.3}"), ratio <= RECORD)),
    );
    rows
}

fn ratio(results: &Results, value: impl Fn(&Memory) -> f64) -> Option<f64> {
    let of = |system| results.memory.iter().find(|memory| memory.system == system);
    Some(value(of(System::Portcullis)?) / value(of(System::TowerSessions)?))
}

pub(crate) fn table(results: &Results) -> String {
    let rows = rows(results);
    if rows.is_empty() {
        return String::new();
    }
    let table = report::table(&["", "target", "found", ""], &rows);
    format!("Targets of Portcullis on Redis\n{table}")
}
