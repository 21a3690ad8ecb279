//! The command line.

use std::{path::PathBuf, time::Duration};

use crate::{Result, case::Case, servers::Settings, servers::System};

pub(crate) const HELP: &str = "\
Measures Portcullis beside plain axum and tower-sessions.

  cargo run --release -p portcullis-bench -- [options]

  --rounds N      how often everything is measured (5)
  --seconds S     about how long one measurement takes (0.4)
  --sessions N    how many sessions the memory part creates (20000)
  --only A,B,…    only these: systems (axum, raw-get, portcullis, portcullis-memory, tower-sessions,
                  tower-sessions-1), cases (ignored, read, touch, write, sign-in) and memory
  --json FILE     also write every measured value to FILE";

pub(crate) enum Command {
    Help,
    /// The bench starts itself again as the server it measures.
    Serve(Settings),
    Measure(Args),
}

#[derive(Debug, Clone)]
pub(crate) struct Args {
    pub(crate) rounds: usize,
    pub(crate) length: Duration,
    pub(crate) sessions: usize,
    pub(crate) json: Option<PathBuf>,
    systems: Vec<System>,
    cases: Vec<Case>,
    memory: bool,
}

impl Args {
    pub(crate) fn parse(mut words: impl Iterator<Item = String>) -> Result<Command> {
        let mut args = Self {
            rounds: 5,
            length: Duration::from_millis(400),
            sessions: 20_000,
            json: None,
            systems: Vec::new(),
            cases: Vec::new(),
            memory: false,
        };
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or(format!("{word} needs a value"));
            match word.as_str() {
                "serve" => return Ok(Command::Serve(Settings::parse(words)?)),
                "--help" | "-h" => return Ok(Command::Help),
                "--rounds" => args.rounds = value()?.parse::<usize>()?.max(1),
                "--seconds" => args.length = Duration::try_from_secs_f64(value()?.parse()?)?,
                "--sessions" => args.sessions = value()?.parse::<usize>()?.max(1),
                "--json" => args.json = Some(value()?.into()),
                "--only" => {
                    for name in value()?.split(',') {
                        args.want(name)?;
                    }
                }
                _ => return Err(format!("{word} is not an option; see --help").into()),
            }
        }
        Ok(Command::Measure(args))
    }

    fn want(&mut self, name: &str) -> Result<()> {
        if name == "memory" {
            self.memory = true;
        } else if let Some(system) = System::named(name) {
            self.systems.push(system);
        } else if let Some(case) = Case::named(name) {
            self.cases.push(case);
        } else {
            return Err(format!("{name} is no system and no case; see --help").into());
        }
        Ok(())
    }

    pub(crate) fn wants_rounds(&self) -> bool {
        !self.cases.is_empty() || !self.memory
    }

    pub(crate) fn wants_memory(&self) -> bool {
        self.memory || (self.cases.is_empty() && self.systems.is_empty())
    }

    pub(crate) fn wants_system(&self, system: System) -> bool {
        self.systems.is_empty() || self.systems.contains(&system)
    }

    /// What to measure, in the order of a round.
    pub(crate) fn pairs(&self) -> Vec<(Case, System)> {
        let wanted = |case: &Case| self.cases.is_empty() || self.cases.contains(case);
        Case::ALL
            .into_iter()
            .filter(wanted)
            .flat_map(|case| System::ALL.map(|system| (case, system)))
            .filter(|(case, system)| self.wants_system(*system) && system.takes_part_in(*case))
            .collect()
    }
}
