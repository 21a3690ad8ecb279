//! All results, the values that follow from them, and the report.

use std::{collections::BTreeMap, fs, path::Path};

use serde::{Deserialize, Serialize};

use crate::{
    Result, allocations::Allocations, args::Args, case::Case, growth::Grown, memory::Memory, plot,
    rounds::Measured, servers::System, stats::Summary, sweep::Swept, tables, trace::Trace,
};

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Results {
    pub(crate) facts: Vec<(String, String)>,
    pub(crate) rounds: usize,
    pub(crate) traces: Vec<Trace>,
    pub(crate) allocations: Vec<Allocations>,
    pub(crate) measured: Vec<Measured>,
    pub(crate) memory: Vec<Memory>,
    pub(crate) growth: Vec<Grown>,
    pub(crate) swept: Vec<Swept>,
}

/// A value of each round.
pub(crate) type ByRound = BTreeMap<usize, f64>;

impl Results {
    pub(crate) fn new(args: &Args, facts: Vec<(String, String)>) -> Self {
        Self {
            facts,
            rounds: args.rounds,
            traces: Vec::new(),
            allocations: Vec::new(),
            measured: Vec::new(),
            memory: Vec::new(),
            growth: Vec::new(),
            swept: Vec::new(),
        }
    }

    pub(crate) fn of(
        &self,
        system: System,
        case: Case,
        connections: usize,
        value: impl Fn(&Measured) -> Option<f64>,
    ) -> ByRound {
        self.measured
            .iter()
            .filter(|one| (one.system, one.case, one.connections) == (system, case, connections))
            .filter_map(|one| Some((one.round, value(one)?)))
            .collect()
    }

    pub(crate) fn trace(&self, system: System, case: Case) -> Option<&Trace> {
        let mut traces = self.traces.iter();
        traces.find(|trace| (trace.system, trace.case) == (system, case))
    }

    pub(crate) fn allocations(&self, system: System, case: Case) -> Option<Allocations> {
        let mut counts = self.allocations.iter().copied();
        counts.find(|counts| (counts.system, counts.case) == (system, case))
    }

    /// Allocations beyond those of the floor.
    pub(crate) fn allocations_added(&self, system: System, case: Case) -> Option<f64> {
        let floor = self.allocations(system.floor(), case.floor())?;
        Some(self.allocations(system, case)?.count - floor.count)
    }

    pub(crate) fn cpu(&self, system: System, case: Case, connections: usize) -> ByRound {
        self.of(system, case, connections, |one| one.cpu)
    }

    fn floor(&self, system: System, case: Case, connections: usize) -> ByRound {
        self.cpu(system.floor(), case.floor(), connections)
    }

    /// Server CPU above that of the same without sessions. A due touch is compared with a plain
    /// read.
    pub(crate) fn above_floor(&self, system: System, case: Case, connections: usize) -> ByRound {
        let floor = self.floor(system, case, connections);
        paired(
            &self.cpu(system, case, connections),
            &floor,
            |own, floor| own - floor,
        )
    }

    /// Server CPU, as a multiple of that of the same without sessions.
    pub(crate) fn of_floor(
        &self,
        system: System,
        case: Case,
        connections: usize,
    ) -> Option<Summary> {
        let floor = self.floor(system, case, connections);
        ratio(&self.cpu(system, case, connections), &floor)
    }

    /// The server CPU above the floor of one system, as a part of another's.
    pub(crate) fn of_other(
        &self,
        system: System,
        other: System,
        case: Case,
        connections: usize,
    ) -> Option<Summary> {
        ratio(
            &self.above_floor(system, case, connections),
            &self.above_floor(other, case, connections),
        )
    }

    /// The peer with the least server CPU above its floor.
    pub(crate) fn best_peer(&self, case: Case, connections: usize) -> Option<System> {
        let above = |system: &System| {
            let above = Summary::of(self.above_floor(*system, case, connections).into_values());
            above.map_or(f64::INFINITY, |above| above.median)
        };
        System::ALL
            .into_iter()
            .filter(|system| system.is_peer() && above(system).is_finite())
            .min_by(|one, other| above(one).total_cmp(&above(other)))
    }

    pub(crate) fn memory_of(&self, system: System, payload: usize) -> Option<f64> {
        Some(self.memory(system, payload)?.per_session)
    }

    /// The part of it that is the log.
    pub(crate) fn log_of(&self, system: System, payload: usize) -> Option<f64> {
        Some(self.memory(system, payload)?.log_per_session)
    }

    fn memory(&self, system: System, payload: usize) -> Option<&Memory> {
        let mut all = self.memory.iter();
        all.find(|one| (one.system, one.payload) == (system, payload))
    }
}

fn paired(own: &ByRound, other: &ByRound, value: impl Fn(f64, f64) -> f64) -> ByRound {
    own.iter()
        .filter_map(|(round, own)| Some((*round, value(*own, *other.get(round)?))))
        .collect()
}

/// Round by round.
pub(crate) fn ratio(own: &ByRound, other: &ByRound) -> Option<Summary> {
    Summary::of(paired(own, other, |own, other| own / other).into_values())
}

/// `RESULTS.md` beside the manifest, and the plots it shows.
pub(crate) fn write(results: &Results) -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    fs::create_dir_all(root.join("plots"))?;
    let mut plots = Vec::new();
    for (name, title, svg) in plot::all(results) {
        let file = format!("plots/{name}.svg");
        fs::write(root.join(&file), svg)?;
        plots.push((title, file));
    }
    fs::write(root.join("RESULTS.md"), tables::markdown(results, &plots))?;
    Ok(())
}
