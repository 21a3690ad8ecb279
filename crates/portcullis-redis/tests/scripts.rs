//! Each script, sent again with the same arguments as after a lost answer: nothing happens twice.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use portcullis_redis::testing::{Answer, TestServer};

const KEY: &str = "pc:{1}one";
const NEW: &str = "pc:{1}two";
const HOUR: &str = "3600000";

macro_rules! script {
    ($name:literal) => {
        concat!(
            include_str!("../lua/prelude.lua"),
            include_str!(concat!("../lua/", $name, ".lua"))
        )
    };
}

fn run(server: &TestServer, script: &str, keys: &[&str], arguments: &[&str]) -> Vec<i64> {
    let count = keys.len().to_string();
    let command = [&["EVAL", script, &count][..], keys, arguments].concat();
    match server.cli(&command) {
        Answer::List(items) => items
            .iter()
            .map(|item| match item {
                Answer::Integer(number) => *number,
                _ => -1,
            })
            .collect(),
        other => panic!("{other:?}"),
    }
}

/// A reply without the server's time, which passes.
fn timeless(mut reply: Vec<i64>) -> Vec<i64> {
    reply.remove(1);
    reply
}

/// Everything that is stored, with the moment it expires.
fn everything(server: &TestServer) -> Vec<(String, String, i64)> {
    let mut all: Vec<_> = server
        .cli(&["KEYS", "*"])
        .texts()
        .into_iter()
        .map(|key| {
            let value = server.cli(&["GET", &key]).text();
            let expires = server.cli(&["PEXPIRETIME", &key]).integer();
            (key, value, expires)
        })
        .collect();
    all.sort();
    all
}

fn create(server: &TestServer) -> Vec<i64> {
    run(
        server,
        script!("create"),
        &[KEY],
        &[HOUR, HOUR, "0000000a", "payload", "", ""],
    )
}

/// A key as marks spell it. Nothing needs to be stored under it.
const SUCCESSOR: &str = "001AAAAAAAAAAAAAAAAAAAAAA";

/// The arguments of `replace.lua` for activity that keeps the deadlines.
fn replacement<'a>(expected: &'a str, revision: &'a str, payload: &'a str) -> [&'a str; 9] {
    [
        expected, revision, payload, "r", "60000", "1", "", "", SUCCESSOR,
    ]
}

#[test]
fn a_session_is_created_once() {
    let server = TestServer::start();
    let reply = create(&server);
    let before = everything(&server);
    std::thread::sleep(std::time::Duration::from_millis(3));
    assert_eq!(timeless(create(&server)), timeless(reply));
    assert_eq!(everything(&server), before);
    let other = run(
        &server,
        script!("create"),
        &[KEY],
        &[HOUR, HOUR, "0000000b", "other", "", ""],
    );
    assert_eq!(timeless(other), [3]);
    assert_eq!(everything(&server), before);
}

#[test]
fn a_commit_is_carried_out_once() {
    let server = TestServer::start();
    create(&server);
    let commit = || {
        run(
            &server,
            script!("commit"),
            &[KEY],
            &["0000000a", "0000000b", "1", "new"],
        )
    };
    let reply = commit();
    assert_eq!(reply[0], 1);
    let before = everything(&server);
    std::thread::sleep(std::time::Duration::from_millis(3));
    assert_eq!(timeless(commit()), timeless(reply));
    assert_eq!(everything(&server), before);
}

#[test]
fn a_session_is_replaced_once() {
    let server = TestServer::start();
    create(&server);
    let arguments = replacement("0000000a", "0000000b", "new");
    let replace = || run(&server, script!("replace"), &[KEY, NEW], &arguments);
    let reply = replace();
    assert_eq!(reply[0], 1);
    let before = everything(&server);
    assert_eq!(before.len(), 2);
    std::thread::sleep(std::time::Duration::from_millis(3));
    assert_eq!(timeless(replace()), timeless(reply));
    assert_eq!(everything(&server), before);
}

#[test]
fn a_replacement_never_overwrites_what_it_finds() {
    let server = TestServer::start();
    create(&server);
    server.cli(&["SET", NEW, "something", "PX", "60000"]);
    let before = everything(&server);
    let arguments = replacement("0000000a", "0000000b", "new");
    assert_eq!(
        timeless(run(&server, script!("replace"), &[KEY, NEW], &arguments)),
        [3]
    );
    assert_eq!(everything(&server), before);
}

