//! What holds for every document.

use std::{collections::BTreeMap, time::Duration};

use portcullis_core::policy::{LimitName, LimitValue};
use portcullis_policy::{Document, PolicyBounds, Resolved};
use proptest::prelude::*;

/// The tables that set limits, and those that cap them.
const TABLES: [&str; 9] = [
    "limits",
    "class.a",
    "class.b",
    "environment.e",
    "environment.f",
    "environment.e.class.a",
    "environment.f.class.b",
    "cap",
    "environment.e.cap",
];

/// Fields, with values that are often accepted and sometimes not.
const FIELDS: [(&str, &[&str]); 7] = [
    ("idle", &["'5m'", "'20m'", "'40m'", "'2h'", "'25h'"]),
    ("absolute", &["'4h'", "'8h'", "'24h'", "'40d'", "'401d'"]),
    ("privileged_idle", &["'2m'", "'10m'", "'15m'", "'61m'"]),
    ("elevation", &["'2m'", "'10m'", "'15m'", "'61m'"]),
    ("sessions", &["1", "9", "10", "11"]),
    ("remember.idle", &["'1d'", "'90d'", "'91d'"]),
    ("remember.absolute", &["'20d'", "'30d'", "'401d'"]),
];

type Rules = BTreeMap<String, &'static str>;

fn rules(most: usize) -> impl Strategy<Value = Rules> {
    let field = (
        0..TABLES.len(),
        0..FIELDS.len(),
        any::<prop::sample::Index>(),
    );
    let rule = field.prop_map(|(table, field, value)| {
        let (name, values) = FIELDS[field];
        // A cap is rarely low enough to refuse all that is below it.
        let least = if TABLES[table].ends_with("cap") {
            values.len() / 2
        } else {
            0
        };
        let value = values[least + value.index(values.len() - least)];
        (format!("{}.{name}", TABLES[table]), value)
    });
    prop::collection::vec(rule, 0..most).prop_map(|rules| rules.into_iter().collect())
}

fn profile() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "standard",
        "developer",
        "aal1",
        "aal2",
        "high",
        "stig",
    ])
}

/// The lines of a document, in any order.
fn lines(profile: &str, rules: &Rules) -> Vec<String> {
    let mut lines: Vec<_> = rules
        .iter()
        .map(|(path, value)| format!("{path} = {value}"))
        .collect();
    lines.extend(["a", "b"].map(|class| format!("class.{class}.sessions = 8")));
    lines.retain(|line| {
        !line.ends_with("sessions = 8")
            || !rules.keys().any(|it| line.starts_with(&format!("{it} ")))
    });
    lines.push("schema = 1".to_owned());
    lines.push(format!("profile = '{profile}'"));
    let values = rules.keys().filter(|path| !path.contains("cap."));
    lines.extend(values.map(|path| format!("justification.'{path}' = 'a test'")));
    lines
}

fn read(lines: &[String]) -> Document {
    Document::parse(&lines.join("\n")).unwrap_or_else(|it| panic!("{it:#?}"))
}

fn values(resolved: &Resolved) -> impl Iterator<Item = (Option<&str>, LimitName, LimitValue)> {
    resolved.rows.iter().flat_map(|row| {
        let decisions = row.limits.decisions.iter();
        decisions.map(|it| (row.environment.as_deref(), it.limit, it.value))
    })
}

/// The most that the library accepts, written out once more.
fn library(limit: LimitName) -> u64 {
    const HOUR: u64 = 60 * 60 * 1000;
    match limit {
        LimitName::Idle => 24 * HOUR,
        LimitName::PrivilegedIdle | LimitName::Elevation => HOUR,
        LimitName::Absolute | LimitName::RememberAbsolute => 400 * 24 * HOUR,
        LimitName::RememberIdle => 90 * 24 * HOUR,
        LimitName::Sessions => 1000,
    }
}

