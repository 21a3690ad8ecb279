//! What a look at a real server finds.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::{
    fs,
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    thread,
    time::{Duration, Instant},
};

use Verdict::{Broken, Fine, Unknown, Warning};
use portcullis_core::{
    Realm,
    store::{Register, Store, StoreErrorKind},
};
use portcullis_redis::{ConnectError, Finding, RedisStore, Subject, Verdict, testing::TestServer};
use support::{Anonymous, calls, connect_to, create, key, kind, live};

struct Findings(Vec<Finding>);

impl Findings {
    async fn of(url: impl Into<String>) -> Self {
        Self(RedisStore::builder(url).check().await.unwrap())
    }

    fn get(&self, about: Subject) -> &Finding {
        self.0.iter().find(|found| found.about == about).unwrap()
    }

    fn assert(&self, about: Subject, verdict: Verdict, says: &str) {
        let finding = self.get(about);
        assert_eq!(finding.verdict, verdict, "{finding:?}");
        assert!(finding.message.contains(says), "{finding:?}");
    }

    fn remedy(&self, about: Subject) -> &str {
        self.get(about).remedy.as_deref().unwrap()
    }
}

/// Does what `mend` says, from where the command begins.
fn follow(server: &TestServer, mend: &str) {
    let command = &mend[mend.find("ACL SETUSER").unwrap()..];
    let words: Vec<_> = command.split(' ').collect();
    assert_eq!(server.cli(&words).text(), "OK", "{command}");
}

fn make_user(server: &TestServer, rules: &str) -> String {
    follow(
        server,
        &format!("ACL SETUSER app on >secret resetkeys resetchannels nocommands {rules}"),
    );
    format!("redis://app:secret@127.0.0.1:{}", server.port())
}

#[tokio::test]
async fn a_server_as_it_comes_works_and_what_could_be_better_is_told() {
    let server = TestServer::start();
    let findings = Findings::of(server.url()).await;
    let words: Vec<_> = findings
        .0
        .iter()
        .map(|found| (found.about.as_str(), found.verdict.as_str()))
        .collect();
    assert_eq!(
        words,
        [
            ("version", "fine"),
            ("mode", "fine"),
            ("role", "fine"),
            ("eviction", "fine"),
            ("memory", "fine"),
            ("persistence", "warning"),
            ("replication", "fine"),
            ("clock", "fine"),
            ("rights", "fine"),
            ("user", "warning"),
            ("latency", "fine"),
            ("transport", "fine"),
            ("realms", "fine"),
        ]
    );
    let info = server.cli(&["INFO", "server"]).text();
    let version = info
        .lines()
        .find_map(|line| line.strip_prefix("redis_version:"))
        .unwrap();
    findings.assert(Subject::Version, Fine, version);
    findings.assert(Subject::Memory, Fine, "without a limit");
    for found in &findings.0 {
        assert_eq!(found.remedy.is_none(), found.verdict == Fine, "{found:?}");
    }
}

#[tokio::test]
async fn realms_that_are_registered_are_named_and_those_of_another_prefix_are_not() {
    let server = TestServer::start();
    let store = connect_to(server.url()).await;
    for (realm, cookie) in [("shop", "__Host-shop"), ("admin", "__Host-admin")] {
        let store = store.in_realm(&Realm::new(realm).unwrap());
        let registered = store.register(Register::new(cookie, Duration::from_secs(60), None, &[]));
        registered.await.unwrap();
    }
    let findings = Findings::of(server.url()).await;
    let both = "2 realms are registered under the key prefix pc: admin (cookie __Host-admin), shop (cookie __Host-shop); ";
    findings.assert(Subject::Realms, Fine, both);
    let other = RedisStore::builder(server.url()).key_prefix("other");
    let findings = Findings(other.check().await.unwrap());
    findings.assert(Subject::Realms, Fine, "no realm is registered");
}

#[tokio::test]
async fn a_look_writes_nothing_and_reads_no_key_but_the_registry_of_realms() {
    let server = TestServer::start();
    Findings::of(server.url()).await;
    assert_eq!(server.cli(&["DBSIZE"]).integer(), 0);
    for command in ["get", "set", "del", "eval", "evalsha", "zadd", "xadd"] {
        assert_eq!(calls(&server, command), 0, "{command}");
    }
    assert_eq!(calls(&server, "hgetall"), 1);
}

