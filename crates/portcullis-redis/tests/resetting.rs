//! Sign-ins that end all other sessions of their user, where something comes in between.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::time::Duration;

use portcullis_core::{
    Actor, EndReason, EventKind, Note, SessionMeta,
    store::{
        Activity, Commit, Create, Created, CreatedSession, Deadline, EndOthers, Loaded, Others,
        RecordWrite, Replace, Replaced, ReplacedSession, SessionLimit, Store, Touch,
    },
};
use portcullis_redis::{
    RedisStore,
    testing::{TestServer, TestWire, wait_until},
};
use support::{
    LIMITS, create_owned, end_of, ended, key_of, later, lists, live, owned, payload,
    server_and_store, spelled, write_of,
};

/// Longer than anything takes that is held.
const PATIENT: Duration = Duration::from_secs(10);

fn end_others() -> Others {
    let reason = EndReason::RevokedByUser;
    Others::End(EndOthers {
        reason,
        note: Note::new(EventKind::Ended(reason), Actor::Client, None),
        longest: Some(LIMITS.absolute),
    })
}

async fn patient(url: String) -> RedisStore {
    let builder = RedisStore::builder(url).wait(PATIENT);
    builder.connect().await.unwrap()
}

#[tokio::test]
async fn as_many_others_end_as_there_are() {
    let server = TestServer::start();
    let store = patient(server.url()).await;
    let mut keys = Vec::new();
    for _ in 0..520 {
        keys.push(create_owned(&store, "alice").await.0);
    }
    later(&store).await;
    let write = write_of(&owned(&store, "alice"), payload());
    let created = store
        .create(Create::new(&key_of("alice"), &write, LIMITS, &end_others()))
        .await;
    let Created::Done(CreatedSession {
        displaced: others, ..
    }) = created.unwrap()
    else {
        panic!("not created")
    };
    assert_eq!(others.len(), 520);
    for key in &keys {
        assert!(!matches!(store.load(key).await.unwrap(), Loaded::Live(_)));
    }
}

