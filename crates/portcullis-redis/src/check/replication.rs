//! Judges what survives a failover, of sessions and of their ends.

use super::{
    facts::{Fact, Facts},
    finding::Ruling,
    memory::size,
    server::primary,
};
use crate::info::Info;

/// A replica that has not acknowledged for longer, in seconds, lags. It is also the default of
/// Redis.
const LATE: u64 = 10;

pub(super) fn replication(facts: &Facts) -> Fact<Ruling> {
    let info = facts.info()?;
    if facts.value("role")? != "master" {
        return Ok(Ruling::unknown(
            "this is a replica, and only its primary knows how far it is behind",
            format!("check the primary{}", primary(facts)),
        ));
    }
    let count = facts.number("connected_slaves")?;
    // The server shows this only if writes depend on it.
    let good = info.number("min_slaves_good_slaves");
    let least = match (good, facts.config("min-replicas-to-write")) {
        (Some(_), Ok(least)) => least.parse().unwrap_or(1),
        (Some(_), Err(_)) => 1,
        (None, _) => 0,
    };
    if let Some(good) = good.filter(|good| *good < least) {
        return Ok(Ruling::broken(
            format!(
                "it accepts no writes: replicas with an acceptable lag: {good}, \
                 min-replicas-to-write: {least}"
            ),
            "repair the replicas (INFO replication shows their lag), or lower min-replicas-to-write",
        ));
    }
    if let Some(copies) = facts.copies.filter(|copies| count < u64::from(*copies)) {
        return Ok(Ruling::warning(
            format!(
                "replicas: {count}, but confirm_by_replicas is {copies}: no revocation is confirmed"
            ),
            "repair the replicas (INFO replication shows them), or lower confirm_by_replicas",
        ));
    }
    if count == 0 {
        return Ok(Ruling::fine(
            "no replicas: if this server fails, no other server replaces it",
        ));
    }
    let (late, figures) = replicas(info, count);
    Ok(if late {
        Ruling::warning(
            format!("{figures}: a failover loses at least the changes of that time"),
            "find out what delays the replica: check its log, its disk and the network \
             between the servers",
        )
    } else if let (0, Some(copies @ 1..)) = (least, facts.copies) {
        Ruling::fine(format!(
            "{figures}; writes do not wait for them, but a revocation reports whether {copies} have \
             it"
        ))
    } else if least == 0 {
        Ruling::warning(
            format!(
                "{figures}, but writes do not wait for them: a failover can restore ended sessions"
            ),
            "CONFIG SET min-replicas-to-write 1, then CONFIG REWRITE; or let replicas confirm \
             revocations, with confirm_by_replicas(1)",
        )
    } else {
        let seconds = facts.config("min-replicas-max-lag").unwrap_or("10");
        Ruling::fine(format!(
            "{figures}; writes are refused if fewer than {least} have an acceptable lag, so a \
             failover undoes at most the last {seconds} s"
        ))
    })
}

