//! Revocations while other requests of the user are under way.

use portcullis::audit::EventKind::*;
use portcullis_tests::{Backend, Gate, Moment, Op, World, a_moment, minutes, on_every_store};

use crate::revocation::{revoke, revoke_all_as_operator, was_refused};

on_every_store![
    rule_2_a_write_under_way_in_a_revoked_session_is_refused_with_the_reason,
    rule_2_what_only_read_in_a_revoked_session_passes,
    t06_a_sign_in_under_way_while_all_are_revoked_is_refused,
    t06_a_sign_in_from_an_anonymous_session_under_way_is_refused_too,
    t06_a_sign_in_whose_password_was_still_being_verified_is_refused_too,
    rule_1_a_revocation_from_a_session_that_ended_meanwhile_ends_no_other_session,
    t06_a_sign_in_that_begins_afterwards_succeeds,
    t06_a_rotation_under_way_while_all_are_revoked_is_refused,
    t06_a_rotation_that_was_faster_is_revoked_all_the_same,
    t06_a_proof_under_way_in_the_session_that_is_kept_succeeds,
    t06_an_own_revocation_held_up_follows_a_new_identifier,
];

async fn rule_2_a_write_under_way_in_a_revoked_session_is_refused_with_the_reason<B: Backend>() {
    let world = World::<B>::start().await;
    let [desk, _] = world.elevated_and_other("alice").await;
    for change in [
        "/put/a/b",
        "/cart?item=1",
        "/regenerate",
        "/elevate",
        "/login?user=alice",
        "/login?user=bob",
    ] {
        for by_operator in [false, true] {
            let phone = world.signed_in("alice").await;
            let handle = phone.handle().await;
            let live = world.backend.live();
            let gate = Gate::closed();
            let slow = phone.post(change).held_at(&gate).start();
            gate.reached().await;
            let (revoked, reason) = match by_operator {
                false => (revoke(&desk, &phone).await, "revoked_by_user"),
                true => {
                    let target = format!("/operator/alice/{handle}");
                    (desk.delete(&target).await, "revoked_by_operator")
                }
            };
            revoked.is(200);
            world.forget();
            gate.open();
            was_refused(&slow.reply().await, Some(reason));
            let [event] = &world.audit.take()[..] else {
                panic!("one event for {change}")
            };
            assert_eq!(event.kind, WriteRefused);
            assert_eq!(event.session.unwrap().to_string(), handle);
            assert_eq!(event.user, Some("alice".into()));
            assert_eq!(world.backend.live(), live - 1);
        }
    }
}

async fn rule_2_what_only_read_in_a_revoked_session_passes<B: Backend>() {
    let world = World::<B>::start().await;
    let [desk, phone] = world.elevated_and_other("alice").await;
    world.advance(minutes(5));
    let gate = Gate::closed();
    let slow = phone.get("/me").held_at(&gate).start();
    gate.reached().await;
    revoke(&desk, &phone).await.is(200);
    gate.open();
    let reply = slow.reply().await;
    assert_eq!(reply.is(200).keeps_the_cookie().body(), "alice");
    phone.gets_end_reason("revoked_by_user").await;
    // A sign-out finds the session ended.
    let [desk, phone] = world.elevated_and_other("carol").await;
    let gate = Gate::closed();
    let slow = phone.post("/logout").held_at(&gate).start();
    gate.reached().await;
    revoke(&desk, &phone).await.is(200);
    gate.open();
    slow.reply().await.is(204).keeps_the_cookie();
}

async fn t06_a_sign_in_under_way_while_all_are_revoked_is_refused<B: Backend>() {
    let world = World::<B>::start().await;
    let old = world.signed_in("alice").await;
    let thief = world.client();
    let gate = world.store.hold(Op::Create, Moment::Before);
    let sign_in = thief.post("/login?user=alice").start();
    gate.reached().await;
    revoke_all_as_operator(&world, "alice").await;
    world.forget();
    gate.open();
    was_refused(&sign_in.reply().await, None);
    let [event] = &world.audit.take()[..] else {
        panic!("one event")
    };
    assert_eq!((&event.kind, event.session), (&WriteRefused, None));
    assert_eq!(event.user, Some("alice".into()));
    assert!(!thief.has_cookie());
    old.get("/me").await.is(401);
    assert_eq!(world.backend.live(), 0);
}

/// A proof given while all were revoked may be one with a password that is no longer valid.
async fn t06_a_sign_in_whose_password_was_still_being_verified_is_refused_too<B: Backend>() {
    let world = World::<B>::start().await;
    let thief = world.shopping(&[1]).await;
    let before_the_handler = world.store.hold(Op::Load, Moment::After);
    let sign_in = thief.post("/login?user=alice").start();
    before_the_handler.reached().await;
    a_moment().await;
    revoke_all_as_operator(&world, "alice").await;
    before_the_handler.open();
    sign_in.reply().await.is(401).keeps_the_cookie();
    thief.get("/me").await.is(401);
    thief.post("/login?user=alice").await.is(204).new_id();
}

async fn rule_1_a_revocation_from_a_session_that_ended_meanwhile_ends_no_other_session<
    B: Backend,
