//! What a request costs: exactly which operations of the store, and how many commands of Redis.

use portcullis_tests::{
    Backend, Client, Gate,
    Op::{self, *},
    Redis, World, minutes, on_every_store,
};

on_every_store![
    a_request_that_does_not_use_the_session_costs_nothing,
    a_request_without_a_cookie_costs_nothing_until_it_writes,
    a_request_costs_one_read_and_at_most_one_write,
    however_much_a_request_asks_for_it_is_written_once,
    what_changes_nothing_is_not_written,
    looking_twice_reads_once,
    a_request_that_lost_a_race_costs_one_write_more,
];

/// What this request asks of the store.
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

async fn looking_twice_reads_once<B: Backend>() {
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

/// In commands that Redis carries out for the request. A script is one.
#[tokio::test(flavor = "multi_thread")]
async fn every_request_costs_redis_the_commands_it_must_and_no_more() {
    let world = World::<Redis>::start().await;
    let client = know_all_scripts(&world).await;
    let old = client.fork();
    old.post("/login?user=dora").await.is(204);
    let dead = client.fork();
    old.clone().post("/logout").await.is(204);
    client.post("/login?user=alice").await.is(204);
    for (who, request, gets, scripts) in [
        (&client, "GET /public", 0, 0),
        (&client, "GET /nothing-here", 0, 0),
        (&client, "GET /me", 1, 0),
        (&client, "GET /maybe", 1, 0),
        (&client, "POST /transfer", 1, 0),
        (&client, "POST /put/a/c", 1, 1),
        (&client, "POST /cart?item=1", 1, 1),
        (&client, "POST /elevate", 1, 1),
        (&client, "POST /drop", 1, 1),
        (&client, "POST /regenerate", 1, 1),
        (&client, "POST /login?user=alice", 1, 1),
        // Between two buckets: the new one is made, then the old one is ended.
        (&client, "POST /login?user=bob", 1, 2),
        (&client, "POST /logout", 1, 1),
        (&dead, "GET /me", 1, 0),
        (&world.client(), "GET /session", 0, 0),
        (&world.client(), "GET /me", 0, 0),
        (&world.client(), "POST /login?user=alice", 0, 1),
        (&world.client(), "POST /cart?item=1", 0, 1),
        (&world.client().with_id("nonsense"), "GET /me", 0, 0),
    ] {
        let (method, target) = request.split_once(' ').unwrap();
        world.backend.take_commands();
        who.call(method.parse().unwrap(), target).await;
        let expected: Vec<_> = [("evalsha", scripts), ("get", gets)]
            .into_iter()
            .filter(|(_, count)| *count > 0)
            .map(|(name, count)| (name.to_owned(), count))
            .collect();
        assert_eq!(world.backend.take_commands(), expected, "{request}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn activity_costs_redis_one_script_in_a_step() {
    let world = World::<Redis>::start().await;
    let client = know_all_scripts(&world).await;
    world.advance(minutes(1));
    for scripts in [1, 0, 0] {
        world.backend.take_commands();
        client.get("/me").await;
        let commands = world.backend.take_commands();
        let ran = commands.iter().find(|(name, _)| name == "evalsha");
        assert_eq!(ran.map_or(0, |(_, count)| *count), scripts);
    }
}

/// A browser with a session, on a server that has seen every script once.
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
    client.post("/logout").await.is(204);
    client.post("/login?user=carol").await.is(204);
    client
}
