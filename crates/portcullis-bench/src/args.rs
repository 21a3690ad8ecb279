//! The command line.

use std::{path::PathBuf, time::Duration};

use crate::{
    Result,
    case::Case,
    servers::{Settings, System},
};

pub(crate) const HELP: &str = "\
Measures Portcullis beside its peers.

  cargo run --release -p portcullis-bench -- [options]

  --short         one short round of everything, in less than four minutes
  --write         write RESULTS.md and its plots beside the manifest
  --rounds N      how often everything is measured (5)
  --seconds S     about how long one measurement takes (0.4)
  --sessions N    how many sessions the memory part creates (100000)
  --most N        up to how many sessions the growth part creates (1000000)
  --only A,B,…    only these: systems (axum, axum-layer, raw-get, raw-get-redis, raw-script,
                  raw-script-redis, portcullis, portcullis-memory, session-guard,
                  tower-sessions, tower-sessions-1, axum-session, axum-session-cached, actix, actix-session),
                  cases (ignored, read, touch, write, enter, sign-in, sign-out, list-10, list-100, revoke-all),
                  memory and growth
  --json FILE     also write every measured value to FILE
  --from FILE     measure nothing, and show the results in this file";

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
    pub(crate) most: usize,
    /// The number of requests that are sent to count allocations.
    pub(crate) counted: usize,
    pub(crate) json: Option<PathBuf>,
    pub(crate) from: Option<PathBuf>,
    pub(crate) write: bool,
    systems: Vec<System>,
    cases: Vec<Case>,
    memory: bool,
    growth: bool,
}

impl Args {
    pub(crate) fn parse(mut words: impl Iterator<Item = String>) -> Result<Command> {
        let mut args = Self {
            rounds: 5,
            length: Duration::from_millis(400),
            sessions: 100_000,
            most: 1_000_000,
            counted: 1000,
            json: None,
            from: None,
            write: false,
            systems: Vec::new(),
            cases: Vec::new(),
            memory: false,
            growth: false,
        };
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or(format!("{word} needs a value"));
            match word.as_str() {
                "serve" => return Ok(Command::Serve(Settings::parse(words)?)),
                "--help" | "-h" => return Ok(Command::Help),
                "--short" => args.shorten(),
                "--write" => args.write = true,
                "--rounds" => args.rounds = value()?.parse::<usize>()?.max(1),
                "--seconds" => args.length = Duration::try_from_secs_f64(value()?.parse()?)?,
                "--sessions" => args.sessions = value()?.parse::<usize>()?.max(1),
                "--most" => args.most = value()?.parse()?,
                "--json" => args.json = Some(value()?.into()),
                "--from" => args.from = Some(value()?.into()),
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

    fn shorten(&mut self) {
        self.rounds = 1;
        self.length = Duration::from_millis(100);
        self.sessions = 2000;
        self.most = 10_000;
        self.counted = 100;
    }

    fn want(&mut self, name: &str) -> Result<()> {
        if name == "memory" {
            self.memory = true;
        } else if name == "growth" {
            self.growth = true;
        } else if let Some(system) = System::named(name) {
            self.systems.push(system);
        } else if let Some(case) = Case::named(name) {
            self.cases.push(case);
        } else {
            return Err(format!("{name} is no system and no case; see --help").into());
        }
        Ok(())
    }

    fn wants_everything(&self) -> bool {
        !self.memory && !self.growth && self.cases.is_empty() && self.systems.is_empty()
    }

    pub(crate) fn wants_rounds(&self) -> bool {
        !self.cases.is_empty() || !(self.memory || self.growth)
    }

    pub(crate) fn wants_memory(&self) -> bool {
        self.memory || self.wants_everything()
    }

    pub(crate) fn wants_growth(&self) -> bool {
        self.growth || self.wants_everything()
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

    /// The number of requests that fill a measurement, from the time of a sample.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "an estimate"
    )]
    pub(crate) fn requests(&self, sent: usize, took: Duration) -> usize {
        let rate = sent as f64 / took.as_secs_f64();
        ((rate * self.length.as_secs_f64()) as usize).max(sent)
    }
}
