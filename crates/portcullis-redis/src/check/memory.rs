//! Judges how full the memory is, and what happens when it is full.

use super::{
    facts::{Fact, Facts},
    finding::Ruling,
};
use crate::info::REFUSE_VISITORS_FROM;

/// What an eviction of any key loses.
const LOST: &str = "sessions, records of their ends and suspensions of users";

/// From this share on memory is a warning, in percent.
const FULL: u128 = 90;

pub(super) fn eviction(facts: &Facts) -> Fact<Ruling> {
    let info = facts.info()?;
    let policy = facts.value("maxmemory_policy")?;
    if facts.value("maxmemory")? == "0" {
        return Ok(Ruling::fine(format!(
            "maxmemory-policy is {policy}, but without maxmemory nothing is evicted"
        )));
    }
    let evicted = info.number("evicted_keys").unwrap_or(0);
    let figure = format!("evicted keys so far: {evicted}");
    const REMEDY: &str = "CONFIG SET maxmemory-policy noeviction, then CONFIG REWRITE";
    Ok(match info.unsafe_policy() {
        Some(_) if facts.unsafe_eviction => Ruling::warning(
            format!(
                "maxmemory-policy is {policy}, which allow_unsafe_eviction() accepts: {LOST} can be lost \
                 ({figure})"
            ),
            REMEDY,
        ),
        Some(_) => Ruling::broken(
            format!("maxmemory-policy is {policy}: {LOST} can be lost ({figure})"),
            format!("{REMEDY}; or use a separate server for sessions"),
        ),
        None if policy.starts_with("volatile") => Ruling::warning(
            format!(
                "maxmemory-policy is {policy}: when memory is full, users are signed out early \
                 ({figure})"
            ),
            REMEDY,
        ),
        None => Ruling::fine(format!("maxmemory-policy is {policy}: nothing is evicted")),
    })
}

pub(super) fn memory(facts: &Facts) -> Fact<Ruling> {
    let used = facts.number("used_memory")?;
    let limit = facts.number("maxmemory")?;
    if limit == 0 {
        return Ok(unlimited(used, facts.number("total_system_memory").ok()));
    }
    let counted = facts.info()?.counted(used);
    let message = format!(
        "{} used, {}",
        size(used),
        share(counted, limit, "maxmemory")
    );
    let evicts = facts.info()?.evicts();
    let for_visitors = u128::from(limit) * u128::from(REFUSE_VISITORS_FROM);
    Ok(if counted >= limit && !evicts {
        Ruling::broken(
            format!("{message}: no session can be created or changed"),
            "raise it: CONFIG SET maxmemory <bytes>, then CONFIG REWRITE",
        )
    } else if !evicts && u128::from(counted) * 100 >= for_visitors {
        Ruling::warning(
            format!(
                "{message}: from {REFUSE_VISITORS_FROM} % on, sessions without a user are refused, so \
                 that users can still sign in"
            ),
            "raise it: CONFIG SET maxmemory <bytes>, then CONFIG REWRITE",
        )
    } else if nearly_full(counted, limit) {
        Ruling::warning(
            message,
            "raise maxmemory before it is full: CONFIG SET maxmemory <bytes>, then CONFIG REWRITE",
        )
    } else {
        Ruling::fine(message)
    })
}

fn unlimited(used: u64, machine: Option<u64>) -> Ruling {
    let message = format!("{} used, without a limit (maxmemory is 0)", size(used));
    match machine.filter(|machine| *machine > 0) {
        Some(machine) => {
            let message = format!(
                "{message}, {}",
                share(used, machine, "the machine's memory")
            );
            if nearly_full(used, machine) {
                Ruling::warning(
                    format!(
                        "{message}: when the memory of the machine is full, its system kills the server"
                    ),
                    "give the machine more memory, or set a limit: CONFIG SET maxmemory <bytes>, then \
                     CONFIG REWRITE",
                )
            } else {
                Ruling::fine(message)
            }
        }
        None => Ruling::fine(message),
    }
}

fn nearly_full(part: u64, whole: u64) -> bool {
    u128::from(part) * 100 > u128::from(whole) * FULL
}

fn percent(part: u64, whole: u64) -> u64 {
    part.saturating_mul(100).checked_div(whole).unwrap_or(100)
}

fn share(part: u64, whole: u64, name: &str) -> String {
    format!("{} % of {name}, {}", percent(part, whole), size(whole))
}