#[tokio::test]
async fn t07_a_session_that_its_user_s_list_has_lost_ends_as_well() {
    let (server, store) = server_and_store().await;
    let (lost, meta, _) = create_owned(&store, "alice").await;
    server.cli(&["DEL", &lists(&server, "u").remove(0)]);
    later(&store).await;
    let write = write_of(&owned(&store, "alice"), payload());
    let created = store
        .create(Create::new(&key_of("alice"), &write, LIMITS, &end_others()))
        .await;
    assert!(
        matches!(created.unwrap(), Created::Done(CreatedSession { displaced: others, .. }) if others == [meta.handle])
    );
    let revoked = ended(EndReason::RevokedByUser, meta.handle);
    assert_eq!(store.load(&lost).await.unwrap(), revoked);
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_12_one_that_dies_of_the_marker_first_is_named_all_the_same() {
    let (server, store) = server_and_store().await;
    let wire = TestWire::to(&server);
    let slow = patient(wire.url()).await;
    let (goes, meta, _) = create_owned(&store, "alice").await;
    later(&slow).await;
    let write = write_of(&owned(&slow, "alice"), payload());
    let held = wire.hold(&spelled(&goes));
    let sign_in = tokio::spawn(async move {
        let (key, others) = (key_of("alice"), end_others());
        slow.create(Create::new(&key, &write, LIMITS, &others))
            .await
    });
    held.reached();
    store
        .touch(Touch::new(&goes, &meta, Activity::Active))
        .await
        .unwrap();
    drop(held);
    let created = sign_in.await.unwrap().unwrap();
    assert!(
        matches!(created, Created::Done(CreatedSession { displaced: others, .. }) if others == [meta.handle])
    );
}

/// A user signs in again, and the answer to the first attempt is lost.
struct Repeated {
    server: TestServer,
    store: RedisStore,
    old: ReplacedSession,
    other: portcullis_core::SessionIdHash,
    write: RecordWrite,
}

impl Repeated {
    async fn start() -> Self {
        let (server, store) = server_and_store().await;
        let (key, meta, expected) = create_owned(&store, "alice").await;
        let (other, ..) = create_owned(&store, "alice").await;
        later(&store).await;
        // The same person, and so the same name.
        let again = SessionMeta {
            handle: meta.handle,
            ..owned(&store, "alice")
        };
        Self {
            old: ReplacedSession {
                key,
                meta,
                expected,
                note: None,
            },
            write: write_of(&again, payload()),
            server,
            store,
            other,
        }
    }

    /// What comes of the second attempt, before which this happens, and the key that the sign-in drew.
    async fn with(&self, others: Others, meanwhile: impl AsyncFnOnce()) -> Replaced {
        let wire = TestWire::to(&self.server);
        let slow = patient(wire.url()).await;
        // The server knows the script, so that one message is all.
        let (key, meta, expected) = create_owned(&slow, "bob").await;
        let (old, keep) = (
            ReplacedSession {
                key,
                meta: meta.clone(),
                expected,
                note: None,
            },
            Deadline::Keep(Activity::Active),
        );
        let write = write_of(&meta, payload());
        slow.replace(Replace::new(
            &old,
            &key_of("bob"),
            &write,
            keep,
            &Others::Stay,
        ))
        .await
        .unwrap();
        let new = key_of("alice");
        let mark = spelled(&new);
        let held = wire.hold(&mark);
        let (old, write) = (self.old.clone(), self.write.clone());
        let sign_in = tokio::spawn(async move {
            let restart = Deadline::Restart(LIMITS);
            let answer = slow
                .replace(Replace::new(&old, &new, &write, restart, &others))
                .await;
            (answer, slow)
        });
        held.reached();
        wire.lose_answer(&mark);
        drop(held);
        while !matches!(self.store.load(&new).await.unwrap(), Loaded::Live(_)) {
            tokio::task::yield_now().await;
        }
        let held = wire.hold(&mark);
        held.reached();
        meanwhile().await;
        drop(held);
        let (answer, slow) = sign_in.await.unwrap();
        // Whatever may have been made is taken back.
        let runtime = tokio::runtime::Handle::current();
        let is_live =
            || tokio::task::block_in_place(|| runtime.block_on(self.store.load(&new))).unwrap();
        wait_until("the new session is taken back", || {
            !matches!(is_live(), Loaded::Live(_))
        })
        .await;
        drop(slow);
        answer.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_2_a_repeated_sign_in_whose_session_was_signed_out_meanwhile_comes_to_nothing() {
    let repeated = Repeated::start().await;
    let Repeated {
        store, old, other, ..
    } = &repeated;
    let sign_out = async || {
        let end = end_of(&old.key, &old.meta, EndReason::SignedOut);
        store.end(&end).await.unwrap();
    };
    assert_eq!(repeated.with(end_others(), sign_out).await, Replaced::Gone);
    live(store, other).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_sign_in_that_meets_a_conflict_leaves_no_session_behind() {
    let one = Others::Limited(SessionLimit::displace(1).unwrap());
    for others in [end_others(), one] {
        let repeated = Repeated::start().await;
        let Repeated { store, old, .. } = &repeated;
        let write_meanwhile = async || {
            let write = write_of(&old.meta, "meanwhile");
            let active = Activity::Active;
            let committed = store.commit(Commit::new(&old.key, old.expected, &write, active));
            committed.await.unwrap();
        };
        let replaced = repeated.with(others, write_meanwhile).await;
        assert!(matches!(replaced, Replaced::Conflict(_)), "{replaced:?}");
    }
}

/// A list with more entries than a script may unpack at once.
#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_ends_any_number_of_other_sessions() {
    let (server, store) = server_and_store().await;
    create_owned(&store, "alice").await;
    later(&store).await;
    let list = lists(&server, "u").remove(0);
    let script = "local time = redis.call('TIME') \
                  for i = 1, 8200 do \
                    local entry = 'l0' .. string.format('%016d%012d', i, i) \
                    redis.call('ZADD', KEYS[1], time[1] * 1000 + 600000, entry) \
                  end \
                  return 1";
    server.cli(&["EVAL", script, "1", &list]);
    let (key, write) = (
        key_of("alice"),
        write_of(&owned(&store, "alice"), payload()),
    );
    let created = store
        .create(Create::new(&key, &write, LIMITS, &end_others()))
        .await;
    assert!(matches!(created, Ok(Created::Done(_))), "{created:?}");
    live(&store, &key).await;
}
