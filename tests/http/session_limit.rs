//! How many sessions a user may have, and what happens above the limit.

use portcullis::{
    audit::{
        Actor,
        EventKind::{self, *},
    },
    session::EndReason::Displaced,
    settings::SessionLimit,
};
use portcullis_tests::{
    Backend, Client, Device, Moment, Op, Redis, Reply, Server, World, minutes, on_every_store,
    seconds,
};

on_every_store![
    t76_s071_of_twenty_sign_ins_at_once_as_many_are_live_as_the_limit_allows,
    t76_s071_of_twenty_anonymous_sessions_that_sign_in_at_once_too,
    t76_s071_where_more_are_refused_as_many_sign_ins_succeed_as_the_limit_allows,
    s070_the_least_recently_used_is_displaced_and_its_client_gets_the_reason,
    s070_where_more_are_refused_a_sign_in_is_an_error_and_the_anonymous_session_stays,
    an_application_can_ask_what_to_do,
    s070_by_default_ten_sessions_may_be_live,
    without_a_limit_there_is_none,
    a_session_that_continues_is_not_counted_twice,
    a_session_that_ended_is_not_counted,
    signing_in_as_another_user_frees_a_place,
    the_limit_is_each_users_own,
    a_sign_in_of_a_handler_that_failed_displaces_no_session,
    a_session_displaced_while_it_writes_refuses_the_write_with_the_reason,
    a_sign_in_that_cannot_be_written_displaces_no_session_and_the_anonymous_session_stays,
    rule_12_a_displaced_session_is_reported_though_the_client_disconnected,
];

fn three() -> SessionLimit {
    SessionLimit::displace(3).unwrap()
}

async fn with_limit<B: Backend>(limit: impl Into<Option<SessionLimit>>) -> World<B> {
    World::with(|layer| layer.session_limit(limit)).await
}

async fn list_of<B: Backend>(world: &World<B>, user: &str) -> Vec<Device> {
    let list = world.client().get(&format!("/operator/{user}")).await;
    list.is(200).json()
}

/// All of them sign in, and none before all are about to.
async fn sign_in_at_once<B: Backend>(world: &World<B>, op: Op, clients: &[Client]) -> Vec<Reply> {
    let gate = world.store.hold_each(op, Moment::Before, clients.len());
    let flights: Vec<_> = clients
        .iter()
        .map(|client| client.post("/login?user=alice").start())
        .collect();
    for _ in clients {
        gate.reached().await;
    }
    world.forget();
    gate.open();
    let mut replies = Vec::new();
    for flight in flights {
        replies.push(flight.reply().await);
    }
    replies
}

#[track_caller]
fn is_at_limit(reply: &Reply) {
    reply
        .is_problem(409, "session-limit-reached")
        .keeps_the_cookie();
}

async fn are_live(clients: &[Client]) -> usize {
    let mut live = 0;
    for client in clients {
        live += usize::from(client.get("/me").await.status() == 200);
    }
    live
}

async fn t76_s071_of_twenty_sign_ins_at_once_as_many_are_live_as_the_limit_allows<B: Backend>() {
    let world = with_limit::<B>(three()).await;
    let clients: Vec<_> = (0..20).map(|_| world.client()).collect();
    for reply in sign_in_at_once(&world, Op::Create, &clients).await {
        reply.is(204).new_id();
    }
    assert_eq!(are_live(&clients).await, 3);
    assert_eq!(world.backend.live(), 3);
    assert_eq!(list_of(&world, "alice").await.len(), 3);
    let displaced = Ended(Displaced);
    let kinds = world.audit.take_kinds();
    let count = |kind: &EventKind| kinds.iter().filter(|kinds| *kinds == kind).count();
    assert_eq!((count(&Authenticated), count(&displaced)), (20, 17));
}

async fn t76_s071_of_twenty_anonymous_sessions_that_sign_in_at_once_too<B: Backend>() {
    let world = with_limit::<B>(three()).await;
    let mut clients = Vec::new();
    for n in 0..20 {
        clients.push(world.shopping(&[n]).await);
    }
    for reply in sign_in_at_once(&world, Op::Replace, &clients).await {
        reply.is(204).new_id();
    }
    assert_eq!(are_live(&clients).await, 3);
    assert_eq!(world.backend.live(), 3);
    assert_eq!(list_of(&world, "alice").await.len(), 3);
}

