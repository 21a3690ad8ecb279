//! Reading and following the log.

use serde_json::Value;

use crate::support::{Fixture, Running, assert_documented, interrupt, two_realms};

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_read_oldest_first_and_filtered() {
    let fixture = Fixture::new().await;
    let first = fixture.elevate_at_sign_in("alice").await;
    let second = fixture.sign_in("bob").await;
    let handle = second.handle.to_string();
    fixture
        .run(&["revoke", "bob", &handle, "--operator=ops"])
        .assert(0);
    let events = |arguments: &[&str]| -> Vec<Value> {
        let ended = fixture.run(&[&["audit", "--json"], arguments].concat());
        ended.assert(0);
        let lines = ended.out.lines();
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    };
    let names = |arguments: &[&str]| {
        let names = events(arguments);
        let names = names.iter().map(|event| event["event"].as_str().unwrap());
        names.collect::<Vec<_>>().join(" ")
    };
    let all = "authn_login_success privilege_elevated authn_login_success session_ended";
    assert_eq!(names(&[]), all);
    assert_eq!(names(&["--limit=2"]), "authn_login_success session_ended");
    assert_eq!(
        names(&["--user=alice"]),
        "authn_login_success privilege_elevated"
    );
    assert_eq!(
        names(&["--session", &handle]),
        "authn_login_success session_ended"
    );
    assert_eq!(
        names(&["--event=session_ended", "--event=privilege_elevated"]),
        "privilege_elevated session_ended"
    );
    assert_eq!(names(&["--reason=payments"]), "privilege_elevated");
    assert_eq!(names(&["--reason=revoked_by_operator"]), "session_ended");
    assert_eq!(
        names(&["--event=authn_login_success", "--limit=1"]),
        "authn_login_success"
    );
    assert_eq!(names(&["--since=1h"]), all);
    assert_eq!(names(&["--until=1h"]), "");
    let all_events = events(&[]);
    let since = format!("--since={}", all_events[3]["at"].as_str().unwrap());
    assert!(names(&[&since]).ends_with("session_ended"));
    fixture
        .run(&["audit", "--since=1h", "--until=2h"])
        .assert(2);

    let last = &all_events[3];
    assert_eq!(last["detail"], "revoked_by_operator");
    assert_eq!(last["session"], handle);
    assert_eq!(last["user"], "bob");
    assert_eq!(last["actor"], "operator");
    assert_eq!(last["operator"], "ops");
    assert_eq!(last["client"], Value::Null);
    assert_eq!(all_events[0]["session"], first.handle.to_string());
    assert_eq!(all_events[0]["client"]["name"], "Firefox on Linux");
    assert_documented(last);
}

#[tokio::test(flavor = "multi_thread")]
async fn following_prints_each_event_once_survives_an_outage_and_ends_on_interrupt() {
    let mut fixture = Fixture::new().await;
    fixture.sign_in("before").await;
    let mut following = Running::start(fixture.program(&["audit", "--follow"]));
    assert!(following.line().contains(" user=before "));
    fixture.sign_in("during").await;
    assert!(following.line().contains(" user=during "));

    fixture.server.kill();
    let message = following.message();
    assert!(message.contains("waiting for it"), "{message}");
    fixture.server.restart();
    assert!(following.message().contains("answers again"));
    fixture.reconnect().await;
    fixture.sign_in("after").await;
    // A line that is printed twice would come before this.
    assert!(following.line().contains(" user=after "));
    interrupt(&following);
    assert_eq!(following.ended(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_of_all_realms_cannot_be_followed() {
    let (fixture, _) = two_realms().await;
    let refused = fixture.run(&["audit", "--follow", "--all-realms"]);
    refused.assert(2);
    assert!(refused.err.contains("--realm"), "{refused:?}");
    let following = Running::start(fixture.program(&["audit", "--follow", "--realm=shop"]));
    assert!(following.line().contains(" user=alice "));
    interrupt(&following);
}
