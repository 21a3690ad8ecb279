//! Sign-ins at the limit of sessions of which something fails half-way.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::time::{Duration, Instant};

use bytes::Bytes;
use portcullis_core::{
    Bucket, EndReason, SessionId, SessionIdHash, SessionMeta,
    store::{
        Activity, Create, Created, CreatedSession, Deadline, Interrupted, Loaded, Others,
        RecordWrite, Replace, Replaced, ReplacedSession, SessionLimit, Store, StoreError,
        StoreErrorKind,
    },
};
use portcullis_redis::{
    RedisStore,
    testing::{TestServer, TestWire},
};
use support::{
    Anonymous, LIMITS, NAME, anonymous, connect_to, create_owned, end_of, ended, in_lists, key_of,
    live, owned, payload, server_and_store, spelled, write_of,
};

const RESTART: Deadline = Deadline::Restart(LIMITS);

/// The bucket of the user, and another one.
fn buckets() -> [Bucket; 2] {
    let own = Bucket::of(&"alice".into());
    let other = Bucket::from_number((own.number() + 1) % 1024);
    [own, other.unwrap()]
}

async fn visitor_in(bucket: Bucket, store: &RedisStore) -> ReplacedSession {
    let key = SessionId::generate(bucket).unwrap().key();
    let (_, expected) = support::create(store, &key).await;
    ReplacedSession {
        key,
        meta: anonymous(),
        expected,
        note: None,
    }
}

/// A user signs in who may have one session.
struct SignIn {
    key: SessionIdHash,
    write: RecordWrite,
}

impl SignIn {
    fn of(user: &str, store: &RedisStore) -> Self {
        Self {
            key: key_of(user),
            write: write_of(&owned(store, user), payload()),
        }
    }

    async fn create(&self, store: &RedisStore) -> Result<Created, Interrupted> {
        let others = Others::Limited(SessionLimit::displace(1).unwrap());
        let created = store.create(Create::new(&self.key, &self.write, LIMITS, &others));
        created.await
    }

    async fn replace(
        &self,
        old: &ReplacedSession,
        store: &RedisStore,
    ) -> Result<Replaced, Interrupted> {
        let others = Others::Limited(SessionLimit::displace(1).unwrap());
        let replaced = store.replace(Replace::new(old, &self.key, &self.write, RESTART, &others));
        replaced.await
    }