async fn t76_s071_where_more_are_refused_as_many_sign_ins_succeed_as_the_limit_allows<
    B: Backend,
>() {
    let world = with_limit::<B>(SessionLimit::refuse(3).unwrap()).await;
    let clients: Vec<_> = (0..20).map(|_| world.client()).collect();
    let replies = sign_in_at_once(&world, Op::Create, &clients).await;
    let refused: Vec<_> = replies.iter().filter(|it| it.status() != 204).collect();
    assert_eq!(refused.len(), 17);
    refused.into_iter().for_each(is_at_limit);
    assert_eq!(are_live(&clients).await, 3);
    assert_eq!(world.backend.live(), 3);
}

async fn s070_the_least_recently_used_is_displaced_and_its_client_gets_the_reason<B: Backend>() {
    let world = with_limit::<B>(three()).await;
    let mut clients = Vec::new();
    for _ in 0..3 {
        clients.push(world.signed_in("alice").await);
        world.advance(minutes(2));
    }
    // The oldest one is in use, so the second one is displaced.
    clients[0].get("/me").await.is(200);
    world.advance(seconds(1));
    let handle = clients[1].handle().await;
    world.forget();
    let fourth = world.client();
    fourth.post("/login?user=alice").await.is(204).new_id();
    let ends = world.audit.take_ends();
    assert_eq!(ends.len(), 1);
    assert_eq!(
        (&ends[0].kind, &ends[0].actor),
        (&Ended(Displaced), &Actor::System)
    );
    assert_eq!(ends[0].session.unwrap().to_string(), handle);
    assert_eq!(ends[0].user, Some("alice".into()));

    let reply = clients[1].get("/me").await;
    reply.is(401).keeps_the_cookie();
    assert_eq!(reply.reason().as_deref(), Some("displaced_by_limit"));
    let page = clients[1].view().await;
    assert_eq!(page.ended.as_deref(), Some("displaced_by_limit"));
    for client in [&clients[0], &clients[2], &fourth] {
        client.get("/me").await.is(200);
    }
}

async fn s070_where_more_are_refused_a_sign_in_is_an_error_and_the_anonymous_session_stays<
    B: Backend,
>() {
    let world = with_limit::<B>(SessionLimit::refuse(1).unwrap()).await;
    let desk = world.signed_in("alice").await;
    let phone = world.shopping(&[1]).await;
    let id = phone.id();
    for client in [&phone, &world.client()] {
        world.forget();
        is_at_limit(&client.post("/login?user=alice").await);
        let [event] = &world.audit.take()[..] else {
            panic!("one event")
        };
        assert_eq!(event.kind, LimitReached);
        assert_eq!(event.user, Some("alice".into()));
    }
    assert_eq!(phone.id(), id);
    let view = phone.view().await;
    assert_eq!((view.user, view.cart), (None, vec![1]));
    phone.post("/cart?item=2").await.is(204);
    desk.get("/me").await.is(200);
    assert_eq!(world.backend.live(), 2);

    desk.post("/logout").await.is(204);
    phone.post("/login?user=alice").await.is(204).new_id();
    assert_eq!(phone.view().await.cart, [1, 2]);
}

async fn an_application_can_ask_what_to_do<B: Backend>() {
    let world = with_limit::<B>(SessionLimit::refuse(1).unwrap()).await;
    let desk = world.client();
    assert_eq!(
        desk.post("/login-asking?user=alice").await.body(),
        "signed in"
    );
    let phone = world.shopping(&[1]).await;
    let reply = phone.post("/login-asking?user=alice").await;
    assert_eq!(reply.is(200).keeps_the_cookie().body(), "too many");
    assert_eq!(phone.get("/get/asked").await.body(), "1");
    assert_eq!(phone.view().await.user, None);
}

async fn s070_by_default_ten_sessions_may_be_live<B: Backend>() {
    let world = World::<B>::start().await;
    let first = world.signed_in("alice").await;
    world.advance(minutes(1));
    for _ in 0..9 {
        world.signed_in("alice").await;
    }
    first.view().await.user.expect("a user");
    world.signed_in("alice").await;
    let page = first.view().await;
    assert_eq!(page.ended.as_deref(), Some("displaced_by_limit"));
    assert_eq!(list_of(&world, "alice").await.len(), 10);
    assert_eq!(world.backend.live(), 10);
}

