//! From what a server tells to what that means for sessions. No IO: `driver/examine.rs` asks.

mod clock;
mod facts;
mod finding;
mod memory;
mod network;
mod persistence;
mod realms;
mod replication;
mod server;
mod together;
mod users;

pub(crate) use self::facts::{Fact, Facts, May, PartOf, Sample, UserRules, Withheld};
pub use self::finding::{Finding, Subject, Verdict};

use self::finding::Ruling;

/// Where a judge may find that it was not told enough.
type Judge = fn(&Facts) -> Fact<Ruling>;

/// What is looked at, in the order in which it is told.
const JUDGES: [(Subject, Judge); 12] = [
    (Subject::Version, server::version),
    (Subject::Mode, server::mode),
    (Subject::Role, server::role),
    (Subject::Eviction, memory::eviction),
    (Subject::Memory, memory::memory),
    (Subject::Persistence, persistence::persistence),
    (Subject::Replication, replication::replication),
    (Subject::Clock, clock::clock),
    (Subject::Rights, users::rights),
    (Subject::User, users::user),
    (Subject::Latency, network::latency),
    (Subject::Transport, network::transport),
];

/// What the servers told, and which primaries could not be asked.
pub(crate) fn judge_all(servers: &[Facts], unreachable: &[String]) -> Vec<Finding> {
    let mut findings = match servers {
        [server] if unreachable.is_empty() => judge(server),
        servers => together::judge(servers, unreachable),
    };
    findings.extend(realms::judge(servers));
    findings
}

/// One finding of everything that is looked at.
fn judge(facts: &Facts) -> Vec<Finding> {
    let judged = JUDGES.iter().map(|(about, judge)| {
        judge(facts)
            .unwrap_or_else(|withheld| Ruling::withheld("it cannot be told", withheld, facts))
            .about(*about)
    });
    judged.collect()
}

#[cfg(test)]
mod tests {
    use super::{facts::healthy, *};

    #[test]
    fn everything_is_told_once_and_in_the_same_order_whatever_the_server_tells() {
        let mut silent = healthy();
        silent.info = Err(Withheld::Missing);
        silent.samples.clear();
        for facts in [healthy(), silent] {
            let told: Vec<_> = judge(&facts).iter().map(|finding| finding.about).collect();
            assert_eq!(told, JUDGES.map(|(about, _)| about));
        }
    }

    #[test]
    fn a_healthy_server_is_fine_in_every_respect_and_nothing_is_to_be_mended() {
        for finding in judge(&healthy()) {
            assert_eq!(finding.verdict, Verdict::Fine, "{finding:?}");
            assert_eq!(finding.remedy, None, "{finding:?}");
        }
    }

    #[test]
    fn without_info_what_it_would_tell_is_unknown_and_the_right_to_it_is_named() {
        let mut facts = healthy();
        facts.info = Err(Withheld::Forbidden("+info"));
        let unknown: Vec<_> = judge(&facts)
            .into_iter()
            .filter(|finding| finding.verdict == Verdict::Unknown)
            .collect();
        let about: Vec<_> = unknown
            .iter()
            .map(|finding| finding.about.as_str())
            .collect();
        assert_eq!(
            about,
            [
                "version",
                "mode",
                "role",
                "eviction",
                "memory",
                "persistence",
                "replication"
            ]
        );
        for finding in unknown {
            let remedy = finding.remedy.unwrap();
            assert!(remedy.ends_with("ACL SETUSER app +info"), "{remedy}");
        }
    }

    #[test]
    fn what_is_said_is_one_line_and_says_what_to_do_wherever_something_is_wrong() {
        let mut facts = healthy();
        facts.info = Ok(
            "redis_version:5.0\r\nrole:slave\r\nmaxmemory:1\r\nused_memory:1\r\n\
             maxmemory_policy:allkeys-lru\r\naof_enabled:0\r\nconnected_slaves:0\r\n"
                .into(),
        );
        facts.may = Err(Withheld::Missing);
        for finding in judge(&facts) {
            assert!(!finding.message.contains('\n'), "{finding:?}");
            assert_eq!(
                finding.remedy.is_none(),
                finding.verdict == Verdict::Fine,
                "{finding:?}"
            );
        }
    }
}
