//! What servers hear of what others do to sessions.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::{
    io::{BufRead, BufReader, Read, Write as _},
    net::TcpStream,
    pin::pin,
    sync::Mutex,
    time::Duration,
};

use portcullis_core::{
    EndReason, Realm, SessionHandle, SessionIdHash, SessionMeta,
    store::{
        Activity, Commit, Create, Created, CreatedSession, Deadline, Hint, Others, RecordWrite,
        Replace, Replaced, ReplacedSession, Revision, SessionLimit, Store, Touch,
    },
};
use portcullis_redis::{
    RedisStore,
    testing::{TestCluster, TestSentinels, TestServer, wait_until},
};
use support::{
    LIMITS, all_of, calls, connect, connect_to, create_owned, end_of, key_of, nodes::user_on,
    owned, owned_since, payload, server_and_store, write_of,
};
use tokio::{runtime::Runtime, sync::mpsc, task::JoinHandle, time::timeout};

const CHANNEL: &str = "pc:id:ended";

/// Longer than anything takes that works.
const PATIENCE: Duration = Duration::from_secs(15);

/// Somebody who listens.
struct Listener {
    hints: mpsc::UnboundedReceiver<Hint>,
    task: JoinHandle<()>,
}

impl Listener {
    fn of(store: &RedisStore) -> Self {
        let store = store.clone();
        let (heard, hints) = mpsc::unbounded_channel();
        let task = tokio::spawn(async move {
            store.listen(&|hint| _ = heard.send(hint)).await;
        });
        Self { hints, task }
    }

    /// One who hears from now on.
    async fn ready(store: &RedisStore) -> Self {
        let mut listener = Self::of(store);
        listener.is_told_that_it_may_have_missed_something().await;
        listener
    }

    async fn next(&mut self) -> Hint {
        // Or nothing is heard.
        let hint = timeout(PATIENCE, self.hints.recv()).await;
        hint.unwrap().unwrap()
    }

    async fn is_told_that_it_may_have_missed_something(&mut self) {
        while self.next().await != Hint::Missed {}
    }

