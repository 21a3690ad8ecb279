//! Suspending and resuming users.

use portcullis_core::store::{Created, Store};
use portcullis_redis::testing::TestServer;
use serde_json::{Value, json};

use crate::support::{Fixture, assert_documented, two_realms};

async fn is_suspended(fixture: &Fixture, user: &str) -> bool {
    let suspension = fixture.store.suspension(&user.into()).await;
    suspension.unwrap().is_some()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_user_has_no_session_and_gets_none_until_they_are_resumed() {
    let fixture = Fixture::new().await;
    let session = fixture.sign_in("alice").await;
    let other = fixture.sign_in("bob").await;
    let handle = session.handle.to_string();
    let suspended = fixture.run(&[
        "suspend",
        "alice",
        "--reason",
        "stolen laptop",
        "--operator",
        "ada",
    ]);
    suspended.assert(0);
    let expected = format!("suspended alice and ended 1 session\n  {handle}\n");
    assert_eq!(suspended.out, expected);
    assert!(!fixture.is_live(&session).await);
    assert!(fixture.is_live(&other).await);
    assert_eq!(fixture.try_sign_in("alice").await, Created::Suspended);

    let again = fixture.run(&["suspend", "alice", "--reason", "another"]);
    again.assert(0);
    assert_eq!(
        again.out,
        "alice was suspended before, and stays so; ended 0 sessions\n"
    );
    let table = fixture.run(&["suspended"]).out;
    let lines: Vec<_> = table.lines().collect();
    assert!(lines[0].starts_with("SINCE"), "{table}");
    assert!(lines[1].contains(" ada "), "{table}");
    assert!(lines[1].contains("alice  \"stolen laptop\""), "{table}");
    assert_eq!(lines.len(), 2, "{table}");

    let resumed = fixture.run(&["resume", "alice", "--operator", "ada"]);
    resumed.assert(0);
    assert!(resumed.out.starts_with("resumed alice"), "{resumed:?}");
    assert!(!fixture.is_live(&session).await);
    fixture.sign_in("alice").await;
    let log = fixture.run(&["audit", "--user", "alice"]);
    for event in [
        " user_suspended detail=\"stolen laptop\" user=alice operator=ada\n",
        " user_resumed user=alice operator=ada\n",
    ] {
        assert!(log.out.contains(event), "{log:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_shows_what_would_end_and_changes_nothing() {
    let fixture = Fixture::new().await;
    let session = fixture.sign_in("alice").await;
    let handle = session.handle.to_string();
    let shown = fixture.run(&["suspend", "alice", "--dry-run"]);
    shown.assert(0);
    assert_eq!(
        shown.out,
        format!("would suspend alice and end 1 session\n  {handle}\n")
    );
    let shown = fixture.run(&["suspend", "alice", "--dry-run", "--json"]);
    assert_eq!(
        shown.json(),
        json!({"realm": "id", "user": "alice", "was_suspended": false, "would_end": [handle]})
    );
    assert!(fixture.is_live(&session).await);
    assert!(!is_suspended(&fixture, "alice").await);
    fixture.run(&["suspend", "alice"]).assert(0);
    let shown = fixture.run(&["suspend", "alice", "--dry-run"]);
    shown.assert(0);
    assert!(shown.out.contains("would end 0 sessions"), "{shown:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn results_in_json_have_the_documented_fields() {
    let fixture = Fixture::new().await;
    let session = fixture.sign_in("alice").await;
    let suspended = fixture.run(&["suspend", "alice", "--operator", "ada", "--json"]);
    assert_eq!(
        suspended.json(),
        json!({
            "realm": "id",
            "user": "alice",
            "was_suspended": false,
            "ended": [session.handle.to_string()],
            "replicas": null,
        })
    );
    let page = fixture.run(&["suspended", "--json", "--limit", "1"]).json();
    let entry = &page["suspended"][0];
    assert_eq!(entry["user"], "alice");
    assert_eq!(entry["actor"], "operator");
    assert_eq!(entry["operator"], "ada");
    assert_eq!(entry["reason"], Value::Null);
    assert_eq!(page["next"], "alice");
    assert_documented(entry);
    let list = fixture.run(&["list", "alice", "--json"]);
    list.assert(3);
    assert_eq!(&list.json()["suspension"], entry);

    for was_suspended in [true, false] {
        let resumed = fixture.run(&["resume", "alice", "--json"]);
        resumed.assert(if was_suspended { 0 } else { 3 });
        assert_eq!(
            resumed.json(),
            json!({"realm": "id", "user": "alice", "was_suspended": was_suspended})
        );
    }
    let list = fixture.run(&["list", "alice", "--json"]).json();
    assert_eq!(list["suspension"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn suspended_users_are_listed_page_by_page() {
    let fixture = Fixture::new().await;
    let nobody = fixture.run(&["suspended"]);
    nobody.assert(0);
    assert!(nobody.err.contains("no user is suspended"), "{nobody:?}");
    for user in ["alice", "bob", "eve\n"] {
        fixture.run(&["suspend", user]).assert(0);
    }
    let mut found = Vec::new();
    let mut arguments = vec!["suspended".to_owned(), "--limit=2".to_owned()];
    loop {
        let given: Vec<_> = arguments.iter().map(String::as_str).collect();
        let page = fixture.run(&given);
        page.assert(0);
        let lines = page.out.lines().skip(1);
        let user = |line: &str| line.split_whitespace().nth_back(1).unwrap().to_owned();
        found.extend(lines.map(user));
        let Some((_, next)) = page.err.split_once("portcullis suspended ") else {
            break;
        };
        arguments.truncate(2);
        arguments.extend(next.split_whitespace().map(str::to_owned));
    }
    found.sort_unstable();
    assert_eq!(found, ["\"eve\\n\"", "alice", "bob"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_says_that_the_user_is_suspended() {
    let fixture = Fixture::new().await;
    fixture
        .run(&["suspend", "alice", "--reason", "SEC-214"])
        .assert(0);
    let list = fixture.run(&["list", "alice"]);
    list.assert(3);
    assert!(list.err.contains("alice is suspended since "), "{list:?}");
    assert!(list.err.contains("reason SEC-214"), "{list:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_is_not_suspended_is_not_found_and_a_name_of_nobody_is_refused() {
    let fixture = Fixture::new().await;
    let session = fixture.sign_in("alice").await;
    let refused = fixture.run(&["resume", "alice"]);
    refused.assert(3);
    assert_eq!(refused.out, "");
    assert!(
        refused.err.contains("alice is not suspended"),
        "{refused:?}"
    );
    assert!(fixture.is_live(&session).await);
    fixture.run(&["suspend", &"x".repeat(2000)]).assert(2);
    fixture.run(&["suspend", "alice", "--reason", ""]).assert(2);
    fixture.run(&["suspend"]).assert(2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_is_suspended_in_each_realm() {
    let (fixture, [_admin, _shop]) = two_realms().await;
    fixture.run(&["suspend", "alice"]).assert(2);
    fixture.run(&["suspend", "alice", "--all-realms"]).assert(0);
    let suspended = fixture.run(&["suspended", "--all-realms"]);
    suspended.assert(0);
    assert_eq!(suspended.out.matches("alice").count(), 2, "{suspended:?}");
    fixture
        .run(&["resume", "alice", "--realm", "shop"])
        .assert(0);
    let suspended = fixture.run(&["suspended", "--all-realms"]);
    assert_eq!(suspended.out.matches("alice").count(), 1, "{suspended:?}");
    fixture.run(&["resume", "alice", "--all-realms"]).assert(0);
    fixture.run(&["resume", "alice", "--all-realms"]).assert(3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspension_that_no_replica_confirms_has_a_code_of_its_own() {
    let fixture = Fixture::on(TestServer::start()).await;
    let unconfirmed = fixture.run(&["suspend", "alice", "--confirm-replicas", "1"]);
    unconfirmed.assert(5);
    assert!(unconfirmed.err.contains("failover"), "{unconfirmed:?}");
    assert!(is_suspended(&fixture, "alice").await);
}
