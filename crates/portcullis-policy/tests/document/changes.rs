//! What tightens and what loosens between two documents.

use portcullis_policy::{Change, Direction};

use crate::resolved;

/// What does not stay, as text.
fn changes(old: &str, new: &str) -> Vec<String> {
    let text = |change: Change| {
        let name = |name: Option<String>| name.unwrap_or_else(|| "-".to_owned());
        let value = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
        format!(
            "{}/{} {} {} {} {:?}",
            name(change.environment),
            name(change.class),
            change.limit,
            value(change.old),
            value(change.new),
            change.direction
        )
    };
    let changes = resolved(old).changes_to(&resolved(new)).into_iter();
    let changes = changes.filter(|change| change.direction != Direction::Stays);
    changes.map(text).collect()
}

#[test]
fn a_change_is_told_for_each_class_and_environment_that_it_reaches() {
    let old = "[class.a]\n[class.b]\nidle = '10m'\n[environment.e]\n[environment.f]\nidle = '12m'";
    assert_eq!(
        changes(
            old,
            &format!("{old}\n[limits]\nidle = '20m'\nsessions = 11")
        ),
        [
            "e/- idle 30m 20m Tightens",
            "e/- sessions 10 11 Loosens",
            "e/a idle 30m 20m Tightens",
            "e/a sessions 10 11 Loosens",
            "e/b sessions 10 11 Loosens",
            "f/- sessions 10 11 Loosens",
            "f/a sessions 10 11 Loosens",
            "f/b sessions 10 11 Loosens",
        ]
    );
}

#[test]
fn the_same_limits_have_no_change_however_they_are_written() {
    assert!(changes("", "limits.idle = '1800s'").is_empty());
    let all = resolved("").changes_to(&resolved(""));
    assert_eq!(all.len(), 5);
    assert!(
        all.iter()
            .all(|change| change.direction == Direction::Stays)
    );
}

#[test]
fn a_class_that_comes_or_goes_is_compared_with_sessions_without_a_class() {
    let with = "[class.a]\nidle = '10m'\nabsolute = '8h'\nelevation = '20m'\n\
                [justification]\n'class.a.elevation' = 'x'";
    assert_eq!(
        changes("", with),
        [
            "-/a idle 30m 10m Tightens",
            "-/a absolute 24h 8h Tightens",
            "-/a elevation 15m 20m Loosens",
        ]
    );
    assert_eq!(
        changes(with, ""),
        [
            "-/a idle 10m 30m Loosens",
            "-/a absolute 8h 24h Loosens",
            "-/a elevation 20m 15m Tightens",
        ]
    );
}

#[test]
fn environments_that_come_are_compared_with_processes_without_one() {
    assert_eq!(
        changes("", "environment.e.idle = '10m'"),
        ["e/- idle 30m 10m Tightens"]
    );
}

#[test]
fn remembered_sign_ins_and_the_rest_tighten_and_loosen_in_their_own_sense() {
    let remembering = "limits.remember = { idle = '1d', absolute = '2d' }";
    assert_eq!(
        changes("", remembering),
        [
            "-/- remember.idle - 24h Loosens",
            "-/- remember.absolute - 2d Loosens",
        ]
    );
    for (text, limit, value) in [
        ("flagged.idle = '5m'", "flagged.idle", "5m"),
        ("flagged.elevation = 'none'", "flagged.elevation", "none"),
        ("demand.d.idle = '5m'", "demand.d.idle", "5m"),
        (
            "demand.d.max_auth_age = '5m'",
            "demand.d.max_auth_age",
            "5m",
        ),
        ("demand.d.scope = 's'", "demand.d.scope", "s"),
    ] {
        let tightened = format!("-/- {limit} - {value} Tightens");
        assert_eq!(changes("", text), [tightened]);
        let loosened = format!("-/- {limit} {value} - Loosens");
        assert_eq!(changes(text, ""), [loosened]);
    }
    assert_eq!(
        changes("demand.d.scope = 's'", "demand.d.scope = 't'"),
        ["-/- demand.d.scope s t Loosens"]
    );
}

#[test]
fn caps_that_go_or_rise_are_looser_and_need_a_second_look() {
    let capped = "[cap]\nidle = '30m'\n[environment.production.cap]\nremember = 'none'\n";
    let told = |old: &str, new: &str| {
        let mut told = changes(old, new);
        told.retain(|change| change.contains("cap."));
        told
    };
    assert_eq!(
        told(capped, "[cap]\nidle = '1h'\n[environment.production]\n"),
        [
            "-/- cap.idle 30m 1h Loosens",
            "production/- cap.remember.idle none - Loosens",
            "production/- cap.remember.absolute none - Loosens",
        ]
    );
    assert_eq!(
        told("[cap]\nidle = '1h'", "[cap]\nidle = '30m'"),
        ["-/- cap.idle 1h 30m Tightens"]
    );
}
