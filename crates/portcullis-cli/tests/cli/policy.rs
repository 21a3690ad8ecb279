//! Policy documents in files. There is no server at the address of these commands.

use serde_json::Value;

use crate::support::{Document, Ended, Program};

const PLATFORM: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../docs/policies/platform.toml"
);

fn policy(arguments: &[&str]) -> Ended {
    let arguments: Vec<_> = ["policy"].iter().chain(arguments).copied().collect();
    Program::new("redis://127.0.0.1:1", &arguments).run()
}

#[test]
fn an_accepted_document_has_a_digest() {
    let checked = policy(&["check", PLATFORM]);
    checked.assert(0);
    assert!(
        checked
            .out
            .starts_with("✓ accepted  profile aal2, 3 classes, 2 environments, policy "),
        "{checked:?}"
    );
    let report = policy(&["check", PLATFORM, "--json"]).json();
    assert_eq!(report["accepted"], true);
    assert_eq!(report["environments"][0], "production");
    assert_eq!(report["policy"].as_str().unwrap().len(), 64);
    policy(&["check", PLATFORM, "--environment", "staging"]).assert(0);
}

#[test]
fn p03_a_refused_document_is_told_with_path_values_and_clause() {
    let text = "schema = 1\nprofile = 'pci'\n[limits]\nidle = '20m'\nabsolute = '48h'\n";
    let document = Document::new("refused", text);
    let checked = policy(&["check", document.path()]);
    checked.assert(1);
    let first = "✗ refused  limits.idle: it is 20m; profile pci accepts at most 15m; lower it \
                 [PCI DSS 4.0.1, 8.2.8]\n";
    assert!(checked.out.starts_with(first), "{checked:?}");
    assert!(checked.out.ends_with("2 problems\n"), "{checked:?}");
    let report = policy(&["check", document.path(), "--json"]);
    report.assert(1);
    let report = report.json();
    let problem = &report["problems"][0];
    assert_eq!(problem["path"], "limits.idle");
    assert_eq!(problem["value"], "20m");
    assert_eq!(problem["against"]["path"], "profile pci");
    assert_eq!(problem["against"]["value"], "15m");
    assert_eq!(problem["clause"], "PCI DSS 4.0.1, 8.2.8");
    for command in ["explain", "export"] {
        let refused = policy(&[command, document.path()]);
        refused.assert(1);
        assert_eq!(refused.out, "");
        assert!(
            refused.err.contains("limits.idle: it is 20m"),
            "{refused:?}"
        );
    }
    policy(&["diff", PLATFORM, document.path()]).assert(1);
}

#[test]
fn p06_an_environment_that_the_document_does_not_name_is_refused() {
    for command in ["check", "explain"] {
        let refused = policy(&[command, PLATFORM, "--environment", "prod"]);
        refused.assert(1);
        assert!(
            refused.both().contains("production, staging"),
            "{refused:?}"
        );
    }
}

#[test]
fn an_error_of_syntax_has_line_and_column() {
    let document = Document::new("syntax", "schema = 1\n[limits]\nidle = \n");
    let checked = policy(&["check", document.path()]);
    checked.assert(1);
    assert!(checked.out.contains("line 3, column "), "{checked:?}");
}

#[test]
fn a_document_cannot_control_the_terminal() {
    let text = "schema = 1\n\"\u{202e}a\\u001b[31m\" = 1\nlimits.idle = \"\\u009b\u{200b}\"\n";
    let document = Document::new("control", text);
    for arguments in [&["check"][..], &["check", "--json"], &["explain"]] {
        let arguments: Vec<_> = arguments.iter().copied().chain([document.path()]).collect();
        let refused = policy(&arguments);
        refused.assert(1);
        for character in ['\u{1b}', '\u{9b}', '\u{202e}', '\u{200b}'] {
            assert!(!refused.both().contains(character), "{refused:?}");
        }
    }
}

#[test]
fn a_file_that_cannot_be_read_is_an_error_of_usage() {
    let missing = policy(&["check", "/nowhere/policy.toml"]);
    missing.assert(2);
    assert!(missing.err.contains("/nowhere/policy.toml cannot be read"));
    let latin = Document::new("latin", b"schema = 1 # \xff\n");
    let latin = policy(&["check", latin.path()]);
    latin.assert(2);
    assert!(latin.err.contains("save it as UTF-8"), "{latin:?}");
    policy(&["check"]).assert(2);
    policy(&["diff", PLATFORM]).assert(2);
    let long = Document::new("long", "#".repeat(40_000));
    let refused = policy(&["check", long.path()]);
    refused.assert(1);
    assert!(refused.out.contains("32768"), "{refused:?}");
}

