//! WebSockets are for pages of the site with a session, and are closed when that ends.

use std::time::Duration;

use portcullis::{SessionLayer, Timeouts, client::DeviceBinding};
use portcullis_tests::{
    Backend, Redis, World, about, late, minutes, on_every_store, seconds, some_polls, soon, within,
};

on_every_store![
    t55_s065_a_socket_is_closed_when_its_session_is_signed_out_in_another_tab,
    t55_s065_a_socket_is_closed_when_its_session_is_revoked,
    t55_s065_a_socket_is_closed_when_its_session_is_ended_by_another_server,
    t55_a_socket_is_closed_at_the_idle_deadline_and_nothing_sent_moves_it,
    t55_a_socket_that_needs_an_elevation_is_closed_with_it,
    t55_a_socket_is_closed_whatever_its_handler_does,
    a_new_identifier_in_another_tab_closes_no_socket,
    t55_an_authentication_closes_the_sockets_of_the_session_before,
    t67_a_store_that_is_down_for_long_closes_sockets_and_for_a_moment_does_not,
    s095_a_page_of_another_site_gets_no_socket,
    s095_without_an_origin_a_cookie_is_not_enough,
    s095_a_site_that_is_trusted_gets_a_socket,
    s095_without_what_it_needs_no_client_gets_a_socket,
    s077_a_session_on_another_device_loses_its_sockets_where_that_is_the_policy,
];

fn with(code: u16, reason: &str) -> (u16, String) {
    (code, reason.to_owned())
}

async fn t55_s065_a_socket_is_closed_when_its_session_is_signed_out_in_another_tab<B: Backend>() {
    let world = World::<B>::with(late).await;
    for route in ["/socket", "/socket/session"] {
        let client = world.signed_in("alice").await;
        let mut socket = client.get(route).socket().await;
        socket.echoes("before").await;
        client.post("/logout").await.is(204);
        let closed = within(seconds(5), socket.closed()).await;
        assert_eq!(closed, with(4401, "signed_out"));
    }
}

async fn t55_s065_a_socket_is_closed_when_its_session_is_revoked<B: Backend>() {
    let world = World::<B>::with(late).await;
    let [desk, phone] = world.elevated_and_other("alice").await;
    let mut socket = phone.get("/socket").socket().await;
    socket.echoes("before").await;
    desk.delete("/sessions/others").await.is(200);
    let closed = within(seconds(5), socket.closed()).await;
    assert_eq!(closed, with(4401, "revoked_by_user"));
}

async fn t55_s065_a_socket_is_closed_when_its_session_is_ended_by_another_server<B: Backend>() {
    let world = World::<B>::with(soon).await;
    let client = world.signed_in("alice").await;
    let mut socket = client.get("/socket").socket().await;
    socket.echoes("before").await;
    let elsewhere = world.another_layer().await;
    elsewhere.sessions().revoke_all("alice").await.unwrap();
    let closed = within(seconds(3), socket.closed()).await;
    assert_eq!(closed, with(4401, "revoked_by_operator"));
}

async fn t55_a_socket_is_closed_at_the_idle_deadline_and_nothing_sent_moves_it<B: Backend>() {
    let world = World::<B>::with(soon).await;
    let client = world.signed_in("alice").await;
    let mut socket = client.get("/socket").socket().await;
    for passed in [10, 20] {
        world.advance(minutes(10));
        tokio::time::sleep(seconds(1)).await;
        socket.ping().await;
        socket.echoes("I am here").await;
        about(client.view().await.inactive, minutes(passed));
    }
    world.advance(minutes(10));
    let closed = within(seconds(3), socket.closed()).await;
    assert_eq!(closed, with(4401, "idle_timeout"));
}

async fn t55_a_socket_that_needs_an_elevation_is_closed_with_it<B: Backend>() {
    let world = World::<B>::with(soon).await;
    let client = world.signed_in("alice").await;
    client.elevate().await;
    let mut elevated = client.get("/socket/elevated").socket().await;
    let mut signed_in = client.get("/socket").socket().await;
    elevated.echoes("before").await;
    world.advance(minutes(15));
    let closed = within(seconds(3), elevated.closed()).await;
    assert_eq!(closed, with(4403, "elevation_ended"));
    client.elevate().await;
    let mut elevated = client.get("/socket/elevated").socket().await;
    client.post("/regenerate").await.is(204);
    assert_eq!(elevated.closed().await, with(4403, "elevation_ended"));
    signed_in.echoes("after").await;
}

async fn t55_a_socket_is_closed_whatever_its_handler_does<B: Backend>() {
    let world = World::<B>::with(late).await;
    for route in ["/socket/deaf", "/socket/loud", "/socket/split"] {
        let client = world.signed_in("alice").await;
        let mut socket = client.get(route).socket().await;
        match route {
            "/socket/split" => socket.echoes("before").await,
            _ => tokio::time::sleep(Duration::from_millis(200)).await,
        }
        client.post("/logout").await.is(204);
        let closed = within(seconds(5), socket.closed()).await;
        assert_eq!(closed, with(4401, "signed_out"), "{route}");
    }
}