async fn without_a_limit_there_is_none<B: Backend>() {
    let world = with_limit::<B>(None).await;
    for _ in 0..15 {
        world.signed_in("alice").await;
    }
    assert_eq!(list_of(&world, "alice").await.len(), 15);
}

async fn a_session_that_continues_is_not_counted_twice<B: Backend>() {
    for limit in [SessionLimit::displace(1), SessionLimit::refuse(1)] {
        let world = with_limit::<B>(limit.unwrap()).await;
        let client = world.signed_in("alice").await;
        for change in [
            "/login?user=alice",
            "/elevate",
            "/regenerate",
            "/everything",
        ] {
            client.post(change).await.is(204).new_id();
            client.get("/me").await.is(200);
        }
        assert_eq!(world.audit.take_ends(), []);
    }
}

async fn a_session_that_ended_is_not_counted<B: Backend>() {
    let world = with_limit::<B>(SessionLimit::refuse(1).unwrap()).await;
    world.signed_in("alice").await;
    world.advance(minutes(30));
    let second = world.signed_in("alice").await;
    second.post("/logout").await.is(204);
    world.signed_in("alice").await;
    let operator = world.client();
    assert_eq!(operator.delete("/operator/alice").await.body(), "1");
    portcullis_tests::a_moment().await;
    world.signed_in("alice").await;
    is_at_limit(&world.client().post("/login?user=alice").await);
}

async fn signing_in_as_another_user_frees_a_place<B: Backend>() {
    let world = with_limit::<B>(SessionLimit::refuse(1).unwrap()).await;
    let client = world.signed_in("alice").await;
    for user in ["bob", "alice"] {
        client
            .post(&format!("/login?user={user}"))
            .await
            .is(204)
            .new_id();
    }
    assert_eq!(world.backend.live(), 1);
    // A refused sign-in leaves the session unchanged.
    world.signed_in("bob").await;
    is_at_limit(&client.post("/login?user=bob").await);
    assert_eq!(client.get("/me").await.body(), "alice");
}

async fn the_limit_is_each_users_own<B: Backend>() {
    let world = with_limit::<B>(SessionLimit::displace(1).unwrap()).await;
    let (alice, bob) = (world.signed_in("alice").await, world.signed_in("bob").await);
    world.shopping(&[1]).await;
    for client in [&alice, &bob] {
        client.get("/me").await.is(200);
    }
    assert_eq!(world.backend.live(), 3);
}

async fn a_sign_in_of_a_handler_that_failed_displaces_no_session<B: Backend>() {
    let world = with_limit::<B>(SessionLimit::displace(1).unwrap()).await;
    let client = world.signed_in("alice").await;
    let failing = world.client().post("/login?user=alice").answered(500);
    failing.await.is(500);
    client.get("/me").await.is(200);
}

async fn a_session_displaced_while_it_writes_refuses_the_write_with_the_reason<B: Backend>() {
    let world = with_limit::<B>(SessionLimit::displace(1).unwrap()).await;
    for (change, op) in [("/put/a/b", Op::Commit), ("/elevate", Op::Replace)] {
        let client = world.signed_in("alice").await;
        let gate = world.store.hold(op, Moment::Before);
        let slow = client.post(change).start();
        gate.reached().await;
        world.client().post("/login?user=alice").await.is(204);
        gate.open();
        let reply = slow.reply().await;
        reply.is_problem(401, "session-ended").keeps_the_cookie();
        assert_eq!(reply.reason().as_deref(), Some("displaced_by_limit"));
        assert_eq!(world.backend.live(), 1);
    }
}

async fn a_sign_in_that_cannot_be_written_displaces_no_session_and_the_anonymous_session_stays<
    B: Backend,
>() {
    let world = with_limit::<B>(SessionLimit::displace(1).unwrap()).await;
    let desk = world.signed_in("alice").await;
    let phone = world.shopping(&[1]).await;
    for (op, client) in [(Op::Replace, &phone), (Op::Create, &world.client())] {
        world.store.fail(op, Moment::Before);
        let reply = client.post("/login?user=alice").await;
        reply.is(503).keeps_the_cookie();
        assert_eq!(world.audit.take_kinds(), [StoreFailed]);
    }
    desk.get("/me").await.is(200);
    assert_eq!(phone.view().await.cart, [1]);
}

