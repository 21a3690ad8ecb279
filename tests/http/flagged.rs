//! Sessions that were used from another device, under a policy that shortens what they may do.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use axum::{Extension, Router, routing::post};
use portcullis::{
    Authenticated,
    client::DeviceBinding,
    policy::{Document, EndsAtMost, PolicyChange},
};
use portcullis_tests::{Backend, Client, Gate, World, minutes, on_every_store};
use serde_json::Value;

on_every_store![
    elevations_end_also_if_the_first_request_of_another_device_is_cut_off,
    elevations_end_also_if_the_first_request_of_another_device_panics,
    an_approval_is_not_restored_into_a_session_that_was_flagged_meanwhile,
    a_session_that_was_inactive_for_too_long_runs_no_handler_for_another_device,
    a_session_that_was_flagged_before_a_policy_has_no_elevation_under_it,
    p14_what_a_distrusted_session_shows_is_what_guards_decide,
];

const IPHONE: &str = "Mozilla/5.0 (iPhone) Version/18.0 Safari/604.1";

/// Flagged sessions end after 5 minutes, and have no elevation.
async fn world<B: Backend>() -> World<B> {
    let text = "schema = 1\n[flagged]\nidle = '5m'\nelevation = 'none'";
    let document = Document::parse(text).unwrap();
    World::<B>::with(|layer| layer.policy(&document).unwrap()).await
}

fn on_another_device(client: &Client) -> Client {
    client.fork().calling_itself(IPHONE)
}

async fn elevations_end_also_if_the_first_request_of_another_device_is_cut_off<B: Backend>() {
    let world = world::<B>().await;
    let client = world.signed_in("alice").await;
    client.elevate().await;
    let other = on_another_device(&client);
    let gate = Gate::closed();
    let flight = other.get("/me").held_at(&gate).start();
    gate.reached().await;
    flight.disconnect().await;
    world.client_disconnected().await;
    other.post("/transfer").await.is(401);
}

async fn elevations_end_also_if_the_first_request_of_another_device_panics<B: Backend>() {
    let world = world::<B>().await;
    let client = world.signed_in("alice").await;
    client.elevate().await;
    let other = on_another_device(&client);
    other.get("/me").panicking().breaks().await;
    other.post("/transfer").await.is(401);
}

async fn an_approval_is_not_restored_into_a_session_that_was_flagged_meanwhile<B: Backend>() {
    let world = world::<B>().await;
    let client = world.signed_in("alice").await;
    client.post("/approve/ten").await.is(204);
    let gate = Gate::closed();
    let carried_out = client.post("/carry-out/ten").answered(500);
    let flight = carried_out.held_at(&gate).start();
    gate.reached().await;
    let other = on_another_device(&client);
    other.get("/me").await.is(200);
    gate.open();
    flight.reply().await.is(500);
    other.post("/carry-out/ten").await.is(401);
}

async fn count(_: Authenticated, Extension(calls): Extension<Arc<AtomicUsize>>) {
    calls.fetch_add(1, Ordering::SeqCst);
}

async fn a_session_that_was_inactive_for_too_long_runs_no_handler_for_another_device<B: Backend>() {
    let world = world::<B>().await;
    let calls = Arc::<AtomicUsize>::default();
    let counted = Router::new().route("/count", post(count));
    let counted = counted.layer(Extension(Arc::clone(&calls)));
    let (_server, client) = world.serving_also(counted).await;
    client.post("/login?user=alice").await.is(204);
    world.advance(minutes(10));
    let other = on_another_device(&client);
    let reply = other.post("/count").await;
    assert_eq!(reply.is(401).json::<Value>()["reason"], "idle_timeout");
    assert_eq!(calls.load(Ordering::SeqCst), 0);
    client.get("/me").await.is(401);
}

async fn a_session_that_was_flagged_before_a_policy_has_no_elevation_under_it<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    client.elevate().await;
    let other = on_another_device(&client);
    other.get("/me").await.is(200);
    let text = "schema = 1\n[flagged]\nelevation = 'none'";
    let policies = world.layer.policies();
    let change = PolicyChange::document(text, None, "ada").ends_at_most(EndsAtMost::Any);
    let activated = policies.apply(change).await;
    activated.unwrap();
    other.post("/transfer").await.is(401);
    other.elevate().await;
    other.post("/transfer").await.is(200);
}

async fn p14_what_a_distrusted_session_shows_is_what_guards_decide<B: Backend>() {
    let world = World::<B>::with(|layer| layer.device_binding(DeviceBinding::StepUp)).await;
    let client = world.signed_in("alice").await;
    client.elevate().await;
    let other = on_another_device(&client);
    other.post("/operate").await.is(401);
    let status: Value = other.get("/session/status").await.is(200).json();
    assert!(status["privileged_until"].is_null(), "{status}");
    assert_eq!(other.view().await.elevated_left, None);
}