    async fn hears_of(&mut self, name: SessionHandle) {
        while self.next().await != Hint::Changed(name) {}
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn subscribers(server: &TestServer) -> i64 {
    server.subscribers(CHANNEL)
}

/// Which connections are subscribed, by the numbers that the server gave them. Those of Sentinels are not counted.
fn subscribed(server: &TestServer) -> Vec<String> {
    let list = server.cli(&["CLIENT", "LIST", "TYPE", "pubsub"]).text();
    let ours = list.lines().filter(|line| !line.contains("name=sentinel"));
    let number = |line: &str| line.split(' ').next().map(str::to_owned);
    ours.filter_map(number).collect()
}

/// Lets this much time pass for tasks, and none for the server.
async fn pass(time: Duration) {
    // They take notice of what has just happened.
    tokio::time::sleep(Duration::from_millis(20)).await;
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

/// Longer than a subscription stays that nobody needs.
const LINGER: Duration = Duration::from_secs(31);

async fn end(store: &RedisStore, key: &SessionIdHash, meta: &SessionMeta) {
    let reason = EndReason::SignedOut;
    let ended = store.end(&end_of(key, meta, reason)).await;
    ended.unwrap();
}

/// What anybody receives who subscribes to the channel.
struct Raw(BufReader<TcpStream>);

impl Raw {
    fn subscribed(server: &TestServer) -> Self {
        let mut stream = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(stream, "SUBSCRIBE {CHANNEL}\r\n").unwrap();
        let mut raw = Self(BufReader::new(stream));
        assert_eq!(raw.item(), b"subscribe");
        assert_eq!(raw.item(), CHANNEL.as_bytes());
        let mut count = String::new();
        raw.0.read_line(&mut count).unwrap();
        raw
    }

    /// What was published since the last time.
    fn received(&mut self) -> Vec<Vec<u8>> {
        self.0.get_mut().write_all(b"PING\r\n").unwrap();
        let mut received = Vec::new();
        while self.item() != b"pong" {
            assert_eq!(self.item(), CHANNEL.as_bytes());
            received.push(self.item());
        }
        assert_eq!(self.item(), b"");
        received
    }

    /// The next text, wherever it stands.
    fn item(&mut self) -> Vec<u8> {
        let mut line = String::new();
        while !line.starts_with('$') {
            line.clear();
            self.0.read_line(&mut line).unwrap();
        }
        let length: usize = line[1..].trim_end().parse().unwrap();
        let mut item = vec![0; length + 2];
        self.0.read_exact(&mut item).unwrap();
        item.truncate(length);
        item
    }
}

/// A session of this user to be replaced, and the revision of its last write.
fn old(key: SessionIdHash, meta: &SessionMeta, expected: Revision) -> ReplacedSession {
    ReplacedSession {
        key,
        meta: meta.clone(),
        expected,
        note: None,
    }
}

async fn replace(
    store: &RedisStore,
    old: &ReplacedSession,
    new: &SessionIdHash,
    write: &RecordWrite,
    deadline: Deadline,
) -> Revision {
    match store
        .replace(Replace::new(old, new, write, deadline, &Others::Stay))
        .await
    {
        Ok(Replaced::Done(CreatedSession { revision, .. })) => revision,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn s016_every_end_and_every_move_is_published_once_by_the_public_name_and_nothing_else() {
    let (server, store) = server_and_store().await;
    let mut raw = Raw::subscribed(&server);
    let mut published = async |meta: &SessionMeta| {
        let name = meta.handle.as_bytes().to_vec();
        assert_eq!(raw.received(), [name]);
    };
    let (keep, restart) = (Deadline::Keep(Activity::Active), Deadline::Restart(LIMITS));

    let (key, meta, _) = create_owned(&store, "alice").await;
    end(&store, &key, &meta).await;
    published(&meta).await;

    let (_, meta, _) = create_owned(&store, "alice").await;
    store.revoke(&all_of("alice")).await.unwrap();
    published(&meta).await;

    // A new identifier.
    let (key, meta, revision) = create_owned(&store, "alice").await;
    let (moved, write) = (key_of("alice"), write_of(&meta, payload()));
    let revision = replace(&store, &old(key, &meta, revision), &moved, &write, keep).await;
    published(&meta).await;

    // Somebody authenticates once more, in the same bucket and in another one.
    let (again, next) = (owned(&store, "alice"), key_of("alice"));
    let write = write_of(&again, payload());
    let from = old(moved, &meta, revision);
    let revision = replace(&store, &from, &next, &write, restart).await;
    published(&meta).await;
    let other = owned(&store, "bob");
    let (write, from) = (write_of(&other, payload()), old(next, &again, revision));
    replace(&store, &from, &key_of("bob"), &write, restart).await;
    published(&again).await;

    // One too many.
    let (third, limit) = (owned(&store, "bob"), SessionLimit::displace(1).unwrap());
    let write = write_of(&third, payload());
    let key = key_of("bob");
    let created = store
        .create(Create::new(&key, &write, LIMITS, &Others::Limited(limit)))
        .await;
    assert!(matches!(created, Ok(Created::Done(..))));
    published(&other).await;

    // The mark of a revocation finds one that no list has, from well before it: the store's clock may be known too early.
    let (key, since) = (key_of("carol"), store.now().before(Duration::from_secs(1)));
    let meta = owned_since("carol", since);
    let write = write_of(&meta, payload());
    store
        .create(Create::new(&key, &write, LIMITS, &Others::Stay))
        .await
        .unwrap();
    for kind in ["x", "u"] {
        for list in support::lists(&server, kind) {
            server.cli(&["DEL", &list]);
        }
    }
    store.revoke(&all_of("carol")).await.unwrap();
    store
        .touch(Touch::new(&key, &meta, Activity::Active))
        .await
        .unwrap();
    published(&meta).await;
}

#[tokio::test]
async fn each_realm_of_a_store_is_listened_to_by_itself() {
    let (server, store) = server_and_store().await;
    let admin = store.in_realm(&Realm::new("admin").unwrap());
    let (mut here, mut there) = (Listener::ready(&store).await, Listener::ready(&admin).await);
    assert_eq!(server.subscribers("pc:admin:ended"), 1);
    let (key, meta, _) = create_owned(&admin, "alice").await;
    end(&admin, &key, &meta).await;
    assert_eq!(there.next().await, Hint::Changed(meta.handle));
    let (key, meta, _) = create_owned(&store, "alice").await;
    end(&store, &key, &meta).await;
    assert_eq!(here.next().await, Hint::Changed(meta.handle));
}

#[tokio::test]
async fn what_ends_nothing_is_not_published() {
    let (server, store) = server_and_store().await;
    let mut raw = Raw::subscribed(&server);
    let (key, meta, revision) = create_owned(&store, "alice").await;
    let write = write_of(&meta, payload());
    let activity = Activity::Active;
    store
        .touch(Touch::new(&key, &meta, Activity::Active))
        .await
        .unwrap();
    store
        .commit(Commit::new(&key, revision, &write, activity))
        .await
        .unwrap();
    let nobody = owned(&store, "alice");
    end(&store, &key_of("alice"), &nobody).await;
    // Whoever watches knows when it is due.
    server.age_sessions(LIMITS.absolute);
    assert_eq!(store.sweep().await.unwrap().expired.len(), 1);
    assert!(raw.received().is_empty());
}

#[tokio::test]
async fn who_listens_hears_what_another_server_does() {
    let (server, here) = server_and_store().await;
    let there = connect(&server).await;
    let mut listener = Listener::ready(&here).await;
    let (key, meta, _) = create_owned(&there, "alice").await;
    end(&there, &key, &meta).await;
    assert_eq!(listener.next().await, Hint::Changed(meta.handle));
    // Not what applications do that use another prefix.
    let other = RedisStore::builder(server.url()).key_prefix("other");
    let other = other.connect().await.unwrap();
    let (key, meta, _) = create_owned(&other, "alice").await;
    end(&other, &key, &meta).await;
    let (key, meta, _) = create_owned(&there, "alice").await;
    server.cli(&["PUBLISH", CHANNEL, "no name"]);
    end(&there, &key, &meta).await;
    assert_eq!(listener.next().await, Hint::Changed(meta.handle));
}

#[tokio::test]
async fn a_store_has_one_subscription_however_many_listen_and_none_soon_after_nobody_does() {
    let (server, store) = server_and_store().await;
    assert_eq!(subscribers(&server), 0);
    let first = Listener::ready(&store).await;
    let mut second = Listener::ready(&store.clone()).await;
    assert_eq!(subscribers(&server), 1);
    drop(first);
    let (key, meta, _) = create_owned(&store, "alice").await;
    end(&store, &key, &meta).await;
    second.hears_of(meta.handle).await;
    pass(LINGER).await;
    assert_eq!(subscribers(&server), 1);
    drop(second);
    pass(LINGER).await;
    wait_until("nobody subscribes", || subscribers(&server) == 0).await;
    let _third = Listener::ready(&store).await;
    assert_eq!(subscribers(&server), 1);
}

#[tokio::test]
async fn those_who_come_and_go_do_not_each_cost_a_connection() {
    let (server, store) = server_and_store().await;
    drop(Listener::ready(&store).await);
    let first = subscribed(&server);
    for _ in 0..3 {
        pass(Duration::from_secs(1)).await;
        drop(Listener::ready(&store).await);
    }
    assert_eq!(subscribed(&server), first);
}

#[tokio::test]
async fn a_subscription_that_nobody_needs_ends_with_its_store() {
    let (server, store) = server_and_store().await;
    let listener = Listener::ready(&store).await;
    drop(store);
    drop(listener);
    // Long before it would end by itself.
    let ended = wait_until("nobody subscribes", || subscribers(&server) == 0);
    timeout(LINGER / 3, ended).await.unwrap();
}

#[tokio::test]
async fn a_refusal_holds_for_a_minute_whoever_comes_and_goes_meanwhile() {
    let (server, store) = server_and_store().await;
    server.cli(&["ACL", "SETUSER", "default", "resetchannels"]);
    let refused = |times: u32| {
        let stats = server.cli(&["INFO", "commandstats"]).text();
        let line = stats
            .lines()
            .find(|line| line.starts_with("cmdstat_subscribe:"));
        let expected = format!("rejected_calls={times}");
        line.is_some_and(|line| line.split(',').any(|part| part == expected))
    };
    let first = Listener::of(&store);
    wait_until("it is refused", || refused(1)).await;
    drop(first);
    pass(LINGER).await;
    for _ in 0..3 {
        let _again = Listener::of(&store);
        // More than it would take to ask.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(refused(1));
    let _last = Listener::of(&store);
    pass(LINGER).await;
    wait_until("it is tried again", || refused(2)).await;
}

/// Expects that nothing changes while it is asked whether it is still there.
async fn stays(store: &RedisStore, servers: &[TestServer]) {
    let mut listener = Listener::ready(store).await;
    let all = || servers.iter().map(subscribed).collect::<Vec<_>>();
    let pings = || -> u64 { servers.iter().map(|server| calls(server, "ping")).sum() };
    let first = all();
    assert_eq!(first.concat().len(), 1);
    for _ in 0..4 {
        let before = pings();
        pass(Duration::from_secs(2)).await;
        wait_until("it is asked", || pings() > before).await;
    }
    assert_eq!(all(), first);
    assert!(listener.hints.try_recv().is_err());
}

#[tokio::test]
async fn a_healthy_subscription_stays_and_says_nothing() {
    let (server, store) = server_and_store().await;
    stays(&store, &[server]).await;
    let cluster = TestCluster::start(3, 0);
    let store = connect_to(cluster.url()).await;
    stays(&store, &cluster.nodes).await;
    let watched = TestSentinels::start();
    let store = connect_to(watched.url()).await;
    stays(&store, &watched.servers).await;
}

#[tokio::test]
async fn who_falls_behind_is_told_of_it_and_then_of_the_latest() {
    let (server, store) = server_and_store().await;
    let mut quick = Listener::ready(&store).await;
    let reported = Mutex::new(Vec::new());
    let report = |hint| reported.lock().unwrap().push(hint);
    let mut slow = pin!(store.listen(&report));
    let hears = async |slow: &mut _, hint: Hint| {
        let heard = wait_until("it is received", || {
            reported.lock().unwrap().contains(&hint)
        });
        tokio::select! {
            () = slow => panic!("it does not listen any more"),
            () = heard => {}
        }
    };
    hears(&mut slow, Hint::Missed).await;
    reported.lock().unwrap().clear();
    // In parts that the connection has room for.
    for part in 1..=4_u8 {
        let publish = "for number = 1, 400 do redis.call('PUBLISH', ARGV[1], ARGV[2]) end \
                       redis.call('PUBLISH', ARGV[1], ARGV[3])";
        let [name, last] = [0, part].map(|byte| String::from_utf8([byte; 12].into()).unwrap());
        server.cli(&["EVAL", publish, "0", CHANNEL, &name, &last]);
        quick.hears_of(SessionHandle::from_bytes([part; 12])).await;
    }
    hears(&mut slow, Hint::Changed(SessionHandle::from_bytes([4; 12]))).await;
    let reported = reported.lock().unwrap();
    assert_eq!(reported[0], Hint::Missed);
    assert_eq!(reported.len(), 1 + 1024);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_whose_runtime_is_gone_is_made_anew_by_those_who_still_listen() {
    let (server, store) = server_and_store().await;
    let elsewhere = Runtime::new().unwrap();
    let mut first = {
        let _entered = elsewhere.enter();
        Listener::of(&store)
    };
    first.is_told_that_it_may_have_missed_something().await;
    let mut second = Listener::ready(&store).await;
    elsewhere.shutdown_background();
    second.is_told_that_it_may_have_missed_something().await;
    let (key, meta, _) = create_owned(&store, "alice").await;
    end(&store, &key, &meta).await;
    second.hears_of(meta.handle).await;
    assert_eq!(subscribers(&server), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_that_was_cut_is_made_anew_and_says_that_something_may_be_missed() {
    let (server, store) = server_and_store().await;
    let mut listener = Listener::ready(&store).await;
    server.cli(&["CLIENT", "KILL", "TYPE", "pubsub"]);
    listener.is_told_that_it_may_have_missed_something().await;
    let (key, meta, _) = create_owned(&store, "alice").await;
    end(&store, &key, &meta).await;
    listener.hears_of(meta.handle).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_to_a_server_that_was_killed_is_made_anew() {
    let (mut server, store) = server_and_store().await;
    let mut listener = Listener::ready(&store).await;
    server.kill();
    server.restart();
    listener.is_told_that_it_may_have_missed_something().await;
    support::healed(&store).await;
    let (key, meta, _) = create_owned(&store, "alice").await;
    end(&store, &key, &meta).await;
    listener.hears_of(meta.handle).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_hung_is_subscribed_to_anew_for_its_connection_may_be_dead() {
    let (server, store) = support::server_and_hasty_store().await;
    let mut listener = Listener::ready(&store).await;
    server.pause();
    // Until it is asked, and has not answered.
    tokio::time::sleep(Duration::from_secs(4)).await;
    server.resume();
    listener.is_told_that_it_may_have_missed_something().await;
    support::healed(&store).await;
    let (key, meta, _) = create_owned(&store, "alice").await;
    end(&store, &key, &meta).await;
    listener.hears_of(meta.handle).await;
}

/// The places of the nodes, among these, that somebody has subscribed to.
fn subscribed_to(cluster: &TestCluster, among: impl Iterator<Item = usize>) -> Vec<usize> {
    among
        .filter(|node| subscribers(&cluster.nodes[*node]) == 1)
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_cluster_one_node_tells_what_happens_on_all_and_another_takes_its_place() {
    let mut cluster = TestCluster::start(3, 0);
    let here = connect_to(cluster.url()).await;
    let there = connect_to(cluster.url()).await;
    let users: Vec<_> = (0..3)
        .map(|node| user_on(&cluster, node, "heard"))
        .collect();
    let mut listener = Listener::ready(&here).await;
    let first = subscribed_to(&cluster, 0..3);
    assert_eq!(first.len(), 1);
    for user in &users {
        let (key, meta, _) = create_owned(&there, user.clone()).await;
        end(&there, &key, &meta).await;
        listener.hears_of(meta.handle).await;
    }
    cluster.nodes[first[0]].kill();
    listener.is_told_that_it_may_have_missed_something().await;
    let mut left = (0..3).filter(|node| *node != first[0]);
    let second = subscribed_to(&cluster, left.clone());
    assert_eq!(second.len(), 1);
    let third = left.find(|node| *node != second[0]).unwrap();
    let (key, meta, _) = create_owned(&there, users[third].clone()).await;
    end(&there, &key, &meta).await;
    listener.hears_of(meta.handle).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_sentinels_whoever_is_the_primary_by_now_is_listened_to() {
    let mut watched = TestSentinels::start();
    let store = connect_to(watched.url()).await;
    let mut listener = Listener::ready(&store).await;
    watched.servers[0].kill();
    listener.is_told_that_it_may_have_missed_something().await;
    assert_eq!(subscribers(&watched.servers[1]), 1);
    support::healed(&store).await;
    let (key, meta, _) = create_owned(&store, "alice").await;
    end(&store, &key, &meta).await;
    listener.hears_of(meta.handle).await;
}
