//! The cost of a request: its exact operations of the store, and its commands of Redis.

use portcullis::{
    audit::EventKind::UsedAfterEnd, session::EndReason::SignedOut, settings::SessionLimit,
};
use portcullis_core::{Bucket, SessionId};
use portcullis_tests::{
    Backend, Client, Gate, OBSERVE,
    Op::{self, *},
    Redis, World, minutes, on_every_store,
};

on_every_store![
    a_request_that_does_not_use_the_session_costs_nothing,
    a_request_without_a_cookie_costs_nothing_until_it_writes,
    a_request_costs_one_read_and_at_most_one_write,
    however_much_a_request_asks_for_it_is_written_once,
    what_changes_nothing_is_not_written,
    two_extractors_read_once,
    a_request_that_lost_a_race_costs_one_write_more,
];

/// The operations of the store for this request.
async fn cost<B: Backend>(world: &World<B>, client: &Client, request: &str) -> Vec<Op> {
    let (method, target) = request.split_once(' ').unwrap();
    world.forget();
    client.call(method.parse().unwrap(), target).await;
    world.store.take_calls()
}

async fn a_request_that_does_not_use_the_session_costs_nothing<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    world.advance(minutes(5));
    assert_eq!(cost(&world, &client, "GET /public").await, []);
    assert_eq!(cost(&world, &client, "GET /nothing-here").await, []);
}

async fn a_request_without_a_cookie_costs_nothing_until_it_writes<B: Backend>() {
    let world = World::<B>::start().await;
    for request in [
        "GET /session",
        "GET /me",
        "GET /maybe",
        "GET /account",
        "POST /logout",
    ] {
        assert_eq!(
            cost(&world, &world.client(), request).await,
            [],
            "{request}"
        );
    }
    for request in [
        "POST /cart?item=1",
        "POST /login?user=alice",
        "POST /everything",
    ] {
        assert_eq!(
            cost(&world, &world.client(), request).await,
            [Create],
            "{request}"
        );
    }
}

async fn a_request_costs_one_read_and_at_most_one_write<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.shopping(&[1]).await;
    for (request, operations) in [
        ("GET /cart", &[Load][..]),
        ("POST /login?user=alice", &[Load, Replace]),
        ("GET /me", &[Load]),
        ("POST /cart?item=2", &[Load, Commit]),
        ("POST /put/a/b", &[Load, Commit]),
        ("DELETE /key/a", &[Load, Commit]),
        ("POST /transfer", &[Load]),
        ("POST /elevate", &[Load, Replace]),
        ("POST /transfer", &[Load]),
        ("GET /danger", &[Load]),
        ("POST /drop", &[Load, Replace]),
        ("POST /regenerate", &[Load, Replace]),
        ("POST /login?user=bob", &[Load, Replace]),
        ("POST /logout-and-put", &[Load, End, Create]),
        ("POST /logout", &[Load, End]),
    ] {
        assert_eq!(
            cost(&world, &client, request).await,
            operations,
            "{request}"
        );
    }
}

async fn however_much_a_request_asks_for_it_is_written_once<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    world.advance(minutes(5));
    assert_eq!(
        cost(&world, &client, "POST /everything").await,
        [Load, Replace]
    );
    assert_eq!(
        cost(&world, &client, "POST /everything?logout=1").await,
        [Load, End]
    );
}

async fn what_changes_nothing_is_not_written<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    client.post("/put/a/b").await.is(204);
    for request in ["POST /put/a/b", "DELETE /key/nothing", "POST /drop"] {
        assert_eq!(cost(&world, &client, request).await, [Load], "{request}");
    }
    client.post("/clear").await.is(204);
    assert_eq!(cost(&world, &client, "POST /clear").await, [Load]);
}

async fn two_extractors_read_once<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    // Three extractors, and a guard in front of the handler.
    assert_eq!(cost(&world, &client, "GET /maybe").await, [Load]);
    assert_eq!(cost(&world, &client, "GET /account").await, [Load]);
}

async fn a_request_that_lost_a_race_costs_one_write_more<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    for (change, operations) in [
        ("/put/a/b", [Commit, Commit]),
        ("/elevate", [Replace, Replace]),
    ] {
        let gate = Gate::closed();
        let slow = client.post(change).held_at(&gate).start();
        gate.reached().await;
        client.post("/cart?item=1").await.is(204);
        world.forget();
        gate.open();
        slow.reply().await.is(204);
        assert_eq!(world.store.take_calls(), operations, "{change}");
    }
}

