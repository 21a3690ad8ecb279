//! Each script, sent again with the same arguments as after a lost answer: nothing happens twice, neither to a
//! session nor in a list nor in a log.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::{thread::sleep, time::Duration};

use portcullis_redis::testing::{Answer, TestServer};

const KEY: &str = "pc:id:{1}one";
const NEW: &str = "pc:id:{1}two";
const THIRD: &str = "pc:id:{1}three";
const DUE: &str = "pc:id:{1}:x";
const LOG: &str = "pc:id:{1}:l";
const LOG_OF_VISITORS: &str = "pc:id:{1}:a";
const USERS: &str = "pc:id:{1}:ualice";
const ENDS: &str = "pc:id:{1}:p";
const SET_MARKER: &str = "pc:id:{1}:ealice";
const SUSPENSION: &str = "pc:id:{1}:salice";
const SUSPENDED_USERS: &str = "pc:id:{1}:s";
const HOUR: &str = "3600000";
const MINUTE: &str = "60000";

/// Kind, class, 16 bytes of a digest, and 12 of a name.
const REF: &str = "l0one digest......session one.";
const NEW_REF: &str = "l0two digest......session two.";
const THIRD_REF: &str = "l0three digest....session 3...";
const NAME: &str = "session one.";

/// A key as marks spell it. Nothing needs to be stored under it.
const SUCCESSOR: &str = "001AAAAAAAAAAAAAAAAAAAAAA";

macro_rules! script {
    ($($name:literal),+) => {
        concat!(
            include_str!("../lua/prelude.lua"),
            $(include_str!(concat!("../lua/", $name, ".lua"))),+
        )
    };
}

const CREATE: &str = script!("displaced", "create");
const REPLACE: &str = script!("displaced", "replace");
const COMMIT: &str = script!("commit");
const SUPERSEDE: &str = script!("supersede");
const TOUCH: &str = script!("touch");
const END: &str = script!("end");
const SUSPEND: &str = script!("suspend");
const RESUME: &str = script!("resume");
const REVOKE: &str = script!("revoke");
const EXPIRE_DUE: &str = script!("expire_due");

const GONE: &str = "0";
const DONE: &str = "1";
const TAKEN: &str = "3";
const NEWER: &str = "4";
const MOVED: &str = "5";
const LIMIT: &str = "6";
const REVOKED: &str = "7";
const LATE: &str = "11";
const LOST: &str = "12";
const SUSPENDED: &str = "13";

/// No caller waits until then, so none of these is late.
const IN_TIME: &str = "9999999999999";
const TOO_LATE: &str = "1000";

/// The reply without the server's time, which passes.
fn run(server: &TestServer, script: &str, keys: &[&str], arguments: &[&str]) -> Vec<String> {
    let count = keys.len().to_string();
    let command = [&["EVAL", script, &count][..], keys, arguments].concat();
    let Answer::List(items) = server.cli(&command) else {
        panic!("{:?}", server.cli(&command))
    };
    let text = |item: &Answer| match item {
        Answer::Integer(number) => number.to_string(),
        other => other.text(),
    };
    let mut reply: Vec<_> = items.iter().map(text).collect();
    reply.remove(1);
    reply
}

/// Everything that is stored, whatever its type, with the moment it expires.
fn everything(server: &TestServer) -> Vec<(String, Answer, i64)> {
    let mut keys = server.cli(&["KEYS", "*"]).texts();
    keys.sort();
    let stored = keys.into_iter().map(|key| {
        let value = server.cli(&["DUMP", &key]);
        let expires = server.cli(&["PEXPIRETIME", &key]).integer();
        (key, value, expires)
    });
    stored.collect()
}

/// Does it, and once more: the answer is the same and nothing changes.
fn twice(server: &TestServer, it: impl Fn() -> Vec<String>) -> Vec<String> {
    let reply = it();
    let before = everything(server);
    sleep(Duration::from_millis(3));
    assert_eq!(it(), reply);
    assert_eq!(everything(server), before);
    reply
}

fn length_of_log(server: &TestServer) -> i64 {
    server.cli(&["XLEN", LOG]).integer()
}

struct Create<'a> {
    key: &'a str,
    reference: &'a str,
    revision: &'a str,
    since: &'a str,
    /// How many sessions, and whether to make room.
    limit: [&'a str; 2],
    not_after: &'a str,
}

const FIRST: Create<'_> = Create {
    key: KEY,
    reference: REF,
    revision: "0000000a",
    since: "",
    limit: ["", "0"],
    not_after: IN_TIME,
};

