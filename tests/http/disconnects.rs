//! Requests whose client disconnects, and commits that no request waits for.

use portcullis::{audit::EventKind, session::EndReason};
use portcullis_tests::{Backend, Client, Gate, Moment, Op, World, minutes, on_every_store};

on_every_store![
    rule_12_a_commit_that_no_request_waits_for_is_finished_and_reported,
    s139_a_client_that_disconnects_changes_nothing,
    s139_a_client_that_disconnects_after_signing_out_is_signed_out,
    s139_a_write_under_way_is_finished_though_the_client_disconnects,
    s139_s031_a_rotation_under_way_is_finished_whole_though_the_client_disconnects,
    s139_a_sign_out_under_way_is_finished_though_the_client_disconnects,
];

async fn rule_12_a_commit_that_no_request_waits_for_is_finished_and_reported<B: Backend>() {
    let world = World::<B>::start().await;
    for status in [204, 504] {
        let client = world.signed_in("alice").await;
        world.forget();
        let gate = world.store.hold(Op::Replace, Moment::Before);
        let flight = client.post("/commit-abandoned").answered(status).start();
        gate.reached().await;
        gate.open();
        flight.reply().await.is(status).new_id();
        assert_eq!(client.view().await.user.as_deref(), Some("bob"));
        let events = [
            EventKind::Ended(EndReason::ReplacedAtSignIn),
            EventKind::Regenerated,
            EventKind::Authenticated,
        ];
        assert_eq!(world.audit.take_kinds(), events, "{status}");
    }
}

async fn s139_a_client_that_disconnects_changes_nothing<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    let before = world.live(&client.id()).await;
    for change in ["/cart?item=1", "/login?user=bob", "/elevate", "/regenerate"] {
        leave_during(&world, &client, change).await;
    }
    assert_eq!(world.live(&client.id()).await, before);
    assert_eq!(world.audit.take_kinds(), []);
}

async fn s139_a_client_that_disconnects_after_signing_out_is_signed_out<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    leave_during(&world, &client, "/logout").await;
    world
        .audit
        .until(EventKind::Ended(EndReason::SignedOut))
        .await;
    assert_eq!(world.ended(&client.id()).await, Some(EndReason::SignedOut));
    client.get("/me").await.is(401).keeps_the_cookie();
}

/// The client disconnects when the handler has done its work but not answered.
async fn leave_during<B: Backend>(world: &World<B>, client: &Client, change: &str) {
    let gate = Gate::closed();
    let flight = client.post(change).held_at(&gate).start();
    gate.reached().await;
    flight.disconnect().await;
    world.client_disconnected().await;
}

/// The client disconnects when the store has been called. The operation is executed all the same.
async fn leave_at_the_store<B: Backend>(world: &World<B>, client: &Client, change: &str, op: Op) {
    let (before, after) = (
        world.store.hold(op, Moment::Before),
        world.store.hold(op, Moment::After),
    );
    let flight = client.post(change).start();
    before.reached().await;
    flight.disconnect().await;
    world.client_disconnected().await;
    before.open();
    after.reached().await;
    after.open();
}

async fn s139_a_write_under_way_is_finished_though_the_client_disconnects<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    leave_at_the_store(&world, &client, "/put/a/b", Op::Commit).await;
    assert_eq!(client.get("/get/a").await.body(), "b");
}

async fn s139_s031_a_rotation_under_way_is_finished_whole_though_the_client_disconnects<
    B: Backend,
>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    leave_at_the_store(&world, &client, "/elevate", Op::Replace).await;
    world
        .audit
        .until(EventKind::Elevated("general".into()))
        .await;
    client.get("/me").await.is(401).keeps_the_cookie();
    assert_eq!(world.backend.live(), 1);
}

async fn s139_a_sign_out_under_way_is_finished_though_the_client_disconnects<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    world.advance(minutes(5));
    leave_at_the_store(&world, &client, "/logout", Op::End).await;
    world
        .audit
        .until(EventKind::Ended(EndReason::SignedOut))
        .await;
    assert_eq!(world.backend.live(), 0);
}