#[tokio::test]
async fn a_server_that_is_not_there_or_refuses_the_user_is_an_error_and_no_finding() {
    let server = TestServer::start_with(&["--requirepass", "right"]);
    let check = |url: String| RedisStore::builder(url).check();
    let wrong = format!("redis://:wrong@127.0.0.1:{}", server.port());
    let refused = check(wrong).await.unwrap_err();
    assert!(matches!(refused, ConnectError::Refused { .. }), "{refused}");
    let nobody = check("redis://127.0.0.1:1".into()).await.unwrap_err();
    assert!(
        matches!(nobody, ConnectError::Unreachable { .. }),
        "{nobody}"
    );
    let address = check("http://127.0.0.1".into()).await.unwrap_err();
    assert!(matches!(address, ConnectError::Scheme { .. }), "{address}");
}

#[tokio::test]
async fn eviction_that_connecting_refuses_is_reported_and_not_refused() {
    for (policy, verdict) in [
        ("allkeys-lru", Broken),
        ("volatile-ttl", Warning),
        ("noeviction", Fine),
    ] {
        let server = TestServer::start_with(&["--maxmemory", "50mb", "--maxmemory-policy", policy]);
        let findings = Findings::of(server.url()).await;
        findings.assert(Subject::Eviction, verdict, policy);
        findings.assert(Subject::Memory, Fine, "of maxmemory, 50.0 MiB");
        assert_eq!(
            RedisStore::connect(server.url()).await.is_err(),
            verdict == Broken
        );
    }
}

#[tokio::test]
async fn memory_that_is_nearly_full_is_a_warning_and_full_is_broken() {
    let server = TestServer::start_with(&["--maxmemory-policy", "noeviction"]);
    let store = support::connect(&server).await;
    let info = server.cli(&["INFO", "memory"]).text();
    let used: u64 = info
        .lines()
        .find_map(|line| line.strip_prefix("used_memory:")?.parse().ok())
        .unwrap();
    let limit = (used + used / 20).to_string();
    server.cli(&["CONFIG", "SET", "maxmemory", &limit]);
    let findings = Findings::of(server.url()).await;
    let memory = findings.get(Subject::Memory);
    assert!([Warning, Broken].contains(&memory.verdict), "{memory:?}");
    server.cli(&["CONFIG", "SET", "maxmemory", "1000"]);
    let findings = Findings::of(server.url()).await;
    findings.assert(Subject::Memory, Broken, "no session can be created");
    let refused = store
        .create_anonymous(&key(), support::payload(), support::LIMITS)
        .await;
    assert_eq!(kind(refused), StoreErrorKind::Full);
}

#[tokio::test]
async fn persistence_is_told_by_what_a_crash_would_leave() {
    for (options, verdict, says) in [
        (&["--save", ""][..], Warning, "signs all users out"),
        (&["--save", "3600", "1"], Warning, "save 3600 1"),
        (&["--appendonly", "yes"], Fine, "everysec"),
        (
            &["--appendonly", "yes", "--appendfsync", "always"],
            Fine,
            "every change",
        ),
        (
            &["--appendonly", "yes", "--appendfsync", "no"],
            Warning,
            "live again",
        ),
    ] {
        let server = TestServer::start_with(options);
        let findings = Findings::of(server.url()).await;
        findings.assert(Subject::Persistence, verdict, says);
    }
}

