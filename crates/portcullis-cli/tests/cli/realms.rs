//! Commands in one realm, and in all of them.

use portcullis::settings::Class;
use serde_json::json;

use crate::support::{Fixture, Program, REALMS, assert_documented, two_realms};

#[tokio::test(flavor = "multi_thread")]
async fn of_several_realms_none_is_chosen_and_nothing_is_done() {
    let (fixture, sessions) = two_realms().await;
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
        let refused = fixture.run(arguments);
        refused.assert(2);
        assert_eq!(refused.out, "");
    }
    let refused = fixture.run(&["list", "alice"]).err;
    assert_eq!(
        refused,
        "portcullis: 2 realms are registered; name one with --realm, or use --all-realms:\n  \
         admin  cookie __Host-admin\n  shop   cookie __Host-shop\n"
    );
    for (realm, session) in REALMS.iter().zip(&sessions) {
        assert!(fixture.is_live_in(realm, session).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_only_realm_is_chosen_by_default() {
    let fixture = Fixture::new().await;
    fixture.register("shop", "__Host-shop").await;
    let session = fixture.sign_in_to("shop", "alice").await;
    let list = fixture.run(&["list", "alice", "--json"]).json();
    assert_eq!(list["realm"], "shop");
    assert_eq!(list["sessions"][0]["handle"], session.handle.to_string());
    let revoked = fixture.run(&["revoke", "alice", &session.handle.to_string()]);
    revoked.assert(0);
    assert_eq!(revoked.err, "");
    assert!(!fixture.is_live_in("shop", &session).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_realm_is_named_by_an_option_or_else_by_the_environment() {
    let (fixture, sessions) = two_realms().await;
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
    let mut named = fixture.program(&["list", "alice", "--json", "--realm=shop"]);
    assert_eq!(found(&mut named), shop);
    named.env("PORTCULLIS_REALM", "admin");
    assert_eq!(found(&mut named), shop);
    let mut program = fixture.program(&["list", "alice", "--json"]);
    program.env("PORTCULLIS_REALM", "admin");
    assert_eq!(found(&mut program), admin);

    let revoked = fixture.run(&["revoke", "alice", "--all", "--yes", "--realm=shop"]);
    revoked.assert(0);
    assert!(fixture.is_live_in("admin", &sessions[0]).await);
    assert!(!fixture.is_live_in("shop", &sessions[1]).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_realm_that_no_layer_registered_is_cleaned_up_with_a_message() {
    let (fixture, _) = two_realms().await;
    let remaining = fixture.sign_in_to("old", "alice").await;
    let revoked = fixture.run(&["revoke", "alice", "--all", "--yes", "--realm=old"]);
    revoked.assert(0);
    assert_eq!(
        revoked.err,
        "portcullis: no layer has registered the realm old (registered: admin, shop)\n"
    );
    assert!(!fixture.is_live_in("old", &remaining).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn in_all_realms_tables_have_headings_in_order_of_name() {
    let (fixture, sessions) = two_realms().await;
    let [admin, shop] = sessions.map(|session| session.handle.to_string());
    fixture.sign_in_to("shop", "bob").await;
    let list = fixture.run(&["list", "alice", "--all-realms"]).out;
    let places = [
        "realm admin (cookie __Host-admin)\n1 session of alice at ",
        &admin,
        "\n\nrealm shop (cookie __Host-shop)\n1 session of alice at ",
        &shop,
    ]
    .map(|text| list.find(text).unwrap());
    assert!(places.is_sorted() && places[0] == 0, "{list}");

    // A realm without a result is named.
    let list = fixture.run(&["list", "bob", "--all-realms"]);
    list.assert(0);
    assert_eq!(
        list.err,
        "portcullis: realm admin: bob has no session\n\
         portcullis: realm admin: the log has no event of bob either; check the name (see `portcullis users`)\n"
    );
    let shown = fixture.run(&["show", "alice", &shop, "--all-realms"]);
    shown.assert(0);
    assert!(
        shown
            .err
            .starts_with("portcullis: realm admin: alice has no live session ")
    );
    fixture
        .run(&["show", "carol", &shop, "--all-realms"])
        .assert(3);
}

#[tokio::test(flavor = "multi_thread")]
async fn in_all_realms_each_json_result_is_a_line_with_its_realm() {
    let (fixture, sessions) = two_realms().await;
    let handle = sessions[1].handle.to_string();
    let everywhere = |arguments: &[&str]| {
        let ended = fixture.run(&[arguments, &["--all-realms", "--json"]].concat());
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
    // A session that is not found has no document.
    let remaining = sessions[0].handle.to_string();
    let (realms, shown) = everywhere(&["show", "alice", &remaining]);
    assert_eq!(realms, ["admin"]);
    assert_eq!(shown[0]["session"]["handle"], remaining);
    let (realms, events) = everywhere(&["audit", "--user=alice"]);
    assert_eq!(realms, ["admin", "shop", "shop"]);
    assert_documented(&events[0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_ended_in_all_realms() {
    for target in [&["alice", "--all"][..], &["--everybody"]] {
        let (fixture, sessions) = two_realms().await;
        let revoke = [&["revoke", "--all-realms"], target].concat();
        fixture.run(&revoke).assert(2);
        for (realm, session) in REALMS.iter().zip(&sessions) {
            assert!(fixture.is_live_in(realm, session).await);
        }
        let revoke = [&["revoke", "--all-realms", "--yes"], target].concat();
        fixture.run(&revoke).assert(0);
        for (realm, session) in REALMS.iter().zip(&sessions) {
            assert!(!fixture.is_live_in(realm, session).await);
        }
        // One realm with sessions is enough for success.
        fixture.sign_in_to("shop", "alice").await;
        fixture.run(&revoke).assert(0);
        fixture.run(&revoke).assert(3);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_session_to_keep_is_in_one_realm_and_all_others_are_ended() {
    let (fixture, [kept, other]) = two_realms().await;
    let another = fixture.sign_in_to("admin", "alice").await;
    let revoke = |keep: &str| {
        let keep = format!("--keep={keep}");
        fixture.run(&["revoke", "alice", "--all", "--yes", "--all-realms", &keep])
    };
    let mistyped = revoke("AAAAAAAAAAAAAAAA");
    mistyped.assert(3);
    assert!(
        mistyped.err.ends_with("nothing was ended\n"),
        "{mistyped:?}"
    );
    assert!(fixture.is_live_in("shop", &other).await);
    revoke(&kept.handle.to_string()).assert(0);
    assert!(fixture.is_live_in("admin", &kept).await);
    assert!(!fixture.is_live_in("admin", &another).await);
    assert!(!fixture.is_live_in("shop", &other).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_realm_that_fails_does_not_stop_the_others() {
    let (fixture, sessions) = two_realms().await;
    // The user may do everything in one of the realms, and read only the registry beside it.
    let rule = "ACL SETUSER half on >secret resetkeys ~pc:shop:* ~pc:{realms}:r allchannels +@all";
    let rule: Vec<_> = rule.split(' ').collect();
    assert_eq!(fixture.server.cli(&rule).text(), "OK");
    let url = format!("redis://half:secret@127.0.0.1:{}", fixture.server.port());
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
    assert!(fixture.is_live_in("admin", &sessions[0]).await);
    assert!(!fixture.is_live_in("shop", &sessions[1]).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_registered_realm_all_realms_is_the_default_one() {
    let fixture = Fixture::new().await;
    let session = fixture.sign_in("alice").await;
    let revoke = ["revoke", "alice", "--all", "--yes", "--all-realms"];
    let revoked = fixture.run(&revoke);
    revoked.assert(0);
    assert!(revoked.out.starts_with("realm id (not registered)\n"));
    assert!(revoked.err.contains("no layer has registered a realm"));
    assert!(!fixture.is_live(&session).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn realms_are_listed_with_their_cookies() {
    let fixture = Fixture::new().await;
    let none = fixture.run(&["realms"]);
    none.assert(0);
    assert_eq!(none.out, "");
    assert!(none.err.contains("no layer has registered a realm"));
    let document = fixture.run(&["realms", "--json"]).json();
    assert_eq!(document["realms"], json!([]));

    fixture.register("shop", "__Host-shop").await;
    fixture.register("admin", "evil\u{9b}cookie").await;
    // It lists all of them, also when one is chosen.
    for choice in [&[][..], &["--realm=shop"], &["--all-realms"]] {
        let realms = fixture.run(&[&["realms"], choice].concat());
        realms.assert(0);
        let lines: Vec<_> = realms.out.lines().collect();
        assert!(lines[0].starts_with("2 realms at "), "{realms:?}");
        let words: Vec<_> = lines[2].split_whitespace().collect();
        assert_eq!(
            words.join(" "),
            "REALM COOKIE ENVIRONMENT CLASSES LONGEST ABSOLUTE TIMEOUT LAST SEEN"
        );
        assert!(
            lines[3].starts_with(r#"admin  "evil\u{9b}cookie"  -            -        1d  "#),
            "{realms:?}"
        );
        assert!(lines[4].starts_with("shop   __Host-shop "), "{realms:?}");
    }
    let document = fixture.run(&["realms", "--json"]).json();
    let shop = &document["realms"][1];
    assert_eq!(shop["realm"], "shop");
    assert_eq!(shop["cookie"], "__Host-shop");
    assert_eq!(shop["longest_absolute_timeout_ms"], 24 * 60 * 60 * 1000);
    let seen = shop["last_seen_at"].as_str().unwrap();
    assert!(seen <= document["now"].as_str().unwrap(), "{seen}");
    assert_documented(shop);
}

const CLASSES: [Class; 2] = [Class::new("admin", 'a'), Class::new("developer", 'd')];

#[tokio::test(flavor = "multi_thread")]
async fn realms_are_listed_with_their_environments_and_classes() {
    let fixture = Fixture::new().await;
    fixture.declare("shop", "production", &CLASSES).await;
    let listed = fixture.run(&["realms"]).out;
    let row = "shop   __Host-id  production   admin (a), developer (d)  1d ";
    assert!(listed.contains(row), "{listed}");
    let document = fixture.run(&["realms", "--json"]).json();
    let shop = &document["realms"][0];
    assert_eq!(shop["environment"], "production");
    let classes = json!([
        {"name": "admin", "character": "a"},
        {"name": "developer", "character": "d"},
    ]);
    assert_eq!(shop["classes"], classes);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_environment_is_changed_only_in_a_realm_that_is_named() {
    let fixture = Fixture::new().await;
    fixture.declare("shop", "production", &CLASSES).await;
    let set = |arguments: &[&str]| {
        let command = ["realms", "--dangerous-set-environment=staging"];
        fixture.run(&[&command, arguments].concat())
    };
    set(&[]).assert(2);
    set(&["--realm=shop", "--all-realms"]).assert(2);
    set(&["--realm=other"]).assert(3);
    let mistyped = [
        "realms",
        "--dangerous-set-environment=Staging",
        "--realm=shop",
    ];
    fixture.run(&mistyped).assert(2);
    let listed = || fixture.run(&["realms", "--json"]).json()["realms"].clone();
    assert_eq!(listed()[0]["environment"], "production");
    let done = set(&["--realm=shop"]);
    done.assert(0);
    assert_eq!(
        done.out,
        "the realm shop has the environment staging; before, it had production\n"
    );
    assert_eq!(listed()[0]["environment"], "staging");
    let again = set(&["--realm=shop", "--json"]).json();
    let expected = json!({"realm": "shop", "environment": "staging", "before": "staging"});
    assert_eq!(again, expected);
}
