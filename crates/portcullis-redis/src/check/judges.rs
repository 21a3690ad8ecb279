//! The judges of one server, each of one subject.

use super::{
    clock,
    facts::{Fact, Facts},
    finding::{Finding, Ruling, Subject},
    memory, network, persistence, replication, server, users,
};

/// Judges one subject. Returns what is missing if the server did not answer enough.
type Judge = fn(&Facts) -> Fact<Ruling>;

/// The subjects in the order of the findings, each with its judge.
pub(super) const JUDGES: [(Subject, Judge); 12] = [
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

/// Judges one server: one finding for each subject.
pub(super) fn judge(facts: &Facts) -> Vec<Finding> {
    let judged = JUDGES.iter().map(|(about, judge)| {
        judge(facts)
            .unwrap_or_else(|withheld| Ruling::withheld("this is not known", withheld, facts))
            .about(*about)
    });
    judged.collect()
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            facts::{Withheld, healthy},
            finding::Verdict,
        },
        *,
    };

    #[test]
    fn every_subject_has_one_finding_in_a_fixed_order_whatever_the_server_answers() {
        let mut silent = healthy();
        silent.info = Err(Withheld::Missing);
        silent.samples.clear();
        for facts in [healthy(), silent] {
            let subjects: Vec<_> = judge(&facts).iter().map(|finding| finding.about).collect();
            assert_eq!(subjects, JUDGES.map(|(about, _)| about));
        }
    }

    #[test]
    fn a_healthy_server_is_fine_in_every_subject_and_needs_no_remedy() {
        for finding in judge(&healthy()) {
            assert_eq!(finding.verdict, Verdict::Fine, "{finding:?}");
            assert_eq!(finding.remedy, None, "{finding:?}");
        }
    }

    #[test]
    fn without_info_its_subjects_are_unknown_and_the_missing_right_is_named() {
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
    fn every_message_is_one_line_and_every_problem_has_a_remedy() {
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