    /// Waits until nothing is left of it.
    async fn is_taken_back(&self, server: &TestServer, store: &RedisStore) {
        let since = Instant::now();
        while store.load(&self.key).await.unwrap() != Loaded::Absent {
            assert!(since.elapsed() < Duration::from_secs(5));
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(in_lists(server, &self.key), 0);
    }
}

/// A store that may not touch everything, as soon as that is said.
async fn connect_as_app(url: &str, server: &TestServer) -> RedisStore {
    let rule = ["ACL", "SETUSER", "app", "on", "nopass", "+@all", "&*", "~*"];
    assert_eq!(server.cli(&rule).text(), "OK");
    let url = url.replacen("://", "://app@", 1);
    connect_to(url).await
}

/// Two sessions of the user, and a store that cannot end the second.
async fn one_of_two(
    server: &TestServer,
    store: &RedisStore,
) -> ((SessionIdHash, SessionMeta), SessionIdHash, RedisStore) {
    let (goes, meta, _) = create_owned(store, "alice").await;
    let (stays, ..) = create_owned(store, "alice").await;
    let app = connect_as_app(&server.url(), server).await;
    server.keep_from("app", &spelled(&stays));
    ((goes, meta), stays, app)
}

async fn is_displaced(key: &SessionIdHash, meta: &SessionMeta, store: &RedisStore) {
    let displaced = ended(EndReason::Displaced, meta.handle);
    assert_eq!(store.load(key).await.unwrap(), displaced);
}

#[tokio::test]
async fn rule_12_a_sign_in_that_fails_names_those_who_had_to_go_for_it() {
    let (server, store) = server_and_store().await;
    let ((gone, meta), stays, app) = one_of_two(&server, &store).await;
    let sign_in = SignIn::of("alice", &store);
    let failed = sign_in.create(&app).await.unwrap_err();
    assert_eq!(failed.error.kind(), StoreErrorKind::Misconfigured);
    assert_eq!(failed.ended, [meta.handle]);
    is_displaced(&gone, &meta, &store).await;
    live(&store, &stays).await;
    sign_in.is_taken_back(&server, &store).await;
}

#[tokio::test]
async fn a_visitor_keeps_their_session_where_those_who_have_to_go_cannot_be_ended() {
    for bucket in buckets() {
        let (server, store) = server_and_store().await;
        let visitor = visitor_in(bucket, &store).await;
        let before = live(&store, &visitor.key).await;
        let ((gone, meta), stays, app) = one_of_two(&server, &store).await;
        let sign_in = SignIn::of("alice", &store);
        let failed = sign_in.replace(&visitor, &app).await.unwrap_err();
        assert_eq!(failed.ended, [meta.handle]);
        is_displaced(&gone, &meta, &store).await;
        sign_in.is_taken_back(&server, &store).await;
        assert_eq!(live(&store, &visitor.key).await, before);
        live(&store, &stays).await;
    }
}

#[tokio::test]
async fn a_sign_in_over_the_limit_ends_all_it_has_to_in_any_bucket() {
    for bucket in buckets() {
        let (server, store) = server_and_store().await;
        let visitor = visitor_in(bucket, &store).await;
        let (goes, meta, _) = create_owned(&store, "alice").await;
        let sign_in = SignIn::of("alice", &store);
        let replaced = sign_in.replace(&visitor, &store).await.unwrap();
        let Replaced::Done(CreatedSession {
            timing,
            revision,
            displaced,
            ..
        }) = replaced
        else {
            panic!("{replaced:?}")
        };
        let stored = live(&store, &sign_in.key).await;
        assert_eq!((stored.timing, stored.revision), (timing, revision));
        assert_eq!(displaced, [meta.handle]);
        is_displaced(&goes, &meta, &store).await;
        let over = ended(EndReason::ReplacedAtSignIn, NAME);
        assert_eq!(store.load(&visitor.key).await.unwrap(), over);
        let in_lists = [goes, visitor.key, sign_in.key].map(|key| in_lists(&server, &key));
        assert_eq!(in_lists, [0, 0, 2]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_12_where_the_visitor_s_session_cannot_be_ended_those_who_went_are_named() {
    for bucket in buckets() {
        let (server, store) = server_and_store().await;
        let visitor = visitor_in(bucket, &store).await;
        let (goes, meta, _) = create_owned(&store, "alice").await;
        let wire = TestWire::to(&server);
        let app = connect_as_app(&wire.url(), &server).await;
        let held = wire.hold(&spelled(&goes));
        let (sign_in, old) = (SignIn::of("alice", &store), visitor.clone());
        let under_way = tokio::spawn(async move { (sign_in.replace(&old, &app).await, sign_in) });
        held.reached();
        server.keep_from("app", &spelled(&visitor.key));
        drop(held);
        let (failed, sign_in) = under_way.await.unwrap();
        assert_eq!(failed.unwrap_err().ended, [meta.handle]);
        is_displaced(&goes, &meta, &store).await;
        sign_in.is_taken_back(&server, &store).await;
        live(&store, &visitor.key).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_12_a_sign_in_that_is_overtaken_names_those_who_had_to_go_for_it() {
    for (bucket, ends) in buckets().into_iter().zip([true, false]) {
        let (server, store) = server_and_store().await;
        let wire = TestWire::to(&server);
        let slow = connect_to(wire.url()).await;
        let visitor = visitor_in(bucket, &store).await;
        let (goes, meta, _) = create_owned(&store, "alice").await;
        let held = wire.hold(&spelled(&goes));
        let (sign_in, old) = (SignIn::of("alice", &store), visitor.clone());
        let under_way = tokio::spawn(async move { (sign_in.replace(&old, &slow).await, sign_in) });
        held.reached();
        let now = meanwhile(ends, &visitor, &store).await.unwrap();
        drop(held);
        let (overtaken, sign_in) = under_way.await.unwrap();
        assert_eq!(overtaken.unwrap(), Replaced::Overtaken(vec![meta.handle]));
        is_displaced(&goes, &meta, &store).await;
        sign_in.is_taken_back(&server, &store).await;
        let asked_again = sign_in.replace(&visitor, &store).await;
        assert_eq!(asked_again.unwrap(), now);
    }
}

/// Somebody ends the session of a visitor, or writes to it, and what a sign-in finds then.
async fn meanwhile(
    ends: bool,
    visitor: &ReplacedSession,
    store: &RedisStore,
) -> Result<Replaced, StoreError> {
    let ReplacedSession { key, expected, .. } = visitor;
    if ends {
        store.end_anonymous(key, EndReason::SignedOut).await?;
        return Ok(Replaced::Gone);
    }
    let written = Bytes::from_static(b"written meanwhile");
    let active = Activity::Active;
    store
        .commit_anonymous(key, *expected, written, active)
        .await?;
    Ok(Replaced::Conflict(live(store, key).await))
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_12_who_had_to_go_is_named_though_the_answer_was_lost_and_the_sign_in_goes_on() {
    let (server, store) = server_and_store().await;
    let wire = TestWire::to(&server);
    let cut_off = connect_to(wire.url()).await;
    let (goes, meta, _) = create_owned(&store, "alice").await;
    let sign_in = SignIn::of("alice", &store);
    wire.lose_answer(&spelled(&goes));
    match sign_in.create(&cut_off).await.unwrap() {
        Created::Done(CreatedSession { displaced, .. }) => assert_eq!(displaced, [meta.handle]),
        other => panic!("{other:?}"),
    }
    is_displaced(&goes, &meta, &store).await;
    live(&store, &sign_in.key).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_signed_out_meanwhile_did_not_have_to_go_though_the_answer_was_lost() {
    let (server, store) = server_and_store().await;
    let wire = TestWire::to(&server);
    let cut_off = connect_to(wire.url()).await;
    let (goes, meta, _) = create_owned(&store, "alice").await;
    let sign_in = SignIn::of("alice", &store);
    let held = wire.hold(&spelled(&goes));
    let under_way = tokio::spawn(async move { sign_in.create(&cut_off).await });
    held.reached();
    let reason = EndReason::SignedOut;
    store.end(&end_of(&goes, &meta, reason)).await.unwrap();
    wire.lose_answer(&spelled(&goes));
    drop(held);
    match under_way.await.unwrap().unwrap() {
        Created::Done(CreatedSession { displaced, .. }) => assert_eq!(displaced, []),
        other => panic!("{other:?}"),
    }
}
