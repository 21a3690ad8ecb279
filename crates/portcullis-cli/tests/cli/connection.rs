//! Servers that cannot be reached or hang, and other prefixes.

use std::time::{Duration, Instant};

use portcullis_core::{UserId, store::Store};
use serde_json::json;

use crate::support::{Fixture, Program};

#[test]
fn an_unreachable_server_has_its_own_exit_code() {
    for arguments in [
        &["check"][..],
        &["list", "alice"],
        &["audit", "--follow"],
        &["revoke", "alice", "--all", "--yes"],
        &["sweep"],
        &["flagged"],
        &["realms"],
        &["count"],
        &["users"],
        &["list", "alice", "--all-realms"],
        &["list", "alice", "--realm=admin"],
    ] {
        let ended = Program::new("redis://127.0.0.1:1", arguments).run();
        ended.assert(4);
        assert_eq!(ended.out, "");
        assert!(ended.err.contains("cannot be reached"), "{ended:?}");
    }
    for (url, arguments) in [
        ("http://127.0.0.1", &["check"][..]),
        ("redis://127.0.0.1:1", &["check", "--prefix={}"]),
        ("redis://127.0.0.1:1", &["check", "--ca-certificate=/none"]),
        ("redis://127.0.0.1:1", &["list"]),
        ("redis://127.0.0.1:1", &["list", "alice", "--jsn"]),
    ] {
        Program::new(url, arguments).run().assert(2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn applications_with_another_prefix_are_invisible() {
    let fixture = Fixture::new().await;
    fixture.sign_in("alice").await;
    let list = fixture.run(&["list", "alice", "--prefix=shop", "--json"]);
    assert_eq!(list.json()["sessions"], json!([]));
    let mut program = fixture.program(&["list", "alice", "--json"]);
    program.env("PORTCULLIS_PREFIX", "shop");
    assert_eq!(program.run().json()["sessions"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_wait_for_a_server_that_hangs_is_bounded() {
    let fixture = Fixture::new().await;
    fixture.server.pause();
    let since = Instant::now();
    fixture.run(&["list", "alice"]).assert(4);
    assert!(since.elapsed() < Duration::from_secs(20));
    fixture.server.resume();
    fixture.store.list(&UserId::from("alice")).await.ok();
    fixture.run(&["count"]).assert(0);
}
