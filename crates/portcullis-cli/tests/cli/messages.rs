//! Help, hints, and errors of the output.

use std::{fs::OpenOptions, process::Stdio};

use crate::support::{Fixture, Program, Running};

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_pipe_is_no_error() {
    let fixture = Fixture::new().await;
    fixture.sign_in("alice").await;
    for arguments in [
        &["list", "alice"][..],
        &["audit", "--follow"],
        &["check"],
        &["--help"],
    ] {
        let mut following = Running::start(fixture.program(arguments).closed());
        assert_eq!(following.ended(), Some(0), "{arguments:?}");
        assert_eq!(following.rest(), "", "{arguments:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[cfg(target_os = "linux")]
async fn a_result_that_cannot_be_written_is_no_success() {
    let fixture = Fixture::new().await;
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut program = fixture.program(&["list", "alice", "--json"]);
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
    let readme = include_str!("../../README.md");
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
async fn where_nothing_is_found_a_hint_is_printed() {
    let fixture = Fixture::new().await;
    fixture.register("id", "__Host-Http-id").await;
    fixture.sign_in("alice").await;
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
        let elsewhere = fixture.run(&[command, &["--prefix=shop"]].concat());
        assert!(
            elsewhere.err.contains("under the prefix shop"),
            "{elsewhere:?}"
        );
        let here = fixture.run(command);
        assert!(!here.err.contains("under the prefix"), "{here:?}");
    }
    let unknown = fixture.run(&["list", "alcie"]);
    unknown.assert(3);
    assert!(
        unknown.err.contains("the log has no event of alcie either"),
        "{unknown:?}"
    );
    // Alice's session has ended by now.
    let known = fixture.run(&["list", "alice"]);
    known.assert(3);
    assert!(!known.err.contains("the log has no event"), "{known:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_about_missing_arguments_names_none_from_the_environment() {
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
