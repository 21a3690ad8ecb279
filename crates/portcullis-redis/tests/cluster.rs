//! Sessions on several nodes of a Redis Cluster: what spans them, and what happens when they change.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout
)]

mod support;

use std::{
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use portcullis_core::{
    EndReason, EventKind, SessionId, SessionIdHash, SessionMeta, UserId,
    store::{
        Activity, Commit, Committed, Create, Created, CreatedSession, Deadline, Ended, Loaded,
        LogQuery, Others, Register, Replace, Replaced, ReplacedSession, ReplicaAcks, RevokeScope,
        Store, StoreErrorKind, Touched,
    },
};
use portcullis_redis::{
    ConnectError, Finding, RedisStore, Subject, Verdict,
    testing::{Answer, TestCluster, TestServer},
};
use support::{
    Anonymous, LIMITS, all_of, anonymous, calls, connect_to, create, create_owned, create_with,
    end_of, key_of, kind, limits, live,
    nodes::{key_on, revokes_what_is_older, stays_ended, user_on},
    owned, payload, revocation, spelled, write_of,
};
use tokio::sync::Mutex;

/// Three primaries that those share who leave them as they are. Each has users of its own.
async fn shared() -> Arc<TestCluster> {
    static CLUSTER: Mutex<Weak<TestCluster>> = Mutex::const_new(Weak::new());
    let mut cluster = CLUSTER.lock().await;
    if let Some(cluster) = cluster.upgrade() {
        return cluster;
    }
    let started = Arc::new(TestCluster::start(3, 0));
    *cluster = Arc::downgrade(&started);
    started
}

/// Of a store whose nodes fail.
const WAIT: Duration = Duration::from_secs(1);

async fn connect_hastily(cluster: &TestCluster) -> RedisStore {
    let builder = RedisStore::builder(cluster.url()).wait(WAIT);
    builder.connect().await.unwrap()
}

async fn sign_in(
    store: &RedisStore,
    from: &SessionIdHash,
    user: &UserId,
) -> (SessionIdHash, SessionMeta) {
    let Loaded::Live(stored) = store.load(from).await.unwrap() else {
        panic!("nothing to sign in from")
    };
    let (to, meta) = (key_of(user.clone()), owned(store, user.clone()));
    let old = ReplacedSession {
        key: *from,
        meta: anonymous(),
        expected: stored.revision,
        note: None,
    };
    let write = write_of(&meta, payload());
    let replaced = store.replace(Replace::new(
        &old,
        &to,
        &write,
        Deadline::Restart(LIMITS),
        &Others::Stay,
    ));
    assert!(matches!(replaced.await.unwrap(), Replaced::Done(..)));
    (to, meta)
}

async fn kinds(store: &RedisStore, query: &LogQuery) -> Vec<EventKind> {
    let logged = store.read_log(query).await.unwrap().into_iter();
    logged.map(|logged| logged.event.unwrap().kind).collect()
}

/// Waits until this session can be loaded again, and returns how long that took. No failure on the way takes longer
/// than the wait, and none says that there is no session.
async fn healed(store: &RedisStore, key: &SessionIdHash) -> Duration {
    let since = Instant::now();
    while since.elapsed() < Duration::from_secs(15) {
        let asked = Instant::now();
        match store.load(key).await {
            Ok(Loaded::Live(_)) => return since.elapsed(),
            Ok(other) => panic!("a wrong answer: {other:?}"),
            Err(error) => assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error}"),
        }
        assert!(asked.elapsed() < 2 * WAIT, "{:?}", asked.elapsed());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("the store does not heal");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_on_the_node_that_has_its_slot_and_on_no_other() {
    let cluster = shared().await;
    let store = connect_to(cluster.url()).await;
    for node in 0..3 {
        let key = key_on(&cluster, node);
        create(&store, &key).await;
        for (place, other) in cluster.nodes.iter().enumerate() {
            let answer = other.cli(&["GET", &spelled(&key)]);
            let found = matches!(answer, Answer::Bytes(_));
            assert_eq!(found, place == node, "{answer:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_in_moves_a_session_from_one_node_to_another() {
    let cluster = shared().await;
    let store = connect_to(cluster.url()).await;
    for (from, to) in [(0, 1), (1, 2), (2, 0)] {
        let user = user_on(&cluster, to, "mover");
        let old = key_on(&cluster, from);
        create(&store, &old).await;
        let (new, meta) = sign_in(&store, &old, &user).await;
        live(&store, &new).await;
        assert_eq!(
            store.load(&old).await.unwrap(),
            Loaded::Ended {
                reason: EndReason::ReplacedAtSignIn,
                handle: anonymous().handle,
                successor: None,
            }
        );
        let listed = store.list(&user).await.unwrap();
        assert_eq!(listed.len(), 1);
        assert_eq!(listed[0].key, new);
        // The old one is dead for writes as well, on the node that it was on.
        let touched = store.touch_anonymous(&old).await.unwrap();
        assert_eq!(touched, Touched::Gone);
        let reason = EndReason::SignedOut;
        let ended = store.end(&end_of(&new, &meta, reason)).await;
        assert_eq!(ended.unwrap(), Ended::Done);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_keeps_its_deadlines_keeps_them_on_another_node() {
    let cluster = shared().await;
    let store = connect_to(cluster.url()).await;
    let (old, new) = (key_on(&cluster, 0), key_on(&cluster, 1));
    let (before, revision) = create(&store, &old).await;
    let keep = Deadline::Keep(Activity::Passive);
    let replaced = store.replace_anonymous(&old, &new, revision, payload(), keep);
    let Replaced::Done(CreatedSession { timing: after, .. }) = replaced.await.unwrap() else {
        panic!("not replaced")
    };
    // The clocks of the nodes are one and the same here.
    assert_eq!(after, before);
    // An end finds it there.
    let reason = EndReason::SignedOut;
    assert_eq!(
        store.end_anonymous(&old, reason).await.unwrap(),
        Ended::Done
    );
    let ended = store.load(&new).await.unwrap();
    assert!(matches!(
        ended,
        Loaded::Ended {
            reason: EndReason::SignedOut,
            ..
        }
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn users_of_all_nodes_are_listed_revoked_and_found_in_the_log() {
    let cluster = shared().await;
    let store = connect_to(cluster.url()).await;
    for node in 0..3 {
        let user = user_on(&cluster, node, "listed");
        let mut names = Vec::new();
        for _ in 0..3 {
            names.push(create_owned(&store, user.clone()).await.1.handle);
        }
        assert_eq!(store.list(&user).await.unwrap().len(), 3);
        let one = revocation(user.clone(), RevokeScope::One(names[0]));
        assert_eq!(store.revoke(&one).await.unwrap().ended, [names[0]]);
        let others = revocation(user.clone(), RevokeScope::AllBut(names[1]));
        assert_eq!(store.revoke(&others).await.unwrap().ended, [names[2]]);
        let all = store.revoke(&all_of(user.clone())).await.unwrap();
        assert_eq!(all.ended, [names[1]]);
        assert!(store.list(&user).await.unwrap().is_empty());
        let query = LogQuery {
            user: Some(user.clone()),
            ..LogQuery::default()
        };
        let revoked = EventKind::Ended(EndReason::RevokedByOperator);
        let reported = kinds(&store, &query).await;
        assert_eq!(reported.iter().filter(|kind| **kind == revoked).count(), 3);
        assert_eq!(reported.len(), 6);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_that_looked_before_a_revocation_of_all_is_refused_on_every_node() {
    let cluster = shared().await;
    let store = connect_to(cluster.url()).await;
    for node in 0..3 {
        let user = user_on(&cluster, node, "refused");
        revokes_what_is_older(&store, &user).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_over_on_any_node_is_swept_and_told_once_and_is_in_the_log_of_all() {
    let cluster = shared().await;
    let builder = RedisStore::builder(cluster.url()).key_prefix("swept");
    let store = builder.connect().await.unwrap();
    let mut names = Vec::new();
    for node in 0..3 {
        let user = user_on(&cluster, node, "swept");
        let (key, meta) = (key_of(user.clone()), owned(&store, user));
        let write = write_of(&meta, payload());
        let created = store
            .create(Create::new(&key, &write, limits(50, 60_000), &Others::Stay))
            .await;
        assert!(matches!(created.unwrap(), Created::Done(..)));
        names.push(meta.handle);
    }
    tokio::time::sleep(Duration::from_millis(80)).await;
    let mut reported: Vec<_> = store
        .sweep()
        .await
        .unwrap()
        .expired
        .iter()
        .map(|expired| expired.handle)
        .collect();
    reported.sort_unstable_by_key(|name| *name.as_bytes());
    names.sort_unstable_by_key(|name| *name.as_bytes());
    assert_eq!(reported, names);
    assert!(store.sweep().await.unwrap().expired.is_empty());
    let expired = EventKind::Ended(EndReason::IdleTimeout);
    let all = kinds(&store, &LogQuery::default()).await;
    assert_eq!(all.iter().filter(|kind| **kind == expired).count(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_has_forgotten_its_scripts_is_told_them_again() {
    let cluster = shared().await;
    let store = connect_to(cluster.url()).await;
    for node in 0..3 {
        let key = key_on(&cluster, node);
        create(&store, &key).await;
        cluster.nodes[node].cli(&["SCRIPT", "FLUSH"]);
        let touched = store.touch_anonymous(&key).await.unwrap();
        assert!(matches!(touched, Touched::Done(_)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_node_in_the_address_leads_to_all_and_the_address_of_one_server_says_what_to_write() {
    let cluster = shared().await;
    let port = cluster.nodes[1].port();
    let url = format!("redis-cluster://127.0.0.1:1?node=127.0.0.1:{port}");
    let store = connect_to(url).await;
    for node in 0..3 {
        create(&store, &key_on(&cluster, node)).await;
    }
    let single = RedisStore::connect(format!("redis://127.0.0.1:{port}"));
    let error = single.await.unwrap().load(&key_on(&cluster, 0)).await;
    let error = error.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Misconfigured);
    assert!(error.to_string().contains("redis-cluster://"), "{error}");
}

#[tokio::test]
async fn a_single_server_is_no_cluster_and_is_told_so() {
    let server = TestServer::start();
    let url = format!("redis-cluster://127.0.0.1:{}", server.port());
    let error = RedisStore::connect(url).await.unwrap_err();
    assert!(matches!(error, ConnectError::Cluster { .. }), "{error}");
    assert!(error.to_string().contains("write redis://"), "{error}");
}

/// What the README says an application's user needs in a cluster.
const RIGHTS: &str = "+time +info +client|id +get +del +set +getrange +setrange +pexpireat +pttl \
    +eval +evalsha +zadd +zrem +zscore +zrange +zrangebyscore +hget +hset +hgetall +xadd +xdel \
    +xinfo|stream +xlen +xrange +xrevrange +xtrim +ping +publish +subscribe +cluster|slots +asking";

fn make_user(cluster: &TestCluster, name: &str, rights: &str) -> String {
    let rule = format!(
        "ACL SETUSER {name} on >secret resetkeys ~pc:* resetchannels &pc:* nocommands {rights}"
    );
    let rule: Vec<_> = rule.split_whitespace().collect();
    for node in &cluster.nodes {
        assert_eq!(node.cli(&rule).text(), "OK");
    }
    let url = cluster.url();
    url.replacen("://", &format!("://{name}:secret@"), 1)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rights_in_the_readme_are_enough_for_a_cluster_and_the_slots_are_needed() {
    let cluster = shared().await;
    let url = make_user(&cluster, "app", RIGHTS);
    let store = connect_to(&url).await;
    for node in 0..3 {
        let user = user_on(&cluster, node, "bounded");
        let old = key_on(&cluster, (node + 1) % 3);
        create(&store, &old).await;
        sign_in(&store, &old, &user).await;
        assert_eq!(store.list(&user).await.unwrap().len(), 1);
        assert_eq!(store.revoke(&all_of(user)).await.unwrap().ended.len(), 1);
    }
    store.sweep().await.unwrap();
    let less = RIGHTS.replace("+cluster|slots", "");
    let refused = RedisStore::connect(make_user(&cluster, "less", &less)).await;
    assert!(
        matches!(refused, Err(ConnectError::Refused { .. })),
        "{refused:?}"
    );
    let readme = include_str!("../README.md");
    assert!(readme.contains("`+cluster|slots +asking`"));
}

fn about(findings: &[Finding], about: Subject) -> Vec<(Verdict, &str)> {
    let findings = findings.iter().filter(|finding| finding.about == about);
    findings
        .map(|finding| (finding.verdict, &*finding.message))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_looks_at_every_primary_and_compares_their_clocks() {
    let cluster = TestCluster::start(3, 0);
    let check = async || {
        let builder = RedisStore::builder(cluster.url());
        builder.check().await.unwrap()
    };
    let store = connect_to(cluster.url()).await;
    let registered = store.register(Register::new(
        "__Host-id",
        Duration::from_secs(60),
        None,
        &[],
    ));
    registered.await.unwrap();
    let findings = check().await;
    let mode = about(&findings, Subject::Mode);
    assert_eq!(mode.len(), 1);
    assert!(
        mode[0].1.starts_with("a cluster of 3 primaries"),
        "{mode:?}"
    );
    assert_eq!(about(&findings, Subject::Version).len(), 1);
    assert_eq!(about(&findings, Subject::Eviction).len(), 1);
    let realms = about(&findings, Subject::Realms);
    assert_eq!(realms.len(), 1);
    assert!(
        realms[0].1.starts_with("1 realm is registered"),
        "{realms:?}"
    );
    let clocks = *about(&findings, Subject::Clock).last().unwrap();
    assert_eq!(clocks.0, Verdict::Fine);
    assert!(
        clocks
            .1
            .starts_with("the clocks of the primaries differ by at most"),
        "{clocks:?}"
    );
    // One of them is not like the others.
    let odd = &cluster.nodes[1];
    odd.cli(&["CONFIG", "SET", "maxmemory", "100mb"]);
    odd.cli(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]);
    let findings = check().await;
    let eviction = about(&findings, Subject::Eviction);
    let broken: Vec<_> = eviction
        .iter()
        .filter(|(verdict, _)| *verdict == Verdict::Broken)
        .collect();
    assert_eq!((eviction.len(), broken.len()), (3, 1));
    assert!(
        broken[0]
            .1
            .starts_with(&format!("127.0.0.1:{}: ", odd.port()))
    );
    let unsafe_one = RedisStore::connect(cluster.url()).await;
    assert!(
        matches!(unsafe_one, Err(ConnectError::UnsafeEviction { .. })),
        "{unsafe_one:?}"
    );
    odd.pause();
    let findings = check().await;
    let mode = about(&findings, Subject::Mode);
    assert!(mode[0].1.contains("does not answer"), "{mode:?}");
    odd.resume();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_is_killed_is_replaced_by_its_replica_without_a_restart() {
    let mut cluster = TestCluster::start(3, 1);
    let builder = RedisStore::builder(cluster.url()).wait(WAIT);
    let store = builder.confirm_by_replicas(1).connect().await.unwrap();
    // A revocation is confirmed by replicas of the node that it is on: here only the first has one.
    for (node, confirmed) in [(0, 1), (1, 0)] {
        let user = user_on(&cluster, node, "confirmed");
        create_owned(&store, user.clone()).await;
        let receipt = store.revoke(&all_of(user)).await.unwrap();
        assert_eq!(receipt.ended.len(), 1);
        let asked = 1;
        assert_eq!(receipt.copies, Some(ReplicaAcks { asked, confirmed }));
    }
    let user = user_on(&cluster, 0, "alice");
    let (key, meta, revision) = create_owned(&store, user.clone()).await;
    let (gone, ..) = create_owned(&store, user.clone()).await;
    let kept = RevokeScope::AllBut(meta.handle);
    let receipt = store.revoke(&revocation(user.clone(), kept)).await.unwrap();
    assert!(receipt.copies.unwrap().are_enough());
    let other = key_on(&cluster, 1);
    create(&store, &other).await;
    cluster.nodes[0].kill();
    let killed = Instant::now();
    while killed.elapsed() < Duration::from_millis(300) {
        // Those of the other nodes do not notice.
        live(&store, &other).await;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    println!(
        "healed {:?} after the kill",
        killed.elapsed() + healed(&store, &key).await
    );
    // What the replica had received holds.
    assert!(matches!(
        store.load(&gone).await.unwrap(),
        Loaded::Ended {
            reason: EndReason::RevokedByOperator,
            ..
        }
    ));
    let write = write_of(&meta, payload());
    let committed = store.commit(Commit::new(&key, revision, &write, Activity::Active));
    assert!(matches!(committed.await.unwrap(), Committed::Done(..)));
    assert_eq!(store.list(&user).await.unwrap().len(), 1);
    store.sweep().await.unwrap();
    // The old primary comes back as a replica, and is not asked.
    cluster.nodes[0].restart();
    for _ in 0..100 {
        live(&store, &key).await;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(!format!("{store:?}").contains("127.0.0.1:1\""));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_hangs_takes_its_own_sessions_away_and_no_others() {
    let cluster = TestCluster::start(3, 0);
    let store = connect_hastily(&cluster).await;
    let keys = [0, 1, 2].map(|node| key_on(&cluster, node));
    let mut revision = None;
    for key in &keys {
        revision = Some(create(&store, key).await.1);
    }
    let short = key_on(&cluster, 1);
    create_with(&store, &short, limits(300, 60_000)).await;
    let evals = calls(&cluster.nodes[2], "evalsha") + calls(&cluster.nodes[2], "eval");
    cluster.nodes[2].pause();
    let asked = Instant::now();
    // This may be carried out later, and is not sent again.
    let lost = store.commit_anonymous(&keys[2], revision.unwrap(), payload(), Activity::Active);
    assert_eq!(kind(lost.await), StoreErrorKind::Unavailable);
    assert!(asked.elapsed() < 2 * WAIT, "{:?}", asked.elapsed());
    let (mut slowest, hung) = (Duration::ZERO, Instant::now());
    while hung.elapsed() < 4 * WAIT {
        let asked = Instant::now();
        assert_eq!(
            kind(store.load(&keys[2]).await),
            StoreErrorKind::Unavailable
        );
        assert!(asked.elapsed() < 2 * WAIT, "{:?}", asked.elapsed());
        for key in &keys[..2] {
            let asked = Instant::now();
            live(&store, key).await;
            slowest = slowest.max(asked.elapsed());
        }
    }
    println!("the slowest answer of another node took {slowest:?}");
    assert!(slowest < WAIT);
    // By now it is known, and a sweep of the others goes on.
    let asked = Instant::now();
    assert_eq!(
        kind(store.load(&keys[2]).await),
        StoreErrorKind::Unavailable
    );
    assert!(asked.elapsed() < WAIT / 2, "{:?}", asked.elapsed());
    let swept = store.sweep().await.unwrap();
    assert_eq!(swept.expired.len(), 1);
    cluster.nodes[2].resume();
    println!("healed after {:?}", healed(&store, &keys[2]).await);
    let sent = calls(&cluster.nodes[2], "evalsha") + calls(&cluster.nodes[2], "eval") - evals;
    assert!(sent <= 1, "{sent}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_hangs_is_left_for_its_replica_and_not_returned_to_when_it_goes_on() {
    // Meanwhile all nodes say that the cluster is down.
    let cluster = TestCluster::start_with(3, 1, &["--cluster-require-full-coverage", "yes"]);
    let store = connect_hastily(&cluster).await;
    let user = user_on(&cluster, 0, "alice");
    let (key, ..) = create_owned(&store, user.clone()).await;
    cluster.nodes[0].pause();
    println!("healed {:?} after the hang", healed(&store, &key).await);
    store.revoke(&all_of(user)).await.unwrap();
    cluster.nodes[0].resume();
    stays_ended(&store, &key).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slots_that_nobody_serves_are_unavailable_until_somebody_does() {
    let cluster = TestCluster::start(2, 0);
    let key = key_on(&cluster, 0);
    let slot = cluster.slot(&spelled(&key)).to_string();
    let unserved = || {
        for node in &cluster.nodes {
            node.cli(&["CLUSTER", "DELSLOTS", &slot]);
        }
    };
    unserved();
    let store = connect_hastily(&cluster).await;
    assert_eq!(kind(store.load(&key).await), StoreErrorKind::Unavailable);
    assert_eq!(
        kind(store.touch_anonymous(&key).await),
        StoreErrorKind::Unavailable
    );
    create(&store, &key_on(&cluster, 1)).await;
    assert_eq!(
        cluster.nodes[1].cli(&["CLUSTER", "ADDSLOTS", &slot]).text(),
        "OK"
    );
    let since = Instant::now();
    while store.load(&key).await.is_err() {
        assert!(since.elapsed() < Duration::from_secs(10));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    create(&store, &key).await;
    live(&store, &key).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_that_moves_is_followed_on_its_way_and_afterwards() {
    let cluster = TestCluster::start(2, 0);
    let store = connect_hastily(&cluster).await;
    // Two sessions of one bucket, and an empty key.
    let key = key_on(&cluster, 0);
    let second = SessionId::generate(key.bucket()).unwrap().key();
    create(&store, &key).await;
    create(&store, &second).await;
    let slot = cluster.slot(&spelled(&key)).to_string();
    let [from, to] = [0, 1].map(|node| cluster.id(node));
    let (source, target) = (&cluster.nodes[0], &cluster.nodes[1]);
    target.cli(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &from]);
    source.cli(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &to]);
    let port = target.port().to_string();
    let migrate = |key: &str| {
        let moved = source.cli(&["MIGRATE", "127.0.0.1", &port, key, "0", "1000"]);
        assert_eq!(moved.text(), "OK");
    };
    migrate(&spelled(&key));
    // One is here and one there, and both are read.
    live(&store, &key).await;
    live(&store, &second).await;
    // What changes several keys waits, at most as long as anything does, and says so.
    let asked = Instant::now();
    let torn = store.touch_anonymous(&key).await;
    assert_eq!(kind(torn), StoreErrorKind::Unavailable);
    assert!(asked.elapsed() < 2 * WAIT, "{:?}", asked.elapsed());
    // It is done when the rest arrives in time.
    let (waiting, waiting_key) = (store.clone(), key);
    let touched = tokio::spawn(async move { waiting.touch_anonymous(&waiting_key).await });
    tokio::time::sleep(Duration::from_millis(30)).await;
    for left in source
        .cli(&["CLUSTER", "GETKEYSINSLOT", &slot, "100"])
        .texts()
    {
        migrate(&left);
    }
    for node in [target, source] {
        node.cli(&["CLUSTER", "SETSLOT", &slot, "NODE", &to]);
    }
    assert!(matches!(touched.await.unwrap().unwrap(), Touched::Done(_)));
    // Those who come later are sent there once, and then go there.
    live(&store, &key).await;
    live(&store, &second).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let before = calls(source, "get");
    for _ in 0..10 {
        live(&store, &second).await;
    }
    assert_eq!(calls(source, "get"), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_running_after_the_last_clone_of_a_store_on_a_cluster_is_dropped() {
    let cluster = TestCluster::start(3, 0);
    let clients = || -> usize {
        let lists = cluster
            .nodes
            .iter()
            .map(|node| node.cli(&["CLIENT", "LIST", "TYPE", "normal"]));
        // The one that asks is one of them.
        lists.map(|list| list.text().lines().count() - 1).sum()
    };
    let alive = || {
        tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks()
    };
    let (before, tasks) = (clients(), alive());
    let store = connect_to(cluster.url()).await;
    assert_eq!(clients(), before + 3);
    drop(store);
    let since = Instant::now();
    while clients() > before || alive() > tasks {
        assert!(
            since.elapsed() < Duration::from_secs(2),
            "{} tasks left",
            alive()
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