/// Bytes in a readable unit.
pub(super) fn size(bytes: u64) -> String {
    let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match units.into_iter().find(|(unit, _)| bytes >= *unit) {
        Some((unit, name)) => {
            let tenths = bytes.saturating_mul(10) / unit;
            format!("{}.{} {name}", tenths / 10, tenths % 10)
        }
        None => format!("{bytes} B"),
    }
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

    fn evicting(policy: &str, maxmemory: &str) -> Facts {
        healthy().with(&[
            ("maxmemory_policy", policy),
            ("maxmemory", maxmemory),
            ("evicted_keys", "42"),
        ])
    }

    fn found(judge: fn(&Facts) -> Fact<Ruling>, facts: &Facts) -> Finding {
        judge(facts)
            .unwrap_or_else(|_| panic!("no answer"))
            .about(Subject::Memory)
    }

    #[test]
    fn a_policy_is_judged_by_the_keys_it_evicts_and_only_where_memory_is_limited() {
        for (policy, maxmemory, verdict) in [
            ("noeviction", "100", Verdict::Fine),
            ("noeviction", "0", Verdict::Fine),
            ("volatile-ttl", "100", Verdict::Warning),
            ("volatile-lru", "0", Verdict::Fine),
            ("allkeys-lru", "100", Verdict::Broken),
            ("allkeys-random", "0", Verdict::Fine),
        ] {
            let finding = found(eviction, &evicting(policy, maxmemory));
            assert_eq!(finding.verdict, verdict, "{finding:?}");
            assert!(finding.message.contains(policy), "{finding:?}");
            if verdict != Verdict::Fine {
                assert!(finding.message.contains("42"), "{finding:?}");
            }
        }
    }

    #[test]
    fn only_a_policy_that_evicts_any_key_can_lose_suspensions() {
        let message = |policy| found(eviction, &evicting(policy, "100")).message;
        assert!(message("allkeys-lru").contains("suspensions of users can be lost"));
        assert!(!message("volatile-lru").contains("suspensions"));
    }

    #[test]
    fn eviction_that_the_application_allows_is_a_warning() {
        let facts = Facts {
            unsafe_eviction: true,
            ..evicting("allkeys-lru", "100")
        };
        assert_eq!(found(eviction, &facts).verdict, Verdict::Warning);
    }

    #[test]
    fn memory_is_a_warning_before_it_is_full_and_broken_when_it_is() {
        let verdict = |used: &str, policy: &str| {
            found(
                memory,
                &evicting(policy, "1000").with(&[("used_memory", used)]),
            )
            .verdict
        };
        assert_eq!(verdict("749", "noeviction"), Verdict::Fine);
        assert_eq!(verdict("750", "noeviction"), Verdict::Warning);
        assert_eq!(verdict("999", "noeviction"), Verdict::Warning);
        assert_eq!(verdict("1000", "noeviction"), Verdict::Broken);
        // Other keys are evicted instead, which is a finding about the policy.
        assert_eq!(verdict("900", "volatile-ttl"), Verdict::Fine);
        assert_eq!(verdict("1000", "volatile-ttl"), Verdict::Warning);
    }

    #[test]
    fn the_message_says_that_visitors_are_refused_if_they_are() {
        let message = |used: &str| {
            let facts = evicting("noeviction", "1000").with(&[("used_memory", used)]);
            found(memory, &facts).message
        };
        assert!(message("750").contains("sessions without a user are refused"));
        assert!(!message("749").contains("refused"));
    }

    #[test]
    fn memory_that_the_server_does_not_count_is_not_counted() {
        let facts = healthy().with(&[
            ("maxmemory", "1000"),
            ("used_memory", "1100"),
            ("mem_not_counted_for_evict", "600"),
        ]);
        let finding = found(memory, &facts);
        assert_eq!(finding.verdict, Verdict::Fine);
        assert_eq!(finding.message, "1.0 KiB used, 50 % of maxmemory, 1000 B");
    }

    #[test]
    fn without_a_limit_the_memory_of_the_machine_counts() {
        let with = |used: &str| {
            healthy().with(&[
                ("maxmemory", "0"),
                ("used_memory", used),
                ("total_system_memory", "1000"),
            ])
        };
        assert_eq!(found(memory, &with("900")).verdict, Verdict::Fine);
        assert_eq!(found(memory, &with("901")).verdict, Verdict::Warning);
        let silent = with("910").without(&["total_system_memory"]);
        assert_eq!(found(memory, &silent).verdict, Verdict::Fine);
    }

    #[test]
    fn missing_values_are_not_guessed() {
        let facts = healthy().without(&["maxmemory_policy", "used_memory"]);
        assert_eq!(eviction(&facts).err(), Some(Withheld::Missing));
        assert_eq!(memory(&facts).err(), Some(Withheld::Missing));
    }

    #[test]
    fn bytes_are_shown_in_a_readable_unit() {
        for (bytes, shown) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1536, "1.5 KiB"),
            (50 << 20, "50.0 MiB"),
            (25_276_502_016, "23.5 GiB"),
            (u64::MAX, "1717986918.3 GiB"),
        ] {
            assert_eq!(size(bytes), shown);
        }
    }
}