/// Whether a replica lags, and how far they are behind.
fn replicas(info: Info<'_>, count: u64) -> (bool, String) {
    let written = info.number("master_repl_offset").unwrap_or(0);
    let (mut lag, mut behind, mut offline) = (0, 0, 0);
    for number in 0..count {
        let Some(line) = info.get(&format!("slave{number}")) else {
            continue;
        };
        let value = |name: &str| {
            let mut pairs = line.split(',').filter_map(|pair| pair.split_once('='));
            pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
        };
        let figure = |name| value(name).and_then(|value| value.parse().ok());
        if value("state").is_some_and(|state| state != "online") {
            offline += 1;
            continue;
        }
        lag = lag.max(figure("lag").unwrap_or(0));
        behind = behind.max(written.saturating_sub(figure("offset").unwrap_or(written)));
    }
    let mut message = format!(
        "replicas: {count}, at most {lag} s and {} behind",
        size(behind)
    );
    if offline > 0 {
        message.push_str(&format!(", not yet synchronized: {offline}"));
    }
    (offline > 0 || lag > LATE, message)
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            facts::{Withheld, healthy},
            finding::{Finding, Subject, Verdict},
        },
        *,
    };

    fn found(facts: &Facts) -> Finding {
        replication(facts)
            .unwrap_or_else(|_| panic!("no answer"))
            .about(Subject::Replication)
    }

    #[test]
    fn replicas_that_writes_depend_on_are_fine_and_the_message_shows_how_far_they_are_behind() {
        let finding = found(&healthy());
        assert_eq!(finding.verdict, Verdict::Fine);
        assert!(
            finding
                .message
                .starts_with("replicas: 1, at most 0 s and 120 B behind; "),
            "{finding:?}"
        );
        assert!(finding.message.ends_with("the last 10 s"), "{finding:?}");
    }

    #[test]
    fn replicas_that_writes_do_not_depend_on_are_a_warning() {
        let finding = found(&healthy().without(&["min_slaves_good_slaves"]));
        assert_eq!(finding.verdict, Verdict::Warning);
        let remedy = finding.remedy.unwrap();
        assert!(remedy.contains("min-replicas-to-write 1"), "{remedy}");
    }

    #[test]
    fn if_revocations_are_confirmed_writes_need_not_depend_on_replicas() {
        let with_copies = |copies| {
            let facts = healthy().without(&["min_slaves_good_slaves"]);
            found(&Facts {
                copies: Some(copies),
                ..facts
            })
        };
        let finding = with_copies(1);
        assert_eq!(finding.verdict, Verdict::Fine, "{finding:?}");
        assert!(
            finding.message.ends_with("whether 1 have it"),
            "{finding:?}"
        );
        let finding = with_copies(2);
        assert_eq!(finding.verdict, Verdict::Warning, "{finding:?}");
        assert!(
            finding.message.contains("is 2: no revocation"),
            "{finding:?}"
        );
        // Zero replicas confirm nothing.
        assert_eq!(with_copies(0).verdict, Verdict::Warning);
        let alone = Facts {
            copies: Some(1),
            ..healthy().with(&[("connected_slaves", "0")])
        };
        assert_eq!(found(&alone).verdict, Verdict::Warning);
    }

    #[test]
    fn whether_writes_depend_on_replicas_is_known_without_the_right_to_read_settings() {
        let forbidden = || {
            let withheld = Err(Withheld::Forbidden("+config|get"));
            healthy()
                .set("min-replicas-to-write", withheld)
                .set("min-replicas-max-lag", withheld)
        };
        assert_eq!(found(&forbidden()).verdict, Verdict::Fine);
        let none = forbidden().without(&["min_slaves_good_slaves"]);
        assert_eq!(found(&none).verdict, Verdict::Warning);
        let too_few = forbidden().with(&[("min_slaves_good_slaves", "0")]);
        assert_eq!(found(&too_few).verdict, Verdict::Broken);
    }

    #[test]
    fn too_few_replicas_to_write_are_broken_even_if_there_are_none() {
        for count in ["0", "1"] {
            let facts = healthy()
                .with(&[
                    ("connected_slaves", count),
                    ("min_slaves_good_slaves", count),
                ])
                .set("min-replicas-to-write", Ok("2"));
            let finding = found(&facts);
            assert_eq!(finding.verdict, Verdict::Broken);
            assert!(
                finding.message.contains(&format!("lag: {count}, ")),
                "{finding:?}"
            );
        }
    }

    #[test]
    fn a_server_without_replicas_is_fine() {
        let facts = healthy()
            .with(&[("connected_slaves", "0")])
            .without(&["min_slaves", "slave0"]);
        assert_eq!(found(&facts).verdict, Verdict::Fine);
    }

    #[test]
    fn a_replica_that_lags_or_is_not_online_is_a_warning() {
        let late = "ip=10.0.0.2,port=6379,state=online,offset=1000,lag=11";
        let finding = found(&healthy().with(&[("slave0", late)]));
        assert_eq!(finding.verdict, Verdict::Warning);
        assert!(finding.message.contains("11 s and 0 B"), "{finding:?}");
        let offline = "ip=10.0.0.2,port=6379,state=wait_bgsave,offset=0,lag=0";
        let finding = found(&healthy().with(&[("slave0", offline)]));
        assert_eq!(finding.verdict, Verdict::Warning);
        assert!(
            finding.message.contains("not yet synchronized: 1"),
            "{finding:?}"
        );
    }

    #[test]
    fn a_replica_does_not_know_its_siblings() {
        let finding = found(&healthy().with(&[("role", "slave")]));
        assert_eq!(finding.verdict, Verdict::Unknown);
    }
}
