//! The versions of a realm's policy, as a store keeps them.

use std::time::Duration;

use bytes::Bytes;
use portcullis_core::{
    Class, ClassCode, Policy, Timestamp,
    policy::PolicyVersion,
    store::{RegisteredClass, StoredPolicy},
};
use portcullis_policy::{Declared, NextVersion, Overlay, PolicyBounds, Tightening, Versions};

use proptest::prelude::*;

use crate::length;

const ADMIN: Class = Class::new("admin", 'a');

/// A realm in production, with administrators.
fn next<'a>(text: &'a str, classes: &'a [RegisteredClass]) -> NextVersion<'a> {
    NextVersion {
        text,
        by: "ada",
        reason: Some("SEC-214"),
        environment: Some("production"),
        classes,
        overlay: None,
    }
}

fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn document(idle: &str) -> String {
    format!(
        "schema = 1\n[limits]\nidle = '{idle}'\n[class.admin]\nidle = '5m'\n[environment.production]\n"
    )
}

/// Activates a document, as the version with this number.
fn activate(before: Option<&Versions>, text: &str, number: u64, since: u64) -> Versions {
    activate_with(before, (text, None), number, since)
}

/// The same with an overlay.
fn activate_with(
    before: Option<&Versions>,
    (text, overlay): (&str, Option<Overlay>),
    number: u64,
    since: u64,
) -> Versions {
    let classes = [RegisteredClass::from(&ADMIN)];
    let next = NextVersion {
        overlay,
        ..next(text, &classes)
    };
    let content = Versions::content_with(before, next, at(since)).unwrap();
    Versions::read(&StoredPolicy {
        number,
        since: at(since),
        content: Bytes::from(content),
    })
    .unwrap()
}

#[test]
fn an_activated_document_is_read_with_its_history() {
    let first = activate(None, &document("20m"), 1, 1000);
    let second = activate(Some(&first), &document("10m"), 2, 2000);
    let active = second.active().unwrap();
    assert_eq!((active.number, active.since), (2, at(2000)));
    assert_eq!(
        (&*active.by, active.reason.as_deref()),
        ("ada", Some("SEC-214"))
    );
    assert_eq!(active.text.as_deref(), Some(&*document("10m")));
    assert_eq!(second.version(1), first.active());
    assert_eq!(second.version(3), None);
}

#[test]
fn a_process_has_the_limits_of_the_active_document_and_of_the_versions_before() {
    let first = activate(None, &document("20m"), 1, 1000);
    let second = activate(Some(&first), &document("10m"), 2, 2000);
    let (declared, bounds) = (Declared::new(&[ADMIN]), PolicyBounds::new());
    let policy = second
        .resolve(Some("production"), &declared, &bounds, at(5000))
        .unwrap();
    assert_eq!(policy.ordinary.timeouts.idle(), length("10m"));
    let idle = |place: usize, class: ClassCode| {
        let version = &policy.versions[place];
        let mut classes = version.classes.iter();
        let found = classes.find(|(code, _)| *code == class);
        found
            .map_or(version.ordinary, |(_, limits)| *limits)
            .ordinary
            .idle
    };
    assert_eq!(policy.versions.len(), 2);
    assert_eq!(idle(0, ClassCode::NONE), length("20m"));
    assert_eq!(idle(1, ClassCode::NONE), length("10m"));
    assert_eq!(idle(1, ADMIN.code()), length("5m"));
    assert_eq!(
        (policy.versions[0].number, policy.versions[1].since),
        (1, at(2000))
    );
}

#[test]
fn p17_a_process_refuses_a_document_that_contradicts_it() {
    let versions = activate(None, &document("20m"), 1, 1000);
    let (declared, bounds) = (Declared::new(&[ADMIN]), PolicyBounds::new());
    for (environment, declared) in [
        (Some("staging"), &declared),
        (None, &declared),
        (Some("production"), &Declared::new(&[])),
    ] {
        assert!(
            versions
                .resolve(environment, declared, &bounds, at(5000))
                .is_err()
        );
    }
}

#[test]
fn a_document_for_another_environment_is_not_activated() {
    let next = NextVersion {
        environment: Some("staging"),
        ..next("schema = 1\n[environment.production]\n", &[])
    };
    let refused = Versions::content_with(None, next, at(1)).unwrap_err();
    assert_eq!(refused.problems()[0].path, "environment.staging");
}

#[test]
fn who_activates_a_version_is_recorded_on_one_line() {
    let text = document("20m");
    for (by, reason, path) in [
        ("", None, "by"),
        ("a\nb", None, "by"),
        ("ada", Some("a\u{1b}b"), "reason"),
    ] {
        let next = NextVersion {
            by,
            reason,
            ..next(&text, &[])
        };
        let refused = Versions::content_with(None, next, at(1)).unwrap_err();
        assert_eq!(refused.problems()[0].path, path);
    }
}

#[test]
fn a_version_is_forgotten_when_no_session_can_depend_on_it() {
    let year = 365 * 24 * 60 * 60 * 1000;
    let first = activate(None, &document("20m"), 1, 1000);
    let second = activate(Some(&first), &document("10m"), 2, 2000);
    let third = activate(Some(&second), &document("15m"), 3, 2 * year);
    let numbers: Vec<_> = third.all().iter().map(|version| version.number).collect();
    assert_eq!(numbers, [3, 2], "the first one ended when the second began");
}

