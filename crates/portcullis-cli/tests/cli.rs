//! The built program, on a server of its own.
#![cfg(unix)]
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests panic when something does not work"
)]

mod support;

use std::{
    fs::OpenOptions,
    process::Stdio,
    time::{Duration, Instant},
};

use portcullis_core::{Client, EndReason, UserId, store::Store};
use portcullis_redis::testing::TestServer;
use serde_json::{Value, json};

use crate::support::{Program, Running, Session, Stand, interrupt};

#[tokio::test(flavor = "multi_thread")]
async fn s084_a_list_shows_handles_and_neither_keys_nor_identifiers() {
    let stand = Stand::new().await;
    let first = stand.sign_in("alice").await;
    let second = stand.sign_in("alice").await;
    let other = stand.sign_in("bob").await;
    for arguments in [&["list", "alice"][..], &["list", "alice", "--json"]] {
        let ended = stand.run(arguments);
        ended.assert(0);
        for session in [&first, &second] {
            assert!(ended.out.contains(&session.handle.to_string()), "{ended:?}");
            for secret in [session.id.expose(), session.spelled()] {
                assert!(!ended.both().contains(&secret), "{ended:?}");
            }
        }
        assert!(!ended.out.contains(&other.handle.to_string()), "{ended:?}");
    }
    let table = stand.run(&["list", "alice"]).out;
    let lines: Vec<_> = table.lines().collect();
    assert_eq!(lines.len(), 5, "{table}");
    assert!(lines[0].starts_with("2 sessions of alice at "), "{table}");
    let headings = "HANDLE CREATED LAST ACTIVE AUTHENTICATED ENDS IF IDLE ENDS IN ANY CASE ELEVATED UNTIL CLIENT FLAGGED";
    let words: Vec<_> = lines[2].split_whitespace().collect();
    assert_eq!(words.join(" "), headings);
    assert!(lines[3].contains(" in 29m "), "{table}");
    assert!(lines[3].contains("Firefox on Linux"), "{table}");
    assert!(!table.contains('\x1b'), "{table}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_for_programs_has_the_fields_that_are_documented() {
    let stand = Stand::new().await;
    let session = stand.elevate_at_sign_in("alice").await;
    let document = stand.run(&["--json", "list", "alice"]).json();
    let entry = &document["sessions"][0];
    assert_eq!(entry["handle"], session.handle.to_string());
    assert_eq!(entry["user"], "alice");
    assert_eq!(
        entry["client"],
        json!({"name": "Firefox on Linux", "network": null, "address": null})
    );
    assert_eq!(entry["flagged"], Value::Null);
    let mut moments = [
        &document["now"],
        &entry["created_at"],
        &entry["authenticated_at"],
        &entry["last_active_at"],
        &entry["elevated_until"],
        &entry["idle_deadline"],
        &entry["absolute_deadline"],
    ]
    .map(|moment| moment.as_str().unwrap().to_owned());
    for moment in &moments {
        assert_eq!(moment.len(), "2026-01-31T12:00:00.000Z".len(), "{moment}");
        assert!(moment.ends_with('Z'), "{moment}");
    }
    let [now, created, .., elevated, idle, absolute] = &moments;
    assert!(created <= now && now < elevated && elevated < idle && idle < absolute);
    moments.sort_unstable();
    let fields = "absolute_deadline authenticated_at client created_at elevated_until flagged handle idle_deadline last_active_at remembered user";
    let mut found: Vec<_> = entry.as_object().unwrap().keys().cloned().collect();
    found.sort_unstable();
    assert_eq!(found.join(" "), fields);
    assert_documented(&found);

    let nobody = stand.run(&["list", "nobody", "--json"]);
    nobody.assert(3);
    assert_eq!(nobody.json()["sessions"], json!([]));
    let nobody = stand.run(&["list", "nobody"]);
    nobody.assert(3);
    assert_eq!(nobody.out, "");
    assert!(nobody.err.contains("nobody has no session"), "{nobody:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_session_is_shown_with_its_last_events() {
    let stand = Stand::new().await;
    let session = stand.elevate_at_sign_in("alice").await;
    stand.sign_in("alice").await;
    let handle = session.handle.to_string();
    let shown = stand.run(&["show", "alice", &handle]);
    shown.assert(0);
    for words in [
        "elevated until    in 14m ",
        "remembered        -\n",
        "client            Firefox on Linux\n",
        "flagged           -\n",
        " authn_login_success session=",
        " privilege_elevated detail=payments session=",
    ] {
        assert!(shown.out.contains(words), "{words} in {}", shown.out);
    }
    let shown = stand.run(&["show", "alice", &handle, "--json"]).json();
    assert_eq!(shown["session"]["handle"], handle);
    let events = shown["events"].as_array().unwrap();
    assert_eq!(events.len(), 2, "{events:?}");
    assert!(events.iter().all(|event| event["session"] == handle));

    let gone = stand.run(&["show", "alice", "AAAAAAAAAAAAAAAA"]);
    gone.assert(3);
    assert_eq!(gone.out, "");
    stand.run(&["show", "bob", &handle]).assert(3);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_session_is_ended_and_the_log_knows_by_whom() {
    let stand = Stand::new().await;
    let session = stand.sign_in("alice").await;
    let kept = stand.sign_in("alice").await;
    let handle = session.handle.to_string();
    let ended = stand.run(&["revoke", "alice", &handle, "--operator", "night shift"]);
    ended.assert(0);
    assert_eq!(ended.out, format!("ended 1 session of alice\n  {handle}\n"));
    assert!(!stand.is_live(&session).await);
    assert!(stand.is_live(&kept).await);
    let log = stand.run(&["audit", "--session", &handle, "--event", "session_ended"]);
    assert!(
        log.out.ends_with(&format!(
            " session_ended detail=revoked_by_operator session={handle} user=alice operator=\"night shift\"\n"
        )),
        "{log:?}"
    );
    stand.run(&["revoke", "alice", &handle]).assert(3);
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_elses_session_is_not_found_and_lives() {
    let stand = Stand::new().await;
    let session = stand.sign_in("alice").await;
    let handle = session.handle.to_string();
    let refused = stand.run(&["revoke", "bob", &handle]);
    refused.assert(3);
    assert!(
        refused
            .err
            .contains(&format!("bob has no live session {handle}"))
    );
    assert_eq!(refused.out, "");
    let refused = stand.run(&["revoke", "bob", &handle, "--json"]);
    refused.assert(3);
    assert_eq!(
        refused.json(),
        json!({"realm": "id", "user": "bob", "ended": [], "replicas": null})
    );
    assert!(stand.is_live(&session).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_sessions_are_ended_only_once_somebody_has_agreed() {
    let stand = Stand::new().await;
    let first = stand.sign_in("alice").await;
    let second = stand.sign_in("alice").await;
    let other = stand.sign_in("bob").await;
    let asked = stand.run(&["revoke", "alice", "--all"]);
    asked.assert(2);
    assert!(asked.err.contains("--yes"), "{asked:?}");
    assert!(stand.is_live(&first).await && stand.is_live(&second).await);

    let ended = stand.run(&["revoke", "alice", "--all", "--yes", "--json"]);
    ended.assert(0);
    let mut handles = [&first, &second].map(|session| session.handle.to_string());
    handles.sort_unstable();
    let mut found: Vec<String> = serde_json::from_value(ended.json()["ended"].clone()).unwrap();
    found.sort_unstable();
    assert_eq!(found, handles);
    assert!(!stand.is_live(&first).await && !stand.is_live(&second).await);
    assert!(stand.is_live(&other).await);
    stand.run(&["revoke", "alice", "--all", "--yes"]).assert(3);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sessions_of_everybody_are_ended_only_once_somebody_has_agreed() {
    let stand = Stand::new().await;
    let sessions = [
        stand.sign_in("alice").await,
        stand.sign_in("alice").await,
        stand.sign_in("bob").await,
    ];
    stand.run(&["revoke", "--everybody"]).assert(2);
    for mixed in [
        &["alice"][..],
        &[""],
        &["--all"],
        &["alice", "AAAAAAAAAAAAAAAA"],
        &["--keep", "AAAAAAAAAAAAAAAA"],
    ] {
        let mixed = [&["revoke", "--everybody", "--yes"], mixed].concat();
        stand.run(&mixed).assert(2);
    }
    for nobody in [&["revoke", "--yes"][..], &["revoke", "--all", "--yes"]] {
        stand.run(nobody).assert(2);
    }
    for session in &sessions {
        assert!(stand.is_live(session).await);
    }
    let ended = stand.run(&["revoke", "--everybody", "--yes"]);
    ended.assert(0);
    assert_eq!(ended.out, "ended 3 sessions of everybody\n");
    for session in &sessions {
        assert!(!stand.is_live(session).await);
    }
    let nobody = stand.run(&["revoke", "--everybody", "--yes", "--json"]);
    nobody.assert(3);
    assert_eq!(
        nobody.json(),
        json!({"realm": "id", "user": null, "ended": [], "replicas": null})
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_session_that_is_to_be_kept_is_kept_and_a_slip_of_the_pen_ends_nothing() {
    let stand = Stand::new().await;
    let kept = stand.sign_in("alice").await;
    let others = [stand.sign_in("alice").await, stand.sign_in("alice").await];
    let slip = [
        "revoke",
        "alice",
        "--all",
        "--yes",
        "--keep",
        "AAAAAAAAAAAAAAAA",
    ];
    let slip = stand.run(&slip);
    slip.assert(3);
    assert!(slip.err.contains("nothing was ended"), "{slip:?}");
    assert!(stand.is_live(&others[0]).await);

    let keep = format!("--keep={}", kept.handle);
    let ended = stand.run(&["revoke", "alice", "--all", "--yes", &keep]);
    ended.assert(0);
    assert!(ended.out.starts_with("ended 2 sessions of alice\n"));
    assert!(stand.is_live(&kept).await);
    for other in &others {
        assert!(!stand.is_live(other).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_that_no_replica_confirmed_is_told_apart() {
    let stand = Stand::new().await;
    let session = stand.sign_in("alice").await;
    let handle = session.handle.to_string();
    let ended = stand.run(&["revoke", "alice", &handle, "--confirm-replicas=2", "--json"]);
    ended.assert(5);
    assert_eq!(
        ended.json()["replicas"],
        json!({"asked": 2, "confirmed": 0})
    );
    assert!(!stand.is_live(&session).await);
    assert!(ended.err.contains("failover"), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_that_a_replica_confirmed_says_so() {
    let stand = Stand::on(TestServer::start_with(&["--repl-diskless-sync-delay", "0"])).await;
    let port = stand.server.port().to_string();
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
    for whom in [&["alice", "--all"][..], &["--everybody"]] {
        stand.sign_in("alice").await;
        let revoke = [&["revoke", "--yes", "--confirm-replicas=1"], whom].concat();
        let ended = stand.run(&revoke);
        ended.assert(0);
        assert!(
            ended.out.ends_with("\nconfirmed by 1 of 1 replicas\n"),
            "{ended:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn flagged_sessions_are_listed_with_their_users() {
    let stand = Stand::new().await;
    stand.run(&["flagged"]).assert(0);
    let session = stand.sign_in("alice\u{9b}").await;
    stand.sign_in("bob").await;
    stand
        .use_from(&session, Client::of_user_agent(b"curl/8.5.0"))
        .await;
    let table = stand.run(&["flagged"]);
    table.assert(0);
    assert!(table.out.starts_with("1 flagged session at "), "{table:?}");
    let last = table.out.lines().last().unwrap();
    assert!(last.starts_with(&session.handle.to_string()), "{table:?}");
    assert!(last.ends_with("  name     \"alice\\u{9b}\""), "{table:?}");
    let document = stand.run(&["flagged", "--since=1h", "--json"]).json();
    assert_eq!(document["sessions"][0]["flagged"], "name");
    let since = stand.run(&["flagged", "--since=0s"]);
    since.assert(0);
    assert_eq!(since.out, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_read_oldest_first_and_filtered() {
    let stand = Stand::new().await;
    let first = stand.elevate_at_sign_in("alice").await;
    let second = stand.sign_in("bob").await;
    let handle = second.handle.to_string();
    stand
        .run(&["revoke", "bob", &handle, "--operator=ops"])
        .assert(0);
    let events = |arguments: &[&str]| -> Vec<Value> {
        let ended = stand.run(&[&["audit", "--json"], arguments].concat());
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
    let everything = events(&[]);
    let since = format!("--since={}", everything[3]["at"].as_str().unwrap());
    assert!(names(&[&since]).ends_with("session_ended"));
    stand.run(&["audit", "--since=1h", "--until=2h"]).assert(2);

    let last = &everything[3];
    assert_eq!(last["detail"], "revoked_by_operator");
    assert_eq!(last["session"], handle);
    assert_eq!(last["user"], "bob");
    assert_eq!(last["actor"], "operator");
    assert_eq!(last["operator"], "ops");
    assert_eq!(last["client"], Value::Null);
    assert_eq!(everything[0]["session"], first.handle.to_string());
    assert_eq!(everything[0]["client"]["name"], "Firefox on Linux");
    let fields: Vec<_> = last.as_object().unwrap().keys().cloned().collect();
    assert_documented(&fields);
}

#[tokio::test(flavor = "multi_thread")]
async fn following_tells_what_happens_once_survives_an_outage_and_ends_when_told_to() {
    let mut stand = Stand::new().await;
    stand.sign_in("before").await;
    let mut following = Running::start(stand.program(&["audit", "--follow"]));
    assert!(following.line().contains(" user=before "));
    stand.sign_in("during").await;
    assert!(following.line().contains(" user=during "));

    stand.server.kill();
    let said = following.said();
    assert!(said.contains("waiting for it"), "{said}");
    stand.server.restart();
    assert!(following.said().contains("answers again"));
    stand.reconnect().await;
    stand.sign_in("after").await;
    // Whatever is told twice would come before this.
    assert!(following.line().contains(" user=after "));
    interrupt(&following);
    assert_eq!(following.ended(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn s101_no_name_breaks_a_terminal_or_a_document() {
    let stand = Stand::new().await;
    for (name, shown) in [
        (&b"eve\x1b[2J\r\n"[..], r#""eve\u{1b}[2J\r\n""#),
        (b"\xff\xfe", r#""\xff\xfe""#),
        ("\u{202e}ecila\u{9b}".as_bytes(), r#""\u{202e}ecila\u{9b}""#),
        (b"--json", "--json"),
        (b"'; drop", r#""'; drop""#),
    ] {
        let session = stand.sign_in(UserId::from(name)).await;
        let handle = session.handle.to_string();
        let run = |arguments: &[&str], after: &[&str]| {
            let mut program = stand.program(arguments);
            program.bytes(b"--").bytes(name);
            for argument in after {
                program.bytes(argument.as_bytes());
            }
            let ended = program.run();
            ended.assert(0);
            for letter in ended.both().chars() {
                assert!(
                    letter == '\n' || !(letter.is_control() || letter == '\u{202e}'),
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
        assert!(!stand.is_live(&session).await);
    }
    for arguments in [&["audit"][..], &["audit", "--json"]] {
        let log = stand.run(arguments);
        assert_eq!(log.out.lines().count(), 10, "{log:?}");
        assert!(!log.out.contains(['\x1b', '\r', '\u{9b}', '\u{202e}']));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sound_server_passes_and_warnings_count_only_where_one_is_strict() {
    let stand = Stand::new().await;
    let checked = stand.run(&["check"]);
    checked.assert(0);
    for words in ["✓ fine", "! warning", "remedy: ", "0 broken, "] {
        assert!(checked.out.contains(words), "{words} in {}", checked.out);
    }
    stand.run(&["check", "--strict"]).assert(1);
    let document = stand.run(&["check", "--json"]).json();
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
    let stand = Stand::on(server).await;
    let checked = stand.run(&["check"]);
    checked.assert(1);
    assert!(checked.out.contains("✗ broken"), "{checked:?}");
    assert!(checked.out.contains("allkeys-lru"), "{checked:?}");
    assert_eq!(stand.run(&["check", "--json"]).json()["sound"], false);
    let session = stand.sign_in("alice").await;
    stand
        .run(&["revoke", "alice", &session.handle.to_string()])
        .assert(0);
    assert!(!stand.is_live(&session).await);
}

#[test]
fn a_server_that_is_not_there_is_told_from_everything_else() {
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
async fn s106_a_password_is_never_printed() {
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
async fn what_is_over_is_cleared_away_and_counted() {
    let stand = Stand::new().await;
    stand.sign_in("alice").await;
    stand.sign_in("bob").await;
    stand.server.age_sessions(Duration::from_secs(31 * 60));
    let swept = stand.run(&["sweep"]);
    swept.assert(0);
    assert_eq!(swept.out, "2 cleared away\n");
    assert_eq!(
        stand.run(&["sweep", "--json"]).json(),
        json!({"realm": "id", "cleared": 0})
    );
    let log = stand.run(&["audit", "--reason", EndReason::IdleTimeout.as_str()]);
    assert_eq!(log.out.lines().count(), 2, "{log:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn applications_with_another_prefix_are_not_seen() {
    let stand = Stand::new().await;
    stand.sign_in("alice").await;
    let list = stand.run(&["list", "alice", "--prefix=shop", "--json"]);
    assert_eq!(list.json()["sessions"], json!([]));
    let mut program = stand.program(&["list", "alice", "--json"]);
    program.env("PORTCULLIS_PREFIX", "shop");
    assert_eq!(program.run().json()["sessions"], json!([]));
}

/// Two layers, and in each realm a session of alice.
async fn two_realms() -> (Stand, [Session; 2]) {
    let stand = Stand::new().await;
    stand.register("shop", "__Host-shop").await;
    stand.register("admin", "__Host-admin").await;
    let sessions = [
        stand.sign_in_to("admin", "alice").await,
        stand.sign_in_to("shop", "alice").await,
    ];
    (stand, sessions)
}

const REALMS: [&str; 2] = ["admin", "shop"];

#[tokio::test(flavor = "multi_thread")]
async fn of_several_realms_none_is_chosen_and_nothing_is_done() {
    let (stand, sessions) = two_realms().await;
    let handle = sessions[0].handle.to_string();
    for arguments in [
        &["list", "alice"][..],
        &["show", "alice", &handle],
        &["revoke", "alice", &handle],
        &["revoke", "alice", "--all", "--yes"],
        &["revoke", "--everybody", "--yes"],
        &["flagged"],
        &["audit"],
        &["audit", "--follow"],
        &["sweep"],
        &["list", "alice", "--realm=shop", "--all-realms"],
        &["list", "alice", "--realm=a:b"],
    ] {
        let refused = stand.run(arguments);
        refused.assert(2);
        assert_eq!(refused.out, "");
    }
    let refused = stand.run(&["list", "alice"]).err;
    assert_eq!(
        refused,
        "portcullis: 2 realms are registered; name one with --realm, or use --all-realms:\n  \
         admin  cookie __Host-admin\n  shop   cookie __Host-shop\n"
    );
    for (realm, session) in REALMS.iter().zip(&sessions) {
        assert!(stand.is_live_in(realm, session).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_only_realm_is_chosen_by_itself() {
    let stand = Stand::new().await;
    stand.register("shop", "__Host-shop").await;
    let session = stand.sign_in_to("shop", "alice").await;
    let list = stand.run(&["list", "alice", "--json"]).json();
    assert_eq!(list["realm"], "shop");
    assert_eq!(list["sessions"][0]["handle"], session.handle.to_string());
    let revoked = stand.run(&["revoke", "alice", &session.handle.to_string()]);
    revoked.assert(0);
    assert_eq!(revoked.err, "");
    assert!(!stand.is_live_in("shop", &session).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_realm_is_named_by_an_option_or_else_by_the_environment() {
    let (stand, sessions) = two_realms().await;
    let handles = sessions
        .each_ref()
        .map(|session| session.handle.to_string());
    let found = |program: &mut Program| {
        let ended = program.run();
        ended.assert(0);
        assert_eq!(ended.err, "");
        let list = ended.json();
        (list["realm"].clone(), list["sessions"][0]["handle"].clone())
    };
    let admin = (json!("admin"), json!(handles[0]));
    let shop = (json!("shop"), json!(handles[1]));
    let mut named = stand.program(&["list", "alice", "--json", "--realm=shop"]);
    assert_eq!(found(&mut named), shop);
    named.env("PORTCULLIS_REALM", "admin");
    assert_eq!(found(&mut named), shop);
    let mut program = stand.program(&["list", "alice", "--json"]);
    program.env("PORTCULLIS_REALM", "admin");
    assert_eq!(found(&mut program), admin);

    let revoked = stand.run(&["revoke", "alice", "--all", "--yes", "--realm=shop"]);
    revoked.assert(0);
    assert!(stand.is_live_in("admin", &sessions[0]).await);
    assert!(!stand.is_live_in("shop", &sessions[1]).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_realm_that_no_layer_registered_is_cleaned_up_all_the_same_and_that_is_said() {
    let (stand, _) = two_realms().await;
    let left = stand.sign_in_to("old", "alice").await;
    let revoked = stand.run(&["revoke", "alice", "--all", "--yes", "--realm=old"]);
    revoked.assert(0);
    assert_eq!(
        revoked.err,
        "portcullis: no layer has registered the realm old (registered: admin, shop)\n"
    );
    assert!(!stand.is_live_in("old", &left).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn in_all_realms_results_for_people_stand_under_headings_in_order_of_name() {
    let (stand, sessions) = two_realms().await;
    let [admin, shop] = sessions.map(|session| session.handle.to_string());
    stand.sign_in_to("shop", "bob").await;
    let list = stand.run(&["list", "alice", "--all-realms"]).out;
    let places = [
        "realm admin (cookie __Host-admin)\n1 session of alice at ",
        &admin,
        "\n\nrealm shop (cookie __Host-shop)\n1 session of alice at ",
        &shop,
    ]
    .map(|text| list.find(text).unwrap());
    assert!(places.is_sorted() && places[0] == 0, "{list}");

    // Where there is nothing in one of them, it is named.
    let list = stand.run(&["list", "bob", "--all-realms"]);
    list.assert(0);
    assert_eq!(
        list.err,
        "portcullis: realm admin: bob has no session\n\
         portcullis: realm admin: the log has nothing of bob either; is the name the one that the application uses (see \
         `portcullis users`)?\n"
    );
    let shown = stand.run(&["show", "alice", &shop, "--all-realms"]);
    shown.assert(0);
    assert!(
        shown
            .err
            .starts_with("portcullis: realm admin: alice has no live session ")
    );
    stand
        .run(&["show", "carol", &shop, "--all-realms"])
        .assert(3);
}

#[tokio::test(flavor = "multi_thread")]
async fn in_all_realms_each_result_for_programs_is_a_line_with_its_realm() {
    let (stand, sessions) = two_realms().await;
    let handle = sessions[1].handle.to_string();
    let everywhere = |arguments: &[&str]| {
        let ended = stand.run(&[arguments, &["--all-realms", "--json"]].concat());
        let lines = ended.json_lines();
        let realms = lines.iter().map(|line| line["realm"].as_str().unwrap());
        (realms.map(str::to_owned).collect::<Vec<_>>(), lines)
    };
    for arguments in [
        &["list", "alice"][..],
        &["flagged"],
        &["audit"],
        &["sweep"],
        &["revoke", "alice", &handle],
    ] {
        assert_eq!(everywhere(arguments).0, REALMS, "{arguments:?}");
    }
    let (_, swept) = everywhere(&["sweep"]);
    assert_eq!(swept[0], json!({"realm": "admin", "cleared": 0}));
    // What is not found has no document.
    let left = sessions[0].handle.to_string();
    let (realms, shown) = everywhere(&["show", "alice", &left]);
    assert_eq!(realms, ["admin"]);
    assert_eq!(shown[0]["session"]["handle"], left);
    let (realms, events) = everywhere(&["audit", "--user=alice"]);
    assert_eq!(realms, ["admin", "shop", "shop"]);
    let fields: Vec<_> = events[0].as_object().unwrap().keys().cloned().collect();
    assert_documented(&fields);
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_ended_in_all_realms() {
    for whom in [&["alice", "--all"][..], &["--everybody"]] {
        let (stand, sessions) = two_realms().await;
        let revoke = [&["revoke", "--all-realms"], whom].concat();
        stand.run(&revoke).assert(2);
        for (realm, session) in REALMS.iter().zip(&sessions) {
            assert!(stand.is_live_in(realm, session).await);
        }
        let revoke = [&["revoke", "--all-realms", "--yes"], whom].concat();
        stand.run(&revoke).assert(0);
        for (realm, session) in REALMS.iter().zip(&sessions) {
            assert!(!stand.is_live_in(realm, session).await);
        }
        // One realm with sessions is enough for success.
        stand.sign_in_to("shop", "alice").await;
        stand.run(&revoke).assert(0);
        stand.run(&revoke).assert(3);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_marker_of_a_revocation_lives_for_the_longest_timeout_that_is_registered() {
    const HOUR: i64 = 60 * 60 * 1000;

    for whom in [&["alice", "--all"][..], &["--everybody"]] {
        let (stand, _) = two_realms().await;
        stand.sign_in_to("old", "alice").await;
        for (realm, hours) in [("shop", 24 + 1), ("old", 400 * 24 + 1)] {
            let realm_option = format!("--realm={realm}");
            let revoke = [&["revoke", "--yes", &realm_option], whom].concat();
            stand.run(&revoke).assert(0);
            let markers = stand.server.cli(&["KEYS", &format!("pc:{realm}:*:e*")]);
            let left = stand.server.cli(&["PTTL", &markers.texts()[0]]).integer();
            assert!(left <= hours * HOUR && left > (hours - 1) * HOUR, "{left}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_session_to_be_kept_is_in_one_realm_and_all_others_are_ended() {
    let (stand, [kept, other]) = two_realms().await;
    let another = stand.sign_in_to("admin", "alice").await;
    let revoke = |keep: &str| {
        let keep = format!("--keep={keep}");
        stand.run(&["revoke", "alice", "--all", "--yes", "--all-realms", &keep])
    };
    let slip = revoke("AAAAAAAAAAAAAAAA");
    slip.assert(3);
    assert!(slip.err.ends_with("nothing was ended\n"), "{slip:?}");
    assert!(stand.is_live_in("shop", &other).await);
    revoke(&kept.handle.to_string()).assert(0);
    assert!(stand.is_live_in("admin", &kept).await);
    assert!(!stand.is_live_in("admin", &another).await);
    assert!(!stand.is_live_in("shop", &other).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_realm_that_fails_does_not_stop_the_others() {
    let (stand, sessions) = two_realms().await;
    // The user may do everything in one of the realms, and read only the registry beside it.
    let rule = "ACL SETUSER half on >secret resetkeys ~pc:shop:* ~pc:{realms}:r allchannels +@all";
    let rule: Vec<_> = rule.split(' ').collect();
    assert_eq!(stand.server.cli(&rule).text(), "OK");
    let url = format!("redis://half:secret@127.0.0.1:{}", stand.server.port());
    let revoke = ["revoke", "--everybody", "--yes", "--all-realms", "--json"];
    let ended = Program::new(&url, &revoke).run();
    ended.assert(4);
    assert!(
        ended.err.starts_with("portcullis: realm admin: "),
        "{ended:?}"
    );
    assert_eq!(ended.err.lines().count(), 1, "{ended:?}");
    let lines = ended.json_lines();
    assert_eq!(lines.len(), 1, "{ended:?}");
    assert_eq!(lines[0]["realm"], "shop");
    assert!(stand.is_live_in("admin", &sessions[0]).await);
    assert!(!stand.is_live_in("shop", &sessions[1]).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_registered_realm_all_realms_are_that_of_the_usual_cookie() {
    let stand = Stand::new().await;
    let session = stand.sign_in("alice").await;
    let revoke = ["revoke", "alice", "--all", "--yes", "--all-realms"];
    let revoked = stand.run(&revoke);
    revoked.assert(0);
    assert!(revoked.out.starts_with("realm id (not registered)\n"));
    assert!(revoked.err.contains("no layer has registered a realm"));
    assert!(!stand.is_live(&session).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_of_all_realms_cannot_be_followed() {
    let (stand, _) = two_realms().await;
    let refused = stand.run(&["audit", "--follow", "--all-realms"]);
    refused.assert(2);
    assert!(refused.err.contains("--realm"), "{refused:?}");
    let following = Running::start(stand.program(&["audit", "--follow", "--realm=shop"]));
    assert!(following.line().contains(" user=alice "));
    interrupt(&following);
}

#[tokio::test(flavor = "multi_thread")]
async fn realms_are_listed_with_their_cookies() {
    let stand = Stand::new().await;
    let none = stand.run(&["realms"]);
    none.assert(0);
    assert_eq!(none.out, "");
    assert!(none.err.contains("no layer has registered a realm"));
    let document = stand.run(&["realms", "--json"]).json();
    assert_eq!(document["realms"], json!([]));

    stand.register("shop", "__Host-shop").await;
    stand.register("admin", "evil\u{9b}cookie").await;
    // It lists all of them, whatever is chosen.
    for choice in [&[][..], &["--realm=shop"], &["--all-realms"]] {
        let realms = stand.run(&[&["realms"], choice].concat());
        realms.assert(0);
        let lines: Vec<_> = realms.out.lines().collect();
        assert!(lines[0].starts_with("2 realms at "), "{realms:?}");
        let words: Vec<_> = lines[2].split_whitespace().collect();
        assert_eq!(
            words.join(" "),
            "REALM COOKIE LONGEST ABSOLUTE TIMEOUT LAST SEEN"
        );
        assert!(
            lines[3].starts_with(r#"admin  "evil\u{9b}cookie"  1d  "#),
            "{realms:?}"
        );
        assert!(lines[4].starts_with("shop   __Host-shop "), "{realms:?}");
    }
    let document = stand.run(&["realms", "--json"]).json();
    let shop = &document["realms"][1];
    assert_eq!(shop["realm"], "shop");
    assert_eq!(shop["cookie"], "__Host-shop");
    assert_eq!(shop["longest_absolute_timeout_ms"], 24 * 60 * 60 * 1000);
    let seen = shop["last_seen_at"].as_str().unwrap();
    assert!(seen <= document["now"].as_str().unwrap(), "{seen}");
    let fields: Vec<_> = shop.as_object().unwrap().keys().cloned().collect();
    assert_documented(&fields);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_names_the_realms_and_what_it_cannot_see() {
    let (stand, _) = two_realms().await;
    let checked = stand.run(&["check"]);
    checked.assert(0);
    for words in [
        "admin (cookie __Host-admin), shop (cookie __Host-shop); ",
        "cannot be told from two servers of one application",
    ] {
        assert!(checked.out.contains(words), "{words} in {}", checked.out);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rights_in_the_readme_are_enough_and_those_for_looking_end_nothing() {
    let stand = Stand::new().await;
    let session = stand.sign_in("alice").await;
    let handle = session.handle.to_string();
    let rules: Vec<_> = include_str!("../README.md")
        .lines()
        .filter(|line| line.starts_with("ACL SETUSER"))
        .collect();
    assert_eq!(rules.len(), 2, "{rules:?}");
    for rule in rules {
        let rule: Vec<_> = rule.split(' ').collect();
        let answer = stand.server.cli(&rule);
        assert_eq!(answer.text(), "OK");
    }
    let as_user = |user: &str, arguments: &[&str]| {
        let url = format!("redis://{user}:secret@127.0.0.1:{}", stand.server.port());
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
    }
    as_user("auditor", &["revoke", "alice", &handle]).assert(4);
    as_user("auditor", &["revoke", "alice", "--all", "--yes"]).assert(4);
    assert!(stand.is_live(&session).await);
    as_user("auditor", &["check"]).assert(0);
    as_user("operator", &["check"]).assert(0);
    as_user("operator", &["revoke", "alice", &handle]).assert(0);
    let last = stand.sign_in("alice").await;
    as_user("operator", &["revoke", "alice", "--all", "--yes"]).assert(0);
    assert!(!stand.is_live(&last).await);
    let last = stand.sign_in("alice").await;
    as_user("auditor", &["revoke", "--everybody", "--yes"]).assert(4);
    as_user("operator", &["revoke", "--everybody", "--yes"]).assert(0);
    assert!(!stand.is_live(&last).await);
    stand.sign_in("bob").await;
    stand.server.age_sessions(Duration::from_secs(31 * 60));
    as_user("operator", &["sweep"]).assert(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_stops_reading_is_not_complained_to() {
    let stand = Stand::new().await;
    stand.sign_in("alice").await;
    for arguments in [
        &["list", "alice"][..],
        &["audit", "--follow"],
        &["check"],
        &["--help"],
    ] {
        let mut following = Running::start(stand.program(arguments).closed());
        assert_eq!(following.ended(), Some(0), "{arguments:?}");
        assert_eq!(following.rest(), "", "{arguments:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[cfg(target_os = "linux")]
async fn a_result_that_cannot_be_written_is_no_success() {
    let stand = Stand::new().await;
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut program = stand.program(&["list", "alice", "--json"]);
    program.out(Stdio::from(full));
    program.run().assert(6);
}

#[test]
fn help_has_the_exit_codes_and_no_value_of_the_environment() {
    let url = "redis://elsewhere.example:6379";
    for arguments in [&["--help"][..], &["help", "audit"], &["revoke", "--help"]] {
        let ended = Program::new(url, arguments).run();
        ended.assert(0);
        assert!(!ended.out.contains("elsewhere"), "{ended:?}");
    }
    let help = Program::new(url, &["--help"]).run().out;
    let readme = include_str!("../README.md");
    for code in 0..=6 {
        let meaning = help
            .lines()
            .find_map(|line| line.strip_prefix(&format!("  {code}  ")))
            .unwrap();
        assert!(
            readme.contains(&format!("| {code} | {meaning} |")),
            "{code}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_hangs_is_not_waited_for_without_end() {
    let stand = Stand::new().await;
    stand.server.pause();
    let since = Instant::now();
    stand.run(&["list", "alice"]).assert(4);
    assert!(since.elapsed() < Duration::from_secs(20));
    stand.server.resume();
    stand.store.list(&UserId::from("alice")).await.ok();
    stand.run(&["count"]).assert(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn live_sessions_are_counted_and_those_that_expired_are_not() {
    let stand = Stand::new().await;
    stand.register("id", "__Host-Http-id").await;
    stand.sign_in("alice").await;
    stand.server.age_sessions(Duration::from_secs(31 * 60));
    let none = stand.run(&["count"]);
    none.assert(0);
    assert!(
        none.out
            .starts_with("0 sessions of users and 0 of visitors are live at "),
        "{none:?}"
    );
    for user in ["alice", "bob", "bob"] {
        stand.sign_in(user).await;
    }
    let counted = stand.run(&["count", "--json"]).json();
    assert_eq!(counted["of_users"], 3);
    assert_eq!(counted["of_visitors"], 0);
    let fields: Vec<_> = counted.as_object().unwrap().keys().cloned().collect();
    assert_eq!(fields, ["now", "of_users", "of_visitors", "realm"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn users_with_sessions_are_listed_in_pages_each_once() {
    let stand = Stand::new().await;
    for user in ["alice", "bob", "carol"] {
        stand.sign_in(user).await;
    }
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let after_option = after.map(|user: String| format!("--after={user}"));
        let mut arguments = vec!["users", "--json", "--limit=2"];
        arguments.extend(after_option.as_deref());
        let page = stand.run(&arguments).json();
        let users: Vec<String> = serde_json::from_value(page["users"].clone()).unwrap();
        assert!(users.len() <= 2, "{page}");
        found.extend(users);
        match page["next"].as_str() {
            Some(last) => after = Some(last.to_owned()),
            None => break,
        }
    }
    found.sort_unstable();
    assert_eq!(found, ["alice", "bob", "carol"]);

    let first = stand.run(&["users", "--limit=1"]);
    first.assert(0);
    let more = format!(
        "portcullis: there may be more: portcullis users --after={}",
        first.out
    );
    assert_eq!(first.err, more);
    let nobody = stand.run(&["users", "--prefix=shop"]);
    nobody.assert(0);
    assert_eq!(nobody.out, "");
    assert!(nobody.err.contains("no user has a session"), "{nobody:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_of_any_bytes_is_named_in_hexadecimal() {
    let stand = Stand::new().await;
    let session = stand.sign_in(UserId::from(&b"\xff\n"[..])).await;
    let shown = stand.run(&["users"]);
    assert_eq!(shown.out, "\"\\xff\\n\"\n");
    assert!(
        shown.err.contains("with --hex each can be given"),
        "{shown:?}"
    );
    assert_eq!(stand.run(&["users", "--hex"]).out, "ff0a\n");
    assert_eq!(
        stand.run(&["users", "--hex", "--json"]).json()["users"],
        json!(["ff0a"])
    );
    let page = stand.run(&["users", "--limit=1"]);
    assert!(page.err.contains("users --hex --after=ff0a\n"), "{page:?}");
    stand.run(&["users", "--hex", "--after=ff0a"]).assert(0);

    let handle = session.handle.to_string();
    let list = stand.run(&["list", "--hex", "ff0a"]);
    list.assert(0);
    assert!(list.out.contains(&handle), "{list:?}");
    stand.run(&["show", "--hex", "ff0a", &handle]).assert(0);
    let log = stand.run(&["audit", "--hex", "--user=ff0a"]);
    assert_eq!(log.out.lines().count(), 1, "{log:?}");
    let refused = stand.run(&["list", "--hex", "ff0"]);
    refused.assert(2);
    assert!(refused.err.contains("hexadecimal"), "{refused:?}");
    stand.run(&["revoke", "--hex", "ff0a", &handle]).assert(0);
    assert!(!stand.is_live(&session).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_is_found_it_is_said_what_may_be_wrong() {
    let stand = Stand::new().await;
    stand.register("id", "__Host-Http-id").await;
    stand.sign_in("alice").await;
    for command in [
        &["list", "alice"][..],
        &["list", "alice", "--json"],
        &["revoke", "alice", "--all", "--yes"],
        &["users"],
        &["count"],
        &["audit"],
        &["flagged"],
        &["sweep"],
    ] {
        let elsewhere = stand.run(&[command, &["--prefix=shop"]].concat());
        assert!(
            elsewhere.err.contains("under the prefix shop"),
            "{elsewhere:?}"
        );
        let here = stand.run(command);
        assert!(!here.err.contains("under the prefix"), "{here:?}");
    }
    let unknown = stand.run(&["list", "alcie"]);
    unknown.assert(3);
    assert!(
        unknown.err.contains("the log has nothing of alcie either"),
        "{unknown:?}"
    );
    // Alice's session has ended by now.
    let known = stand.run(&["list", "alice"]);
    known.assert(3);
    assert!(!known.err.contains("the log has nothing"), "{known:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_on_the_command_line_is_told_without_what_the_environment_gives() {
    for arguments in [
        &["list"][..],
        &["revoke", "1", "--keep", "AAAAAAAAAAAAAAAA"],
    ] {
        let mut program = Program::new("redis://127.0.0.1:1", arguments);
        program.env("PORTCULLIS_PREFIX", "shop");
        let refused = program.run();
        refused.assert(2);
        for given in ["--redis-url", "--prefix"] {
            assert!(!refused.err.contains(given), "{refused:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_narrow_terminal_no_table_is_wider_than_it() {
    let stand = Stand::new().await;
    stand.register("id", "__Host-Http-id").await;
    let session = stand.elevate_at_sign_in("alice").await;
    stand
        .use_from(&session, Client::of_user_agent(b"curl/8.5.0"))
        .await;
    for command in [
        &["list", "alice"][..],
        &["list", "alice", "--utc"],
        &["flagged"],
        &["realms"],
        &["check"],
    ] {
        let mut program = stand.program(command);
        program.env("COLUMNS", "80");
        let ended = program.run();
        ended.assert(0);
        for line in ended.out.lines() {
            // A command to copy is one word after the other, and may have a long word.
            let longest = line.split(' ').map(str::len).max().unwrap_or(0);
            assert!(line.chars().count() <= 80.max(longest + 30), "{line}");
        }
    }
    let mut program = stand.program(&["list", "alice"]);
    program.env("COLUMNS", "80");
    let paragraph = program.run().out;
    assert!(
        paragraph.contains(&format!("\nHANDLE            {}\n", session.handle)),
        "{paragraph}"
    );
}

fn assert_documented(fields: &[String]) {
    for field in fields {
        let row = format!("| `{field}` |");
        assert!(include_str!("../README.md").contains(&row), "{field}");
    }
}