async fn a_new_identifier_in_another_tab_closes_no_socket<B: Backend>() {
    let world = World::<B>::with(soon).await;
    let client = world.signed_in("alice").await;
    let mut socket = client.get("/socket").socket().await;
    for _ in 0..3 {
        client.post("/regenerate").await.is(204).new_id();
        tokio::time::sleep(seconds(1)).await;
        socket.echoes("still here").await;
    }
    client.post("/logout").await.is(204);
    assert_eq!(socket.closed().await, with(4401, "signed_out"));
}

async fn t55_an_authentication_closes_the_sockets_of_the_session_before<B: Backend>() {
    let world = World::<B>::with(late).await;
    for user in ["alice", "bob"] {
        let client = world.signed_in("alice").await;
        let mut socket = client.get("/socket").socket().await;
        socket.echoes("before").await;
        client.post(&format!("/login?user={user}")).await.is(204);
        let closed = within(seconds(5), socket.closed()).await;
        assert_eq!(closed, with(4401, "replaced_at_sign_in"));
    }
}

async fn t67_a_store_that_is_down_for_long_closes_sockets_and_for_a_moment_does_not<B: Backend>() {
    let world = World::<B>::with(soon).await;
    let client = world.signed_in("alice").await;
    let mut socket = client.get("/socket").socket().await;
    world.store.set_down(true);
    tokio::time::sleep(seconds(1)).await;
    world.store.set_down(false);
    some_polls().await;
    socket.echoes("still here").await;
    world.store.set_down(true);
    let closed = within(seconds(5), socket.closed()).await;
    assert_eq!(closed, with(1013, "unverifiable"));
}

async fn s095_a_page_of_another_site_gets_no_socket<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    for origin in [
        "https://evil.example",
        "https://shop.example.evil.example",
        "https://shop.example:444",
        "http://shop.example",
        "null",
    ] {
        for client in [client.clone(), world.client()] {
            let request = client.get("/socket").header("origin", origin);
            let reply = request.try_socket().await.err().expect("no socket");
            reply
                .is_problem(403, "cross-site-request")
                .keeps_the_cookie();
        }
    }
    assert_eq!(world.store.take_calls(), []);
}

async fn s095_without_an_origin_a_cookie_is_not_enough<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    let request = client.get("/socket").try_socket().await;
    let reply = request.err().expect("no socket");
    reply
        .is_problem(403, "cross-site-request")
        .keeps_the_cookie();
}

async fn s095_a_site_that_is_trusted_gets_a_socket<B: Backend>() {
    let trust = |layer: SessionLayer| layer.trusted_origins(["https://app.example"]).unwrap();
    let world = World::<B>::with(trust).await;
    let client = world.signed_in("alice").await;
    let request = client
        .get("/socket")
        .header("origin", "https://app.example");
    let mut socket = request.try_socket().await.expect("a socket");
    socket.echoes("hello").await;
    let request = client.get("/socket").header("origin", "http://app.example");
    request.try_socket().await.err().expect("no socket").is(403);
}

async fn s095_without_what_it_needs_no_client_gets_a_socket<B: Backend>() {
    let world = World::<B>::start().await;
    let (no_session, anonymous) = (world.client(), world.shopping(&[1]).await);
    let alice = world.signed_in("alice").await;
    let ended = alice.fork();
    for (client, route, code) in [
        (&no_session, "/socket", "authentication-required"),
        (&no_session, "/socket/session", "authentication-required"),
        (&anonymous, "/socket", "authentication-required"),
        (&alice, "/socket/elevated", "elevation-required"),
    ] {
        let request = client.get(route).header("origin", "https://shop.example");
        let reply = request.try_socket().await.err().expect("no socket");
        reply.is_problem(401, code);
    }
    anonymous.get("/socket/session").socket().await;
    alice.post("/logout").await.is(204);
    let request = ended.get("/socket/session");
    let request = request.header("origin", "https://shop.example");
    let reply = request.try_socket().await.err().expect("no socket");
    assert_eq!(reply.is(401).reason().as_deref(), Some("signed_out"));
    // A request that is no WebSocket is answered with 400.
    let alice = world.signed_in("alice").await;
    let request = alice
        .get("/socket")
        .header("origin", "https://shop.example");
    request.await.is(400);
}

async fn s077_a_session_on_another_device_loses_its_sockets_where_that_is_the_policy<B: Backend>() {
    for (binding, expected) in [
        (DeviceBinding::Observe, None),
        (DeviceBinding::StepUp, Some(with(4403, "elevation_ended"))),
        (DeviceBinding::End, Some(with(4401, "device_changed"))),
    ] {
        let world = World::<B>::with(|layer| late(layer.device_binding(binding))).await;
        let client = world.signed_in("alice").await;
        let mut socket = client.get("/socket").socket().await;
        socket.echoes("before").await;
        client.fork().calling_itself("curl/8").get("/me").await;
        match expected {
            Some(expected) => assert_eq!(within(seconds(5), socket.closed()).await, expected),
            None => socket.echoes("after").await,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn t55_a_socket_is_closed_at_the_deadline_itself() {
    let timeouts = Timeouts::new(seconds(2), minutes(1)).unwrap();
    let world = World::<Redis>::with(|layer| late(layer.timeouts(timeouts))).await;
    let client = world.signed_in("alice").await;
    let mut socket = client.get("/socket").socket().await;
    let closed = within(seconds(5), socket.closed()).await;
    assert_eq!(closed, with(4401, "idle_timeout"));
}
