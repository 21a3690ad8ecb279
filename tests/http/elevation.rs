//! Elevation: short, fixed, and of one user, one session and one scope.

use portcullis::{Timeouts, audit::EventKind};
use portcullis_tests::{
    Backend, Gate, Moment, Op, World, about, hours, minutes, on_every_store, seconds,
};

on_every_store![
    t24_s027_an_elevation_brings_a_new_identifier_and_the_old_one_is_not_elevated,
    s049_only_a_session_with_a_user_can_be_elevated,
    t57_signing_in_again_as_any_user_ends_elevations,
    t57_signing_out_and_in_again_brings_no_elevation_back,
    t58_an_elevation_for_one_scope_does_not_hold_for_another,
    t59_s050_an_elevation_does_not_slide,
    t59_elevating_again_counts_from_the_new_proof,
    t60_an_elevation_ends_with_its_session,
    an_elevation_never_outlives_the_absolute_deadline,
    t61_a_proof_of_another_user_elevates_no_session,
    t63_a_slow_write_does_not_undo_an_elevation,
    t63_a_slow_write_does_not_bring_a_dropped_elevation_back,
    t63_two_elevations_at_once_do_not_both_count,
    s051_dropping_an_elevation_brings_a_new_identifier,
    dropping_what_is_not_there_changes_nothing,
    s054_a_new_identifier_alone_keeps_no_elevation,
];

async fn t24_s027_an_elevation_brings_a_new_identifier_and_the_old_one_is_not_elevated<
    B: Backend,
>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    let old = client.fork();
    client.post("/transfer").await.is(401);
    client.post("/elevate").await.is(204).new_id();
    assert_eq!(client.post("/transfer").await.body(), "alice");
    old.post("/transfer").await.is(401).keeps_the_cookie();
    old.get("/me").await.is(401);
    assert_eq!(world.backend.live(), 1);
}

async fn s049_only_a_session_with_a_user_can_be_elevated<B: Backend>() {
    let world = World::<B>::start().await;
    for client in [world.client(), world.shopping(&[1]).await] {
        let reply = client.post("/elevate").await;
        reply
            .is_problem(401, "authentication-required")
            .keeps_the_cookie();
        client.post("/transfer").await.is(401);
    }
    assert_eq!(world.audit.take_kinds(), []);
}

async fn t57_signing_in_again_as_any_user_ends_elevations<B: Backend>() {
    let world = World::<B>::start().await;
    for user in ["alice", "bob"] {
        let client = world.signed_in("alice").await;
        client.post("/elevate").await.is(204);
        client.post("/elevate/payments").await.is(204);
        client.post(&format!("/login?user={user}")).await.is(204);
        client.post("/transfer").await.is(401);
        client.post("/pay").await.is(401);
    }
}

async fn t57_signing_out_and_in_again_brings_no_elevation_back<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    client.post("/elevate").await.is(204);
    client.post("/logout").await.is(204);
    client.post("/login?user=alice").await.is(204);
    client.post("/transfer").await.is(401);
}

async fn t58_an_elevation_for_one_scope_does_not_hold_for_another<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    client.post("/elevate/payments").await.is(204);
    client.post("/pay").await.is(200);
    client.post("/transfer").await.is(401);
    client.get("/danger").await.is(401);
    client.get("/danger/payments").await.is(200);

    world.advance(minutes(10));
    client.post("/elevate").await.is(204);
    client.post("/transfer").await.is(200);
    about(client.view().await.payments_left.unwrap(), minutes(5));
    world.advance(minutes(5));
    client.post("/pay").await.is(401);
    client.post("/transfer").await.is(200);
}

async fn t59_s050_an_elevation_does_not_slide<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    client.post("/elevate").await.is(204);
    for minute in 1..15 {
        world.advance(minutes(1));
        client.post("/transfer").await.is(200);
        client.post("/put/a/b").await.is(204);
        let left = client.view().await.elevated_left.unwrap();
        about(left, minutes(15 - minute));
    }
    world.advance(minutes(1));
    client
        .post("/transfer")
        .await
        .is_problem(401, "elevation-required");
    client.get("/me").await.is(200);
}

async fn t59_elevating_again_counts_from_the_new_proof<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    client.post("/elevate").await.is(204);
    world.advance(minutes(10));
    client.post("/elevate").await.is(204).new_id();
    about(client.view().await.elevated_left.unwrap(), minutes(15));
}

