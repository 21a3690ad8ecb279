//! The target costs of Portcullis, beside the measured ones.

use crate::{
    case::{Case, PAYLOAD_BYTES},
    report::{Results, ratio},
    rounds::{CONNECTIONS, Measured},
    servers::System::{self, Portcullis, RawGet, SessionGuard, TowerSessions},
    stats::Summary,
    tables,
};

struct Rows(Vec<Vec<String>>);

impl Rows {
    fn at_most(&mut self, name: impl Into<String>, most: f64, found: Option<f64>) {
        if let Some(found) = found {
            let shown = format!("{found:.2}");
            self.push(name.into(), format!("≤ {most}"), shown, found <= most);
        }
    }

    /// The median counts.
    fn spread(&mut self, name: String, most: f64, found: Option<Summary>) {
        if let Some(found) = found {
            let met = found.median <= most;
            self.push(name, format!("≤ {most}"), format!("{found:.2}"), met);
        }
    }

    fn at_least(&mut self, name: String, least: f64, found: Option<Summary>) {
        if let Some(found) = found {
            let met = found.median >= least;
            self.push(name, format!("≥ {least}"), format!("{found:.2}"), met);
        }
    }

    fn push(&mut self, name: String, target: String, found: String, met: bool) {
        let verdict = if met { "met" } else { "**missed**" };
        self.0.push(vec![name, target, found, verdict.to_owned()]);
    }
}

fn rows(results: &Results) -> Vec<Vec<String>> {
    let mut rows = Rows(Vec::new());
    let trips = |case| Some(results.trace(Portcullis, case)?.round_trips);
    let commands = |case| Some(results.trace(Portcullis, case)?.commands());

    rows.at_most("ignored: commands", 0.0, commands(Case::Ignored));
    rows.at_most(
        "ignored: allocations added",
        0.0,
        results
            .allocations_added(Portcullis, Case::Ignored)
            .map(|added| (added * 10.0).round().abs() / 10.0),
    );
    for connections in CONNECTIONS {
        let of = |what: &str| format!("{what}, {connections} conn.");
        let column = |system: System, case: Case, value: fn(&Measured) -> f64| {
            results.of(system, case, connections, |one| Some(value(one)))
        };
        let cpu = |system, case| results.cpu(system, case, connections);
        let above = |case, other| results.of_other(Portcullis, other, case, connections);
        rows.spread(
            of("ignored: server CPU, of the floor"),
            1.05,
            results.of_floor(Portcullis, Case::Ignored, connections),
        );
        rows.spread(
            of("read: server CPU, of a bare GET"),
            1.15,
            ratio(&cpu(Portcullis, Case::Read), &cpu(RawGet, Case::Read)),
        );
        rows.spread(
            of("read: server CPU above the floor, of tower-sessions"),
            0.35,
            above(Case::Read, TowerSessions),
        );
        rows.spread(
            of("read: server CPU above the floor, of session-guard"),
            0.8,
            above(Case::Read, SessionGuard),
        );
        rows.at_least(
            of("read: requests/s, of tower-sessions"),
            2.0,
            ratio(
                &column(Portcullis, Case::Read, |one| one.per_second),
                &column(TowerSessions, Case::Read, |one| one.per_second),
            ),
        );
        rows.spread(
            of("read: Redis CPU, of tower-sessions"),
            0.4,
            ratio(
                &column(Portcullis, Case::Read, |one| one.redis_cpu),
                &column(TowerSessions, Case::Read, |one| one.redis_cpu),
            ),
        );
        rows.spread(
            of("write: server CPU above the floor, of tower-sessions"),
            0.7,
            above(Case::Write, TowerSessions),
        );
        for (case, what) in [
            (Case::Enter, "sign-in without a session before"),
            (Case::SignIn, "sign-in over a session"),
        ] {
            rows.spread(
                of(&format!(
                    "{what}: server CPU above the floor, of session-guard"
                )),
                1.0,
                above(case, SessionGuard),
            );
        }
    }
    let memory = |payload, other, of| {
        let ours = results.memory_of(Portcullis, payload)?;
        Some(ours / results.memory_of(other, of)?)
    };
    let without_log = |payload, other, of| {
        let ours = results.memory_of(Portcullis, payload)? - results.log_of(Portcullis, payload)?;
        Some(ours / results.memory_of(other, of)?)
    };
    rows.at_most(
        "memory of a signed-in session with 200 bytes, of tower-sessions",
        1.6,
        memory(PAYLOAD_BYTES, TowerSessions, PAYLOAD_BYTES),
    );
    rows.at_most(
        "the same without its sign-in in the log",
        1.6,
        without_log(PAYLOAD_BYTES, TowerSessions, PAYLOAD_BYTES),
    );
    rows.at_most(
        "memory of a signed-in session without data, of session-guard, which keeps none",
        0.7,
        memory(0, SessionGuard, 0),
    );
    rows.at_most(
        "memory of a signed-in session with 200 bytes, of session-guard, which keeps none",
        0.7,
        memory(PAYLOAD_BYTES, SessionGuard, 0),
    );
    rows.at_most(
        "list of 100: round trips beyond those of a read",
        2.0,
        trips(Case::List100)
            .zip(trips(Case::Read))
            .map(|(list, read)| list - read),
    );
    rows.0
}

pub(crate) fn section(results: &Results) -> String {
    let rows = rows(results);
    if rows.is_empty() {
        return String::new();
    }
    let table = tables::table(&["", "target", "found", ""], &rows);
    format!("## Targets of Portcullis on Redis\n\n{table}")
}