async fn rule_12_a_displaced_session_is_reported_though_the_client_disconnected<B: Backend>() {
    let world = with_limit::<B>(SessionLimit::displace(1).unwrap()).await;
    for (op, client) in [
        (Op::Create, world.client()),
        (Op::Replace, world.shopping(&[1]).await),
    ] {
        let handle = world.signed_in("alice").await.handle().await;
        world.forget();
        let held = world.store.hold(op, Moment::Before);
        let flight = client.post("/login?user=alice").start();
        held.reached().await;
        flight.disconnect().await;
        world.client_disconnected().await;
        held.open();
        world.audit.until(Ended(Displaced)).await;
        is_reported_once(&world, &handle);
    }
}

/// Checks that the session of this name was displaced, and no other.
#[track_caller]
fn is_reported_once<B: Backend>(world: &World<B>, handle: &str) {
    let ends = world.audit.take_ends();
    let displaced: Vec<_> = ends
        .iter()
        .filter(|it| it.kind == Ended(Displaced))
        .collect();
    assert_eq!(displaced.len(), 1, "{ends:?}");
    assert_eq!(displaced[0].session.unwrap().to_string(), handle);
    assert_eq!(displaced[0].user, Some("alice".into()));
}

/// Another session of alice, who may have many on this server, and its hash in the store.
async fn one_more(world: &World<Redis>, server: &Server) -> (Client, String) {
    let known = world.backend.keys();
    let client = world.client_of(server);
    client.post("/login?user=alice").await.is(204);
    let mut keys = world.backend.keys();
    keys.retain(|key| !known.contains(key));
    (client, keys.remove(0))
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_12_a_session_displaced_for_a_sign_in_that_failed_is_reported_and_the_anonymous_session_stays()
 {
    for goes_away in [false, true] {
        let world = with_limit::<Redis>(SessionLimit::displace(1).unwrap()).await;
        let (redis, unlimited) = (world.backend.server(), world.layer.clone());
        let server = world.serve(unlimited.session_limit(None)).await;
        let ((ended, _), (live, key)) = (
            one_more(&world, &server).await,
            one_more(&world, &server).await,
        );
        let (handle, phone) = (ended.handle().await, world.shopping(&[1]).await);
        redis.keep_from("default", &key);
        let held = world.store.hold(Op::Replace, Moment::Before);
        let flight = phone.post("/login?user=alice").start();
        held.reached().await;
        if goes_away {
            flight.disconnect().await;
            world.client_disconnected().await;
            held.open();
        } else {
            held.open();
            flight.reply().await.is(503).keeps_the_cookie();
        }
        world.audit.until(StoreFailed).await;
        is_reported_once(&world, &handle);
        redis.cli(&["ACL", "SETUSER", "default", "allkeys"]);
        let reply = ended.get("/me").await;
        assert_eq!(reply.reason().as_deref(), Some("displaced_by_limit"));
        live.get("/me").await.is(200);
        let view = phone.view().await;
        assert_eq!((view.user, view.cart), (None, vec![1]));
        phone.post("/login?user=alice").await.is(204).new_id();
        assert_eq!(phone.view().await.cart, [1]);
        live.get("/me").await.is(401);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_12_a_session_displaced_for_a_sign_in_that_was_overtaken_is_reported_once_and_nothing_is_lost()
 {
    let (redis, wire) = Redis::on_a_wire().await;
    let one = SessionLimit::displace(1).unwrap();
    let world = World::on(redis, |layer| layer.session_limit(one)).await;
    let elsewhere = world.another_server().await;
    let handle = world.signed_in("alice").await.handle().await;
    let key = world.backend.keys().remove(0);
    let phone = world.shopping(&[1]).await;
    let held = wire.hold(&key);
    let flight = phone.post("/login?user=alice").start();
    held.reached();
    let other = phone.at(elsewhere.address());
    other.post("/cart?item=2").await.is(204);
    drop(held);
    flight.reply().await.is(204).new_id();
    is_reported_once(&world, &handle);
    assert_eq!(phone.view().await.cart, [1, 2]);
    portcullis_tests::a_moment().await;
    assert_eq!(world.backend.live(), 1);
}
