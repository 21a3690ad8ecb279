//! Routes that demand privilege: for as long as there is privileged activity, or a recent proof.

use std::time::Duration;

use axum::{Router, routing::get};
use portcullis::{Privileged, SessionLayer, Timeouts, client::DeviceBinding};
use portcullis_tests::{
    Backend, Gate, Op, Operate, World, hours, minutes, on_every_store, seconds, soon, within,
};

on_every_store![
    p08_use_of_ordinary_routes_keeps_no_privileged_route_open,
    p08_a_page_that_only_looks_whether_the_user_is_privileged_is_an_ordinary_route,
    p24_use_of_privileged_routes_keeps_them_open_and_no_elevation_beyond_its_end,
    p07_losing_privilege_leaves_the_session_live_and_a_proof_restores_it,
    s041_what_is_no_activity_or_did_not_succeed_keeps_no_privileged_route_open,
    p26_a_request_across_the_limit_is_answered_and_restores_nothing,
    p25_a_demand_of_a_recent_proof_is_met_by_an_elevation_of_an_old_session,
    a_demand_may_be_shorter_than_the_privileged_idle_timeout,
    a_demand_of_a_scope_needs_its_elevation,
    a_group_of_routes_demands_privilege,
    a_demand_is_refused_as_an_elevation_that_is_missing,
    a_device_that_changed_meets_no_demand_where_it_must_be_proved_again,
    p08_streams_of_privileged_routes_end_with_the_demand_and_do_not_keep_it_met,
    privileged_activity_that_an_open_stream_did_not_see_keeps_it_open,
    a_privileged_route_costs_no_more_than_another,
];

/// Privileged routes close after 10 minutes, elevations after 20.
fn ten(layer: SessionLayer) -> SessionLayer {
    let timeouts = Timeouts::new(minutes(30), hours(24)).unwrap();
    let timeouts = timeouts.with_privileged_idle(minutes(10)).unwrap();
    layer.timeouts(timeouts.with_elevation(minutes(20)).unwrap())
}

async fn p08_use_of_ordinary_routes_keeps_no_privileged_route_open<B: Backend>() {
    let world = World::<B>::with(ten).await;
    let client = world.signed_in("alice").await;
    client.elevate().await;
    for _ in 0..9 {
        world.advance(minutes(1));
        client.post("/put/a/b").await.is(204);
    }
    let [operate, transfer] = ["/operate", "/transfer"].map(|route| client.fork().post(route));
    operate.answered(403).await.is(403);
    transfer.answered(403).await.is(403);
    world.advance(minutes(1));
    client.post("/operate").await.is(401).keeps_the_cookie();
    client.post("/transfer").await.is(401).keeps_the_cookie();
    client.get("/me").await.is(200);
}

async fn p24_use_of_privileged_routes_keeps_them_open_and_no_elevation_beyond_its_end<
    B: Backend,
>() {
    let world = World::<B>::with(ten).await;
    let client = world.signed_in("alice").await;
    client.elevate().await;
    for _ in 0..19 {
        world.advance(minutes(1));
        client.post("/transfer").await.is(200);
    }
    world.advance(minutes(1));
    client.post("/transfer").await.is(401);
    client.post("/operate").await.is(200);
}

async fn p07_losing_privilege_leaves_the_session_live_and_a_proof_restores_it<B: Backend>() {
    let world = World::<B>::with(ten).await;
    let client = world.signed_in("alice").await;
    client.post("/operate").await.is(200);
    world.advance(minutes(11));
    client.post("/operate").await.is(401);
    client.get("/me").await.is(200);
    client.elevate().await;
    client.post("/operate").await.is(200);
    client.post("/drop").await.is(200);
    client.get("/me").await.is(200);
}

async fn s041_what_is_no_activity_or_did_not_succeed_keeps_no_privileged_route_open<B: Backend>() {
    let world = World::<B>::with(ten).await;
    let client = world.signed_in("alice").await;
    for _ in 0..9 {
        world.advance(minutes(1));
        let passive = client.get("/operate").header("portcullis-passive", "1");
        passive.await.is(200);
        client.post("/operate").answered(404).await.is(404);
        client.post("/operate").answered(500).await.is(500);
    }
    world.advance(minutes(1));
    client.post("/operate").await.is(401);
}

async fn p26_a_request_across_the_limit_is_answered_and_restores_nothing<B: Backend>() {
    let world = World::<B>::with(ten).await;
    let client = world.signed_in("alice").await;
    world.advance(minutes(9));
    let gate = Gate::closed();
    let slow = client.post("/operate").held_at(&gate).start();
    gate.reached().await;
    world.advance(minutes(2));
    gate.open();
    slow.reply().await.is(200);
    client.post("/operate").await.is(401);
}