#[tokio::test]
async fn a_snapshot_that_failed_is_broken_because_nothing_is_written_any_more() {
    let server = TestServer::start_with(&["--save", "3600 1"]);
    let store = support::connect(&server).await;
    // Whoever brings no password is greeted with PING by the client library, which the server refuses in this state.
    server.cli(&[
        "ACL", "SETUSER", "app", "on", ">secret", "~*", "&*", "+@all",
    ]);
    let url = format!("redis://app:secret@127.0.0.1:{}", server.port());
    // In place of the file there is a directory that cannot be replaced.
    fs::create_dir_all(server.directory().join("dump.rdb").join("taken")).unwrap();
    server.cli(&["BGSAVE"]);
    let since = Instant::now();
    loop {
        let findings = Findings::of(&url).await;
        if findings.get(Subject::Persistence).verdict == Broken {
            findings.assert(Subject::Persistence, Broken, "accepts no writes");
            break;
        }
        assert!(since.elapsed() < Duration::from_secs(5));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let refused = store
        .create_anonymous(&key(), support::payload(), support::LIMITS)
        .await;
    assert_eq!(kind(refused), StoreErrorKind::ReadOnly);
    // Nothing stops where no snapshots are taken.
    server.cli(&["CONFIG", "SET", "save", ""]);
    let findings = Findings::of(&url).await;
    findings.assert(Subject::Persistence, Warning, "signs all users out");
    create(&store, &key()).await;
}

#[tokio::test]
async fn a_replica_is_broken_and_its_primary_is_told_whether_writes_wait_for_it() {
    let primary = TestServer::start_with(&["--repl-diskless-sync-delay", "0"]);
    let port = primary.port().to_string();
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

    let findings = Findings::of(replica.url()).await;
    findings.assert(Subject::Role, Broken, "accepts no writes");
    let mend = findings.remedy(Subject::Role);
    assert!(mend.ends_with(&format!("127.0.0.1 port {port}")), "{mend}");
    findings.assert(Subject::Replication, Unknown, "primary");

    let replication = async |least: &str, verdict, says| {
        primary.cli(&["CONFIG", "SET", "min-replicas-to-write", least]);
        // Whether a replica keeps up is counted once a second.
        let since = Instant::now();
        let findings = loop {
            let findings = Findings::of(primary.url()).await;
            let found = findings.get(Subject::Replication);
            if found.verdict == verdict || since.elapsed() > Duration::from_secs(5) {
                break findings;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        };
        findings.assert(Subject::Replication, verdict, says);
        findings.assert(Subject::Role, Fine, "primary");
    };
    replication("0", Warning, "restore ended sessions").await;
    for (copies, verdict, says) in [
        (1, Fine, "a revocation reports whether 1 have it"),
        (2, Warning, "no revocation is confirmed"),
    ] {
        let builder = RedisStore::builder(primary.url()).confirm_by_replicas(copies);
        let findings = Findings(builder.check().await.unwrap());
        findings.assert(Subject::Replication, verdict, says);
    }
    replication("1", Fine, "replicas: 1, ").await;
    replication("2", Broken, "lag: 1, min-replicas-to-write: 2").await;
}

#[tokio::test]
async fn a_cluster_of_one_works_once_it_has_all_slots_and_warns_that_it_may_not_for_ever() {
    let server = TestServer::start_with(&["--cluster-enabled", "yes"]);
    let findings = Findings::of(server.url()).await;
    findings.assert(Subject::Mode, Broken, "0 of 16384 slots");
    server.cli(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]);
    let since = Instant::now();
    loop {
        let findings = Findings::of(server.url()).await;
        if findings.get(Subject::Mode).verdict == Warning {
            break;
        }
        assert!(since.elapsed() < Duration::from_secs(5), "{:?}", findings.0);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let store = support::connect(&server).await;
    let key = key();
    create(&store, &key).await;
    live(&store, &key).await;
}

#[tokio::test]
async fn the_user_that_is_proposed_is_enough_and_no_more() {
    let server = TestServer::start();
    let findings = Findings::of(server.url()).await;
    findings.assert(Subject::User, Warning, "any client");
    follow(&server, findings.remedy(Subject::User));
    follow(
        &server,
        "ACL SETUSER app +acl|whoami +acl|dryrun +acl|getuser",
    );
    let url = format!("redis://app:PASSWORD@127.0.0.1:{}", server.port());
    let findings = Findings::of(&url).await;
    findings.assert(Subject::Rights, Fine, "app");
    findings.assert(Subject::User, Warning, "client without a password");
    server.cli(&["ACL", "SETUSER", "default", "resetpass"]);
    let findings = Findings::of(&url).await;
    findings.assert(Subject::User, Fine, "app");
    let store = connect_to(&url).await;
    let key = key();
    create(&store, &key).await;
    live(&store, &key).await;
}

#[tokio::test]
async fn a_user_that_may_do_too_little_is_broken_and_what_is_proposed_mends_it() {
    let server = TestServer::start();
    let url = make_user(&server, "~other:* +time +info +get +acl|whoami +acl|dryrun");
    let findings = Findings::of(&url).await;
    findings.assert(Subject::Rights, Broken, "keys that begin with pc:");
    findings.assert(Subject::Rights, Broken, "EVALSHA");
    follow(&server, findings.remedy(Subject::Rights));
    let findings = Findings::of(&url).await;
    findings.assert(Subject::Rights, Fine, "without CLIENT ID");
    findings.assert(Subject::Rights, Fine, "PUBLISH and SUBSCRIBE on &pc:*");
    // What is asked for with other settings counts too.
    let confirmed = RedisStore::builder(&url).confirm_by_replicas(1);
    let findings = Findings(confirmed.check().await.unwrap());
    findings.assert(Subject::Rights, Broken, "may not call WAIT");
    follow(&server, findings.remedy(Subject::Rights));
    // The prefix too.
    let other = RedisStore::builder(&url).key_prefix("shop");
    let findings = Findings(other.check().await.unwrap());
    findings.assert(Subject::Rights, Broken, "keys that begin with shop:");
}

#[tokio::test]
async fn what_a_user_may_not_look_at_is_unknown_and_the_rights_that_are_named_let_it_look() {
    let server = TestServer::start_with(&["--appendonly", "yes"]);
    let url = make_user(&server, "~pc:* +time");
    let unknown = |findings: &Findings| {
        let unknown = findings.0.iter().filter(|found| found.verdict == Unknown);
        unknown
            .map(|found| found.about.as_str())
            .collect::<Vec<_>>()
    };
    let first = Findings::of(&url).await;
    assert_eq!(
        unknown(&first),
        [
            "version",
            "mode",
            "role",
            "eviction",
            "memory",
            "persistence",
            "replication",
            "rights",
            "user",
            "realms"
        ]
    );
    let mut findings = first;
    for _ in 0..2 {
        for found in findings.0.iter().filter(|found| found.verdict == Unknown) {
            follow(&server, found.remedy.as_deref().unwrap());
        }
        findings = Findings::of(&url).await;
    }
    assert_eq!(unknown(&findings), [""; 0]);
    findings.assert(Subject::Persistence, Fine, "everysec");
}

/// The port of a way to the server on which everything takes this much longer.
fn slow_way_to(server: &TestServer, delay: Duration) -> u16 {
    fn hand_on(mut from: TcpStream, mut to: TcpStream, delay: Duration) {
        let mut buffer = [0; 4096];
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            thread::sleep(delay);
            if to.write_all(&buffer[..length]).is_err() {
                break;
            }
        }
        // The other direction ends with this one.
        let _ = to.shutdown(Shutdown::Both);
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (here, there) = (listener.local_addr().unwrap().port(), server.port());
    thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let Ok(server) = TcpStream::connect(("127.0.0.1", there)) else {
                break;
            };
            let back = (server.try_clone().unwrap(), client.try_clone().unwrap());
            thread::spawn(move || hand_on(client, server, delay));
            thread::spawn(move || hand_on(back.0, back.1, Duration::ZERO));
        }
    });
    here
}

#[tokio::test]
async fn a_server_that_is_too_slow_to_connect_to_is_told_of() {
    let server = TestServer::start();
    let port = slow_way_to(&server, Duration::from_millis(30));
    let with_wait = |ms| {
        RedisStore::builder(format!("redis://127.0.0.1:{port}")).wait(Duration::from_millis(ms))
    };
    assert!(with_wait(20).connect().await.is_err());
    let findings = Findings(with_wait(20).check().await.unwrap());
    findings.assert(Subject::Latency, Broken, "the setting wait is 20.0 ms");
    findings.assert(Subject::Clock, Fine, "accurate to");
    let findings = Findings(with_wait(100).check().await.unwrap());
    findings.assert(Subject::Latency, Warning, "the setting wait is 100.0 ms");
}
