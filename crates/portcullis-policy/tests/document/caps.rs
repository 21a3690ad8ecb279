//! What is above a cap is refused, and nothing is shortened.

use portcullis_core::policy::LimitName;
use portcullis_policy::PolicyBounds;

use crate::{against, length, read, refused, resolved};

/// Each place where a value can be set, and each cap above it, in both environments.
#[test]
fn a_value_above_any_cap_is_refused_with_both_sides() {
    const TABLES: [(&str, &[&str]); 4] = [
        ("limits", &["cap", "environment.e.cap"]),
        ("class.c", &["cap", "environment.e.cap"]),
        ("environment.e", &["cap", "environment.e.cap"]),
        ("environment.e.class.c", &["cap", "environment.e.cap"]),
    ];
    for (field, low, high) in [
        ("idle", "'10m'", "'20m'"),
        ("absolute", "'9h'", "'10h'"),
        ("privileged_idle", "'5m'", "'6m'"),
        ("elevation", "'5m'", "'6m'"),
        ("sessions", "5", "6"),
    ] {
        for (table, caps) in TABLES {
            for cap in caps {
                let set = format!("{table}.{field} = {high}\n{cap}.{field} = {low}\n");
                let text = match table {
                    "limits" => format!("class.c = {{}}\n{set}"),
                    "class.c" => format!("limits.{field} = {low}\n{set}"),
                    _ => format!("limits.{field} = {low}\nclass.c.{field} = {low}\n{set}"),
                };
                let problems = refused(&text);
                let plain = |value: &str| value.trim_matches('\'').to_owned();
                assert_eq!(problems.len(), 1, "{text}\n{problems:#?}");
                assert_eq!(problems[0].path, format!("{table}.{field}"));
                assert_eq!(problems[0].value, Some(plain(high)));
                let cap = format!("{cap}.{field}");
                assert_eq!(against(&problems[0]), (&*cap, &*plain(low)));
                resolved(&text.replace(&format!("{cap} = {low}"), &format!("{cap} = {high}")));
            }
        }
    }
}

#[test]
fn p03_a_lowered_cap_refuses_what_is_above_it_with_path_values_and_clause() {
    let valid = "profile = 'aal3'\n[class.admin]\nabsolute = '12h'\n";
    resolved(valid);
    let problems = refused(&valid.replace("12h", "13h"));
    assert_eq!(problems[0].path, "class.admin.absolute");
    assert_eq!(problems[0].value.as_deref(), Some("13h"));
    assert_eq!(against(&problems[0]), ("profile aal3", "12h"));
    assert_eq!(problems[0].clause, Some("NIST SP 800-63B-4, 2.3.3"));
    assert_eq!(
        problems[0].to_string(),
        "class.admin.absolute: it is 13h; profile aal3 accepts at most 12h; lower it \
         [NIST SP 800-63B-4, 2.3.3]"
    );
}

#[test]
fn p03_a_bound_of_the_application_refuses_what_is_above_it() {
    let document = read("[class.admin]\nabsolute = '12h'\n[limits]\nabsolute = '8h'");
    let bounds = PolicyBounds::new()
        .at_most(LimitName::Absolute, length("8h"))
        .unwrap();
    let problems = document.resolve_all(&bounds).unwrap_err();
    assert_eq!(problems.len(), 1);
    assert_eq!(problems[0].path, "class.admin.absolute");
    assert_eq!(against(&problems[0]), ("application", "8h"));
    assert_eq!(
        problems[0].reason,
        "it is 12h; the application (`PolicyBounds`) accepts at most 8h; lower it"
    );
}

#[test]
fn a_default_of_the_profile_above_a_cap_is_refused() {
    let problems = refused("[cap]\nidle = '10m'");
    assert_eq!(problems[0].path, "cap.idle");
    assert_eq!(problems[0].value.as_deref(), Some("10m"));
    assert_eq!(against(&problems[0]), ("profile standard", "30m"));
    assert_eq!(
        problems[0].reason,
        "it is 10m, but the default of profile standard is 30m; set limits.idle to at most 10m"
    );
    let problems = refused("[environment.e.cap]\nidle = '10m'\n[class.a]");
    assert_eq!(problems.len(), 1);
    let remedy = "set environment.e.idle to at most 10m";
    assert!(problems[0].reason.ends_with(remedy), "{}", problems[0]);
}