impl Create<'_> {
    fn run(&self, server: &TestServer) -> Vec<String> {
        let keys = [self.key, DUE, LOG, USERS, SET_MARKER, SUSPENSION];
        let mut arguments = vec![
            self.not_after,
            HOUR,
            HOUR,
            self.revision,
            "payload",
            "",
            "",
            "",
        ];
        arguments.extend([self.reference, "alice", self.since, "", "0", "9"]);
        arguments.extend([self.limit[0], self.limit[1], "u", "others", HOUR]);
        arguments.extend(["begun", "signed in"]);
        run(server, CREATE, &keys, &arguments)
    }
}

fn create(server: &TestServer) -> Vec<String> {
    FIRST.run(server)
}

struct Replace<'a> {
    to: [&'a str; 2],
    expected: &'a str,
    revision: &'a str,
    payload: &'a str,
    /// Letter, and successor.
    end: [&'a str; 2],
    since: &'a str,
    timeouts: [&'a str; 2],
    limit: [&'a str; 2],
    not_after: &'a str,
}

/// Activity that keeps the deadlines.
const MOVE: Replace<'_> = Replace {
    to: [NEW, NEW_REF],
    expected: "0000000a",
    revision: "0000000b",
    payload: "new",
    end: ["r", SUCCESSOR],
    since: "",
    timeouts: ["", ""],
    limit: ["", "0"],
    not_after: IN_TIME,
};

impl Replace<'_> {
    fn run(&self, server: &TestServer) -> Vec<String> {
        let [to, reference] = self.to;
        let keys = [KEY, to, DUE, LOG, USERS, LOG, USERS, SET_MARKER, SUSPENSION];
        let mut arguments = vec![self.not_after, self.expected, self.revision, self.payload];
        arguments.extend([self.end[0], MINUTE, "1", self.timeouts[0], self.timeouts[1]]);
        arguments.extend([
            self.end[1],
            REF,
            "alice",
            "left",
            reference,
            "alice",
            self.since,
            "",
            "0",
        ]);
        arguments.extend(["9", "9", self.limit[0], self.limit[1]]);
        arguments.extend(["u", "others", HOUR, MINUTE, "", "", "moved"]);
        run(server, REPLACE, &keys, &arguments)
    }
}

fn commit(server: &TestServer, expected: &str, revision: &str, payload: &str) -> Vec<String> {
    commit_until(server, IN_TIME, [expected, revision, payload])
}

fn commit_until(server: &TestServer, not_after: &str, write: [&str; 3]) -> Vec<String> {
    let [expected, revision, payload] = write;
    let arguments = [
        not_after, expected, revision, "1", payload, REF, "alice", "", "0", MINUTE, "", "", "",
        "9", "noted",
    ];
    run(
        server,
        COMMIT,
        &[KEY, DUE, LOG, USERS, SET_MARKER, SUSPENSION],
        &arguments,
    )
}

fn touch(server: &TestServer, since: &str) -> Vec<String> {
    let arguments = [IN_TIME, REF, "alice", since, MINUTE, "9", "1", ""];
    run(
        server,
        TOUCH,
        &[KEY, DUE, LOG, USERS, SET_MARKER, SUSPENSION],
        &arguments,
    )
}

fn end(server: &TestServer) -> Vec<String> {
    end_of_one_live_until(server, "")
}

fn end_of_one_live_until(server: &TestServer, moment: &str) -> Vec<String> {
    end_remembered_for(server, MINUTE, moment)
}

fn end_remembered_for(server: &TestServer, memory: &str, moment: &str) -> Vec<String> {
    end_by(server, memory, moment, "")
}

/// An end by a version of the policy.
fn end_by(server: &TestServer, memory: &str, moment: &str, version: &str) -> Vec<String> {
    let arguments = [
        "o", memory, REF, "alice", "ended", "9", moment, version, HOUR,
    ];
    run(server, END, &[KEY, DUE, LOG, USERS, ENDS], &arguments)
}

fn supersede(server: &TestServer) -> Vec<String> {
    supersede_until(server, IN_TIME)
}

fn supersede_until(server: &TestServer, not_after: &str) -> Vec<String> {
    let arguments = [
        not_after, "0000000a", "r", MINUTE, SUCCESSOR, "0000000b", REF, "alice", "left", "9",
    ];
    run(server, SUPERSEDE, &[KEY, DUE, LOG, USERS], &arguments)
}

fn mark(server: &TestServer, kept: &str) -> Vec<String> {
    mark_asked(server, kept, [IN_TIME, "0"])
}

/// Until when its caller waits, and when it was asked for.
fn mark_asked(server: &TestServer, kept: &str, asked: [&str; 2]) -> Vec<String> {
    let arguments = ["p", kept, HOUR, "revoked", asked[0], asked[1]];
    run(
        server,
        script!("set_marker"),
        &[USERS, SET_MARKER],
        &arguments,
    )
}

fn suspend(server: &TestServer, not_after: &str) -> Vec<String> {
    let keys = [USERS, SET_MARKER, SUSPENSION, SUSPENDED_USERS, LOG];
    let arguments = [
        not_after,
        "p",
        HOUR,
        "ended",
        "alice",
        "stolen",
        "suspended",
        "9",
    ];
    run(server, SUSPEND, &keys, &arguments)
}

fn resume(server: &TestServer, not_after: &str) -> Vec<String> {
    let keys = [SUSPENSION, SET_MARKER, SUSPENDED_USERS, LOG];
    let arguments = [not_after, "p", HOUR, "ended", "alice", "resumed", "9"];
    run(server, RESUME, &keys, &arguments)
}

fn expire_due(server: &TestServer, member: &str) -> Vec<String> {
    let arguments = [
        "9",
        "9",
        MINUTE,
        "0",
        "idle",
        "absolute",
        "elevation",
        member,
    ];
    run(
        server,
        EXPIRE_DUE,
        &[DUE, LOG, LOG_OF_VISITORS, KEY, USERS],
        &arguments,
    )
}

fn members(server: &TestServer, list: &str) -> Vec<String> {
    server.cli(&["ZRANGE", list, "0", "-1"]).texts()
}

#[test]
fn a_session_is_created_listed_and_noted_once() {
    let server = TestServer::start();
    let reply = twice(&server, || create(&server));
    assert_eq!(reply[0], DONE);
    assert_eq!(members(&server, USERS), [REF]);
    assert_eq!(members(&server, DUE).len(), 1);
    assert_eq!(length_of_log(&server), 2);
    let before = everything(&server);
    let other = Create {
        revision: "0000000b",
        ..FIRST
    };
    assert_eq!(other.run(&server), [TAKEN]);
    assert_eq!(everything(&server), before);
}

/// A session of the same user that would end after the first.
fn create_another(server: &TestServer) {
    sleep(Duration::from_millis(2));
    let other = Create {
        key: THIRD,
        reference: THIRD_REF,
        ..FIRST
    };
    other.run(server);
}

#[test]
fn under_a_limit_a_session_is_created_once_and_names_those_who_have_to_go() {
    let server = TestServer::start();
    create(&server);
    sleep(Duration::from_millis(2));
    let second = Create {
        key: NEW,
        reference: NEW_REF,
        ..FIRST
    };
    second.run(&server);
    let third = |limit| Create {
        key: THIRD,
        reference: THIRD_REF,
        limit,
        ..FIRST
    };
    let before = everything(&server);
    assert_eq!(third(["2", "0"]).run(&server), [LIMIT]);
    assert_eq!(everything(&server), before);
    assert_eq!(third(["3", "1"]).run(&server)[5..], [] as [String; 0]);
    server.cli(&["DEL", THIRD]);
    server.cli(&["ZREM", USERS, THIRD_REF]);
    let reply = twice(&server, || third(["2", "1"]).run(&server));
    assert_eq!((&*reply[0], &reply[5..]), (DONE, &[REF.to_owned()][..]));
    let all = third(["1", "1"]).run(&server);
    assert_eq!(all[5..], [REF.to_owned(), NEW_REF.to_owned()]);
}

#[test]
fn under_a_limit_a_replacement_names_who_has_to_go_and_neither_counts_nor_ends_the_old_one() {
    let server = TestServer::start();
    create(&server);
    create_another(&server);
    let sign_in = |limit| Replace {
        timeouts: [HOUR, HOUR],
        limit,
        ..MOVE
    };
    let before = everything(&server);
    assert_eq!(sign_in(["1", "0"]).run(&server), [LIMIT]);
    assert_eq!(everything(&server), before);
    let reply = twice(&server, || sign_in(["1", "1"]).run(&server));
    assert_eq!(reply[5..], [THIRD_REF.to_owned()]);
    assert_eq!(members(&server, USERS).len(), 3);
    assert_eq!(supersede(&server)[0], DONE);
    assert_eq!(members(&server, USERS).len(), 2);
    assert_eq!(
        twice(&server, || sign_in(["1", "1"]).run(&server))[5..],
        [] as [String; 0]
    );
}

#[test]
fn a_commit_is_carried_out_and_noted_once() {
    let server = TestServer::start();
    create(&server);
    let reply = twice(&server, || commit(&server, "0000000a", "0000000b", "new"));
    assert_eq!(reply[0], DONE);
    assert_eq!(length_of_log(&server), 3);
    assert_eq!(members(&server, DUE).len(), 1);
}

#[test]
fn a_session_is_replaced_once() {
    let server = TestServer::start();
    create(&server);
    let reply = twice(&server, || MOVE.run(&server));
    assert_eq!(reply[0], DONE);
    assert_eq!(members(&server, USERS), [NEW_REF]);
    assert_eq!(members(&server, DUE).len(), 1);
    assert_eq!(length_of_log(&server), 4);
}

#[test]
fn a_replacement_never_overwrites_what_it_finds() {
    let server = TestServer::start();
    create(&server);
    server.cli(&["SET", NEW, "something", "PX", MINUTE]);
    let before = everything(&server);
    assert_eq!(MOVE.run(&server), [TAKEN]);
    assert_eq!(everything(&server), before);
}

#[test]
fn an_end_is_counted_once_and_remembered_from_the_first() {
    let server = TestServer::start();
    for ending in [end, supersede] {
        server.cli(&["FLUSHALL"]);
        create(&server);
        assert_eq!(ending(&server)[0], DONE);
        let before = everything(&server);
        // What is left is the mark and the log.
        assert_eq!(before.len(), 2);
        assert_eq!(length_of_log(&server), 3);
        sleep(Duration::from_millis(3));
        let again = ending(&server);
        assert!([GONE, DONE].contains(&&*again[0]), "{again:?}");
        assert_eq!(everything(&server), before);
    }
}

#[test]
fn an_end_by_a_version_is_counted_once_and_the_count_expires() {
    let server = TestServer::start();
    create(&server);
    for reply in [DONE, GONE] {
        assert_eq!(end_by(&server, MINUTE, "", "000000000000000c")[0], reply);
        let counted = server.cli(&["HGET", ENDS, "000000000000000c0"]).text();
        assert_eq!(counted, "1");
    }
    assert!(server.cli(&["PTTL", ENDS]).integer() > 0);
}

#[test]
fn an_end_under_a_key_that_was_left_tells_the_new_one_and_changes_nothing() {
    let server = TestServer::start();
    for replacing in [supersede, |server: &TestServer| MOVE.run(server)] {
        server.cli(&["FLUSHALL"]);
        create(&server);
        assert_eq!(replacing(&server)[0], DONE);
        let tombstone = format!("-r{NAME}>{SUCCESSOR}=0000000b");
        assert_eq!(server.cli(&["GET", KEY]).text(), tombstone);
        let before = everything(&server);
        for _ in 0..2 {
            assert_eq!(end(&server), [MOVED, SUCCESSOR]);
        }
        // Every other script finds nothing there.
        assert_eq!(touch(&server, ""), [GONE]);
        assert_eq!(commit(&server, "0000000a", "0000000c", "late"), [GONE]);
        // Its own answer may have been lost.
        assert_eq!(supersede(&server)[0], DONE);
        let again = Replace {
            to: [THIRD, THIRD_REF],
            revision: "0000000d",
            payload: "late",
            ..MOVE
        };
        assert_eq!(again.run(&server), [GONE]);
        assert_eq!(create(&server), [TAKEN]);
        assert_eq!(everything(&server), before);
    }
}

#[test]
fn an_end_takes_no_other_value_for_a_move() {
    let server = TestServer::start();
    for value in [
        "-r".to_owned(),
        "-o".to_owned(),
        format!("-r{NAME}"),
        format!("-o{NAME}>{SUCCESSOR}"),
        format!("-n{NAME}>{SUCCESSOR}"),
        format!("-r{NAME}{SUCCESSOR}"),
        format!("-r{NAME}?>{SUCCESSOR}"),
        format!("xr{NAME}>{SUCCESSOR}"),
    ] {
        server.cli(&["SET", KEY, &value, "PX", MINUTE]);
        let before = everything(&server);
        assert_eq!(end(&server), [GONE], "{value}");
        assert_eq!(everything(&server), before);
    }
}

#[test]
fn a_revocation_ends_and_notes_each_session_once() {
    let server = TestServer::start();
    create(&server);
    let second = Create {
        key: NEW,
        reference: NEW_REF,
        ..FIRST
    };
    second.run(&server);
    let revoke = || {
        let arguments = ["p", MINUTE, "revoked", "9", "alice", REF, NEW_REF];
        run(&server, REVOKE, &[DUE, LOG, USERS, KEY, NEW], &arguments)
    };
    assert_eq!(revoke(), ["9", "0", NAME, "session two."]);
    assert_eq!(length_of_log(&server), 6);
    assert_eq!(twice(&server, revoke), ["9", "0"]);
    assert_eq!(length_of_log(&server), 6);
}

#[test]
fn a_mark_lists_the_same_again_and_only_its_moment_moves_forward() {
    let server = TestServer::start();
    create(&server);
    let without_mark = || {
        let mut all = everything(&server);
        all.retain(|(key, ..)| key != SET_MARKER);
        all
    };
    let before = without_mark();
    assert_eq!(mark(&server, NAME), ["8", "1", REF]);
    let first = server.cli(&["GET", SET_MARKER]).text();
    sleep(Duration::from_millis(3));
    assert_eq!(mark(&server, NAME), ["8", "1", REF]);
    let second = server.cli(&["GET", SET_MARKER]).text();
    assert!(second[12..23] > first[12..23], "{first} {second}");
    for mark in [first, second] {
        assert_eq!(&mark[..12], "100000000000");
        assert_eq!(&mark[23..], "psession one.revoked");
    }
    assert_eq!(without_mark(), before);
}

#[test]
fn after_a_mark_no_older_sign_in_is_created_replaced_or_written_and_it_changes_nothing_else() {
    let server = TestServer::start();
    let older = Create {
        since: "1000",
        ..FIRST
    };
    older.run(&server);
    mark(&server, "");
    let another = Create {
        key: NEW,
        reference: NEW_REF,
        ..older
    };
    let before = everything(&server);
    assert_eq!(another.run(&server), [REVOKED]);
    assert_eq!(everything(&server), before);
    // One that was missed dies of the next that is done with it, and that is noted.
    let noted = length_of_log(&server);
    assert_eq!(touch(&server, "1000"), [GONE]);
    assert_eq!(server.cli(&["GET", KEY]).text(), format!("-p{NAME}!"));
    assert_eq!(twice(&server, || touch(&server, "1000")), [GONE]);
    assert!(members(&server, USERS).is_empty() && members(&server, DUE).is_empty());
    assert_eq!(length_of_log(&server), noted + 1);
    // The revocation reports it, once.
    let revoke = || {
        let arguments = ["p", MINUTE, "revoked", "9", "alice", REF];
        run(&server, REVOKE, &[DUE, LOG, USERS, KEY], &arguments)
    };
    assert_eq!(revoke(), ["9", "0", NAME]);
    assert_eq!(twice(&server, revoke), ["9", "0"]);
    assert_eq!(length_of_log(&server), noted + 1);
}

#[test]
fn t06_a_mark_is_never_weakened_by_a_later_one() {
    let server = TestServer::start();
    let older = Create {
        since: "1000",
        ..FIRST
    };
    for (marks, lives) in [
        (&[""][..], false),
        (&[NAME], true),
        (&[NAME, NAME], true),
        (&["", NAME], false),
        (&[NAME, ""], false),
        (&["session two.", NAME], false),
        (&[NAME, "session two."], false),
        (&[NAME, "", NAME, NAME], false),
    ] {
        server.cli(&["FLUSHALL"]);
        older.run(&server);
        for kept in marks {
            mark(&server, kept);
            sleep(Duration::from_millis(2));
        }
        let touched = touch(&server, "1000");
        assert_eq!(touched[0] == DONE, lives, "{marks:?}");
    }
}

#[test]
fn as_many_sessions_as_one_likes_are_listed_by_a_mark() {
    let server = TestServer::start();
    for thousand in 0..10 {
        let fill = "for i = 1, 1000 do redis.call('ZADD', KEYS[1], i, 'l0' .. string.rep('x', 16) .. ARGV[1] .. \
                    string.format('%08d', i)) end";
        let number = format!("{thousand:04}");
        server.cli(&["EVAL", fill, "1", USERS, &number]);
    }
    assert_eq!(mark(&server, "")[1], "10000");
}

#[test]
fn strays_are_told_and_nothing_is_changed() {
    let server = TestServer::start();
    create(&server);
    let unlisted = || {
        run(
            &server,
            script!("find_unlisted"),
            &[DUE, USERS],
            &["alice", "0", "9"],
        )
    };
    let last = &server
        .cli(&["ZRANGE", DUE, "-1", "-1", "WITHSCORES"])
        .texts()[1];
    assert_eq!(twice(&server, unlisted), ["8", "1", last]);
    server.cli(&["DEL", USERS]);
    assert_eq!(twice(&server, unlisted), ["8", "1", last, REF]);
}

#[test]
fn what_is_over_is_claimed_and_noted_once() {
    let server = TestServer::start();
    create(&server);
    server.age_sessions(Duration::from_secs(3601));
    let member = members(&server, DUE).remove(0);
    let expire_due = || expire_due(&server, &member);
    let reply = expire_due();
    // Both timeouts were an hour.
    assert_eq!(reply[..3], ["10", &*member, "a"]);
    assert_eq!(length_of_log(&server), 3);
    assert_eq!(server.cli(&["GET", KEY]).text(), format!("-a{NAME}"));
    assert_eq!(twice(&server, expire_due), ["10"]);
    assert_eq!(length_of_log(&server), 3);
}

#[test]
fn what_is_not_due_cannot_be_claimed() {
    let server = TestServer::start();
    create(&server);
    let member = members(&server, DUE).remove(0);
    let expire_due = || expire_due(&server, &member);
    let before = everything(&server);
    assert_eq!(expire_due(), ["10"]);
    // A list that says that the session is over does not make it so, not even while memory is full.
    server.cli(&["ZADD", DUE, "5", &member]);
    server.cli(&["CONFIG", "SET", "maxmemory", "1"]);
    assert_eq!(expire_due(), ["10"]);
    server.cli(&["CONFIG", "SET", "maxmemory", "0"]);
    assert_eq!(expire_due(), ["10"]);
    assert_eq!(everything(&server), before);
}

#[test]
fn last_activity_does_not_move_back_when_the_server_s_clock_does() {
    let server = TestServer::start();
    // As if it was written by a server whose clock is an hour ahead.
    let time = server.cli(&["TIME"]).texts();
    let ahead = time[0].parse::<u64>().unwrap() * 1000 + 3_600_000;
    let header = |revision: &str| {
        format!(
            "1{:011x}{:09x}{ahead:011x}{ahead:011x}000{revision}",
            ahead + 7_200_000,
            7_200_000
        )
    };
    let stored = format!("{}payload", header("0000000a"));
    server.cli(&["SET", KEY, &stored, "PX", MINUTE]);
    touch(&server, "");
    assert_eq!(server.cli(&["GET", KEY]).text(), stored);
    commit(&server, "0000000a", "0000000b", "new");
    assert_eq!(
        server.cli(&["GET", KEY]).text(),
        format!("{}new", header("0000000b"))
    );
    let moved = Replace {
        expected: "0000000b",
        revision: "0000000c",
        payload: "moved",
        ..MOVE
    };
    moved.run(&server);
    assert_eq!(
        server.cli(&["GET", NEW]).text(),
        format!("{}moved", header("0000000c"))
    );
}

#[test]
fn what_grants_does_nothing_when_nobody_waits_for_it() {
    let server = TestServer::start();
    let late = Create {
        not_after: TOO_LATE,
        limit: ["*", "1"],
        ..FIRST
    };
    assert_eq!(late.run(&server), [LATE]);
    assert_eq!(everything(&server), []);
    create(&server);
    let before = everything(&server);
    let moved = Replace {
        not_after: TOO_LATE,
        ..MOVE
    };
    assert_eq!(moved.run(&server), [LATE]);
    assert_eq!(supersede_until(&server, TOO_LATE), [LATE]);
    let write = ["0000000a", "0000000b", "late"];
    assert_eq!(commit_until(&server, TOO_LATE, write), [LATE]);
    assert_eq!(everything(&server), before);
}

#[test]
fn a_revocation_that_nobody_waits_for_reaches_back_to_when_it_was_asked_for_and_no_further() {
    let server = TestServer::start();
    create(&server);
    mark_asked(&server, "", [TOO_LATE, "1500"]);
    assert_eq!(touch(&server, "1501")[0], DONE);
    assert_eq!(touch(&server, "1500"), [GONE]);
}

#[test]
fn to_have_authenticated_at_the_moment_of_a_revocation_is_to_have_done_so_before() {
    let server = TestServer::start();
    mark(&server, "");
    let marker = server.cli(&["GET", SET_MARKER]).text();
    let moment = u64::from_str_radix(&marker[12..23], 16).unwrap();
    let at = |moment: u64| {
        let since = moment.to_string();
        let sign_in = Create {
            since: &since,
            ..FIRST
        };
        sign_in.run(&server)
    };
    assert_eq!(at(moment), [REVOKED]);
    assert_eq!(at(moment + 1)[0], DONE);
}

#[test]
fn a_sign_in_that_ends_all_others_names_them_and_refuses_who_began_before() {
    let server = TestServer::start();
    let old = Create {
        since: "1000",
        ..FIRST
    };
    old.run(&server);
    let sign_in = Create {
        key: NEW,
        reference: NEW_REF,
        since: "2000",
        limit: ["*", "1"],
        ..FIRST
    };
    let reply = sign_in.run(&server);
    assert_eq!((&*reply[0], &reply[5..]), (DONE, &[REF.to_owned()][..]));
    let under_way = Create {
        key: THIRD,
        reference: THIRD_REF,
        ..old
    };
    assert_eq!(under_way.run(&server), [REVOKED]);
    assert_eq!(touch(&server, "1000"), [GONE]);
    let keys = [NEW, DUE, LOG, USERS, SET_MARKER, SUSPENSION];
    let arguments = [IN_TIME, NEW_REF, "alice", "2000", MINUTE, "9", "1"];
    assert_eq!(run(&server, TOUCH, &keys, &arguments)[0], DONE);
}

#[test]
fn a_session_whose_tombstone_is_gone_is_found_by_its_name() {
    let server = TestServer::start();
    create(&server);
    // The name stays when the key changes.
    let there = format!("l0two digest......{NAME}");
    let moved = Replace {
        to: [NEW, &there],
        ..MOVE
    };
    moved.run(&server);
    server.cli(&["DEL", KEY]);
    let ended = end_of_one_live_until(&server, IN_TIME);
    assert_eq!(ended, [MOVED, "two digest......"]);
    // What nobody has seen live may never have been, and the name is that of another then.
    assert_eq!(end(&server), [GONE]);
}

#[test]
fn a_session_that_must_live_and_is_nowhere_is_lost() {
    let server = TestServer::start();
    let before = everything(&server);
    assert_eq!(end_of_one_live_until(&server, IN_TIME), [LOST]);
    assert_eq!(end_of_one_live_until(&server, "1000"), [GONE]);
    assert_eq!(end(&server), [GONE]);
    assert_eq!(everything(&server), before);
}

#[test]
fn what_a_later_version_wrote_is_left_alone() {
    let server = TestServer::start();
    create(&server);
    // A member and an entry of another kind, a marker of another layout, a tombstone with another field.
    let member = "sz0one digest......session one.00000000001alice";
    let entry = "z0another digest..session 9...";
    server.cli(&["ZADD", DUE, "5", member]);
    server.cli(&["ZADD", USERS, "9999999999999", entry]);
    server.cli(&["SET", NEW, "-r0123456789ab?later", "PX", MINUTE]);
    server.cli(&["SET", SET_MARKER, "2later", "PX", MINUTE]);
    assert_eq!(expire_due(&server, member), ["10"]);
    assert!(members(&server, DUE).contains(&member.to_owned()));
    let marked = Create {
        since: "1000",
        key: THIRD,
        reference: THIRD_REF,
        ..FIRST
    };
    assert_eq!(marked.run(&server), [NEWER]);
    assert_eq!(mark(&server, ""), [NEWER]);
    assert_eq!(touch(&server, "1000"), [NEWER]);
    server.cli(&["DEL", SET_MARKER]);
    assert_eq!(mark(&server, ""), ["8", "1", REF]);
    let alone = Create {
        limit: ["1", "0"],
        key: NEW,
        ..FIRST
    };
    assert_eq!(alone.run(&server), [TAKEN]);
    assert!(members(&server, USERS).contains(&entry.to_owned()));
}

#[test]
fn a_replacement_that_is_sent_again_is_done_only_if_it_ended_the_old_one() {
    let server = TestServer::start();
    create(&server);
    create_another(&server);
    let sign_in = Replace {
        end: ["n", ""],
        timeouts: [HOUR, HOUR],
        limit: ["*", "1"],
        ..MOVE
    };
    // The old one lives on until the others have ended.
    assert_eq!(sign_in.run(&server)[5..], [THIRD_REF.to_owned()]);
    assert_eq!(end(&server)[0], DONE);
    assert_eq!(sign_in.run(&server), [GONE]);
}

#[test]
fn a_sign_in_that_ends_all_others_leaves_the_old_one_to_its_caller_also_where_there_are_none() {
    let server = TestServer::start();
    create(&server);
    let sign_in = Replace {
        end: ["n", ""],
        timeouts: [HOUR, HOUR],
        limit: ["*", "1"],
        ..MOVE
    };
    assert_eq!(sign_in.run(&server)[5..], [] as [String; 0]);
    assert_eq!(end(&server)[0], DONE);
}

#[test]
fn a_sign_in_forgets_what_only_the_list_of_its_user_still_has() {
    let server = TestServer::start();
    server.cli(&["ZADD", USERS, "5", THIRD_REF, "6", "z of a later version"]);
    create(&server);
    assert_eq!(members(&server, USERS), ["z of a later version", REF]);
    server.cli(&["ZREM", USERS, "z of a later version"]);
    server.cli(&["ZADD", USERS, "5", THIRD_REF]);
    MOVE.run(&server);
    assert_eq!(members(&server, USERS), [NEW_REF]);
}

#[test]
fn a_suspension_lists_the_sessions_and_is_written_and_noted_once() {
    let server = TestServer::start();
    create(&server);
    assert_eq!(suspend(&server, IN_TIME), ["8", "1", REF]);
    let suspension = server.cli(&["GET", SUSPENSION]);
    assert_eq!(server.cli(&["PTTL", SUSPENSION]).integer(), -1);
    assert_eq!(members(&server, SUSPENDED_USERS), ["alice"]);
    let noted = length_of_log(&server);
    // The marker moves on. The rest stays, and the list is restored if it was lost.
    server.cli(&["DEL", SUSPENDED_USERS]);
    sleep(Duration::from_millis(3));
    assert_eq!(suspend(&server, IN_TIME), ["8", "0", REF]);
    assert_eq!(server.cli(&["GET", SUSPENSION]), suspension);
    assert_eq!(members(&server, SUSPENDED_USERS), ["alice"]);
    assert_eq!(length_of_log(&server), noted);

    assert_eq!(resume(&server, IN_TIME), ["8", "1"]);
    assert_eq!(members(&server, SUSPENDED_USERS), [] as [String; 0]);
    assert_eq!(length_of_log(&server), noted + 1);
    // A user who is only listed is removed from the list.
    server.cli(&["ZADD", SUSPENDED_USERS, "1", "alice"]);
    assert_eq!(resume(&server, IN_TIME), [GONE]);
    assert_eq!(twice(&server, || resume(&server, IN_TIME)), [GONE]);
    assert_eq!(members(&server, SUSPENDED_USERS), [] as [String; 0]);
}

#[test]
fn a_sign_in_of_a_suspended_user_changes_nothing() {
    let server = TestServer::start();
    create(&server);
    suspend(&server, IN_TIME);
    let before = everything(&server);
    let after_it = "9999999999998";
    let another = Create {
        key: THIRD,
        reference: THIRD_REF,
        since: after_it,
        ..FIRST
    };
    assert_eq!(another.run(&server), [SUSPENDED]);
    let sign_in = Replace {
        since: after_it,
        timeouts: [HOUR, HOUR],
        ..MOVE
    };
    assert_eq!(sign_in.run(&server), [SUSPENDED]);
    assert_eq!(everything(&server), before);
}

/// Even if its user authenticated after it, by a clock that is ahead.
#[test]
fn a_session_that_a_suspension_has_missed_ends_at_its_next_step() {
    let after_it = "9999999999998";
    let steps: [fn(&TestServer) -> Vec<String>; 3] = [
        |server| touch(server, "9999999999998"),
        |server| commit(server, "0000000a", "0000000b", "new"),
        |server| {
            let moved = Replace {
                since: "9999999999998",
                ..MOVE
            };
            moved.run(server)
        },
    ];
    let server = TestServer::start();
    for step in steps {
        server.cli(&["FLUSHALL"]);
        let first = Create {
            since: after_it,
            ..FIRST
        };
        first.run(&server);
        suspend(&server, IN_TIME);
        server.cli(&["DEL", SET_MARKER]);
        assert_eq!(step(&server), [GONE]);
        assert_eq!(server.cli(&["GET", KEY]).text(), format!("-p{NAME}!"));
        assert_eq!(server.cli(&["EXISTS", NEW]).integer(), 0);
        assert_eq!(members(&server, USERS), [] as [String; 0]);
        // Its beginning, the suspension and its end.
        assert_eq!(length_of_log(&server), 4);
        // Then a repeated suspension reports it.
        let arguments = ["p", MINUTE, "ended", "9", "alice", REF];
        let revoked = run(&server, REVOKE, &[DUE, LOG, USERS, KEY], &arguments);
        assert_eq!(revoked, ["9", "0", NAME]);
    }
}

#[test]
fn a_suspension_of_a_later_version_is_left_alone_and_refuses_every_step() {
    let server = TestServer::start();
    create(&server);
    server.cli(&["SET", SUSPENSION, "2 something else"]);
    let before = everything(&server);
    let another = Create {
        key: THIRD,
        reference: THIRD_REF,
        ..FIRST
    };
    assert_eq!(another.run(&server), [NEWER]);
    assert_eq!(touch(&server, ""), [NEWER]);
    assert_eq!(commit(&server, "0000000a", "0000000b", "new"), [NEWER]);
    assert_eq!(MOVE.run(&server), [NEWER]);
    assert_eq!(suspend(&server, IN_TIME), [NEWER]);
    assert_eq!(resume(&server, IN_TIME), [NEWER]);
    assert_eq!(everything(&server), before);
}

#[test]
fn neither_a_suspension_nor_its_end_does_something_when_nobody_waits_for_it() {
    let server = TestServer::start();
    create(&server);
    let before = everything(&server);
    assert_eq!(suspend(&server, TOO_LATE), [LATE]);
    assert_eq!(everything(&server), before);
    suspend(&server, IN_TIME);
    let before = everything(&server);
    assert_eq!(resume(&server, TOO_LATE), [LATE]);
    assert_eq!(everything(&server), before);
}