#[test]
fn an_end_is_counted_once_and_remembered_from_the_first() {
    let server = TestServer::start();
    create(&server);
    for (script, arguments) in [
        (script!("end"), &["o", "60000"][..]),
        (script!("supersede"), &["0000000a", "r", "60000", ""]),
    ] {
        server.cli(&["DEL", KEY]);
        create(&server);
        assert_eq!(run(&server, script, &[KEY], arguments)[0], 1);
        let before = everything(&server);
        std::thread::sleep(std::time::Duration::from_millis(3));
        assert_eq!(timeless(run(&server, script, &[KEY], arguments)), [0]);
        assert_eq!(everything(&server), before);
    }
}

#[test]
fn an_end_under_a_key_that_was_left_tells_the_new_one_and_changes_nothing() {
    let server = TestServer::start();
    let replace = replacement("0000000a", "0000000b", "new");
    let supersede = ["0000000a", "r", "60000", SUCCESSOR];
    for (script, keys, arguments) in [
        (script!("replace"), &[KEY, NEW][..], &replace[..]),
        (script!("supersede"), &[KEY], &supersede),
    ] {
        server.cli(&["FLUSHALL"]);
        create(&server);
        assert_eq!(run(&server, script, keys, arguments)[0], 1);
        let mark = format!("-r{SUCCESSOR}");
        assert_eq!(server.cli(&["GET", KEY]).text(), mark);
        let before = everything(&server);
        for _ in 0..2 {
            let count = ["EVAL", script!("end"), "1", KEY, "o", "60000"];
            let Answer::List(reply) = server.cli(&count) else {
                panic!("no reply")
            };
            assert_eq!(reply.len(), 3);
            assert_eq!(reply[0], Answer::Integer(5));
            assert_eq!(reply[2], Answer::Bytes(SUCCESSOR.into()));
        }
        // Every other script finds nothing there.
        let commit = ["0000000a", "0000000c", "1", "late"];
        assert_eq!(timeless(run(&server, script!("touch"), &[KEY], &[])), [0]);
        assert_eq!(
            timeless(run(&server, script!("commit"), &[KEY], &commit)),
            [0]
        );
        assert_eq!(
            timeless(run(&server, script!("supersede"), &[KEY], &supersede)),
            [0]
        );
        let again = replacement("0000000a", "0000000d", "late");
        let elsewhere = &[KEY, "pc:{1}three"];
        assert_eq!(
            timeless(run(&server, script!("replace"), elsewhere, &again)),
            [0]
        );
        assert_eq!(timeless(create(&server)), [3]);
        assert_eq!(everything(&server), before);
    }
}

#[test]
fn an_end_takes_no_other_value_for_a_move() {
    let server = TestServer::start();
    for value in [
        "-r".to_owned(),
        "-o".to_owned(),
        format!("-o{SUCCESSOR}"),
        format!("-r{SUCCESSOR}A"),
        format!("-r{}", &SUCCESSOR[1..]),
        format!("xr{SUCCESSOR}"),
    ] {
        server.cli(&["SET", KEY, &value, "PX", "60000"]);
        let before = everything(&server);
        let reply = run(&server, script!("end"), &[KEY], &["o", "60000"]);
        assert_eq!(timeless(reply), [0], "{value}");
        assert_eq!(everything(&server), before);
    }
}

#[test]
fn last_activity_does_not_move_back_when_the_server_s_clock_does() {
    let server = TestServer::start();
    // As if it was written by a server whose clock is an hour ahead.
    let time = server.cli(&["TIME"]).texts();
    let ahead = time[0].parse::<u64>().unwrap() * 1000 + 3_600_000;
    let header = |revision: &str| {
        format!(
            "1{:011x}{:08x}{ahead:011x}{revision}",
            ahead + 7_200_000,
            7_200_000
        )
    };
    server.cli(&[
        "SET",
        KEY,
        &format!("{}payload", header("0000000a")),
        "PX",
        "60000",
    ]);
    run(&server, script!("touch"), &[KEY], &[]);
    assert_eq!(
        server.cli(&["GET", KEY]).text(),
        format!("{}payload", header("0000000a"))
    );
    run(
        &server,
        script!("commit"),
        &[KEY],
        &["0000000a", "0000000b", "1", "new"],
    );
    assert_eq!(
        server.cli(&["GET", KEY]).text(),
        format!("{}new", header("0000000b"))
    );
    let arguments = replacement("0000000b", "0000000c", "moved");
    run(&server, script!("replace"), &[KEY, NEW], &arguments);
    assert_eq!(
        server.cli(&["GET", NEW]).text(),
        format!("{}moved", header("0000000c"))
    );
}
