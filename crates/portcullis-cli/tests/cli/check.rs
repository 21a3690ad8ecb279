//! Checking the server.

use portcullis_redis::testing::TestServer;
use serde_json::Value;

use crate::support::{Fixture, two_realms};

#[tokio::test(flavor = "multi_thread")]
async fn a_sound_server_passes_and_warnings_count_only_with_strict() {
    let fixture = Fixture::new().await;
    let checked = fixture.run(&["check"]);
    checked.assert(0);
    for words in ["✓ fine", "! warning", "remedy: ", "0 broken, "] {
        assert!(checked.out.contains(words), "{words} in {}", checked.out);
    }
    fixture.run(&["check", "--strict"]).assert(1);
    let document = fixture.run(&["check", "--json"]).json();
    assert_eq!(document["sound"], true);
    assert_eq!(document["findings"][0]["about"], "version");
    assert_eq!(document["findings"][0]["verdict"], "fine");
    assert_eq!(document["findings"][0]["remedy"], Value::Null);
    assert!(document["findings"][0]["message"].is_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_evicts_sessions_is_broken_and_they_can_be_ended_all_the_same() {
    let server =
        TestServer::start_with(&["--maxmemory", "50mb", "--maxmemory-policy", "allkeys-lru"]);
    let fixture = Fixture::on(server).await;
    let checked = fixture.run(&["check"]);
    checked.assert(1);
    assert!(checked.out.contains("✗ broken"), "{checked:?}");
    assert!(checked.out.contains("allkeys-lru"), "{checked:?}");
    assert_eq!(fixture.run(&["check", "--json"]).json()["sound"], false);
    let session = fixture.sign_in("alice").await;
    fixture
        .run(&["revoke", "alice", &session.handle.to_string()])
        .assert(0);
    assert!(!fixture.is_live(&session).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_names_the_realms_and_its_limits() {
    let (fixture, _) = two_realms().await;
    let checked = fixture.run(&["check"]);
    checked.assert(0);
    for words in [
        "admin (cookie __Host-admin), shop (cookie __Host-shop); ",
        "look like two servers of one application",
    ] {
        assert!(checked.out.contains(words), "{words} in {}", checked.out);
    }
}