#[test]
fn every_environment_is_checked_and_not_only_the_one_of_the_process() {
    let document = read(
        "[environment.staging]\n[environment.production.cap]\nidle = '10m'\n\
         [environment.production]\nidle = '10m'\n[class.admin]\nidle = '20m'",
    );
    let declared = [portcullis_core::Class::new("admin", 'a')];
    let declared = portcullis_policy::Declared::new(&declared);
    let problems = document.resolve(Some("staging"), &declared, &PolicyBounds::new());
    let problems = problems.unwrap_err();
    assert_eq!(problems[0].path, "class.admin.idle");
    assert_eq!(against(&problems[0]).0, "environment.production.cap.idle");
    let remedy = "lower it, or set environment.production.class.admin.idle";
    assert!(problems[0].reason.ends_with(remedy), "{}", problems[0]);
}

#[test]
fn remembered_sign_ins_can_be_forbidden() {
    let remembered = "[limits.remember]\nidle = '7d'\nabsolute = '30d'\n";
    resolved(remembered);
    let problems = refused(&format!("{remembered}[cap]\nremember = 'none'"));
    let paths: Vec<_> = problems.iter().map(|it| it.path.as_str()).collect();
    assert_eq!(paths, ["limits.remember.idle", "limits.remember.absolute"]);
    assert_eq!(against(&problems[0]), ("cap.remember.idle", "none"));
    assert_eq!(
        problems[0].reason,
        "cap.remember is \"none\", which forbids remembered sign-ins; write limits.remember = \
         \"none\""
    );
    let problems = refused(&format!("profile = 'pci'\n{remembered}"));
    assert_eq!(problems[0].clause, Some("PCI DSS 4.0.1, 8.2.8"));
}

#[test]
fn limits_that_contradict_each_other_are_refused_with_both() {
    for (text, path, value, other, other_value) in [
        (
            "limits.idle = '50m'\nlimits.absolute = '40m'",
            "limits.idle",
            "50m",
            "limits.absolute",
            "40m",
        ),
        (
            "limits.idle = '5m'\nlimits.absolute = '10m'\nlimits.privileged_idle = '5m'\n",
            "limits.absolute",
            "10m",
            "profile standard",
            "15m",
        ),
        (
            "limits.idle = '5m'\nlimits.absolute = '10m'\nlimits.elevation = '5m'\n",
            "limits.absolute",
            "10m",
            "profile standard",
            "15m",
        ),
        (
            "class.a.absolute = '20m'",
            "class.a.absolute",
            "20m",
            "profile standard",
            "30m",
        ),
        (
            "limits.remember = { idle = '3d', absolute = '2d' }",
            "limits.remember.idle",
            "3d",
            "limits.remember.absolute",
            "2d",
        ),
        (
            "limits.remember = { idle = '20m', absolute = '2d' }",
            "limits.remember.idle",
            "20m",
            "profile standard",
            "30m",
        ),
        (
            "limits.remember = { idle = '1h', absolute = '2h' }",
            "limits.remember.absolute",
            "2h",
            "profile standard",
            "24h",
        ),
    ] {
        let problems = refused(text);
        assert_eq!(problems.len(), 1, "{text} {problems:#?}");
        assert_eq!(problems[0].path, path, "{text}");
        assert_eq!(problems[0].value.as_deref(), Some(value));
        assert_eq!(against(&problems[0]), (other, other_value));
    }
}

#[test]
fn a_contradiction_says_which_limit_to_change_and_where() {
    for (text, message) in [
        (
            "limits.absolute = '20m'\nclass.a = {}",
            "limits.absolute: it is 20m, below idle (30m by profile standard), and idle would \
             never apply; raise it, or set limits.idle to at most 20m",
        ),
        (
            "limits.idle = '50m'\nclass.a.absolute = '40m'",
            "limits.idle: it is 50m, above absolute (40m by class.a.absolute), and idle would \
             never apply; lower it, or set class.a.absolute to at least 50m",
        ),
        (
            "profile = 'aal2'\nlimits.idle = '20h'\njustification.'limits.idle' = 'Why.'",
            "limits.idle: it is 20h, above absolute (12h by profile aal2), and idle would never \
             apply; lower it, or set limits.absolute to at least 20h",
        ),
        (
            "limits.remember = { idle = '20m', absolute = '2d' }",
            "limits.remember.idle: it is 20m, below idle (30m by profile standard), and idle \
             would be longer than that of remembered sign-ins; raise it, or set limits.idle to \
             at most 20m",
        ),
    ] {
        assert_eq!(refused(text)[0].to_string(), message);
    }
}

#[test]
fn a_cap_without_effect_is_a_warning() {
    let resolved = resolved("[environment.e.cap]\nidle = '2h'\n[cap]\nidle = '1h'");
    assert_eq!(resolved.warnings.len(), 1);
    assert_eq!(resolved.warnings[0].path, "environment.e.cap.idle");
    assert_eq!(against(&resolved.warnings[0]), ("cap.idle", "1h"));
}
