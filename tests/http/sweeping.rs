//! Expired sessions are reported without another request: once, by one of any number of servers.

use std::{collections::HashSet, convert::Infallible, time::Duration};

use axum::body::Body;
use http::{Request, Response};
use portcullis::{
    MemoryStore, Session, SessionLayer, Timeouts,
    audit::{
        Actor,
        EventKind::{self, *},
    },
    session::EndReason,
    store::{ManualClock, Store},
};
use portcullis_tests::{
    Backend, CapturedAudit, Moment, Op, Redis, World, hours, minutes, on_every_store, seconds,
};
use tower::{Layer, ServiceExt, service_fn};

on_every_store![
    t75_a_session_that_expired_while_the_application_was_down_is_reported_when_it_is_back,
    t74_however_many_servers_sweep_at_once_each_end_is_reported_once,
    each_end_is_reported_with_session_user_moment_and_reason,
    an_elevation_that_expires_is_reported,
    a_live_session_is_left_alone,
    an_end_that_a_request_reported_is_not_reported_by_a_sweep,
    a_request_after_the_sweep_gets_the_reason,
    a_session_that_was_ended_or_moved_is_not_reported_as_expired,
    a_sweep_that_fails_reports_later,
    s099_a_sweep_shows_the_contents_of_the_store_to_no_client,
];

const IDLE: EventKind = Ended(EndReason::IdleTimeout);

async fn t75_a_session_that_expired_while_the_application_was_down_is_reported_when_it_is_back<
    B: Backend,
>() {
    let world = World::<B>::start().await;
    let mut expected = HashSet::new();
    for user in ["alice", "alice", "bob", "carol"] {
        expected.insert(world.signed_in(user).await.handle().await);
    }
    for _ in 0..2 {
        expected.insert(world.shopping(&[1]).await.handle().await);
    }
    world.forget();
    world.advance(hours(48));

    // None of the clients that knew them is left.
    let audit = CapturedAudit::default();
    let layer = world.another_layer().await.audit(audit.clone());
    let sessions = layer.sessions();
    assert_eq!(sessions.sweep().await.unwrap(), expected.len());
    let events: Vec<_> = audit.take();
    assert_eq!(events.len(), expected.len());
    let names: HashSet<_> = events
        .iter()
        .map(|event| event.session.unwrap().to_string())
        .collect();
    assert_eq!(names, expected);
    assert!(events.iter().all(|event| event.kind == IDLE));
    assert_eq!(sessions.sweep().await.unwrap(), 0);
    assert_eq!(world.layer.sessions().sweep().await.unwrap(), 0);
    assert_eq!((audit.take(), world.audit.take()), (vec![], vec![]));
}

async fn t74_however_many_servers_sweep_at_once_each_end_is_reported_once<B: Backend>() {
    let world = World::<B>::with(|layer| layer.session_limit(None)).await;
    let clients: Vec<_> = (0..60).map(|_| world.client()).collect();
    for (n, client) in clients.iter().enumerate() {
        // Many sessions expire in one bucket.
        let change = match n % 3 {
            0 => format!("/login?user=user{n}"),
            _ => "/login?user=alice".to_owned(),
        };
        client.post(&change).await.is(204);
    }
    world.advance(minutes(30));
    let audit = CapturedAudit::default();
    let mut sweeps = Vec::new();
    for _ in 0..5 {
        let layer = world.another_layer().await.audit(audit.clone());
        sweeps.push(tokio::spawn(async move {
            layer.sessions().sweep().await.unwrap()
        }));
    }
    // Some clients send a request meanwhile.
    let world_audit = world.audit.clone();
    world_audit.take();
    for client in &clients[..10] {
        client.get("/me").await.is(401).keeps_the_cookie();
    }
    let mut by_sweeps = 0;
    for sweep in sweeps {
        by_sweeps += sweep.await.unwrap();
    }
    let mut events = world_audit.take_ends();
    assert_eq!(by_sweeps + events.len(), 60);
    events.extend(audit.take());
    let names: HashSet<_> = events.iter().map(|event| event.session.unwrap()).collect();
    assert_eq!((names.len(), events.len()), (60, 60));
    // Whichever server reported it, the client gets the reason too.
    for client in &clients[..10] {
        let reply = client.get("/me").await;
        assert_eq!(reply.is(401).reason().as_deref(), Some("idle_timeout"));
    }
}

