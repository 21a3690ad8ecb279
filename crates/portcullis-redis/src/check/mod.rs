//! Judges what servers answered: what it means for sessions. No IO: `driver/examine.rs` asks.

mod clock;
mod facts;
mod finding;
mod judges;
mod memory;
mod network;
mod persistence;
mod realms;
mod replication;
mod rights;
mod server;
mod together;
mod topology;
mod users;

pub use self::finding::{Finding, Subject, Verdict};
pub(crate) use self::{
    facts::{Fact, Facts, May, Sample, UserRules, Withheld},
    rights::{Right, required},
    topology::Topology,
};

/// Judges the answers of the servers. `unreachable` are primaries that did not answer.
pub(crate) fn judge_all(servers: &[Facts], unreachable: &[String]) -> Vec<Finding> {
    let mut findings = match servers {
        [server] if unreachable.is_empty() => judges::judge(server),
        servers => together::judge(servers, unreachable),
    };
    findings.extend(realms::judge(servers));
    findings
}