#[test]
fn the_texts_of_old_versions_are_forgotten_and_their_limits_are_not() {
    let mut versions = activate(None, &document("20m"), 1, 1000);
    for number in 2..=70 {
        versions = activate(Some(&versions), &document("10m"), number, number * 1000);
    }
    assert_eq!(versions.all().len(), 70);
    assert!(versions.version(7).unwrap().text.is_some());
    assert!(versions.version(6).unwrap().text.is_none());
    let (declared, bounds) = (Declared::new(&[ADMIN]), PolicyBounds::new());
    let policy = versions
        .resolve(Some("production"), &declared, &bounds, at(5000))
        .unwrap();
    assert_eq!(policy.versions[0].ordinary.ordinary.idle, length("20m"));
}

#[test]
fn p17_what_is_damaged_or_of_a_later_version_is_not_read() {
    for content in ["", "{}", "[]", r#"{"schema":2,"active":null,"before":[]}"#] {
        let stored = StoredPolicy {
            number: 1,
            since: at(1),
            content: Bytes::from_static(content.as_bytes()),
        };
        let error = Versions::read(&stored).unwrap_err().to_string();
        assert!(
            error.starts_with("the active policy cannot be read: "),
            "{error}"
        );
    }
}

/// Activates a document with an overlay of this idle timeout, for this long. Both in milliseconds.
fn tighten(
    before: Option<&Versions>,
    (text, idle, lasts): (&str, u64, u64),
    number: u64,
    since: u64,
) -> Versions {
    let ms = Duration::from_millis;
    let limits = Tightening {
        idle: Some(ms(idle)),
        privileged_idle: Some(ms(idle)),
        ..Tightening::default()
    };
    let overlay = Overlay::new(limits, ms(lasts), at(since)).unwrap();
    activate_with(before, (text, Some(overlay)), number, since)
}

#[test]
fn the_end_of_a_tightening_is_a_version_of_the_document_alone() {
    let first = activate(None, &document("20m"), 1, 1000);
    let second = tighten(Some(&first), (&document("20m"), 60_000, 100_000), 2, 2000);
    let of = |now| {
        let history = second.history(at(now));
        let idle = |version: &PolicyVersion| version.ordinary.ordinary.idle.as_secs();
        let entries = history.iter();
        let entries = entries.map(|it| (it.number, it.since.as_millis(), idle(it)));
        entries.collect::<Vec<_>>()
    };
    assert_eq!(of(2000), [(1, 1000, 1200), (2, 2000, 60)]);
    assert_eq!(of(101_999), [(1, 1000, 1200), (2, 2000, 60)]);
    let ended = [(1, 1000, 1200), (2, 2000, 60), (2, 102_000, 1200)];
    assert_eq!(of(102_000), ended);
    let third = activate(Some(&second), &document("10m"), 3, 50_000);
    let numbers: Vec<_> = third
        .history(at(200_000))
        .iter()
        .map(|it| it.number)
        .collect();
    assert_eq!(numbers, [1, 2, 3], "it was cut short");
    assert_eq!(third.version(2), second.active());
}

#[test]
fn a_policy_is_resolved_with_its_tightening_until_that_ends() {
    let tightened = tighten(None, (&document("20m"), 60_000, 100_000), 1, 1000);
    let classes = [ADMIN];
    let declared = Declared::new(&classes);
    let idle = |now| {
        let bounds = PolicyBounds::new();
        let policy = tightened.resolve(Some("production"), &declared, &bounds, at(now));
        let policy = policy.unwrap();
        let version = policy.version().unwrap();
        assert_eq!(
            version.ordinary.ordinary.idle,
            policy.ordinary.timeouts.idle()
        );
        (
            policy.ordinary.timeouts.idle().as_secs(),
            policy.timeouts(ADMIN.code()).idle().as_secs(),
        )
    };
    assert_eq!(idle(1000), (60, 60));
    assert_eq!(idle(101_000), (1200, 300));
}

/// A request, a task or a walk that began while the tightening held judges as one that begins later.
#[test]
fn a_policy_that_was_resolved_before_the_end_of_a_tightening_ends_nothing_by_it_afterwards() {
    let tightened = tighten(None, (&document("20m"), 60_000, 100_000), 1, 1000);
    let (declared, bounds) = (Declared::new(&[ADMIN]), PolicyBounds::new());
    let of = |now| {
        let policy = tightened.resolve(Some("production"), &declared, &bounds, at(now));
        policy.unwrap()
    };
    let (before, after) = (of(1000), of(101_000));
    for privileged_at in [1000, 40_999, 41_000, 60_000, 100_999] {
        let lost = |policy: &Policy, now| {
            let ended = policy.has_ended_privileges(ClassCode::NONE, at(privileged_at), at(now));
            ended.map(|ended| ended.at)
        };
        for now in [100_999, 101_000, 150_000, 161_000, 900_000, 2_000_000] {
            assert_eq!(
                lost(&before, now),
                lost(&after, now),
                "{privileged_at} {now}"
            );
        }
    }
}

proptest! {
    /// At no moment is a tightened policy laxer than its document, and afterwards it is the document.
    #[test]
    fn a_tightening_never_makes_a_limit_longer(
        idle in 1_000_u64..3_000_000,
        lasts in 60_000_u64..200_000,
        now in 1000_u64..400_000,
    ) {
        let alone = activate(None, &document("20m"), 1, 1000).history(at(now));
        let tightened = tighten(None, (&document("20m"), idle, lasts), 1, 1000).history(at(now));
        let (alone, last) = (&alone[0], tightened.last().unwrap());
        let is_over = now >= 1000 + lasts;
        for (it, other) in [
            (last.ordinary.ordinary, alone.ordinary.ordinary),
            (last.classes[0].1.ordinary, alone.classes[0].1.ordinary),
        ] {
            prop_assert!(it.idle <= other.idle && it.absolute <= other.absolute);
            prop_assert!(!is_over || it == other);
            prop_assert!(is_over || it.idle <= Duration::from_millis(idle));
        }
    }
}
