//! Ending sessions.

use std::time::{Duration, Instant};

use portcullis_redis::testing::TestServer;
use serde_json::json;

use crate::support::{Fixture, two_realms};

#[tokio::test(flavor = "multi_thread")]
async fn one_session_is_ended_and_the_log_has_the_operator() {
    let fixture = Fixture::new().await;
    let session = fixture.sign_in("alice").await;
    let kept = fixture.sign_in("alice").await;
    let handle = session.handle.to_string();
    let ended = fixture.run(&["revoke", "alice", &handle, "--operator", "night shift"]);
    ended.assert(0);
    assert_eq!(ended.out, format!("ended 1 session of alice\n  {handle}\n"));
    assert!(!fixture.is_live(&session).await);
    assert!(fixture.is_live(&kept).await);
    let log = fixture.run(&["audit", "--session", &handle, "--event", "session_ended"]);
    assert!(
        log.out.ends_with(&format!(
            " session_ended detail=revoked_by_operator session={handle} user=alice operator=\"night shift\"\n"
        )),
        "{log:?}"
    );
    fixture.run(&["revoke", "alice", &handle]).assert(3);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_session_of_another_user_is_not_found_and_stays_live() {
    let fixture = Fixture::new().await;
    let session = fixture.sign_in("alice").await;
    let handle = session.handle.to_string();
    let refused = fixture.run(&["revoke", "bob", &handle]);
    refused.assert(3);
    assert!(
        refused
            .err
            .contains(&format!("bob has no live session {handle}"))
    );
    assert_eq!(refused.out, "");
    let refused = fixture.run(&["revoke", "bob", &handle, "--json"]);
    refused.assert(3);
    assert_eq!(
        refused.json(),
        json!({"realm": "id", "user": "bob", "ended": [], "replicas": null})
    );
    assert!(fixture.is_live(&session).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_sessions_are_ended_only_after_a_confirmation() {
    let fixture = Fixture::new().await;
    let first = fixture.sign_in("alice").await;
    let second = fixture.sign_in("alice").await;
    let other = fixture.sign_in("bob").await;
    let unconfirmed = fixture.run(&["revoke", "alice", "--all"]);
    unconfirmed.assert(2);
    assert!(unconfirmed.err.contains("--yes"), "{unconfirmed:?}");
    assert!(fixture.is_live(&first).await && fixture.is_live(&second).await);

    let ended = fixture.run(&["revoke", "alice", "--all", "--yes", "--json"]);
    ended.assert(0);
    let mut handles = [&first, &second].map(|session| session.handle.to_string());
    handles.sort_unstable();
    let mut found: Vec<String> = serde_json::from_value(ended.json()["ended"].clone()).unwrap();
    found.sort_unstable();
    assert_eq!(found, handles);
    assert!(!fixture.is_live(&first).await && !fixture.is_live(&second).await);
    assert!(fixture.is_live(&other).await);
    fixture
        .run(&["revoke", "alice", "--all", "--yes"])
        .assert(3);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sessions_of_all_users_are_ended_only_after_a_confirmation() {
    let fixture = Fixture::new().await;
    let sessions = [
        fixture.sign_in("alice").await,
        fixture.sign_in("alice").await,
        fixture.sign_in("bob").await,
    ];
    fixture.run(&["revoke", "--everybody"]).assert(2);
    for mixed in [
        &["alice"][..],
        &[""],
        &["--all"],
        &["alice", "AAAAAAAAAAAAAAAA"],
        &["--keep", "AAAAAAAAAAAAAAAA"],
    ] {
        let mixed = [&["revoke", "--everybody", "--yes"], mixed].concat();
        fixture.run(&mixed).assert(2);
    }
    for unknown in [&["revoke", "--yes"][..], &["revoke", "--all", "--yes"]] {
        fixture.run(unknown).assert(2);
    }
    for session in &sessions {
        assert!(fixture.is_live(session).await);
    }
    let ended = fixture.run(&["revoke", "--everybody", "--yes"]);
    ended.assert(0);
    assert_eq!(ended.out, "ended 3 sessions of all users\n");
    for session in &sessions {
        assert!(!fixture.is_live(session).await);
    }
    let unknown = fixture.run(&["revoke", "--everybody", "--yes", "--json"]);
    unknown.assert(3);
    assert_eq!(
        unknown.json(),
        json!({"realm": "id", "user": null, "ended": [], "replicas": null})
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_session_to_keep_is_kept_and_a_typing_error_ends_nothing() {
    let fixture = Fixture::new().await;
    let kept = fixture.sign_in("alice").await;
    let others = [
        fixture.sign_in("alice").await,
        fixture.sign_in("alice").await,
    ];
    let mistyped = [
        "revoke",
        "alice",
        "--all",
        "--yes",
        "--keep",
        "AAAAAAAAAAAAAAAA",
    ];
    let mistyped = fixture.run(&mistyped);
    mistyped.assert(3);
    assert!(mistyped.err.contains("nothing was ended"), "{mistyped:?}");
    assert!(fixture.is_live(&others[0]).await);

    let keep = format!("--keep={}", kept.handle);
    let ended = fixture.run(&["revoke", "alice", "--all", "--yes", &keep]);
    ended.assert(0);
    assert!(ended.out.starts_with("ended 2 sessions of alice\n"));
    assert!(fixture.is_live(&kept).await);
    for other in &others {
        assert!(!fixture.is_live(other).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_that_no_replica_confirmed_has_its_own_exit_code() {
    let fixture = Fixture::new().await;
    let session = fixture.sign_in("alice").await;
    let handle = session.handle.to_string();
    let ended = fixture.run(&["revoke", "alice", &handle, "--confirm-replicas=2", "--json"]);
    ended.assert(5);
    assert_eq!(
        ended.json()["replicas"],
        json!({"asked": 2, "confirmed": 0})
    );
    assert!(!fixture.is_live(&session).await);
    assert!(ended.err.contains("failover"), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_that_a_replica_confirmed_is_reported_so() {
    let fixture = Fixture::on(TestServer::start_with(&["--repl-diskless-sync-delay", "0"])).await;
    let port = fixture.server.port().to_string();
    let replica = TestServer::start_with(&["--replicaof", "127.0.0.1", &port]);
    let since = Instant::now();
    while !replica
        .cli(&["INFO", "replication"])
        .text()
        .contains("master_link_status:up")
    {
        assert!(since.elapsed() < Duration::from_secs(10));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for target in [&["alice", "--all"][..], &["--everybody"]] {
        fixture.sign_in("alice").await;
        let revoke = [&["revoke", "--yes", "--confirm-replicas=1"], target].concat();
        let ended = fixture.run(&revoke);
        ended.assert(0);
        assert!(
            ended.out.ends_with("\nconfirmed by 1 of 1 replicas\n"),
            "{ended:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_marker_of_a_revocation_is_kept_for_the_longest_registered_timeout() {
    const HOUR: i64 = 60 * 60 * 1000;

    for target in [&["alice", "--all"][..], &["--everybody"]] {
        let (fixture, _) = two_realms().await;
        fixture.sign_in_to("old", "alice").await;
        for (realm, hours) in [("shop", 24 + 1), ("old", 400 * 24 + 1)] {
            let realm_option = format!("--realm={realm}");
            let revoke = [&["revoke", "--yes", &realm_option], target].concat();
            fixture.run(&revoke).assert(0);
            let markers = fixture.server.cli(&["KEYS", &format!("pc:{realm}:*:e*")]);
            let remaining = fixture.server.cli(&["PTTL", &markers.texts()[0]]).integer();
            assert!(
                remaining <= hours * HOUR && remaining > (hours - 1) * HOUR,
                "{remaining}"
            );
        }
    }
}
