//! What servers hear of what others do to sessions.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::{
    io::{BufRead, BufReader, Read, Write as _},
    net::TcpStream,
    time::{Duration, Instant},
};

use portcullis_core::{
    EndReason, Handle, Label, SessionKey,
    store::{
        Activity, Created, Deadline, Hint, Old, Replaced, Revision, SessionLimit, Store, Write,
    },
};
use portcullis_redis::{
    RedisStore,
    testing::{Answer, TestCluster, TestSentinels, TestServer},
};
use support::{
    LIMITS, all_of, connect, create_owned, ended_note, key_of, nodes::user_on, owned, payload,
    server_and_store, write_of,
};
use tokio::{sync::mpsc, task::JoinHandle, time::timeout};

const CHANNEL: &str = "pc:ended";

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

    async fn hears_of(&mut self, name: Handle) {
        while self.next().await != Hint::Changed(name) {}
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn subscribers(server: &TestServer) -> i64 {
    match server.cli(&["PUBSUB", "NUMSUB", CHANNEL]) {
        Answer::List(counts) => counts[1].integer(),
        other => panic!("{other:?}"),
    }
}

async fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let since = Instant::now();
    while !is_so() {
        assert!(since.elapsed() < PATIENCE, "not yet: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn end(store: &RedisStore, key: &SessionKey, label: &Label) {
    let reason = EndReason::SignedOut;
    let ended = store.end(key, label, reason, &ended_note(reason)).await;
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
fn old(key: SessionKey, label: &Label, expected: Revision) -> Old {
    Old {
        key,
        label: label.clone(),
        expected,
        note: None,
    }
}

async fn replace(
    store: &RedisStore,
    old: &Old,
    new: &SessionKey,
    write: &Write,
    deadline: Deadline,
) -> Revision {
    match store.replace(old, new, write, deadline, None).await {
        Ok(Replaced::Done(_, revision, _)) => revision,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn s016_every_end_and_every_move_is_published_once_by_the_public_name_and_nothing_else() {
    let (server, store) = server_and_store().await;
    let mut raw = Raw::subscribed(&server);
    let mut published = async |label: &Label| {
        let name = label.handle.as_bytes().to_vec();
        assert_eq!(raw.received(), [name]);
    };
    let (keep, restart) = (Deadline::Keep(Activity::Active), Deadline::Restart(LIMITS));

    let (key, label, _) = create_owned(&store, "alice").await;
    end(&store, &key, &label).await;
    published(&label).await;

    let (_, label, _) = create_owned(&store, "alice").await;
    store.revoke(&all_of("alice")).await.unwrap();
    published(&label).await;

    // A new identifier.
    let (key, label, revision) = create_owned(&store, "alice").await;
    let (moved, write) = (key_of("alice"), write_of(&label, payload()));
    let revision = replace(&store, &old(key, &label, revision), &moved, &write, keep).await;
    published(&label).await;

    // Somebody authenticates once more, in the same bucket and in another one.
    let (again, next) = (owned(&store, "alice"), key_of("alice"));
    let write = write_of(&again, payload());
    let from = old(moved, &label, revision);
    let revision = replace(&store, &from, &next, &write, restart).await;
    published(&label).await;
    let other = owned(&store, "bob");
    let (write, from) = (write_of(&other, payload()), old(next, &again, revision));
    replace(&store, &from, &key_of("bob"), &write, restart).await;
    published(&again).await;

    // One too many.
    let (third, limit) = (owned(&store, "bob"), SessionLimit::displace(1).unwrap());
    let write = write_of(&third, payload());
    let key = key_of("bob");
    let created = store.create(&key, &write, LIMITS, Some(limit)).await;
    assert!(matches!(created, Ok(Created::Done(..))));
    published(&other).await;

    // The mark of a revocation finds one that no list has.
    let (key, label, _) = create_owned(&store, "carol").await;
    for kind in ["x", "u"] {
        for list in support::lists(&server, kind) {
            server.cli(&["DEL", &list]);
        }
    }
    store.revoke(&all_of("carol")).await.unwrap();
    store.touch(&key, &label).await.unwrap();
    published(&label).await;
}

#[tokio::test]
async fn what_ends_nothing_is_not_published() {
    let (server, store) = server_and_store().await;
    let mut raw = Raw::subscribed(&server);
    let (key, label, revision) = create_owned(&store, "alice").await;
    let write = write_of(&label, payload());
    let activity = Activity::Active;
    store.touch(&key, &label).await.unwrap();
    store
        .commit(&key, revision, &write, activity)
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
    let (key, label, _) = create_owned(&there, "alice").await;
    end(&there, &key, &label).await;
    assert_eq!(listener.next().await, Hint::Changed(label.handle));
    // Not what applications do that use another prefix.
    let other = RedisStore::builder(server.url()).key_prefix("other");
    let other = other.connect().await.unwrap();
    let (key, label, _) = create_owned(&other, "alice").await;
    end(&other, &key, &label).await;
    let (key, label, _) = create_owned(&there, "alice").await;
    server.cli(&["PUBLISH", CHANNEL, "no name"]);
    end(&there, &key, &label).await;
    assert_eq!(listener.next().await, Hint::Changed(label.handle));
}

#[tokio::test]
async fn a_store_has_one_subscription_however_many_listen_and_none_while_nobody_does() {
    let (server, store) = server_and_store().await;
    assert_eq!(subscribers(&server), 0);
    let first = Listener::ready(&store).await;
    let mut second = Listener::ready(&store.clone()).await;
    assert_eq!(subscribers(&server), 1);
    drop(first);
    let (key, label, _) = create_owned(&store, "alice").await;
    end(&store, &key, &label).await;
    second.hears_of(label.handle).await;
    drop(second);
    wait_until("nobody subscribes", || subscribers(&server) == 0).await;
    let _third = Listener::ready(&store).await;
    assert_eq!(subscribers(&server), 1);
}

#[tokio::test]
async fn a_burst_is_heard_or_said_to_be_missed() {
    let (server, here) = server_and_store().await;
    let there = connect(&server).await;
    let mut listener = Listener::ready(&here).await;
    let mut names = Vec::new();
    for _ in 0..300 {
        names.push(create_owned(&there, "alice").await.1.handle);
    }
    there.revoke(&all_of("alice")).await.unwrap();
    while !names.is_empty() {
        match listener.next().await {
            Hint::Changed(name) => names.retain(|other| *other != name),
            _ => break,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_that_was_cut_is_made_anew_and_says_that_something_may_be_missed() {
    let (server, store) = server_and_store().await;
    let mut listener = Listener::ready(&store).await;
    server.cli(&["CLIENT", "KILL", "TYPE", "pubsub"]);
    listener.is_told_that_it_may_have_missed_something().await;
    let (key, label, _) = create_owned(&store, "alice").await;
    end(&store, &key, &label).await;
    listener.hears_of(label.handle).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_to_a_server_that_was_killed_is_made_anew() {
    let (mut server, store) = server_and_store().await;
    let mut listener = Listener::ready(&store).await;
    server.kill();
    server.restart();
    listener.is_told_that_it_may_have_missed_something().await;
    support::healed(&store).await;
    let (key, label, _) = create_owned(&store, "alice").await;
    end(&store, &key, &label).await;
    listener.hears_of(label.handle).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_hung_is_subscribed_to_anew_for_its_connection_may_be_dead() {
    let (server, store) = server_and_store().await;
    let mut listener = Listener::ready(&store).await;
    server.pause();
    // Until it is asked, and has not answered.
    tokio::time::sleep(Duration::from_secs(4)).await;
    server.resume();
    listener.is_told_that_it_may_have_missed_something().await;
    support::healed(&store).await;
    let (key, label, _) = create_owned(&store, "alice").await;
    end(&store, &key, &label).await;
    listener.hears_of(label.handle).await;
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
    let here = RedisStore::connect(cluster.url()).await.unwrap();
    let there = RedisStore::connect(cluster.url()).await.unwrap();
    let users: Vec<_> = (0..3)
        .map(|node| user_on(&cluster, node, "heard"))
        .collect();
    let mut listener = Listener::ready(&here).await;
    let first = subscribed_to(&cluster, 0..3);
    assert_eq!(first.len(), 1);
    for user in &users {
        let (key, label, _) = create_owned(&there, user.clone()).await;
        end(&there, &key, &label).await;
        listener.hears_of(label.handle).await;
    }
    cluster.nodes[first[0]].kill();
    listener.is_told_that_it_may_have_missed_something().await;
    let mut left = (0..3).filter(|node| *node != first[0]);
    let second = subscribed_to(&cluster, left.clone());
    assert_eq!(second.len(), 1);
    let third = left.find(|node| *node != second[0]).unwrap();
    let (key, label, _) = create_owned(&there, users[third].clone()).await;
    end(&there, &key, &label).await;
    listener.hears_of(label.handle).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_sentinels_whoever_is_the_primary_by_now_is_listened_to() {
    let mut watched = TestSentinels::start();
    let store = RedisStore::connect(watched.url()).await.unwrap();
    let mut listener = Listener::ready(&store).await;
    watched.servers[0].kill();
    listener.is_told_that_it_may_have_missed_something().await;
    assert_eq!(subscribers(&watched.servers[1]), 1);
    support::healed(&store).await;
    let (key, label, _) = create_owned(&store, "alice").await;
    end(&store, &key, &label).await;
    listener.hears_of(label.handle).await;
}