async fn each_end_is_reported_with_session_user_moment_and_reason<B: Backend>() {
    let timeouts = Timeouts::new(minutes(30), minutes(40)).unwrap();
    let world = World::<B>::with(|layer| layer.timeouts(timeouts)).await;
    let (alice, bob) = (world.signed_in("alice").await, world.signed_in("bob").await);
    let names = [alice.handle().await, bob.handle().await];
    world.advance(minutes(20));
    alice.get("/me").await.is(200);
    world.advance(minutes(60));
    world.forget();
    world.layer.sessions().sweep().await.unwrap();
    let mut events = world.audit.take();
    events.sort_by_key(|event| event.user.clone());
    let [of_alice, of_bob] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!(of_alice.kind, Ended(EndReason::AbsoluteTimeout));
    assert_eq!(of_bob.kind, IDLE);
    for ((event, name), ago) in events.iter().zip(&names).zip([40, 50]) {
        assert_eq!(event.session.unwrap().to_string(), *name);
        assert_eq!(event.actor, Actor::System);
        let passed = Store::now(&world.store).since(event.at);
        portcullis_tests::about(passed.as_millis() as u64, minutes(ago));
    }
}

async fn an_elevation_that_expires_is_reported<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    client.elevate().await;
    let other = world.signed_in("bob").await;
    other.elevate().await;
    other.post("/drop").await.is(200);
    world.advance(minutes(15));
    world.forget();
    assert_eq!(world.layer.sessions().sweep().await.unwrap(), 1);
    let events = world.audit.take();
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].kind, ElevationEnded);
    assert_eq!(
        events[0].session.unwrap().to_string(),
        client.handle().await
    );
    client.get("/me").await.is(200);
    world.advance(minutes(5));
    assert_eq!(world.layer.sessions().sweep().await.unwrap(), 0);
}

async fn a_live_session_is_left_alone<B: Backend>() {
    let world = World::<B>::start().await;
    let (client, anonymous) = (world.signed_in("alice").await, world.shopping(&[7]).await);
    client.elevate().await;
    for _ in 0..3 {
        world.advance(minutes(4));
        world.forget();
        assert_eq!(world.layer.sessions().sweep().await.unwrap(), 0);
        assert_eq!(client.get("/me").await.is(200).body(), "alice");
        anonymous.get("/cart").await.is(200);
        client.post("/transfer").await.is(200);
        assert_eq!(client.devices().await.len(), 1);
        assert_eq!(world.audit.take_kinds(), []);
    }
    assert_eq!(anonymous.view().await.cart, [7]);
}

async fn an_end_that_a_request_reported_is_not_reported_by_a_sweep<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    world.advance(minutes(30));
    client.get("/me").await.is(401);
    assert_eq!(world.audit.take_kinds(), [IDLE]);
    assert_eq!(world.layer.sessions().sweep().await.unwrap(), 0);
    client.get("/me").await.is(401);
    let used = UsedAfterEnd(EndReason::IdleTimeout);
    assert_eq!(world.audit.take_kinds(), [used]);
}

async fn a_request_after_the_sweep_gets_the_reason<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    world.advance(minutes(30));
    let elsewhere = world.another_layer().await;
    assert_eq!(elsewhere.sessions().sweep().await.unwrap(), 1);
    world.advance(hours(23));
    let reply = client.get("/me").await;
    assert_eq!(reply.is(401).reason().as_deref(), Some("idle_timeout"));
    assert_eq!(client.view().await.ended.as_deref(), Some("idle_timeout"));
}

async fn a_session_that_was_ended_or_moved_is_not_reported_as_expired<B: Backend>() {
    let world = World::<B>::start().await;
    let [desk, phone] = world.elevated_and_other("alice").await;
    desk.delete(&format!("/sessions/{}", phone.handle().await))
        .await
        .is(200);
    for change in ["/regenerate", "/elevate", "/login?user=alice"] {
        desk.post(change).await.is(204);
    }
    let anonymous = world.shopping(&[1]).await;
    anonymous.post("/login?user=bob").await.is(204);
    anonymous.post("/logout").await.is(204);
    let handle = desk.handle().await;
    world.forget();
    world.advance(hours(30));
    assert_eq!(world.layer.sessions().sweep().await.unwrap(), 1);
    let events = world.audit.take();
    assert_eq!(events[0].session.unwrap().to_string(), handle);
}

