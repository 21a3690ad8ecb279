//! Lists, pages and counts of sessions and users.

use std::time::Duration;

use portcullis_core::{Class, Client, UserId};
use serde_json::{Value, json};

use crate::support::{Fixture, assert_documented};

#[tokio::test(flavor = "multi_thread")]
async fn s073_a_list_shows_handles_and_neither_keys_nor_identifiers() {
    let fixture = Fixture::new().await;
    let first = fixture.sign_in("alice").await;
    let second = fixture.sign_in("alice").await;
    let other = fixture.sign_in("bob").await;
    for arguments in [&["list", "alice"][..], &["list", "alice", "--json"]] {
        let ended = fixture.run(arguments);
        ended.assert(0);
        for session in [&first, &second] {
            assert!(ended.out.contains(&session.handle.to_string()), "{ended:?}");
            for secret in [session.id.expose(), session.key_in_store()] {
                assert!(!ended.both().contains(&secret), "{ended:?}");
            }
        }
        assert!(!ended.out.contains(&other.handle.to_string()), "{ended:?}");
    }
    let table = fixture.run(&["list", "alice"]).out;
    let lines: Vec<_> = table.lines().collect();
    assert_eq!(lines.len(), 5, "{table}");
    assert!(lines[0].starts_with("2 sessions of alice at "), "{table}");
    let headings = "HANDLE CLASS CREATED LAST ACTIVE AUTHENTICATED ENDS IF IDLE ENDS IN ANY CASE ELEVATED UNTIL CLIENT FLAGGED";
    let words: Vec<_> = lines[2].split_whitespace().collect();
    assert_eq!(words.join(" "), headings);
    assert!(lines[3].contains(" in 29m "), "{table}");
    assert!(lines[3].contains("Firefox on Linux"), "{table}");
    assert!(!table.contains('\x1b'), "{table}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_in_json_has_the_documented_fields() {
    let fixture = Fixture::new().await;
    let session = fixture.elevate_at_sign_in("alice").await;
    let document = fixture.run(&["--json", "list", "alice"]).json();
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
    let fields = "absolute_deadline authenticated_at class client created_at elevated_until flagged handle idle_deadline last_active_at remembered user";
    let mut found: Vec<_> = entry.as_object().unwrap().keys().cloned().collect();
    found.sort_unstable();
    assert_eq!(found.join(" "), fields);
    assert_documented(entry);

    let unknown = fixture.run(&["list", "unknown", "--json"]);
    unknown.assert(3);
    assert_eq!(unknown.json()["sessions"], json!([]));
    let unknown = fixture.run(&["list", "unknown"]);
    unknown.assert(3);
    assert_eq!(unknown.out, "");
    assert!(
        unknown.err.contains("unknown has no session"),
        "{unknown:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_class_of_a_session_is_shown_by_its_registered_name() {
    const ADMIN: Class = Class::new("admin", 'a');
    let fixture = Fixture::new().await;
    let session = fixture.sign_in_as("alice", ADMIN).await;
    let handle = session.handle.to_string();
    let classes = |fixture: &Fixture| {
        let list = fixture.run(&["list", "alice", "--json"]).json();
        let show = fixture.run(&["show", "alice", &handle, "--json"]).json();
        [
            list["sessions"][0]["class"].clone(),
            show["session"]["class"].clone(),
        ]
    };
    assert_eq!(classes(&fixture), ["a", "a"], "not registered");
    fixture.declare("id", "production", &[ADMIN]).await;
    assert_eq!(classes(&fixture), ["admin", "admin"]);
    let shown = fixture.run(&["show", "alice", &handle]);
    assert!(
        shown.out.contains("\nclass             admin\n"),
        "{}",
        shown.out
    );
    let listed = fixture.run(&["list", "alice"]);
    assert!(
        listed.out.contains(&format!("{handle}  admin  ")),
        "{}",
        listed.out
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_session_is_shown_with_its_last_events() {
    let fixture = Fixture::new().await;
    let session = fixture.elevate_at_sign_in("alice").await;
    fixture.sign_in("alice").await;
    let handle = session.handle.to_string();
    let shown = fixture.run(&["show", "alice", &handle]);
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
    let shown = fixture.run(&["show", "alice", &handle, "--json"]).json();
    assert_eq!(shown["session"]["handle"], handle);
    let events = shown["events"].as_array().unwrap();
    assert_eq!(events.len(), 2, "{events:?}");
    assert!(events.iter().all(|event| event["session"] == handle));

    let not_found = fixture.run(&["show", "alice", "AAAAAAAAAAAAAAAA"]);
    not_found.assert(3);
    assert_eq!(not_found.out, "");
    fixture.run(&["show", "bob", &handle]).assert(3);
}

#[tokio::test(flavor = "multi_thread")]
async fn flagged_sessions_are_listed_with_their_users() {
    let fixture = Fixture::new().await;
    fixture.run(&["flagged"]).assert(0);
    let session = fixture.sign_in("alice\u{9b}").await;
    fixture.sign_in("bob").await;
    fixture
        .use_from(&session, Client::of_user_agent(b"curl/8.5.0"))
        .await;
    let table = fixture.run(&["flagged"]);
    table.assert(0);
    assert!(table.out.starts_with("1 flagged session at "), "{table:?}");
    let last = table.out.lines().last().unwrap();
    assert!(last.starts_with(&session.handle.to_string()), "{table:?}");
    assert!(last.ends_with("  name     \"alice\\u{9b}\""), "{table:?}");
    let document = fixture.run(&["flagged", "--since=1h", "--json"]).json();
    assert_eq!(document["sessions"][0]["flagged"], "name");
    let since = fixture.run(&["flagged", "--since=0s"]);
    since.assert(0);
    assert_eq!(since.out, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn live_sessions_are_counted_and_those_that_expired_are_not() {
    let fixture = Fixture::new().await;
    fixture.register("id", "__Host-Http-id").await;
    fixture.sign_in("alice").await;
    fixture.server.age_sessions(Duration::from_secs(31 * 60));
    let none = fixture.run(&["count"]);
    none.assert(0);
    assert!(
        none.out
            .starts_with("0 sessions of users and 0 of visitors are live at "),
        "{none:?}"
    );
    for user in ["alice", "bob", "bob"] {
        fixture.sign_in(user).await;
    }
    let counted = fixture.run(&["count", "--json"]).json();
    assert_eq!(counted["of_users"], 3);
    assert_eq!(counted["of_visitors"], 0);
    let fields: Vec<_> = counted.as_object().unwrap().keys().cloned().collect();
    assert_eq!(fields, ["now", "of_users", "of_visitors", "realm"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn users_with_sessions_are_listed_in_pages_each_once() {
    let fixture = Fixture::new().await;
    for user in ["alice", "bob", "carol"] {
        fixture.sign_in(user).await;
    }
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let after_option = after.map(|user: String| format!("--after={user}"));
        let mut arguments = vec!["users", "--json", "--limit=2"];
        arguments.extend(after_option.as_deref());
        let page = fixture.run(&arguments).json();
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

    let first = fixture.run(&["users", "--limit=1"]);
    first.assert(0);
    let more = format!(
        "portcullis: there may be more: portcullis users --after={}",
        first.out
    );
    assert_eq!(first.err, more);
    let unknown = fixture.run(&["users", "--prefix=shop"]);
    unknown.assert(0);
    assert_eq!(unknown.out, "");
    assert!(unknown.err.contains("no user has a session"), "{unknown:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_of_any_bytes_is_named_in_hexadecimal() {
    let fixture = Fixture::new().await;
    let session = fixture.sign_in(UserId::from(&b"\xff\n"[..])).await;
    let shown = fixture.run(&["users"]);
    assert_eq!(shown.out, "\"\\xff\\n\"\n");
    assert!(
        shown.err.contains("with --hex each can be given"),
        "{shown:?}"
    );
    assert_eq!(fixture.run(&["users", "--hex"]).out, "ff0a\n");
    assert_eq!(
        fixture.run(&["users", "--hex", "--json"]).json()["users"],
        json!(["ff0a"])
    );
    let page = fixture.run(&["users", "--limit=1"]);
    assert!(page.err.contains("users --hex --after=ff0a\n"), "{page:?}");
    fixture.run(&["users", "--hex", "--after=ff0a"]).assert(0);

    let handle = session.handle.to_string();
    let list = fixture.run(&["list", "--hex", "ff0a"]);
    list.assert(0);
    assert!(list.out.contains(&handle), "{list:?}");
    fixture.run(&["show", "--hex", "ff0a", &handle]).assert(0);
    let log = fixture.run(&["audit", "--hex", "--user=ff0a"]);
    assert_eq!(log.out.lines().count(), 1, "{log:?}");
    let refused = fixture.run(&["list", "--hex", "ff0"]);
    refused.assert(2);
    assert!(refused.err.contains("hexadecimal"), "{refused:?}");
    fixture.run(&["revoke", "--hex", "ff0a", &handle]).assert(0);
    assert!(!fixture.is_live(&session).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_narrow_terminal_no_table_is_wider_than_it() {
    let fixture = Fixture::new().await;
    fixture.register("id", "__Host-Http-id").await;
    let session = fixture.elevate_at_sign_in("alice").await;
    fixture
        .use_from(&session, Client::of_user_agent(b"curl/8.5.0"))
        .await;
    for command in [
        &["list", "alice"][..],
        &["list", "alice", "--utc"],
        &["flagged"],
        &["realms"],
        &["check"],
    ] {
        let mut program = fixture.program(command);
        program.env("COLUMNS", "80");
        let ended = program.run();
        ended.assert(0);
        for line in ended.out.lines() {
            // A command to copy may have a long word.
            let longest = line.split(' ').map(str::len).max().unwrap_or(0);
            assert!(line.chars().count() <= 80.max(longest + 30), "{line}");
        }
    }
    let mut program = fixture.program(&["list", "alice"]);
    program.env("COLUMNS", "80");
    let paragraph = program.run().out;
    assert!(
        paragraph.contains(&format!("\nHANDLE            {}\n", session.handle)),
        "{paragraph}"
    );
}