/// The commands that are sent to Redis for a request. A script is one.
#[tokio::test(flavor = "multi_thread")]
async fn every_request_costs_redis_the_commands_it_must_and_no_more() {
    let world = World::<Redis>::start().await;
    let client = know_all_scripts(&world).await;
    let old = client.fork();
    old.post("/login?user=dora").await.is(204);
    let dead = client.fork();
    old.clone().post("/logout").await.is(204);
    client.post("/login?user=alice").await.is(204);
    let (get, script) = ("get", "evalsha");
    let mut monitor = world.backend.monitor();
    for (client, request, commands) in [
        (&client, "GET /public", &[][..]),
        (&client, "GET /nothing-here", &[]),
        (&client, "GET /me", &[get]),
        (&client, "GET /maybe", &[get]),
        (&client, "POST /transfer", &[get]),
        (&client, "POST /put/a/c", &[get, script]),
        (&client, "POST /cart?item=1", &[get, script]),
        (&client, "POST /elevate", &[get, script]),
        (&client, "POST /drop", &[get, script]),
        (&client, "POST /regenerate", &[get, script]),
        (&client, "POST /login?user=alice", &[get, script]),
        (&client, "GET /sessions", &[get, "zrange", "getrange"]),
        (&client, "GET /history", &[get, "xrevrange"]),
        (&client, "POST /logout", &[get, script]),
        (&dead, "GET /me", &[get]),
        (&world.client(), "GET /session", &[]),
        (&world.client(), "GET /me", &[]),
        (&world.client(), "POST /login?user=alice", &[script]),
        (&world.client(), "POST /cart?item=1", &[script]),
        (&world.client().with_id("nonsense"), "GET /me", &[]),
        // It may have expired without a report yet. One round trip more finds out.
        (
            &world.client().with_id(&"A".repeat(43)),
            "GET /me",
            &[get, script, get],
        ),
    ] {
        let (method, target) = request.split_once(' ').unwrap();
        monitor.sent();
        client.call(method.parse().unwrap(), target).await;
        let mut sent = monitor.sent();
        // Refused operations are written into the log in the background.
        sent.retain(|command| command != OBSERVE);
        assert_eq!(sent, commands, "{request}");
    }
}

/// A visitor whose session is not in the bucket of alice, as rarely happens by chance.
async fn shopping_elsewhere(world: &World<Redis>) -> Client {
    loop {
        let client = world.shopping(&[1]).await;
        let id = SessionId::parse(client.id().as_bytes()).unwrap();
        if id.key().bucket() != Bucket::of(&"alice".into()) {
            return client;
        }
    }
}

/// With the user's list, the limit and the log. The new session is created while the old one is
/// loaded. Then the old one is ended. Displaced sessions are ended before that, in one more round
/// trip, however many they are.
#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_costs_redis_three_round_trips_and_four_with_a_displaced_session() {
    let two = SessionLimit::displace(2).unwrap();
    let world = World::<Redis>::with(|layer| layer.session_limit(two)).await;
    know_all_scripts(&world).await;
    let mut monitor = world.backend.monitor();
    for at_limit in [false, false, true, true] {
        let client = shopping_elsewhere(&world).await;
        monitor.sent();
        client.post("/login?user=alice").await.is(204);
        let mut sent = monitor.sent();
        // In which order they arrive is chance.
        sent[1..3].sort_unstable();
        let displacing = at_limit.then_some("evalsha");
        let expected: Vec<_> = ["get", "evalsha", "get"]
            .into_iter()
            .chain(displacing)
            .chain(["evalsha"])
            .collect();
        assert_eq!(sent, expected);
    }
}

/// Nothing else is waited for: a client without a session has none that is ended after that.
#[tokio::test(flavor = "multi_thread")]
async fn a_first_sign_in_costs_redis_one_round_trip_and_two_with_a_displaced_session() {
    let world =
        World::<Redis>::with(|layer| layer.session_limit(SessionLimit::displace(1).unwrap())).await;
    know_all_scripts(&world).await;
    let mut monitor = world.backend.monitor();
    for commands in [&["evalsha"][..], &["evalsha", "evalsha"]] {
        monitor.sent();
        world.client().post("/login?user=alice").await.is(204);
        assert_eq!(monitor.sent(), commands);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn activity_costs_redis_one_script_in_a_step() {
    let world = World::<Redis>::start().await;
    let client = know_all_scripts(&world).await;
    world.advance(minutes(1));
    let mut monitor = world.backend.monitor();
    for commands in [&["get", "evalsha"][..], &["get"], &["get"]] {
        client.get("/me").await.is(200);
        assert_eq!(monitor.sent(), commands);
    }
}

/// Whether or not each refusal is reported.
#[tokio::test(flavor = "multi_thread")]
async fn s102_logging_a_read_costs_the_request_no_command() {
    let world = World::<Redis>::start().await;
    let client = know_all_scripts(&world).await;
    let dead = client.fork();
    client.post("/logout").await.is(204);
    world.forget();
    let mut monitor = world.backend.monitor();
    dead.get("/me").await.is(401);
    assert_eq!(world.store.take_calls(), [Load]);
    world.audit.until(UsedAfterEnd(SignedOut)).await;
    // It is written into the log in the background.
    let mut sent = monitor.sent();
    sent.retain(|command| command != OBSERVE);
    assert_eq!(sent, ["get"]);
    world.client().with_id(&"A".repeat(43)).get("/me").await;
    let mut sent = monitor.sent();
    sent.retain(|command| command != OBSERVE);
    assert!(
        sent.ends_with(&["get", "evalsha", "get"].map(String::from)),
        "{sent:?}"
    );
}

/// A browser with a session, on a server that has seen every script once, and to which there are
/// all connections.
async fn know_all_scripts(world: &World<Redis>) -> Client {
    let client = world.client();
    for change in [
        "/cart?item=1",
        "/login?user=alice",
        "/login?user=bob",
        "/put/a/b",
        "/regenerate",
    ] {
        client.post(change).await.is(204);
    }
    world.advance(minutes(1));
    client.get("/me").await.is(200);
    client.get("/sessions").await.is(200);
    client.post("/logout").await.is(204);
    client.post("/login?user=carol").await.is(204);
    let unknown = world.client().with_id(&"A".repeat(43));
    unknown.get("/me").await.is(401);
    client
}