async fn t60_an_elevation_ends_with_its_session<B: Backend>() {
    let short = Timeouts::new(minutes(5), hours(1)).unwrap();
    let world = World::<B>::with(|layer| layer.timeouts(short)).await;
    let client = world.signed_in("alice").await;
    client.post("/elevate").await.is(204);
    world.advance(minutes(5));
    client.post("/transfer").await.is(401);
    client.post("/login?user=alice").await.is(204);
    client.post("/transfer").await.is(401);

    client.post("/elevate").await.is(204);
    let copy = client.fork();
    client.post("/logout").await.is(204);
    copy.post("/transfer").await.is(401).keeps_the_cookie();
}

async fn an_elevation_never_outlives_the_absolute_deadline<B: Backend>() {
    let long = Timeouts::new(hours(1), hours(1)).unwrap();
    let world = World::<B>::with(|layer| layer.timeouts(long)).await;
    let client = world.signed_in("alice").await;
    world.advance(minutes(50));
    client.post("/elevate").await.is(204);
    let view = client.view().await;
    assert_eq!(view.elevated_left, Some(view.absolute_left));
    about(view.absolute_left, minutes(10));
}

/// A proof of another user is a sign-in of that user, and no elevation.
async fn t61_a_proof_of_another_user_elevates_no_session<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    let alice = client.fork();
    client.post("/login?user=bob").await.is(204);
    client.post("/transfer").await.is(401);
    alice.post("/transfer").await.is(401);
}

async fn t63_a_slow_write_does_not_undo_an_elevation<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    let gate = Gate::closed();
    let slow = client.post("/put/a/b").held_at(&gate).start();
    gate.reached().await;
    client.post("/elevate").await.is(204).new_id();
    gate.open();
    slow.reply().await.is(401).keeps_the_cookie();
    client.post("/transfer").await.is(200);
}

async fn t63_a_slow_write_does_not_bring_a_dropped_elevation_back<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    client.post("/elevate").await.is(204);
    let gate = Gate::closed();
    let slow = client.post("/put/a/b").held_at(&gate).start();
    gate.reached().await;
    assert_eq!(client.post("/drop").await.is(200).body(), "true");
    gate.open();
    slow.reply().await.is(401).keeps_the_cookie();
    client.post("/transfer").await.is(401);
}

async fn t63_two_elevations_at_once_do_not_both_count<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    let other = world.another_process().await;
    let gate = world.store.hold_each(Op::Replace, Moment::Before, 2);
    let there = client.at(other.address());
    let flights = [
        client.post("/elevate").start(),
        there.post("/elevate/payments").start(),
    ];
    gate.reached().await;
    gate.reached().await;
    gate.open();
    let mut granted = 0;
    for flight in flights {
        let reply = flight.reply().await;
        match reply.status() {
            204 => granted += reply.set_cookies().len(),
            _ => drop(reply.is_problem(401, "session-ended").keeps_the_cookie()),
        }
    }
    assert_eq!((granted, world.backend.live()), (1, 1));
    client.get("/me").await.is(200);
}

async fn s051_dropping_an_elevation_brings_a_new_identifier<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    client.post("/elevate").await.is(204);
    let elevated = client.fork();
    world.forget();
    assert_eq!(client.post("/drop").await.body(), "true");
    assert_ne!(client.id(), elevated.id());
    elevated.post("/transfer").await.is(401);
    elevated.get("/me").await.is(401);
    client.get("/me").await.is(200);
    client.post("/transfer").await.is(401);
    assert_eq!(world.audit.take_kinds()[0], EventKind::ElevationDropped);
}

async fn dropping_what_is_not_there_changes_nothing<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    let reply = client.post("/drop").await;
    assert_eq!(reply.keeps_the_cookie().body(), "false");
    client.post("/elevate").await.is(204);
    world.advance(minutes(15));
    world.forget();
    let reply = client.post("/drop").await;
    assert_eq!(reply.keeps_the_cookie().body(), "false");
    assert_eq!(world.audit.take_kinds(), []);
}

async fn s054_a_new_identifier_alone_keeps_no_elevation<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    client.post("/elevate").await.is(204);
    client.post("/regenerate").await.is(204);
    client.post("/transfer").await.is(401);
}

#[test]
fn t62_an_elevation_of_no_time_cannot_be_configured() {
    let timeouts = Timeouts::default();
    assert!(timeouts.with_elevation(seconds(0)).is_err());
    assert!(timeouts.with_elevation(hours(2)).is_err());
}
