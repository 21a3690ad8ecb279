//! Redis notifies servers of what another one does to a session, so that streams need not wait for
//! a poll.

use portcullis::{RedisStore, SessionLayer, settings::SessionLimit};
use portcullis_core::{Bucket, UserId};
use portcullis_redis::testing::{TestCluster, TestServer, wait_until};
use portcullis_tests::{
    CapturedLog, Client, Events, Gates, Redis, Server, World, a_moment, late, routes, seconds,
    soon, within,
};
use tokio::runtime::Runtime;

/// Expects that the stream ends much sooner than the next poll.
#[track_caller]
fn ends_soon(events: &mut Events) -> impl Future<Output = String> {
    within(seconds(2), events.reason())
}

fn subscribers(server: &TestServer) -> i64 {
    server.subscribers("pc:id:ended")
}

/// A stream of events, once its server is subscribed to the changes of others.
async fn listen(client: &Client, route: &str, server: &TestServer) -> Events {
    let mut events = client.get(route).listen().await;
    wait_until("a server subscribes", || subscribers(server) == 1).await;
    events.go_on().await;
    events
}

#[tokio::test(flavor = "multi_thread")]
async fn t55_s065_a_stream_ends_at_once_whatever_ends_its_session_on_another_server() {
    let world = World::<Redis>::with(late).await;
    let limit = SessionLimit::displace(1).unwrap();
    let elsewhere = world.another_layer().await.session_limit(limit);
    let server = world.serve(elsewhere.clone()).await;
    for (cause, expected) in [
        ("sign-out", "signed_out"),
        ("operator", "revoked_by_operator"),
        ("sign-in", "displaced_by_limit"),
    ] {
        let client = world.signed_in("alice").await;
        let mut events = listen(&client, "/live", world.backend.server()).await;
        match cause {
            "sign-out" => {
                client.at(server.address()).post("/logout").await.is(204);
            }
            "operator" => {
                elsewhere.sessions().revoke_all("alice").await.unwrap();
            }
            _ => {
                let other = world.client_of(&server);
                other.post("/login?user=alice").await.is(204);
            }
        }
        assert_eq!(ends_soon(&mut events).await, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn t55_a_stream_that_needs_an_elevation_ends_at_once_when_it_is_dropped_on_another_server() {
    let world = World::<Redis>::with(late).await;
    let server = world.another_server().await;
    let client = world.signed_in("alice").await;
    client.elevate().await;
    let mut elevated = listen(&client, "/live/elevated", world.backend.server()).await;
    let mut signed_in = client.get("/live").listen().await;
    client.at(server.address()).post("/drop").await.is(200);
    assert_eq!(ends_soon(&mut elevated).await, "elevation_ended");
    signed_in.go_on().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn t55_a_stream_ends_at_the_deadline_that_another_server_brought_forward() {
    let world = World::<Redis>::with(late).await;
    let server = world.another_server().await;
    let client = world.signed_in("alice").await;
    let mut events = listen(&client, "/live", world.backend.server()).await;
    let there = client.at(server.address());
    there.post("/shorten?left=1").await.is(204);
    assert_eq!(
        within(seconds(4), events.reason()).await,
        "absolute_timeout"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn t55_s065_in_a_cluster_a_stream_ends_whichever_node_has_the_session() {
    let cluster = TestCluster::start(3, 0);
    let (here, there) = (
        RedisStore::connect(cluster.url()).await.unwrap(),
        RedisStore::connect(cluster.url()).await.unwrap(),
    );
    let gates = Gates::default();
    let layer = late(SessionLayer::new(here).sweeping(false));
    let server = Server::of_router(routes(gates.clone()).layer(layer)).await;
    let elsewhere = SessionLayer::new(there).sweeping(false).sessions();
    let node_of = |user: &str| {
        let bucket = Bucket::of(&UserId::from(user)).number();
        cluster.owner(cluster.slot(&format!("pc:id:{{{bucket:x}}}")))
    };
    let users: Vec<_> = (0..3)
        .map(|node| {
            let mut users = (0..).map(|number| format!("user{number}"));
            users.find(|user| node_of(user) == node).unwrap()
        })
        .collect();
    let mut streams = Vec::new();
    for user in &users {
        let client = Client::new(server.address(), gates.clone());
        client.post(&format!("/login?user={user}")).await.is(204);
        let mut events = client.get("/live").listen().await;
        events.go_on().await;
        streams.push(events);
    }
    let subscribed = || cluster.nodes.iter().map(subscribers).sum::<i64>();
    wait_until("a server subscribes to one node", || subscribed() == 1).await;
    for (user, events) in users.iter().zip(&mut streams) {
        elsewhere.revoke_all(user.as_str()).await.unwrap();
        assert_eq!(ends_soon(events).await, "revoked_by_operator");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn t67_streams_end_again_after_a_killed_redis_is_back() {
    let backend = Redis::with_default_wait(&["--appendonly", "yes", "--appendfsync", "always"]);
    let mut world = World::on(backend.await, late).await;
    let client = world.signed_in("alice").await;
    let mut events = listen(&client, "/live", world.backend.server()).await;
    world.backend.server_mut().kill();
    world.backend.server_mut().restart();
    let server = world.backend.server();
    wait_until("a server subscribes again", || subscribers(server) == 1).await;
    events.go_on().await;
    let elsewhere = world.another_layer().await;
    elsewhere.sessions().revoke_all("alice").await.unwrap();
    assert_eq!(ends_soon(&mut events).await, "revoked_by_operator");
}

#[tokio::test(flavor = "multi_thread")]
async fn t67_an_end_that_was_not_published_is_found_as_soon_as_the_subscription_is_renewed() {
    let world = World::<Redis>::with(late).await;
    let mut streams = Vec::new();
    for number in 0..3 {
        let client = world.signed_in(&format!("user{number}")).await;
        streams.push(listen(&client, "/live", world.backend.server()).await);
    }
    let server = world.backend.server();
    // As if they had ended without a notification.
    for key in world.backend.keys() {
        server.cli(&["DEL", &key]);
    }
    for events in &mut streams {
        events.go_on().await;
    }
    server.cli(&["CLIENT", "KILL", "TYPE", "pubsub"]);
    for events in &mut streams {
        ends_soon(events).await;
    }
}

#[tokio::test]
async fn t55_s065_where_redis_forbids_to_publish_or_subscribe_polling_suffices_and_it_is_logged_once()
 {
    let log = CapturedLog::start();
    let world = World::<Redis>::with(soon).await;
    let server = world.backend.server();
    server.cli(&["ACL", "SETUSER", "default", "resetchannels"]);
    let elsewhere = world.another_layer().await;
    let refused = "cmdstat_subscribe:calls=0,usec=0,usec_per_call=0.00,rejected_calls=1";
    let stats = || server.cli(&["INFO", "commandstats"]).text();
    for _ in 0..2 {
        let client = world.signed_in("alice").await;
        let mut events = client.get("/live").listen().await;
        events.go_on().await;
        wait_until("the subscription is refused", || stats().contains(refused)).await;
        elsewhere.sessions().revoke_all("alice").await.unwrap();
        let reason = within(seconds(3), events.reason()).await;
        assert_eq!(reason, "revoked_by_operator");
    }
    assert!(stats().contains(refused));
    assert_eq!(log.count("does not let this user subscribe"), 1);
}

#[tokio::test]
async fn where_redis_takes_no_second_connection_it_is_logged() {
    let log = CapturedLog::start();
    let world = World::<Redis>::with(soon).await;
    let client = world.signed_in("alice").await;
    let server = world.backend.server();
    let connections = server.cli(&["CLIENT", "LIST"]).text();
    // Except for the connection that asks.
    let most = (connections.lines().count() - 1).to_string();
    server.cli(&["CONFIG", "SET", "maxclients", &most]);
    let mut events = client.get("/live").listen().await;
    let failing = "a second connection to Redis, for ends of sessions, fails";
    wait_until("it is logged", || log.count(failing) == 1).await;
    events.go_on().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_that_died_with_its_runtime_is_replaced_by_the_remaining_watches() {
    let world = World::<Redis>::with(soon).await;
    let server = world.backend.server();
    let runtime = Runtime::new().unwrap();
    let there = {
        let (gates, layer) = (Gates::default(), world.layer.clone());
        let serve = async { Server::of_router(routes(gates).layer(layer)).await };
        runtime.spawn(serve).await.unwrap()
    };
    let first = world.client_of(&there);
    first.post("/login?user=alice").await.is(204);
    let _first = listen(&first, "/live", server).await;
    let second = world.signed_in("bob").await;
    let mut events = listen(&second, "/live", server).await;
    runtime.shutdown_background();
    let stats = || server.cli(&["INFO", "commandstats"]).text();
    let again = "cmdstat_subscribe:calls=2,";
    wait_until("a server subscribes again", || stats().contains(again)).await;
    events.go_on().await;
}

#[tokio::test]
async fn there_is_one_subscription_while_there_are_live_connections_and_soon_after_none() {
    let world = World::<Redis>::start().await;
    let server = world.backend.server();
    let [first, second] = world.elevated_and_other("alice").await;
    assert_eq!(subscribers(server), 0);
    let streams = [
        listen(&first, "/live", server).await,
        listen(&first, "/live/elevated", server).await,
        listen(&second, "/live", server).await,
    ];
    assert_eq!(subscribers(server), 1);
    drop(streams);
    // When the server has noticed it, and half a minute later.
    for _ in 0..100 {
        a_moment().await;
        tokio::time::pause();
        tokio::time::advance(seconds(31)).await;
        tokio::time::resume();
        if subscribers(server) == 0 {
            break;
        }
    }
    assert_eq!(subscribers(server), 0);
    let _again = listen(&second, "/live", server).await;
}