async fn a_sweep_that_fails_reports_later<B: Backend>() {
    let world = World::<B>::start().await;
    world.signed_in("alice").await;
    world.advance(minutes(30));
    world.store.fail(Op::Sweep, Moment::Before);
    assert!(world.layer.sessions().sweep().await.is_err());
    assert_eq!(world.audit.take(), []);
    assert_eq!(world.layer.sessions().sweep().await.unwrap(), 1);
    assert_eq!(world.audit.take_kinds(), [IDLE]);
}

async fn s099_a_sweep_shows_the_contents_of_the_store_to_no_client<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    world.advance(minutes(30));
    world.layer.sessions().sweep().await.unwrap();
    let events = format!("{:?}", world.audit.take());
    assert!(!events.contains(&client.id()[..8]), "{events}");
}

/// Without a sweep the lists would grow with each session that expires.
#[tokio::test(flavor = "multi_thread")]
async fn t71_s076_after_a_sweep_no_list_is_left_in_redis() {
    let world = World::<Redis>::start().await;
    for user in ["alice", "alice", "bob"] {
        world.signed_in(user).await.elevate().await;
    }
    world.shopping(&[1]).await;
    let one = world.signed_in("carol").await;
    assert!(world.backend.lists().len() >= 7);
    world.advance(minutes(20));
    one.get("/me").await.is(200);
    world.advance(minutes(20));
    world.layer.sessions().sweep().await.unwrap();
    // One user's, and that of her bucket.
    assert_eq!(world.backend.lists().len(), 2);
    one.post("/logout").await.is(204);
    assert_eq!(world.backend.lists(), [""; 0]);
}

/// The layer sweeps by itself. This clock is Tokio's and moves as soon as all tasks wait.
#[tokio::test(start_paused = true)]
async fn t75_the_layer_sweeps_by_itself_for_as_long_as_it_serves() {
    let (clock, audit) = (ManualClock::new(), CapturedAudit::default());
    let store = MemoryStore::with_clock(&clock);
    let layer = SessionLayer::new(store.clone()).audit(audit.clone());
    let service = layer.layer(service_fn(async |request: Request<Body>| {
        let session = Session::load(request.extensions()).await.unwrap();
        session.authenticate("alice").unwrap();
        Ok::<_, Infallible>(Response::new(Body::empty()))
    }));
    service.clone().oneshot(Request::default()).await.unwrap();
    assert_eq!(audit.take_kinds(), [Authenticated]);
    tokio::time::sleep(minutes(5)).await;
    assert_eq!(audit.take_kinds(), []);
    clock.advance(minutes(30));
    tokio::time::sleep(seconds(60)).await;
    assert_eq!(audit.take_kinds(), [IDLE]);
    tokio::time::sleep(minutes(5)).await;
    assert_eq!(audit.take_kinds(), []);

    service.clone().oneshot(Request::default()).await.unwrap();
    drop((service, layer));
    clock.advance(minutes(30));
    tokio::time::sleep(minutes(5)).await;
    assert_eq!(audit.take_kinds(), [Authenticated]);
}

/// For applications that sweep elsewhere.
#[tokio::test(start_paused = true)]
async fn without_sweeping_the_layer_reports_nothing_by_itself() {
    let (clock, audit) = (ManualClock::new(), CapturedAudit::default());
    let store = MemoryStore::with_clock(&clock);
    let layer = SessionLayer::new(store)
        .audit(audit.clone())
        .sweeping(false);
    let service = layer.layer(service_fn(async |request: Request<Body>| {
        let session = Session::load(request.extensions()).await.unwrap();
        session.authenticate("alice").unwrap();
        Ok::<_, Infallible>(Response::new(Body::empty()))
    }));
    service.clone().oneshot(Request::default()).await.unwrap();
    clock.advance(minutes(30));
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(audit.take_kinds(), [Authenticated]);
    assert_eq!(layer.sessions().sweep().await.unwrap(), 1);
}
