//! Changes of many sessions at once.

use std::time::Duration;

use portcullis_core::Class;
use serde_json::json;

use crate::support::{Fixture, assert_documented};

const ADMIN: Class = Class::new("admin", 'a');

#[tokio::test(flavor = "multi_thread")]
async fn the_sessions_of_a_class_are_counted_first_and_then_ended() {
    let fixture = Fixture::new().await;
    fixture.declare("id", "production", &[ADMIN]).await;
    let admin = fixture.sign_in_as("ada", ADMIN).await;
    let other = fixture.sign_in("alice").await;
    let end = ["incident", "end", "--class", "admin"];
    let end = |more: &[&str]| fixture.run(&[&end[..], more].concat());
    let dry = end(&["--dry-run"]);
    dry.assert(0);
    assert_eq!(dry.out, "1 of 2 sessions would end\n");
    assert!(fixture.is_live(&admin).await);
    end(&[]).assert(2);
    let ended = end(&["--yes", "--json", "--operator", "ops"]).json();
    assert_eq!(
        (&ended["selected"], &ended["changed"]),
        (&json!(1), &json!(true))
    );
    assert_documented(&ended);
    assert!(!fixture.is_live(&admin).await && fixture.is_live(&other).await);
    end(&["--yes"]).assert(3);
    let audit = fixture.run(&["audit", "--json"]).json_lines();
    let mut many = audit
        .iter()
        .filter(|event| event["event"] == "sessions_changed_by_operator");
    assert_eq!(many.next().unwrap()["operator"], "ops");
}

#[tokio::test(flavor = "multi_thread")]
async fn old_sessions_are_ended_and_younger_ones_stay() {
    let fixture = Fixture::new().await;
    let old = fixture.sign_in("alice").await;
    fixture.server.age_sessions(Duration::from_secs(20 * 60));
    let young = fixture.sign_in("bob").await;
    let ended = fixture.run(&["incident", "end", "--older-than", "10m", "--yes"]);
    ended.assert(0);
    assert_eq!(ended.out, "1 of 2 sessions was ended\n");
    assert!(!fixture.is_live(&old).await && fixture.is_live(&young).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_class_and_a_missing_condition_end_nothing() {
    let fixture = Fixture::new().await;
    let session = fixture.sign_in("alice").await;
    let unknown = fixture.run(&["incident", "end", "--class", "admin", "--yes"]);
    unknown.assert(3);
    assert!(unknown.err.contains("no class admin"), "{unknown:?}");
    let all = fixture.run(&["incident", "end", "--yes"]);
    all.assert(2);
    assert!(all.err.contains("revoke --everybody"), "{all:?}");
    assert!(fixture.is_live(&session).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_elevations_are_dropped_and_the_sessions_stay() {
    let fixture = Fixture::new().await;
    let elevated = fixture.elevate_at_sign_in("alice").await;
    fixture.sign_in("bob").await;
    let dry = fixture.run(&["incident", "drop-elevations", "--dry-run"]);
    assert_eq!(dry.out, "1 of 2 sessions would lose its elevations\n");
    let dropped = fixture.run(&["incident", "drop-elevations", "--yes"]);
    dropped.assert(0);
    assert_eq!(dropped.out, "1 of 2 sessions lost its elevations\n");
    assert!(fixture.is_live(&elevated).await);
    fixture
        .run(&["incident", "drop-elevations", "--yes"])
        .assert(3);
}
