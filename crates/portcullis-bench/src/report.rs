//! The tables, and the same as JSON.

use std::{collections::BTreeMap, fmt::Write};

use serde_json::{Value, json};

use crate::{
    Result,
    args::Args,
    case::Case,
    memory::{self, Memory},
    rounds::{CONNECTIONS, Measured},
    servers::System,
    stats::Summary,
    trace::Trace,
};

/// Everything that was found out.
#[derive(Debug)]
pub(crate) struct Results {
    pub(crate) rounds: usize,
    pub(crate) traces: Vec<Trace>,
    pub(crate) measured: Vec<Measured>,
    pub(crate) memory: Vec<Memory>,
}

impl Results {
    pub(crate) fn new(args: &Args) -> Self {
        Self {
            rounds: args.rounds,
            traces: Vec::new(),
            measured: Vec::new(),
            memory: Vec::new(),
        }
    }

    pub(crate) fn of(
        &self,
        system: System,
        case: Case,
        connections: usize,
    ) -> impl Iterator<Item = &Measured> {
        self.measured.iter().filter(move |measured| {
            (measured.system, measured.case, measured.connections) == (system, case, connections)
        })
    }

    pub(crate) fn trace(&self, system: System, case: Case) -> Option<&Trace> {
        let mut traces = self.traces.iter();
        traces.find(|trace| (trace.system, trace.case) == (system, case))
    }

    /// Server CPU above that of axum alone, round by round. A due touch is compared with a plain read.
    pub(crate) fn above_floor(
        &self,
        system: System,
        case: Case,
        connections: usize,
    ) -> BTreeMap<usize, f64> {
        let floor_case = match case {
            Case::Touch => Case::Read,
            other => other,
        };
        let floor: BTreeMap<_, _> = self
            .of(System::Axum, floor_case, connections)
            .filter_map(|measured| Some((measured.round, measured.cpu?)))
            .collect();
        self.of(system, case, connections)
            .filter_map(|measured| {
                let above = measured.cpu? - floor.get(&measured.round)?;
                Some((measured.round, above))
            })
            .collect()
    }

    /// How much of tower-sessions' server CPU above the floor `system` needs, round by round.
    pub(crate) fn ratio(&self, system: System, case: Case, connections: usize) -> Option<Summary> {
        let peer = self.above_floor(System::TowerSessions, case, connections);
        let own = self.above_floor(system, case, connections);
        Summary::of(
            own.iter()
                .filter_map(|(round, own)| Some(own / peer.get(round)?)),
        )
    }
}

pub(crate) fn tables(results: &Results) -> Result<String> {
    let mut text = String::new();
    if !results.measured.is_empty() {
        writeln!(
            text,
            "Median (lowest–highest) of {} rounds. Times in µs. `above axum`: server CPU above that of axum alone;\n\
             `of t-s`: that, as a part of what tower-sessions with its pool of 6 needs. `commands`: executed by\n\
             Redis, also inside scripts, without TIME.",
            results.rounds
        )?;
        if results
            .measured
            .iter()
            .any(|measured| measured.cpu.is_none())
        {
            writeln!(
                text,
                "The server's CPU time cannot be read on this system: it needs Linux."
            )?;
        }
    }
    for case in Case::ALL {
        for connections in CONNECTIONS {
            timings(&mut text, results, case, connections)?;
        }
        traces(&mut text, results, case)?;
    }
    if !results.memory.is_empty() {
        memory_table(&mut text, results)?;
    }
    Ok(text)
}

fn timings(text: &mut String, results: &Results, case: Case, connections: usize) -> Result<()> {
    let mut rows = Vec::new();
    for system in System::ALL {
        let column = |value: fn(&Measured) -> Option<f64>| {
            Summary::of(results.of(system, case, connections).filter_map(value))
        };
        let Some(per_second) = column(|measured| Some(measured.per_second)) else {
            continue;
        };
        let above = results.above_floor(system, case, connections);
        let above = Summary::of(above.into_values()).filter(|_| system != System::Axum);
        let ratio = results
            .ratio(system, case, connections)
            .filter(|_| !matches!(system, System::Axum | System::TowerSessions));
        let median = |summary: Option<Summary>, digits: usize| {
            summary.map_or("–".into(), |summary| {
                format!("{:.digits$}", summary.median)
            })
        };
        rows.push(vec![
            system.title().to_owned(),
            format!("{per_second:.0}"),
            median(column(|measured| Some(measured.p50)), 0),
            median(column(|measured| Some(measured.p99)), 0),
            shown(column(|measured| measured.cpu), 1),
            shown(above, 1),
            shown(ratio, 2),
            median(column(|measured| Some(measured.commands)), 2),
            shown(column(|measured| Some(measured.redis_cpu)), 1),
        ]);
    }
    if rows.is_empty() {
        return Ok(());
    }
    let plural = if connections == 1 { "" } else { "s" };
    writeln!(
        text,
        "\n{} — {connections} connection{plural}",
        case.title()
    )?;
    let head = [
        "",
        "requests/s",
        "p50",
        "p99",
        "server CPU",
        "above axum",
        "of t-s",
        "commands",
        "Redis CPU",
    ];
    text.push_str(&table(&head, &rows));
    Ok(())
}

