//! Hostile names, passwords, and the rights of operators.

use std::time::Duration;

use portcullis_core::UserId;
use portcullis_redis::testing::TestServer;
use serde_json::json;

use crate::support::{Fixture, Program};

#[tokio::test(flavor = "multi_thread")]
async fn s101_no_name_breaks_a_terminal_or_a_document() {
    let fixture = Fixture::new().await;
    for (name, shown) in [
        (&b"eve\x1b[2J\r\n"[..], r#""eve\u{1b}[2J\r\n""#),
        (b"\xff\xfe", r#""\xff\xfe""#),
        ("\u{202e}ecila\u{9b}".as_bytes(), r#""\u{202e}ecila\u{9b}""#),
        (b"--json", "--json"),
        (b"'; drop", r#""'; drop""#),
    ] {
        let session = fixture.sign_in(UserId::from(name)).await;
        let handle = session.handle.to_string();
        let run = |arguments: &[&str], after: &[&str]| {
            let mut program = fixture.program(arguments);
            program.bytes(b"--").bytes(name);
            for argument in after {
                program.bytes(argument.as_bytes());
            }
            let ended = program.run();
            ended.assert(0);
            for character in ended.both().chars() {
                assert!(
                    character == '\n' || !(character.is_control() || character == '\u{202e}'),
                    "{ended:?}"
                );
            }
            ended
        };
        assert!(
            run(&["list"], &[])
                .out
                .contains(&format!(" of {shown} at "))
        );
        let document = run(&["list", "--json"], &[]).json();
        let user = &document["sessions"][0]["user"];
        match std::str::from_utf8(name) {
            Ok(text) => assert_eq!(user, text),
            Err(_) => assert_eq!(user, &json!({"bytes": "__4"})),
        }
        run(&["show"], &[&handle]);
        run(&["show", "--json"], &[&handle]);
        let operator = "--operator=root\u{1b}[31m forged=yes";
        run(&["revoke", operator], &[&handle]);
        assert!(!fixture.is_live(&session).await);
    }
    for arguments in [&["audit"][..], &["audit", "--json"]] {
        let log = fixture.run(arguments);
        assert_eq!(log.out.lines().count(), 10, "{log:?}");
        assert!(!log.out.contains(['\x1b', '\r', '\u{9b}', '\u{202e}']));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s099_a_password_is_never_printed() {
    let server = TestServer::start_with(&["--requirepass", "right-secret"]);
    let port = server.port();
    let right = format!("redis://:right-secret@127.0.0.1:{port}");
    let wrong = format!("redis://app:wrong-secret@127.0.0.1:{port}");
    for (url, arguments, code) in [
        (&right, &["list", "alice"][..], 3),
        (&right, &["check"], 0),
        (&right, &["check", "--json"], 0),
        (&right, &["--help"], 0),
        (&right, &["list", "--help"], 0),
        (&right, &["list", "alice", &right], 2),
        (&right, &["list", "alice", "--redis-ulr", &right], 2),
        (&right, &["show", "alice", &right], 2),
        (&right, &["list", "alice", "--redis-url", &wrong], 4),
        (&wrong, &["list", "alice"], 4),
        (&wrong, &["check"], 4),
        (&format!("{right}@"), &["check"], 2),
        (&"right-secret".to_owned(), &["check"], 2),
    ] {
        let ended = Program::new(url, arguments).run();
        ended.assert(code);
        assert!(!ended.both().contains("secret"), "{ended:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rights_in_the_readme_suffice_and_those_for_reading_end_nothing() {
    let fixture = Fixture::new().await;
    let session = fixture.sign_in("alice").await;
    let handle = session.handle.to_string();
    let rules: Vec<_> = include_str!("../../README.md")
        .lines()
        .filter(|line| line.starts_with("ACL SETUSER"))
        .collect();
    assert_eq!(rules.len(), 2, "{rules:?}");
    for rule in rules {
        let rule: Vec<_> = rule.split(' ').collect();
        let answer = fixture.server.cli(&rule);
        assert_eq!(answer.text(), "OK");
    }
    let as_user = |user: &str, arguments: &[&str]| {
        let url = format!("redis://{user}:secret@127.0.0.1:{}", fixture.server.port());
        Program::new(&url, arguments).run()
    };
    for user in ["auditor", "operator"] {
        as_user(user, &["realms"]).assert(0);
        as_user(user, &["list", "alice"]).assert(0);
        as_user(user, &["show", "alice", &handle]).assert(0);
        as_user(user, &["flagged"]).assert(0);
        as_user(user, &["audit"]).assert(0);
        as_user(user, &["users"]).assert(0);
        as_user(user, &["count"]).assert(0);
        as_user(user, &["suspended"]).assert(0);
        as_user(user, &["suspend", "alice", "--dry-run"]).assert(0);
    }
    as_user("auditor", &["suspend", "alice"]).assert(4);
    as_user("auditor", &["revoke", "alice", &handle]).assert(4);
    as_user("auditor", &["revoke", "alice", "--all", "--yes"]).assert(4);
    assert!(fixture.is_live(&session).await);
    as_user("auditor", &["check"]).assert(0);
    as_user("operator", &["check"]).assert(0);
    as_user("operator", &["revoke", "alice", &handle]).assert(0);
    let last = fixture.sign_in("alice").await;
    as_user("operator", &["revoke", "alice", "--all", "--yes"]).assert(0);
    assert!(!fixture.is_live(&last).await);
    let last = fixture.sign_in("alice").await;
    as_user("auditor", &["revoke", "--everybody", "--yes"]).assert(4);
    as_user("operator", &["revoke", "--everybody", "--yes"]).assert(0);
    assert!(!fixture.is_live(&last).await);
    as_user("operator", &["suspend", "alice"]).assert(0);
    as_user("auditor", &["resume", "alice"]).assert(4);
    as_user("operator", &["resume", "alice"]).assert(0);
    fixture.sign_in("bob").await;
    fixture.server.age_sessions(Duration::from_secs(31 * 60));
    as_user("operator", &["sweep"]).assert(0);
}