async fn p25_a_demand_of_a_recent_proof_is_met_by_an_elevation_of_an_old_session<B: Backend>() {
    let world = World::<B>::with(ten).await;
    let client = world.signed_in("alice").await;
    world.advance(minutes(6));
    client.post("/elevate/payments").await.is(204);
    for _ in 0..4 {
        world.advance(minutes(1));
        client.post("/deploy").await.is(200);
    }
    world.advance(minutes(1));
    client.post("/deploy").await.is(401);
    client.post("/pay").await.is(200);
}

async fn a_demand_may_be_shorter_than_the_privileged_idle_timeout<B: Backend>() {
    let world = World::<B>::with(ten).await;
    let client = world.signed_in("alice").await;
    for _ in 0..3 {
        world.advance(seconds(90));
        client.post("/hurry").await.is(200);
    }
    world.advance(minutes(2));
    client.post("/hurry").await.is(401);
    client.post("/operate").await.is(200);
}

async fn a_demand_of_a_scope_needs_its_elevation<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    client.post("/deploy").await.is(401);
    client.elevate().await;
    client.post("/deploy").await.is(401);
    client.post("/elevate/payments").await.is(204);
    client.post("/deploy").await.is(200);
}

async fn a_group_of_routes_demands_privilege<B: Backend>() {
    let world = World::<B>::with(ten).await;
    world.client().get("/operations").await.is(401);
    let client = world.signed_in("alice").await;
    for _ in 0..3 {
        world.advance(minutes(9));
        client.get("/operations").await.is(200);
    }
    world.advance(minutes(10));
    client.get("/operations").await.is(401);
}

async fn a_demand_is_refused_as_an_elevation_that_is_missing<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.client();
    let reply = client.post("/deploy").await;
    reply.is_problem(401, "authentication-required");
    let client = world.signed_in("alice").await;
    let reply = client.post("/deploy").await;
    reply.is_problem(401, "elevation-required");
    let challenge = reply.header("www-authenticate");
    assert!(challenge.contains("max_age=\"300\""), "{challenge}");
}

async fn a_device_that_changed_meets_no_demand_where_it_must_be_proved_again<B: Backend>() {
    let world = World::<B>::with(|layer| layer.device_binding(DeviceBinding::StepUp)).await;
    let client = world.signed_in("alice").await;
    client.post("/operate").await.is(200);
    let phone = client.calling_itself("Mozilla/5.0 (iPhone) Version/18.0 Safari/604.1");
    phone.post("/operate").await.is(401);
}

async fn p08_streams_of_privileged_routes_end_with_the_demand_and_do_not_keep_it_met<B: Backend>() {
    let world = World::<B>::with(|layer| ten(soon(layer))).await;
    let client = world.signed_in("alice").await;
    let mut stream = client.get("/live/operate").listen().await;
    let mut socket = client.get("/socket/operate").socket().await;
    world.advance(minutes(9));
    client.get("/me").await.is(200);
    stream.go_on().await;
    socket.echoes("before").await;
    world.advance(minutes(1));
    let reason = within(seconds(3), stream.reason()).await;
    assert_eq!(reason, "elevation_ended");
    assert_eq!(within(seconds(3), socket.closed()).await.0, 4403);
    client.get("/me").await.is(200);
}

async fn privileged_activity_that_an_open_stream_did_not_see_keeps_it_open<B: Backend>() {
    let world = World::<B>::with(|layer| ten(soon(layer))).await;
    let client = world.signed_in("alice").await;
    let mut stream = client.get("/live/operate").listen().await;
    for _ in 0..3 {
        world.advance(minutes(9));
        client.post("/operate").await.is(200);
        tokio::time::sleep(Duration::from_millis(1200)).await;
        stream.go_on().await;
    }
}

async fn a_privileged_route_costs_no_more_than_another<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    client.post("/operate").await.is(200);
    assert_eq!(world.store.take_calls(), [Op::Load]);
    world.advance(minutes(1));
    client.post("/operate").await.is(200);
    assert_eq!(world.store.take_calls(), [Op::Load, Op::Touch]);
}

async fn looks(privileged: Option<Privileged<Operate>>) -> String {
    privileged.is_some().to_string()
}

async fn p08_a_page_that_only_looks_whether_the_user_is_privileged_is_an_ordinary_route<
    B: Backend,
>() {
    let world = World::<B>::start().await;
    let page = Router::new().route("/looks", get(looks));
    let (_server, client) = world.serving_also(page).await;
    client.post("/login?user=alice").await.is(204);
    for expected in ["true", "true", "false"] {
        world.advance(minutes(5));
        assert_eq!(client.get("/looks").await.body(), expected);
    }
    client.post("/operate").await.is(401);
}
