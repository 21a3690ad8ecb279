//! Judges several primaries of one cluster together.

use std::time::Duration;

use super::{
    clock,
    facts::Facts,
    finding::{Finding, Ruling, Subject},
    judges::{self, JUDGES},
};

/// Clocks may differ by this much without a warning.
const APART: Duration = Duration::from_secs(1);

/// Judges all servers, in the order of the subjects. A subject has one finding if all servers
/// agree, else one for each server.
pub(super) fn judge(servers: &[Facts], unreachable: &[String]) -> Vec<Finding> {
    let all: Vec<_> = servers
        .iter()
        .map(|facts| (facts, judges::judge(facts)))
        .collect();
    let mut findings = Vec::new();
    for (place, (about, _)) in JUDGES.iter().enumerate() {
        if *about == Subject::Mode {
            findings.extend(unreachable.iter().map(|server| unreachable_primary(server)));
        }
        let of_each = all
            .iter()
            .filter_map(|(facts, findings)| Some((*facts, findings.get(place)?)));
        let of_each: Vec<(&Facts, &Finding)> = of_each.collect();
        if let (Some((_, first)), true) = (of_each.first(), are_same(&of_each)) {
            findings.push((*first).clone());
        } else {
            findings.extend(of_each.iter().map(|(facts, finding)| Finding {
                message: format!("{}: {}", facts.server, finding.message),
                ..(*finding).clone()
            }));
        }
        if *about == Subject::Clock {
            findings.extend(clocks(servers).map(|ruling| ruling.about(*about)));
        }
    }
    findings
}

fn are_same(findings: &[(&Facts, &Finding)]) -> bool {
    let pairs = findings.iter().zip(findings.iter().skip(1));
    pairs.into_iter().all(|((_, one), (_, next))| one == next)
}

fn unreachable_primary(server: &str) -> Finding {
    Ruling::broken(
        format!(
            "{server}: it does not answer, so the sessions in its slots are not available; only the \
             other primaries were checked"
        ),
        "start it, or let a replica take its place (CLUSTER NODES, CLUSTER FAILOVER TAKEOVER)",
    )
    .about(Subject::Mode)
}

/// Compares the clocks. Sessions move between nodes at sign-in, and each node ends them by its own
/// clock.
fn clocks(servers: &[Facts]) -> Option<Ruling> {
    let ahead = servers.iter().filter_map(|facts| {
        let (ahead, error) = clock::ahead_of_this_machine(facts)?;
        Some((ahead, error, &facts.server))
    });
    let ahead: Vec<_> = ahead.collect();
    let first = ahead.iter().max_by_key(|(ahead, ..)| *ahead)?;
    let last = ahead.iter().min_by_key(|(ahead, ..)| *ahead)?;
    let apart = Duration::from_millis(first.0.abs_diff(last.0));
    let error = first.1 + last.1;
    Some(if apart <= APART + error {
        Ruling::fine(format!(
            "the clocks of the primaries differ by at most {}",
            clock::length(apart)
        ))
    } else {
        Ruling::warning(
            format!(
                "the clock of {} is {} ahead of that of {}: elevations of sessions on the second node \
                 end early by this difference, the log of all nodes is out of order by it, and a \
                 failover can make sessions shorter or longer",
                first.2,
                clock::length(apart),
                last.2
            ),
            "run a time service (chrony, systemd-timesyncd) on all nodes",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::{
        super::{facts::healthy, finding::Verdict, judge_all},
        *,
    };

    fn primary(server: &str) -> Facts {
        Facts {
            server: server.into(),
            ..healthy()
        }
    }

    fn about(findings: &[Finding], about: Subject) -> Vec<(&str, Verdict)> {
        let findings = findings.iter().filter(|finding| finding.about == about);
        findings
            .map(|finding| (&*finding.message, finding.verdict))
            .collect()
    }

    #[test]
    fn a_subject_has_one_finding_if_all_primaries_agree_and_else_one_for_each() {
        let odd = primary("b:1").with(&[("maxmemory_policy", "allkeys-lru")]);
        let findings = judge(&[primary("a:1"), odd, primary("c:1")], &[]);
        assert_eq!(about(&findings, Subject::Version).len(), 1);
        let eviction = about(&findings, Subject::Eviction);
        assert_eq!(eviction.len(), 3);
        assert!(
            eviction[1].0.starts_with("b:1: maxmemory-policy"),
            "{eviction:?}"
        );
        assert_eq!(eviction[1].1, Verdict::Broken);
        assert_eq!(eviction[2].1, Verdict::Fine);
    }

    #[test]
    fn clocks_of_primaries_that_differ_by_more_than_a_second_are_a_warning() {
        let ahead_by = |ms: i64| {
            let mut late = primary("late:1");
            for sample in &mut late.samples {
                sample.server_ms += ms;
            }
            let findings = judge(&[primary("a:1"), late], &[]);
            let (message, verdict) = *about(&findings, Subject::Clock).last().unwrap();
            (message.to_owned(), verdict)
        };
        assert_eq!(ahead_by(900).1, Verdict::Fine);
        assert_eq!(ahead_by(-900).1, Verdict::Fine);
        let (message, verdict) = ahead_by(-1500);
        assert_eq!(verdict, Verdict::Warning);
        assert!(
            message.contains("a:1 is 1.5 s ahead of that of late:1"),
            "{message}"
        );
        assert!(
            ahead_by(1500)
                .0
                .contains("late:1 is 1.5 s ahead of that of a:1")
        );
    }

    #[test]
    fn a_primary_that_does_not_answer_is_named_and_broken() {
        let findings = judge_all(&[primary("a:1")], &["b:1".into()]);
        let mode = about(&findings, Subject::Mode);
        assert_eq!(mode.len(), 2);
        assert!(mode[0].0.starts_with("b:1: "), "{mode:?}");
        assert_eq!(mode[0].1, Verdict::Broken);
    }
}