>() {
    let world = World::<B>::start().await;
    for target in ["/sessions/others", "/sessions"] {
        let [thief, _] = world.elevated_and_other("alice").await;
        let past_the_guard = world.store.hold(Op::Load, Moment::After);
        let held_up = thief.delete(target).start();
        past_the_guard.reached().await;
        revoke_all_as_operator(&world, "alice").await;
        a_moment().await;
        let alice = world.signed_in("alice").await;
        past_the_guard.open();
        held_up.reply().await.is(401).keeps_the_cookie();
        alice.get("/me").await.is(200);
    }
}

async fn t06_a_sign_in_from_an_anonymous_session_under_way_is_refused_too<B: Backend>() {
    let world = World::<B>::start().await;
    let thief = world.shopping(&[1]).await;
    let bob = world.signed_in("bob").await;
    for client in [&thief, &bob] {
        let gate = world.store.hold(Op::Replace, Moment::Before);
        let sign_in = client.post("/login?user=alice").start();
        gate.reached().await;
        revoke_all_as_operator(&world, "alice").await;
        gate.open();
        sign_in.reply().await.is(401).keeps_the_cookie();
    }
    assert_eq!(thief.view().await.cart, [1]);
    bob.get("/me").await.is(200);
    assert_eq!(world.backend.live(), 2);
    assert_eq!(world.client().get("/operator/alice").await.body(), "[]");
}

async fn t06_a_sign_in_that_begins_afterwards_succeeds<B: Backend>() {
    let world = World::<B>::start().await;
    let [desk, _] = world.elevated_and_other("alice").await;
    let revoke = world.store.hold(Op::Revoke, Moment::After);
    let slow = desk.delete("/sessions/others").start();
    revoke.reached().await;
    a_moment().await;
    let fresh = world.signed_in("alice").await;
    let from_shop = world.shopping(&[1]).await;
    from_shop.post("/login?user=alice").await.is(204);
    revoke.open();
    slow.reply().await.is(200);
    for client in [&desk, &fresh, &from_shop] {
        client.get("/me").await.is(200);
        client.post("/put/a/b").await.is(204);
        client.elevate().await;
        world.advance(minutes(2));
        client.get("/me").await.is(200);
    }
    assert_eq!(fresh.devices().await.len(), 3);
}

async fn t06_a_rotation_under_way_while_all_are_revoked_is_refused<B: Backend>() {
    let world = World::<B>::start().await;
    for change in ["/regenerate", "/elevate", "/login?user=alice"] {
        let client = world.signed_in("alice").await;
        let gate = world.store.hold(Op::Replace, Moment::Before);
        let slow = client.post(change).start();
        gate.reached().await;
        revoke_all_as_operator(&world, "alice").await;
        gate.open();
        was_refused(&slow.reply().await, Some("revoked_by_operator"));
        client.gets_end_reason("revoked_by_operator").await;
        assert_eq!(world.backend.live(), 0, "{change}");
        a_moment().await;
    }
}

async fn t06_a_rotation_that_was_faster_is_revoked_all_the_same<B: Backend>() {
    let world = World::<B>::start().await;
    for change in ["/regenerate", "/elevate", "/login?user=alice"] {
        let client = world.signed_in("alice").await;
        let gate = world.store.hold(Op::Replace, Moment::After);
        let slow = client.post(change).start();
        gate.reached().await;
        revoke_all_as_operator(&world, "alice").await;
        gate.open();
        slow.reply().await.is(204).new_id();
        client.gets_end_reason("revoked_by_operator").await;
        assert_eq!(world.backend.live(), 0, "{change}");
        a_moment().await;
    }
}

async fn t06_a_proof_under_way_in_the_session_that_is_kept_succeeds<B: Backend>() {
    let world = World::<B>::start().await;
    let [desk, phone] = world.elevated_and_other("alice").await;
    for change in ["/login?user=alice", "/regenerate", "/elevate"] {
        desk.elevate().await;
        let gate = world.store.hold(Op::Replace, Moment::Before);
        let slow = desk.post(change).start();
        gate.reached().await;
        a_moment().await;
        world.advance(minutes(1));
        desk.delete("/sessions/others").await.is(200);
        gate.open();
        slow.reply().await.is(204).new_id();
        desk.get("/me").await.is(200);
    }
    phone.gets_end_reason("revoked_by_user").await;
}

async fn t06_an_own_revocation_held_up_follows_a_new_identifier<B: Backend>() {
    let world = World::<B>::start().await;
    let [desk, phone] = world.elevated_and_other("alice").await;
    let target = format!("/sessions/{}", phone.handle().await);
    for target in [target.as_str(), "/sessions/others"] {
        phone.post("/login?user=alice").await.is(204);
        let gate = world.store.hold(Op::Revoke, Moment::Before);
        let slow = desk.delete(target).start();
        gate.reached().await;
        for change in ["/regenerate", "/elevate"] {
            phone.post(change).await.is(204);
        }
        a_moment().await;
        world.advance(minutes(1));
        gate.open();
        assert_eq!(slow.reply().await.is(200).body(), "1");
        phone.gets_end_reason("revoked_by_user").await;
    }
}