#[test]
fn a_comparison_tells_by_its_code_whether_anything_is_looser() {
    let base = "schema = 1\n[class.a]\n[limits]\nidle = '20m'\n";
    let same = Document::new("same", base.replace("20m", "1200s"));
    let tighter = Document::new("tighter", base.replace("20m", "10m"));
    let looser = Document::new("looser", base.replace("20m", "40m") + "sessions = 2\n");
    let base = Document::new("base", base);
    for (new, code, summary) in [
        (&same, 0, "0 tighten, 0 loosen, 10 stay\n"),
        (&tighter, 10, "2 tighten, 0 loosen, 8 stay\n"),
        (&looser, 11, "2 tighten, 2 loosen, 6 stay\n"),
    ] {
        let compared = policy(&["diff", base.path(), new.path()]);
        compared.assert(code);
        assert!(compared.out.ends_with(summary), "{compared:?}");
        let document = policy(&["diff", base.path(), new.path(), "--json"]);
        document.assert(code);
        assert_eq!(document.json()["changes"].as_array().unwrap().len(), 10);
    }
    let compared = policy(&["diff", base.path(), tighter.path()]).out;
    assert!(
        compared.contains("tightens  -            a      idle   20m  10m"),
        "{compared}"
    );
    let document = policy(&["diff", base.path(), tighter.path(), "--json"]).json();
    let change = &document["changes"][0];
    assert_eq!(change["direction"], "tightens");
    assert_eq!(change["class"], Value::Null);
    assert_eq!(
        (&change["old"], &change["new"]),
        (&"20m".into(), &"10m".into())
    );
    assert_ne!(document["old"], document["new"]);
}

#[test]
fn an_explanation_shows_the_rule_and_both_chains() {
    let arguments = [
        "explain",
        PLATFORM,
        "--environment",
        "production",
        "--class",
        "developer",
    ];
    let explained = policy(&arguments);
    explained.assert(0);
    for words in [
        "class developer, environment production\n",
        "idle               30m   environment.production.class.developer.idle\n",
        " over class.developer.idle 1h, limits.idle 30m, profile aal2 30m\n",
        " under environment.production.cap.idle 30m, profile aal2 24h, library 24h\n",
    ] {
        assert!(explained.out.contains(words), "{words} {explained:?}");
    }
    let json: Vec<_> = arguments.into_iter().chain(["--json"]).collect();
    let document = policy(&json).json();
    let explained = document["explained"].as_array().unwrap();
    assert_eq!(explained.len(), 1);
    let idle = &explained[0]["limits"][0];
    assert_eq!(idle["rule"], "environment.production.class.developer.idle");
    assert_eq!(idle["over"][0]["rule"], "class.developer.idle");
    assert_eq!(idle["caps"][2]["value"], "24h");
    let all = policy(&["explain", PLATFORM, "--json"]).json();
    assert_eq!(all["explained"].as_array().unwrap().len(), 2 * 4);
    policy(&["explain", PLATFORM, "--class", "ghost"]).assert(3);
}

#[test]
fn an_export_is_the_canonical_form_byte_for_byte() {
    let exported = policy(&["export", PLATFORM]);
    exported.assert(0);
    let document = portcullis_policy::Document::parse_canonical(&exported.out).unwrap();
    assert_eq!(document.canonical(), exported.out);
    let name = &policy(&["check", PLATFORM, "--json"]).json()["policy"];
    assert_eq!(name, &document.digest());
}

#[test]
fn evidence_has_each_limit_with_clause_and_justification() {
    let exported = policy(&["export", "--evidence", PLATFORM]);
    exported.assert(0);
    for words in [
        "profile aal2, policy ",
        "NIST SP 800-63B-4, 2.2.3",
        "SEC-214",
        "AC-11",
    ] {
        assert!(exported.out.contains(words), "{words} {exported:?}");
    }
    let document = policy(&["export", "--evidence", "--json", PLATFORM]).json();
    assert_eq!(document["profile"], "aal2");
    let evidence = document["evidence"].as_array().unwrap();
    assert_eq!(evidence.len(), 2 * 4 * 5);
    assert_eq!(evidence[0]["clause"], "NIST SP 800-63B-4, 2.2.3");
    assert!(
        document["not_claimed"][0]
            .as_str()
            .unwrap()
            .contains("AC-11")
    );
}
