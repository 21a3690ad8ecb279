//! The policy that is active in the store.

use std::time::Duration;

use portcullis_core::{
    Class,
    store::{PolicyReport, Store},
};
use serde_json::json;

use crate::support::{Document, Ended, Fixture, assert_documented};

const ADMIN: Class = Class::new("admin", 'a');

const STRICT: &str =
    "schema = 1\n[limits]\nidle = '10m'\n[class.admin]\n[environment.production]\n";
const LAX: &str = "schema = 1\n[limits]\nidle = '20m'\n[class.admin]\n[environment.production]\n";

fn file(text: &str) -> Document {
    Document::new("live", text)
}

/// Activates the document in a file in place of this version.
fn apply(fixture: &Fixture, file: &Document, expect: &str) -> Ended {
    let arguments = ["policy", "apply", file.path(), "--expect", expect];
    fixture.run(&[&arguments[..], &["--by", "ada"]].concat())
}

/// A server with a registered realm.
async fn registered() -> Fixture {
    let fixture = Fixture::new().await;
    fixture.declare("id", "production", &[ADMIN]).await;
    fixture
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_is_activated_once_and_shown_with_its_history() {
    let fixture = registered().await;
    for command in ["history", "drift"] {
        let lax = file(LAX);
        let arguments = match command {
            "drift" => vec!["policy", "drift", lax.path()],
            _ => vec!["policy", command],
        };
        let none = fixture.run(&arguments);
        none.assert(3);
        assert!(none.err.contains("no policy is active"), "{none:?}");
    }
    let (lax, strict) = (file(LAX), file(STRICT));
    let apply = |path: &str, expect: &str| {
        let arguments = [
            "policy", "apply", path, "--expect", expect, "--by", "ada", "--reason", "SEC-214",
        ];
        fixture.run(&arguments)
    };
    let first = apply(lax.path(), "none");
    first.assert(0);
    assert!(
        first.out.starts_with("version 1 is active since "),
        "{first:?}"
    );
    let again = apply(lax.path(), "1");
    again.assert(0);
    assert!(again.out.contains("nothing was changed"), "{again:?}");
    apply(strict.path(), "1").assert(0);

    let history = fixture.run(&["policy", "history", "--json"]).json();
    let versions = history["versions"].as_array().unwrap();
    let numbers: Vec<_> = versions
        .iter()
        .map(|version| version["version"].clone())
        .collect();
    assert_eq!(numbers, [2, 1]);
    assert_eq!(versions[0]["by"], "ada");
    assert_eq!(versions[0]["reason"], "SEC-214");
    assert_documented(&versions[0]);
    let shown = fixture.run(&["policy", "history"]);
    assert!(
        shown.out.contains("SEC-214") && shown.out.starts_with("VERSION"),
        "{shown:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn p19_an_operator_who_was_overtaken_is_told_and_changes_nothing() {
    let fixture = registered().await;
    let (lax, strict) = (file(LAX), file(STRICT));
    apply(&fixture, &lax, "none").assert(0);
    for arguments in [
        &[
            "policy",
            "apply",
            strict.path(),
            "--expect",
            "none",
            "--by",
            "grace",
        ][..],
        &["policy", "rollback", "1", "--expect", "7", "--by", "grace"],
    ] {
        let overtaken = fixture.run(arguments);
        overtaken.assert(12);
        assert!(
            overtaken.err.contains("version 1 is active"),
            "{overtaken:?}"
        );
    }
    let history = fixture.run(&["policy", "history", "--json"]).json();
    assert_eq!(history["versions"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_earlier_document_becomes_a_new_version_and_drift_compares_with_the_active_one() {
    let fixture = registered().await;
    let (lax, strict) = (file(LAX), file(STRICT));
    apply(&fixture, &lax, "none").assert(0);
    apply(&fixture, &strict, "1").assert(0);
    fixture.run(&["policy", "drift", strict.path()]).assert(0);
    let looser = fixture.run(&["policy", "drift", lax.path()]);
    looser.assert(11);
    assert!(looser.out.contains("loosens"), "{looser:?}");
    fixture
        .run(&["policy", "rollback", "1", "--expect", "2", "--by", "ada"])
        .assert(0);
    fixture.run(&["policy", "drift", lax.path()]).assert(0);
    fixture
        .run(&["policy", "rollback", "9", "--expect", "3", "--by", "ada"])
        .assert(3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_that_is_refused_or_for_another_environment_is_not_activated() {
    let fixture = registered().await;
    let broken = file("schema = 1\n[limits]\nidle = 'never'\n");
    let apply =
        |path: &str| fixture.run(&["policy", "apply", path, "--expect", "none", "--by", "ada"]);
    apply(broken.path()).assert(1);
    let elsewhere = file("schema = 1\n[environment.staging]\n");
    let refused = apply(elsewhere.path());
    refused.assert(2);
    assert!(
        refused.err.contains("environment.production"),
        "{refused:?}"
    );
    fixture.run(&["policy", "history"]).assert(3);
    let nobody = Fixture::new().await;
    nobody
        .run(&[
            "policy",
            "apply",
            elsewhere.path(),
            "--expect",
            "none",
            "--by",
            "ada",
        ])
        .assert(3);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_status_shows_processes_that_do_not_use_the_active_version() {
    let fixture = registered().await;
    let lax = file(LAX);
    apply(&fixture, &lax, "none").assert(0);
    let report = async |process: &str, number, problem: &str| {
        let report = PolicyReport {
            process: process.to_owned(),
            number,
            after: number.map(|_| Duration::from_millis(38)),
            problem: problem.to_owned(),
        };
        fixture.store.report_policy(&report).await.unwrap();
    };
    report("web-1", Some(1), "").await;
    let well = fixture.run(&["policy", "status"]);
    well.assert(0);
    assert!(
        well.out.starts_with("version 1 is active since "),
        "{well:?}"
    );
    assert!(
        well.out
            .contains("1 of 1 process uses it, the slowest after 38 ms"),
        "{well:?}"
    );
    report("web-2", None, "limits.idle: it is 20m\u{1b}").await;
    let shown = fixture.run(&["policy", "status"]);
    shown.assert(1);
    assert!(
        shown.out.contains("web-2") && !shown.out.contains('\u{1b}'),
        "{shown:?}"
    );
    let status = fixture.run(&["policy", "status", "--json"]).json();
    assert_eq!(status["active"]["version"], 1);
    assert_eq!(status["processes"][1]["version"], json!(null));
    assert_eq!(status["processes"][0]["problem"], json!(null));
    assert_eq!(status["processes"][0]["after_ms"], 38);
    assert_documented(&status["processes"][0]);
}

/// Two sessions of which one was not used for twenty minutes.
async fn idle_and_active() -> Fixture {
    let fixture = registered().await;
    fixture.sign_in("alice").await;
    fixture.server.age_sessions(Duration::from_secs(20 * 60));
    fixture.sign_in_as("bob", ADMIN).await;
    fixture
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_shows_how_many_sessions_of_each_class_would_end() {
    let (fixture, strict) = (idle_and_active().await, file(STRICT));
    let plan = fixture.run(&["policy", "plan", strict.path()]);
    plan.assert(0);
    assert!(
        plan.out.starts_with("1 of 2 sessions would end now\n"),
        "{plan:?}"
    );
    assert!(plan.out.contains("admin  1         0"), "{plan:?}");
    let plan = fixture
        .run(&["policy", "plan", strict.path(), "--json"])
        .json();
    assert_eq!(
        (&plan["sessions"], &plan["would_end"]),
        (&json!(2), &json!(1))
    );
    for document in [&plan, &plan["classes"][0]] {
        assert_documented(document);
    }
    let sample = ["policy", "plan", strict.path(), "--sample", "100"];
    let shown = fixture.run(&sample);
    assert!(
        shown
            .out
            .starts_with("about 1 session would end now: 1 to 1 "),
        "{shown:?}"
    );
    let sample = fixture.run(&[&sample[..], &["--json"]].concat()).json();
    assert_documented(&sample);
    fixture.run(&["policy", "history"]).assert(3);
}

#[tokio::test(flavor = "multi_thread")]
async fn p20_a_document_that_would_end_too_many_sessions_is_not_activated_unless_allowed() {
    let (fixture, strict) = (idle_and_active().await, file(STRICT));
    let refused = apply(&fixture, &strict, "none");
    refused.assert(13);
    assert!(
        refused.err.contains("1 of 2 sessions would end now"),
        "{refused:?}"
    );
    assert!(refused.err.contains("--ends-at-most"), "{refused:?}");
    fixture.run(&["policy", "history"]).assert(3);
    let apply = |more: &[&str]| {
        let arguments = [
            "policy",
            "apply",
            strict.path(),
            "--expect",
            "none",
            "--by",
            "ada",
        ];
        fixture.run(&[&arguments[..], more].concat())
    };
    apply(&["--ends-at-most", "0"]).assert(13);
    apply(&["--ends-at-most", "some"]).assert(2);
    let allowed = apply(&["--ends-at-most", "1", "--no-wait"]);
    allowed.assert(0);
    assert!(allowed.out.contains("1 session is to end"), "{allowed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn p21_an_activation_waits_until_the_sessions_have_ended_and_counts_them() {
    let (fixture, strict) = (idle_and_active().await, file(STRICT));
    let arguments = [
        "policy",
        "apply",
        strict.path(),
        "--expect",
        "none",
        "--by",
        "ada",
    ];
    let applied = fixture.run(&[&arguments[..], &["--ends-at-most", "any", "--json"]].concat());
    applied.assert(0);
    let applied = applied.json();
    assert_eq!(
        (&applied["ended"], &applied["plan"]),
        (&json!(1), &json!(null))
    );
    assert!(applied["settled_at"].is_string(), "{applied}");
    assert_documented(&applied);
    let audit = fixture.run(&["audit", "--json"]).json_lines();
    let tightened = audit
        .iter()
        .filter(|event| event["detail"] == "policy_tightened");
    assert_eq!(tightened.count(), 1, "{audit:?}");
    let status = fixture.run(&["policy", "status"]);
    assert!(status.out.contains("has ended 1 session\n"), "{status:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_is_tightened_for_a_time_shown_and_cancelled() {
    let (fixture, lax) = (registered().await, file(LAX));
    let tighten = |more: &[&str]| {
        let arguments = ["policy", "tighten", "--by", "ada"];
        fixture.run(&[&arguments[..], more].concat())
    };
    let five_minutes = ["--idle", "5m", "--for", "2h"];
    tighten(&five_minutes).assert(3);
    apply(&fixture, &lax, "none").assert(0);
    fixture.sign_in("alice").await;
    fixture.server.age_sessions(Duration::from_secs(10 * 60));
    let dry = tighten(&[&five_minutes[..], &["--dry-run"]].concat());
    assert!(
        dry.out.starts_with("1 of 1 session would end now\n"),
        "{dry:?}"
    );
    tighten(&five_minutes).assert(13);
    let any = ["--ends-at-most", "any", "--no-wait"];
    tighten(&[&five_minutes[..], &any].concat()).assert(0);
    let status = fixture.run(&["policy", "status"]);
    assert!(status.out.contains("\ntightened until "), "{status:?}");
    assert!(status.out.contains(": idle 5m at most\n"), "{status:?}");
    let status = fixture.run(&["policy", "status", "--json"]).json();
    assert!(status["active"]["tightened_until"].is_string(), "{status}");
    let again = tighten(&five_minutes);
    again.assert(12);
    assert!(again.err.contains("cancel that first"), "{again:?}");
    tighten(&["--cancel"]).assert(0);
    let nothing = tighten(&["--cancel"]);
    nothing.assert(3);
    assert!(nothing.err.contains("not tightened"), "{nothing:?}");
    tighten(&["--for", "2h"]).assert(2);
    tighten(&["--idle", "5m", "--for", "10s"]).assert(2);
}