proptest! {
    #[test]
    fn p04_any_order_of_rules_means_the_same(
        (rules, profile, other) in (rules(12), profile()).prop_flat_map(|(rules, profile)| {
            let lines = lines(profile, &rules);
            (Just(rules), Just(profile), Just(lines).prop_shuffle())
        })
    ) {
        let sorted = read(&lines(profile, &rules));
        let shuffled = read(&other);
        prop_assert_eq!(sorted.digest(), shuffled.digest());
        let bounds = PolicyBounds::new();
        prop_assert_eq!(sorted.resolve_all(&bounds), shuffled.resolve_all(&bounds));
        prop_assert_eq!(sorted, shuffled);
    }

    #[test]
    fn what_is_accepted_is_within_every_bound_and_is_what_a_rule_says(
        rules in rules(10),
        profile in profile(),
        narrow in prop::option::of(1u64..2000),
    ) {
        let document = read(&lines(profile, &rules));
        let mut bounds = PolicyBounds::new();
        if let Some(minutes) = narrow {
            let most = Duration::from_secs(minutes.min(1440) * 60);
            bounds = bounds.at_most(LimitName::Idle, most).unwrap();
        }
        let Ok(resolved) = document.resolve_all(&bounds) else { return Ok(()) };
        for row in &resolved.rows {
            for decision in &row.limits.decisions {
                let amount = decision.value.amount();
                let level = document.profile().level(decision.limit);
                prop_assert!(amount <= library(decision.limit));
                prop_assert!(amount <= level.refused_above.amount());
                if let (LimitName::Idle, Some(minutes)) = (decision.limit, narrow) {
                    prop_assert!(amount <= minutes * 60_000);
                }
                for (cap, most) in &decision.caps {
                    prop_assert!(amount <= most.amount(), "{cap}");
                }
                // Nothing is shortened or lengthened on the way.
                match rules.get(&decision.rule) {
                    Some(written) => {
                        prop_assert_eq!(&decision.value.to_string(), &written_as(written));
                    }
                    None if decision.rule.starts_with("profile ") => {
                        prop_assert_eq!(Some(decision.value), level.default);
                    }
                    None => prop_assert_eq!(decision.value, LimitValue::Count(8)),
                }
            }
            let timeouts = row.limits.timeouts;
            prop_assert!(timeouts.idle() <= timeouts.absolute());
        }
    }

    #[test]
    fn more_rules_never_lengthen_what_a_cap_bounds(
        base in rules(4),
        more in rules(8),
        profile in profile(),
        cap in prop::sample::select(vec!["cap", "environment.e.cap"]),
    ) {
        let path = format!("{cap}.idle");
        let mut rules = base;
        rules.insert("limits.idle".to_owned(), "'5m'");
        rules.insert(path.clone(), "'20m'");
        for (rule, value) in more {
            rules.entry(rule).or_insert(value);
        }
        let document = read(&lines(profile, &rules));
        let Ok(resolved) = document.resolve_all(&PolicyBounds::new()) else { return Ok(()) };
        for (environment, limit, value) in values(&resolved) {
            if limit == LimitName::Idle && (cap == "cap" || environment == Some("e")) {
                prop_assert!(value.amount() <= 20 * 60_000);
            }
        }
    }

    #[test]
    fn the_canonical_form_is_stable_and_read_back(rules in rules(16), profile in profile()) {
        let document = read(&lines(profile, &rules));
        let form = document.canonical();
        let again = Document::parse_canonical(&form).unwrap();
        prop_assert_eq!(again.canonical(), form);
        prop_assert_eq!(again.digest(), document.digest());
        prop_assert_eq!(again, document);
    }

    #[test]
    fn no_text_panics(text in ".{0,200}") {
        let _ = Document::parse(&text);
        let _ = Document::parse_canonical(&text);
    }

    #[test]
    fn no_damaged_document_panics(
        rules in rules(12),
        profile in profile(),
        at in any::<prop::sample::Index>(),
        length in 0usize..20,
        other in ".{0,5}",
    ) {
        let text = lines(profile, &rules).join("\n");
        let form = read(&lines(profile, &rules)).canonical();
        for text in [text, form] {
            let mut characters: Vec<char> = text.chars().collect();
            let start = at.index(characters.len());
            let end = (start + length).min(characters.len());
            characters.splice(start..end, other.chars());
            let damaged: String = characters.into_iter().collect();
            for read in [Document::parse(&damaged), Document::parse_canonical(&damaged)] {
                let Ok(document) = read else { continue };
                let _ = document.resolve_all(&PolicyBounds::new());
                prop_assert_eq!(document.digest().len(), 64);
            }
        }
    }
}

/// A value as decisions show it.
fn written_as(value: &str) -> String {
    let value = value.trim_matches('\'');
    match value.parse::<u32>() {
        Ok(count) => count.to_string(),
        Err(_) => LimitValue::Length(crate::length(value)).to_string(),
    }
}

/// The properties say nothing if the documents that they generate are all refused.
#[test]
fn the_generated_documents_are_both_accepted_and_refused() {
    use proptest::{strategy::ValueTree, test_runner::TestRunner};

    let mut runner = TestRunner::deterministic();
    let accepted = (0..200).filter(|_| {
        let rules = rules(10).new_tree(&mut runner).unwrap().current();
        let document = read(&lines("standard", &rules));
        !rules.is_empty() && document.resolve_all(&PolicyBounds::new()).is_ok()
    });
    let accepted = accepted.count();
    assert!((10..190).contains(&accepted), "{accepted}");
}
