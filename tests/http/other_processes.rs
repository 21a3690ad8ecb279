//! Policies, in a process of its own that is stopped for a while.

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    time::Duration,
};

use portcullis::policy::{EndsAtMost, PolicyChange};
use portcullis_tests::{Redis, World, minutes};

/// A server in a process of its own. It ends with the test.
struct Process {
    child: Child,
    address: SocketAddr,
}

impl Process {
    fn start(redis: &str) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_served"))
            .arg(redis)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let out = child.stdout.take().unwrap();
        BufReader::new(out).read_line(&mut line).unwrap();
        let address = line.trim().parse().unwrap();
        Self { child, address }
    }

    fn signal(&self, signal: &str) {
        let process = self.child.id().to_string();
        let status = Command::new("kill").args([signal, &process]).status();
        assert!(status.unwrap().success());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p16_a_process_that_was_stopped_for_20_seconds_judges_by_what_was_activated_meanwhile() {
    let world = World::<Redis>::start().await;
    let process = Process::start(&world.backend.server().url());
    let idle = world.signed_in("alice").await.at(process.address);
    // The process has asked for the policy, and there was none.
    idle.get("/me").await.is(200);
    process.signal("-STOP");
    world.advance(minutes(20));
    let change = PolicyChange::document("schema = 1\n[limits]\nidle = '10m'", None, "ada");
    let change = change.ends_at_most(EndsAtMost::Any);
    world.layer.policies().apply(change).await.unwrap();
    tokio::time::sleep(Duration::from_secs(20)).await;
    process.signal("-CONT");
    let reply = idle.get("/me").await;
    assert_eq!(reply.is(401).reason().as_deref(), Some("policy_tightened"));
}