fn shown(summary: Option<Summary>, digits: usize) -> String {
    summary.map_or("–".into(), |summary| format!("{summary:.digits$}"))
}

fn traces(text: &mut String, results: &Results, case: Case) -> Result<()> {
    for trace in results.traces.iter().filter(|trace| trace.case == case) {
        let list = |commands: &BTreeMap<String, f64>| {
            let commands = commands
                .iter()
                .map(|(name, count)| format!("{name} {count}"));
            commands.collect::<Vec<_>>().join(", ")
        };
        let sent = match list(&trace.sent) {
            none if none.is_empty() => "nothing".into(),
            sent => sent,
        };
        let inside = match list(&trace.inside) {
            none if none.is_empty() => none,
            inside => format!("   (inside scripts: {inside})"),
        };
        writeln!(
            text,
            "  sent to Redis by {:<26}{sent}{inside}",
            trace.system.title()
        )?;
    }
    Ok(())
}

fn memory_table(text: &mut String, results: &Results) -> Result<()> {
    let sessions = results.memory.first().map_or(0, |memory| memory.sessions);
    writeln!(
        text,
        "\nMemory of Redis per session ({sessions} sessions with one value of 200 bytes; bytes)"
    )?;
    let rows: Vec<_> = results
        .memory
        .iter()
        .map(|memory| {
            vec![
                memory.system.title().to_owned(),
                format!("{:.1}", memory.per_session),
                memory.usage.to_string(),
                memory.key_bytes.to_string(),
                memory.value_bytes.to_string(),
                memory::beside_payload(memory).to_string(),
                format!("{}–{}", memory.same_cost.start(), memory.same_cost.end()),
                memory.encoding.clone(),
                memory.ttl_ms.to_string(),
            ]
        })
        .collect();
    let head = [
        "",
        "used_memory",
        "MEMORY USAGE",
        "key",
        "value",
        "beside payload",
        "costs as much as",
        "encoding",
        "TTL, ms",
    ];
    text.push_str(&table(&head, &rows));
    Ok(())
}

/// Aligned columns, the first to the left, the others to the right.
pub(crate) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let head: Vec<String> = head.iter().copied().map(str::to_owned).collect();
    let all: Vec<&Vec<String>> = std::iter::once(&head).chain(rows).collect();
    let width = |column: usize| {
        let cells = all.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let mut text = String::new();
    for row in &all {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let width = width(column);
            line += &match column {
                0 => format!("  {cell:<width$}"),
                _ => format!("  {cell:>width$}"),
            };
        }
        text += line.trim_end();
        text.push('\n');
    }
    text
}

pub(crate) fn json(results: &Results) -> Result<String> {
    let measured: Vec<Value> = results
        .measured
        .iter()
        .map(|one| {
            json!({
                "system": one.system.name(), "case": one.case.name(),
                "connections": one.connections, "round": one.round, "requests": one.requests,
                "requests_per_second": one.per_second, "p50_us": one.p50, "p99_us": one.p99,
                "server_cpu_us": one.cpu, "redis_commands": one.commands,
                "redis_cpu_us": one.redis_cpu,
            })
        })
        .collect();
    let traces: Vec<Value> = results
        .traces
        .iter()
        .map(|one| {
            json!({
                "system": one.system.name(), "case": one.case.name(),
                "sent": one.sent, "inside_scripts": one.inside,
            })
        })
        .collect();
    let memory: Vec<Value> = results
        .memory
        .iter()
        .map(|one| {
            json!({
                "system": one.system.name(), "sessions": one.sessions,
                "used_memory_bytes": one.per_session, "memory_usage_bytes": one.usage,
                "key_bytes": one.key_bytes, "value_bytes": one.value_bytes,
                "encoding": one.encoding, "ttl_ms": one.ttl_ms,
                "values_that_cost_the_same": [one.same_cost.start(), one.same_cost.end()],
            })
        })
        .collect();
    let all = json!({ "measured": measured, "commands": traces, "memory": memory });
    Ok(serde_json::to_string_pretty(&all)?)
}
