//! What each profile accepts, wants a reason for, and refuses.

use std::time::Duration;

use portcullis_core::policy::{LimitName, LimitValue, length_text};
use portcullis_policy::Profile;

use crate::{against, refused, resolved};

const MINUTE: Duration = Duration::from_secs(60);

/// A document in which one limit has this value, and others leave room for it.
fn document(profile: Profile, limit: LimitName, value: &str, why: &str) -> String {
    let path = format!("limits.{}", limit.as_str());
    let figure = |limit| profile.level(limit).refused_above.to_string();
    let (idle, absolute) = (figure(LimitName::Idle), figure(LimitName::Absolute));
    let mut values = vec![(path.clone(), value.to_owned())];
    match limit {
        LimitName::Idle => values.push(("limits.absolute".to_owned(), absolute)),
        LimitName::RememberIdle => {
            values.push((
                "limits.remember.absolute".to_owned(),
                figure(LimitName::RememberAbsolute),
            ));
        }
        LimitName::RememberAbsolute => values.push(("limits.remember.idle".to_owned(), idle)),
        _ => {}
    }
    let set = values
        .iter()
        .map(|(path, value)| match value.parse::<u32>() {
            Ok(count) => format!("{path} = {count}\n"),
            Err(_) => format!("{path} = '{value}'\n"),
        });
    let set: String = set.collect();
    let others = values.iter().skip(1);
    let others: String = others
        .map(|(path, _)| format!("'{path}' = 'a test'\n"))
        .collect();
    format!("profile = '{profile}'\n{set}[justification]\n{others}{why}")
}

fn above(value: LimitValue) -> String {
    match value {
        LimitValue::Length(length) => length_text(length + MINUTE),
        LimitValue::Count(count) => (count + 1).to_string(),
    }
}

#[test]
fn s044_a_value_above_the_recommended_one_wants_a_justification() {
    for profile in Profile::ALL {
        for limit in [
            LimitName::Idle,
            LimitName::Absolute,
            LimitName::PrivilegedIdle,
            LimitName::Elevation,
        ] {
            let level = profile.level(limit);
            let Some(most) = level.justified_above else {
                continue;
            };
            let path = format!("limits.{}", limit.as_str());
            let why = format!("'{path}' = 'a test'");
            resolved(&document(profile, limit, &most.to_string(), ""));
            if most == level.refused_above {
                continue;
            }
            let problems = refused(&document(profile, limit, &above(most), ""));
            let problem = problems.iter().find(|it| it.path == path).unwrap();
            assert_eq!(problem.value, Some(above(most)));
            let name = format!("profile {profile}");
            assert_eq!(against(problem), (&*name, &*most.to_string()));
            assert_eq!(problem.clause, Some(level.clause));
            resolved(&document(profile, limit, &above(most), &why));
        }
    }
}

#[test]
fn s044_a_value_above_the_limit_of_a_profile_is_refused_with_its_clause() {
    for profile in Profile::ALL {
        for limit in [
            LimitName::Idle,
            LimitName::Absolute,
            LimitName::PrivilegedIdle,
            LimitName::Elevation,
        ] {
            let level = profile.level(limit);
            let path = format!("limits.{}", limit.as_str());
            let why = format!("'{path}' = 'a test'");
            let problems = refused(&document(profile, limit, &above(level.refused_above), &why));
            let problem = problems
                .iter()
                .find(|it| it.path == path && against(it).0 == format!("profile {profile}"));
            assert_eq!(
                problem.unwrap().clause,
                Some(level.clause),
                "{profile} {path}"
            );
        }
    }
}

#[test]
fn s044_the_examples_of_the_requirement() {
    refused("profile = 'aal3'\nlimits.absolute = '43201s'");
    refused("profile = 'aal2'\nlimits.absolute = '25h'");
    resolved("profile = 'aal2'\nlimits.absolute = '25h'\njustification.'limits.absolute' = 'x'");
    refused("profile = 'pci'\nlimits.idle = '901s'");
}

#[test]
fn a_justification_belongs_to_one_value() {
    let text = "class.a.absolute = '2d'\nclass.b.absolute = '2d'\n";
    let why = "justification.'class.a.absolute' = 'kiosk'";
    let problems = refused(&format!("{text}{why}"));
    assert_eq!(problems.len(), 1);
    assert_eq!(problems[0].path, "class.b.absolute");
}

#[test]
fn a_needless_justification_is_a_warning() {
    let all = resolved("limits.absolute = '8h'\njustification.'limits.absolute' = 'x'");
    assert_eq!(all.warnings[0].path, "justification.limits.absolute");
}

#[test]
fn wcag_too_few_extensions_are_a_warning() {
    let all = resolved("limits.idle = '1h'\nlimits.absolute = '10h'");
    assert_eq!(all.warnings.len(), 1);
    assert_eq!(all.warnings[0].path, "limits.absolute");
    assert_eq!(all.warnings[0].clause, Some("WCAG 2.2, 2.2.1"));
    assert!(
        resolved("limits.idle = '1h'\nlimits.absolute = '11h'")
            .warnings
            .is_empty()
    );
}

/// Default, justification wanted above, refused above.
fn figures(profile: Profile, limit: LimitName) -> String {
    let level = profile.level(limit);
    let figure = |value: Option<LimitValue>| value.map_or("–".to_owned(), |it| it.to_string());
    format!(
        "{} / {} / {}",
        figure(level.default),
        figure(level.justified_above),
        level.refused_above
    )
}

#[test]
fn the_chapter_has_the_figures_and_clauses_of_every_profile() {
    use LimitName::{Absolute, Elevation, Idle, PrivilegedIdle, RememberAbsolute, RememberIdle};

    const LIMITS: [LimitName; 4] = [Idle, Absolute, PrivilegedIdle, Elevation];
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/policies.md");
    let chapter = std::fs::read_to_string(path).unwrap();
    for profile in Profile::ALL {
        let begins = format!("| `{profile}` | ");
        let refused_above = |limit| profile.level(limit).refused_above;
        let remembered = if refused_above(RememberIdle) == refused_above(Idle) {
            "as others".to_owned()
        } else {
            [RememberIdle, RememberAbsolute]
                .map(|it| figures(profile, it))
                .join(" · ")
        };
        let row = LIMITS.map(|limit| figures(profile, limit)).join(" | ");
        let row = format!(" | {row} | {remembered} |");
        let mut lines = chapter.lines();
        let is_there = lines.any(|line| line.starts_with(&begins) && line.ends_with(&row));
        assert!(is_there, "{begins}…{row}");

        let clauses = LIMITS.map(|limit| profile.level(limit).clause).join(" | ");
        let row = format!("{begins}{clauses} |\n");
        assert!(chapter.contains(&row), "{row}");
    }
}
