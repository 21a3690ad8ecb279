//! A server that answers, but says no.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use portcullis_core::{
    EndReason, EventKind, Note,
    store::{
        Activity, Committed, CommittedSession, Create, Created, CreatedSession, Deadline, Ended,
        Interrupted, Loaded, LogLimits, LogQuery, Observation, OnLimit, Others, RecordWrite,
        Register, Replace, Replaced, ReplacedSession, ReplicaAcks, Revision, RevokeScope,
        SessionLimit, Store, StoreError, StoreErrorKind, Touched,
    },
};
use portcullis_redis::{
    ConnectError, RedisStore,
    testing::{Answer, TestServer},
};
use support::{
    Anonymous, LIMITS, NAME, all_of, assert_every_key_expires, create, create_owned, ended_note,
    healed, key, key_of, kind, limits, live, owned, payload, revocation, server_and_store,
    sessions, write_of,
};
use tokio::sync::Notify;

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_is_read_but_takes_no_writes_and_says_so() {
    let (server, store) = server_and_store().await;
    let key = key();
    let (_, revision) = create(&store, &key).await;
    server.cli(&["REPLICAOF", "127.0.0.1", "1"]);
    let read_only = StoreErrorKind::ReadOnly;
    for _ in 0..3 {
        assert_eq!(
            kind(
                store
                    .create_anonymous(&support::key(), payload(), LIMITS)
                    .await
            ),
            read_only
        );
        assert_eq!(kind(store.touch_anonymous(&key).await), read_only);
        assert_eq!(
            kind(
                store
                    .commit_anonymous(&key, revision, payload(), Activity::Active)
                    .await
            ),
            read_only
        );
        assert_eq!(
            kind(store.end_anonymous(&key, EndReason::SignedOut).await),
            read_only
        );
        live(&store, &key).await;
    }
    server.cli(&["REPLICAOF", "NO", "ONE"]);
    assert!(matches!(
        store.touch_anonymous(&key).await.unwrap(),
        Touched::Done(_)
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_demoted_server_is_connected_to_anew_because_the_address_may_lead_elsewhere_by_now() {
    let (server, store) = server_and_store().await;
    let client = || {
        let list = server.cli(&["CLIENT", "LIST", "TYPE", "normal"]).text();
        let ids = list.lines().filter(|line| !line.contains("cmd=client"));
        ids.filter_map(|line| line.split(' ').next().map(str::to_owned))
            .collect::<Vec<_>>()
    };
    let key = key();
    create(&store, &key).await;
    let before = client();
    server.cli(&["REPLICAOF", "127.0.0.1", "1"]);
    // Not in the first second after the last connection.
    let since = std::time::Instant::now();
    loop {
        assert_eq!(
            kind(store.touch_anonymous(&key).await),
            StoreErrorKind::ReadOnly
        );
        let after = client();
        if after.len() == 1 && after != before {
            break;
        }
        assert!(since.elapsed() < Duration::from_secs(5));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn with_memory_full_nothing_new_is_stored_but_sessions_are_read_touched_and_ended() {
    let (server, store) = server_and_store().await;
    let (key, other, elsewhere) = (key(), key(), key_of("bob"));
    let (_, revision) = create(&store, &key).await;
    create(&store, &other).await;
    server.cli(&["CONFIG", "SET", "maxmemory", "1"]);
    let before = live(&store, &key).await;
    let full = StoreErrorKind::Full;
    let large = Bytes::from(vec![0; 10_000]);
    let restart = Deadline::Restart(LIMITS);
    assert_eq!(
        kind(
            store
                .create_anonymous(&support::key(), payload(), LIMITS)
                .await
        ),
        full
    );
    assert_eq!(
        kind(
            store
                .commit_anonymous(&key, revision, large.clone(), Activity::Active)
                .await
        ),
        full
    );
    assert_eq!(
        kind(
            store
                .replace_anonymous(&key, &support::key(), revision, large.clone(), restart)
                .await
        ),
        full
    );
    assert_eq!(
        kind(
            store
                .replace_anonymous(&key, &elsewhere, revision, large, restart)
                .await
        ),
        full
    );
    assert_eq!(live(&store, &key).await, before);
    assert_eq!(sessions(&server).len(), 2);
    assert!(matches!(
        store.touch_anonymous(&key).await.unwrap(),
        Touched::Done(_)
    ));
    assert_eq!(
        store
            .end_anonymous(&key, EndReason::SignedOut)
            .await
            .unwrap(),
        Ended::Done
    );
    assert_eq!(
        store.load(&key).await.unwrap(),
        support::ended(EndReason::SignedOut, NAME)
    );
    assert_every_key_expires(&server);
    server.cli(&["CONFIG", "SET", "maxmemory", "0"]);
    create_owned(&store, "alice").await;
}

/// Everything this crate sends, and nothing else. The README has the same list.
const RIGHTS: &str = "+time +info +client|id +get +del +set +getrange +setrange +pexpireat +pttl +eval \
                      +evalsha +zadd +zrem +zscore +zrange +zrangebyscore +hget +hset +hgetall +xadd +xdel \
                      +xinfo|stream +xlen +xrange +xrevrange +xtrim +ping +publish +subscribe";

/// These are missed without harm.
const COMFORT: [&str; 5] = ["+info", "+client|id", "+ping", "+publish", "+subscribe"];

fn limited(server: &TestServer, user: &str, rights: &str) -> String {
    let rule: Vec<_> = [
        "ACL",
        "SETUSER",
        user,
        "on",
        "resetkeys",
        "~pc:*",
        "resetchannels",
        "&pc:*",
        "nocommands",
    ]
    .into_iter()
    .chain([">s3cret/p:ss"])
    .chain(rights.split(' '))
    .collect();
    assert_eq!(server.cli(&rule).text(), "OK");
    format!("redis://{user}:s3cret%2Fp%3Ass@127.0.0.1:{}", server.port())
}

/// Every operation of the store, on every way it may take.
async fn everything(store: &RedisStore) -> Result<(), Interrupted> {
    without_a_user(store).await?;
    with_a_user(store).await?;
    // Whose time is over, for whoever comes across it.
    let (found, swept) = (key(), key_of("bob"));
    for (key, user) in [(found, "alice"), (swept, "bob")] {
        let write = write_of(&owned(store, user), payload());
        store
            .create(Create::new(&key, &write, limits(5, 60_000), &Others::Stay))
            .await?;
    }
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert!(matches!(store.load(&found).await?, Loaded::Expired(_)));
    assert_eq!(store.sweep().await?.expired.len(), 1);
    for _ in 0..2 {
        store
            .observe(&Observation {
                session: None,
                user: None,
                note: Note::of_system(EventKind::MalformedIdentifier),
            })
            .await?;
    }
    fill_a_log(store).await?;
    store
        .register(Register::new("__Host-Http-id", LIMITS.absolute, None, &[]))
        .await?;
    assert_eq!(store.realms().await?.len(), 1);
    assert!(store.read_log(&LogQuery::default()).await?.len() > 5);
    Ok(())
}

/// So far that it is trimmed. Where it cannot be, the change is made all the same, and the observation is refused.
async fn fill_a_log(store: &RedisStore) -> Result<(), Interrupted> {
    let meta = owned(store, "alice");
    let write = RecordWrite {
        notes: vec![Note::of_system(EventKind::Regenerated); 600],
        ..write_of(&meta, payload())
    };
    store
        .create(Create::new(&key(), &write, LIMITS, &Others::Stay))
        .await?;
    let observation = Observation {
        session: None,
        user: Some("alice".into()),
        note: Note::of_system(EventKind::LimitReached),
    };
    Ok(store.observe(&observation).await?)
}

async fn without_a_user(store: &RedisStore) -> Result<(), StoreError> {
    let (first, second, elsewhere) = (key(), key(), key_of("bob"));
    let Created::Done(CreatedSession { revision, .. }) =
        store.create_anonymous(&first, payload(), LIMITS).await?
    else {
        panic!("not created")
    };
    assert!(matches!(store.load(&first).await?, Loaded::Live(_)));
    assert!(matches!(
        store.touch_anonymous(&first).await?,
        Touched::Done(_)
    ));
    let active = Activity::Active;
    let committed = store
        .commit_anonymous(&first, revision, payload(), active)
        .await?;
    let Committed::Done(CommittedSession { revision, .. }) = committed else {
        panic!("{committed:?}")
    };
    let outdated = Revision(revision.0 ^ 1);
    let conflict = store.commit_anonymous(&first, outdated, payload(), active);
    assert!(matches!(conflict.await?, Committed::Conflict(_)));
    let keep = Deadline::Keep(active);
    let replaced = store
        .replace_anonymous(&first, &second, revision, payload(), keep)
        .await?;
    let Replaced::Done(CreatedSession { revision, .. }) = replaced else {
        panic!("{replaced:?}")
    };
    let restart = Deadline::Restart(LIMITS);
    let gone = store
        .replace_anonymous(&first, &key_of("dave"), revision, payload(), restart)
        .await?;
    assert_eq!(gone, Replaced::Gone);
    let replaced = store
        .replace_anonymous(&second, &elsewhere, revision, payload(), restart)
        .await?;
    assert!(matches!(replaced, Replaced::Done(..)), "{replaced:?}");
    let ended = store
        .end_anonymous(&elsewhere, EndReason::SignedOut)
        .await?;
    assert_eq!(ended, Ended::Done);
    Ok(())
}

async fn with_a_user(store: &RedisStore) -> Result<(), Interrupted> {
    let one = SessionLimit {
        most: 1.try_into().unwrap(),
        excess: OnLimit::Displace,
    };
    let create = async |limit: Option<SessionLimit>| {
        let (key, meta) = (key_of("carol"), owned(store, "carol"));
        let write = write_of(&meta, payload());
        match store
            .create(Create::new(&key, &write, LIMITS, &limit.into()))
            .await?
        {
            Created::Done(CreatedSession {
                revision,
                displaced,
                ..
            }) => Ok::<_, Interrupted>((key, meta, revision, displaced)),
            other => panic!("{other:?}"),
        }
    };
    let (_, first, ..) = create(None).await?;
    let (key, meta, revision, displaced) = create(Some(one)).await?;
    assert_eq!(displaced, [first.handle]);
    let old = ReplacedSession {
        key,
        meta,
        expected: revision,
        note: Some(ended_note(EndReason::ReplacedAtSignIn)),
    };
    let again = owned(store, "carol");
    let write = write_of(&again, payload());
    let restart = Deadline::Restart(LIMITS);
    let replaced = store
        .replace(Replace::new(
            &old,
            &key_of("carol"),
            &write,
            restart,
            &Others::Limited(one),
        ))
        .await?;
    assert!(matches!(replaced, Replaced::Done(..)), "{replaced:?}");
    let (_, second, ..) = create(None).await?;
    let (_, third, ..) = create(None).await?;
    assert_eq!(store.list(&"carol".into()).await?.len(), 3);
    let mut ended = Vec::new();
    for which in [
        RevokeScope::One(again.handle),
        RevokeScope::AllBut(third.handle),
        RevokeScope::All,
    ] {
        let revoked = store.revoke(&revocation("carol", which)).await;
        ended.extend(revoked?.ended);
    }
    assert_eq!(ended, [again.handle, second.handle, third.handle]);
    Ok(())
}

#[tokio::test]
async fn the_documented_rights_are_enough_for_every_operation() {
    let server = TestServer::start();
    let url = limited(&server, "app", RIGHTS);
    let store = RedisStore::connect(&url).await.unwrap();
    everything(&store).await.unwrap();
    let subscribed = Notify::new();
    let reported = |_| subscribed.notify_one();
    tokio::select! {
        () = store.listen(&reported) => panic!("nothing to listen to"),
        () = subscribed.notified() => {}
    }
    server.cli(&["SCRIPT", "FLUSH"]);
    server.cli(&["CLIENT", "KILL", "TYPE", "normal"]);
    healed(&store).await;
    everything(&store).await.unwrap();
    assert_eq!(server.cli(&["ACL", "LOG"]), Answer::List(vec![]));
}

#[tokio::test]
async fn the_readme_tells_the_rights_that_are_tested() {
    let readme = include_str!("../README.md");
    let rule = format!("resetkeys ~pc:* resetchannels &pc:* nocommands {RIGHTS}");
    let words: Vec<_> = readme.split_whitespace().collect();
    let rule: Vec<_> = rule.split_whitespace().collect();
    assert!(words.windows(rule.len()).any(|reported| reported == rule));
}

#[tokio::test]
async fn each_documented_right_is_needed() {
    let server = TestServer::start();
    for right in RIGHTS
        .split_whitespace()
        .filter(|right| !COMFORT.contains(right))
    {
        let rights: Vec<_> = RIGHTS.split(' ').filter(|other| *other != right).collect();
        let url = limited(&server, "app", &rights.join(" "));
        server.cli(&["FLUSHALL"]);
        server.cli(&["SCRIPT", "FLUSH"]);
        match RedisStore::connect(&url).await {
            Err(ConnectError::Refused { .. }) => {}
            Err(other) => panic!("{right}: {other}"),
            Ok(store) => {
                let Err(Interrupted { error, .. }) = everything(&store).await else {
                    panic!("{right} is not needed")
                };
                assert_eq!(error.kind(), StoreErrorKind::Misconfigured, "{error}");
                assert!(error.to_string().contains("no right"), "{error}");
            }
        }
    }
}

#[tokio::test]
async fn without_the_right_to_publish_or_subscribe_every_operation_is_as_it_was() {
    let server = TestServer::start();
    for right in COMFORT {
        let url = limited(&server, "app", &RIGHTS.replace(right, ""));
        let store = RedisStore::connect(&url).await.unwrap();
        everything(&store).await.unwrap();
    }
    let url = limited(&server, "app", "resetchannels +@all");
    let store = RedisStore::connect(&url).await.unwrap();
    everything(&store).await.unwrap();
}

#[tokio::test]
async fn whoever_has_revocations_confirmed_needs_one_right_more() {
    let server = TestServer::start();
    let url = limited(&server, "app", RIGHTS);
    let builder = RedisStore::builder(&url).confirm_by_replicas(1);
    let store = builder.connect().await.unwrap();
    let nobody = ReplicaAcks {
        asked: 1,
        confirmed: 0,
    };
    for denied in [1, 0] {
        server.cli(&["ACL", "LOG", "RESET"]);
        // The end is reported all the same.
        let receipt = store.revoke(&all_of("alice")).await.unwrap();
        assert_eq!(receipt.copies, Some(nobody));
        let Answer::List(log) = server.cli(&["ACL", "LOG"]) else {
            panic!("no log")
        };
        assert_eq!(log.len(), denied);
        server.cli(&["ACL", "SETUSER", "app", "+wait"]);
    }
}

#[tokio::test]
async fn a_user_without_a_password_may_have_to_answer_for_itself() {
    let server = TestServer::start();
    let rule = format!("ACL SETUSER app on nopass resetkeys ~pc:* nocommands {RIGHTS}");
    let rule: Vec<_> = rule.split_whitespace().collect();
    assert_eq!(server.cli(&rule).text(), "OK");
    let url = format!("redis://app@127.0.0.1:{}", server.port());
    let store = RedisStore::connect(&url).await.unwrap();
    everything(&store).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_changes_under_way_is_an_error_that_heals_when_it_is_changed_back() {
    let server = TestServer::start();
    let url = limited(&server, "app", RIGHTS);
    let store = RedisStore::connect(&url).await.unwrap();
    server.cli(&["ACL", "SETUSER", "app", "resetpass", ">other"]);
    server.cli(&["CLIENT", "KILL", "USER", "app"]);
    support::known_down(&store).await;
    server.cli(&["ACL", "SETUSER", "app", ">s3cret/p:ss"]);
    healed(&store).await;
    everything(&store).await.unwrap();
}

#[tokio::test]
async fn an_end_holds_even_where_its_reason_cannot_be_written_down() {
    let (server, store) = server_and_store().await;
    let key = key();
    create(&store, &key).await;
    let rights: Vec<_> = RIGHTS.split(' ').filter(|right| *right != "+set").collect();
    let url = limited(&server, "app", &rights.join(" "));
    let limited = RedisStore::connect(&url).await.unwrap();
    assert_eq!(
        limited
            .end_anonymous(&key, EndReason::SignedOut)
            .await
            .unwrap(),
        Ended::Done
    );
    assert_eq!(store.load(&key).await.unwrap(), Loaded::Absent);
}

/// Counts the warnings about the log.
#[derive(Clone, Default)]
struct Warnings(Arc<AtomicUsize>);

impl Warnings {
    fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl tracing::Subscriber for Warnings {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() == tracing::Level::WARN
    }

    fn event(&self, event: &tracing::Event<'_>) {
        struct Message(bool);
        impl tracing::field::Visit for Message {
            fn record_debug(&mut self, _: &tracing::field::Field, value: &dyn std::fmt::Debug) {
                self.0 |= format!("{value:?}").contains("may not write the log");
            }
        }
        let mut message = Message(false);
        event.record(&mut message);
        self.0.fetch_add(message.0.into(), Ordering::SeqCst);
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

#[tokio::test]
async fn a_user_who_may_not_write_the_log_is_warned_of_once_and_check_says_so() {
    let warnings = Warnings::default();
    let _guard = tracing::subscriber::set_default(warnings.clone());
    let server = TestServer::start();
    let url = limited(&server, "app", &RIGHTS.replace("+xadd ", ""));
    let builder = RedisStore::builder(&url).wait(Duration::from_secs(5));
    let store = builder.clone().connect().await.unwrap();
    // As each layer does when it starts.
    let registered = async |store: &RedisStore| {
        let registered = store
            .register(Register::new("__Host-Http-id", LIMITS.absolute, None, &[]))
            .await;
        registered.unwrap();
    };
    registered(&store).await;
    registered(&store).await;
    assert_eq!(warnings.count(), 1);
    create(&store, &key()).await;
    store.sweep().await.unwrap();
    let observation = Observation {
        session: None,
        user: Some("alice".into()),
        note: Note::of_system(EventKind::LimitReached),
    };
    let observed = store.observe(&observation).await;
    assert_eq!(kind(observed), StoreErrorKind::Misconfigured);
    assert_eq!(warnings.count(), 1);
    // What asks about rights has more of them.
    server.cli(&["ACL", "SETUSER", "app", "+acl|dryrun"]);
    let findings = builder.clone().check().await.unwrap();
    let says: Vec<_> = findings.iter().map(|finding| &finding.message).collect();
    let about_the_log = |says: &&&String| says.contains("XADD") && says.contains("are not logged");
    assert_eq!(says.iter().filter(about_the_log).count(), 1, "{says:?}");

    server.cli(&["ACL", "SETUSER", "app", "+xadd"]);
    store.sweep().await.unwrap();
    store.observe(&observation).await.unwrap();
    server.cli(&["ACL", "SETUSER", "app", "-xadd"]);
    store.sweep().await.unwrap();
    assert_eq!(warnings.count(), 2);
    // To look leaves nothing in a log.
    let before = server.cli(&["KEYS", "*"]).texts().len();
    server.cli(&["ACL", "SETUSER", "app", "+xadd"]);
    registered(&builder.clone().connect().await.unwrap()).await;
    assert_eq!(server.cli(&["KEYS", "*"]).texts().len(), before);
    // Who keeps no log needs no right to it.
    server.cli(&["ACL", "SETUSER", "app", "-xadd"]);
    let none = LogLimits {
        events: 0,
        ..LogLimits::default()
    };
    registered(&builder.log(none).connect().await.unwrap()).await;
    assert_eq!(warnings.count(), 2);
}
