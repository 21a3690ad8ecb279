//! A sign-in that ends all other sessions of its user: the end of a password reset.

use portcullis::{
    audit::{Actor, Event, EventKind::Ended, LogQuery},
    session::EndReason::RevokedByUser,
    settings::SessionLimit,
};
use portcullis_tests::{
    Backend, Client, Moment, Op, World, a_moment, minutes, on_every_store, seconds, soon, within,
};

on_every_store![
    s067_a_password_reset_signs_in_and_ends_all_other_sessions_in_one_request,
    rule_3_what_the_session_held_moves_along_and_never_to_another_user,
    rule_12_each_session_that_ends_is_one_event,
    t06_a_sign_in_under_way_that_began_before_is_refused,
    t06_a_sign_in_that_begins_afterwards_succeeds,
    t06_of_resets_at_once_one_succeeds,
    a_write_under_way_in_a_session_that_ended_is_refused_with_the_reason,
    of_several_sign_ins_in_one_request_the_last_one_decides_whose_others_end,
    where_one_session_is_the_limit_the_others_are_ended,
    a_reset_for_an_invalid_user_ends_nothing,
    a_reset_that_is_refused_for_a_revocation_ends_nothing,
    a_reset_that_cannot_be_written_ends_nothing,
    rule_13_with_a_response_that_refuses_or_fails_nothing_ends_and_no_user_is_signed_in,
    a_response_that_keeps_what_it_grants_ends_the_others,
    s102_a_reset_whose_client_disconnected_is_finished_and_reported,
    live_connections_of_the_others_end,
    revoking_all_and_signing_in_with_one_request_signs_no_user_in,
];

const RESET: &str = "/reset?user=alice";

/// Two sessions of alice, and one of another user.
async fn sessions_elsewhere<B: Backend>(world: &World<B>) -> ([Client; 2], Client) {
    let desk = world.signed_in("alice").await;
    let phone = world.signed_in("alice").await;
    let bob = world.signed_in("bob").await;
    // The next change is not in the same millisecond.
    world.backend.later().await;
    ([desk, phone], bob)
}

async fn are_live(clients: &[Client]) {
    for client in clients {
        client.get("/me").await.is(200);
    }
}

async fn were_ended(clients: &[Client]) {
    for client in clients {
        client.gets_end_reason("revoked_by_user").await;
    }
}

/// Browsers in which alice may sign in: without a session, with an anonymous one, with her own, and
/// with that of another user.
async fn from_everywhere<B: Backend>(world: &World<B>) -> [Client; 4] {
    let from = [
        world.client(),
        world.shopping(&[1]).await,
        world.signed_in("alice").await,
        world.signed_in("mallory").await,
    ];
    for client in &from[1..] {
        client.post("/put/a/b").await.is(204);
    }
    world.backend.later().await;
    from
}

async fn s067_a_password_reset_signs_in_and_ends_all_other_sessions_in_one_request<B: Backend>() {
    let world = World::<B>::start().await;
    for (client, last) in
        from_everywhere(&world)
            .await
            .iter()
            .zip([Op::Create, Op::Replace, Op::Create, Op::Replace])
    {
        let (others, bob) = sessions_elsewhere(&world).await;
        let before = client.fork();
        world.forget();
        client.post(RESET).await.is(204).new_id();
        assert_eq!(world.store.take_calls().last(), Some(&last));
        were_ended(&others).await;
        before.get("/me").await.is(401);
        assert_eq!(client.get("/me").await.is(200).body(), "alice");
        client.elevate().await;
        assert_eq!(client.devices().await.len(), 1);
        bob.get("/me").await.is(200);
    }
}

async fn rule_3_what_the_session_held_moves_along_and_never_to_another_user<B: Backend>() {
    let world = World::<B>::start().await;
    let [_, visitor, alice, mallory] = from_everywhere(&world).await;
    alice.elevate().await;
    for (client, cart, value) in [
        (&alice, &[][..], "b"),
        (&visitor, &[1], "b"),
        (&mallory, &[], ""),
    ] {
        world.backend.later().await;
        client.post(RESET).await.is(204).new_id();
        assert_eq!(client.view().await.cart, cart);
        assert_eq!(client.get("/get/a").await.body(), value);
        client
            .get("/danger")
            .await
            .is_problem(401, "elevation-required");
    }
}

async fn rule_12_each_session_that_ends_is_one_event<B: Backend>() {
    let world = World::<B>::start().await;
    for client in [world.client(), world.shopping(&[1]).await] {
        let (others, _) = sessions_elsewhere(&world).await;
        let mut handles = Vec::new();
        for other in &others {
            handles.push(other.handle().await);
        }
        handles.sort_unstable();
        world.forget();
        let client = client.calling_itself("curl/8");
        client.post(RESET).await.is(204);
        assert_eq!(names(&world.audit.take()), handles);
        let query = LogQuery {
            user: Some("alice".into()),
            most: 1000,
            ..LogQuery::default()
        };
        let logged = world.layer.sessions().history(query).await.unwrap();
        let logged: Vec<_> = logged.into_iter().map(|line| line.event.unwrap()).collect();
        let events = names(&logged);
        for handle in &handles {
            let times = events.iter().filter(|events| *events == handle).count();
            assert_eq!(times, 1, "{events:?}");
        }
        client.post("/logout").await.is(204);
    }
}

/// The names of the sessions that ended for a reset, in order.
#[track_caller]
fn names(events: &[Event]) -> Vec<String> {
    let ends = events.iter().filter(|it| it.kind == Ended(RevokedByUser));
    let name = |event: &Event| {
        assert_eq!(event.user, Some("alice".into()));
        assert_eq!(event.actor, Actor::Client);
        assert_eq!(event.client.as_ref().unwrap().to_string(), "curl");
        event.session.unwrap().to_string()
    };
    let mut names: Vec<_> = ends.map(name).collect();
    names.sort_unstable();
    names
}

/// At each stage: before the password was verified, and just before the sign-in would be written.
async fn t06_a_sign_in_under_way_that_began_before_is_refused<B: Backend>() {
    let world = World::<B>::start().await;
    let (anonymous, visitor) = (world.client(), world.shopping(&[1]).await);
    let alice = world.client();
    for (thief, op, moment) in [
        (&anonymous, Op::Create, Moment::Before),
        (&visitor, Op::Replace, Moment::Before),
        (&visitor, Op::Load, Moment::After),
    ] {
        let gate = world.store.hold(op, moment);
        let sign_in = thief.post("/login?user=alice").start();
        gate.reached().await;
        a_moment().await;
        world.advance(minutes(1));
        alice.post(RESET).await.is(204);
        gate.open();
        sign_in.reply().await.is(401).keeps_the_cookie();
        thief.get("/me").await.is(401);
        alice.get("/me").await.is(200);
    }
    assert_eq!(visitor.view().await.cart, [1]);
}

async fn t06_a_sign_in_that_begins_afterwards_succeeds<B: Backend>() {
    let world = World::<B>::start().await;
    let alice = world.client();
    let gate = world.store.hold(Op::Create, Moment::After);
    let reset = alice.post(RESET).start();
    gate.reached().await;
    let phone = world.signed_in("alice").await;
    gate.open();
    reset.reply().await.is(204).new_id();
    are_live(&[alice, phone]).await;
}

async fn t06_of_resets_at_once_one_succeeds<B: Backend>() {
    let world = World::<B>::start().await;
    let clients: [Client; 5] = std::array::from_fn(|_| world.client());
    let gate = world.store.hold_each(Op::Create, Moment::Before, 5);
    let resets = clients.each_ref().map(|client| client.post(RESET).start());
    for _ in &clients {
        gate.reached().await;
    }
    world.advance(minutes(1));
    gate.open();
    let mut statuses = Vec::new();
    for reset in resets {
        statuses.push(reset.reply().await.status());
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [204, 401, 401, 401, 401]);
    assert_eq!(world.backend.live(), 1);
}

async fn a_write_under_way_in_a_session_that_ended_is_refused_with_the_reason<B: Backend>() {
    let world = World::<B>::start().await;
    for (change, op) in [("/put/a/b", Op::Commit), ("/elevate", Op::Replace)] {
        let phone = world.signed_in("alice").await;
        let gate = world.store.hold(op, Moment::Before);
        let slow = phone.post(change).start();
        gate.reached().await;
        world.backend.later().await;
        world.client().post(RESET).await.is(204);
        gate.open();
        let reply = slow.reply().await;
        reply.is_problem(401, "session-ended").keeps_the_cookie();
        assert_eq!(reply.reason().as_deref(), Some("revoked_by_user"));
        assert_eq!(world.backend.live(), 1);
    }
}

async fn of_several_sign_ins_in_one_request_the_last_one_decides_whose_others_end<B: Backend>() {
    let world = World::<B>::start().await;
    for (steps, ends_alices, ends_bobs) in [
        ("reset:alice,login:alice", true, false),
        ("login:alice,reset:alice,elevate", true, false),
        ("reset:bob,login:alice", false, false),
        ("login:bob,reset:alice,login:bob", false, false),
        ("reset:alice,reset:bob", false, true),
        ("reset:alice,logout", false, false),
    ] {
        let ([desk, _], bob) = sessions_elsewhere(&world).await;
        let client = world.shopping(&[1]).await;
        client
            .post(&format!("/in-order?steps={steps}"))
            .await
            .is(204);
        for (other, ends) in [(desk, ends_alices), (bob, ends_bobs)] {
            let status = other.get("/me").await.status();
            assert_eq!(status, if ends { 401 } else { 200 }, "{steps}");
        }
    }
}

async fn where_one_session_is_the_limit_the_others_are_ended<B: Backend>() {
    for limit in [SessionLimit::refuse(1), SessionLimit::displace(1)] {
        let limit = limit.unwrap();
        let world = World::<B>::with(|layer| layer.session_limit(limit)).await;
        for client in [world.client(), world.shopping(&[1]).await] {
            let other = world.signed_in("alice").await;
            world.backend.later().await;
            client.post(RESET).await.is(204).new_id();
            other.gets_end_reason("revoked_by_user").await;
            client.get("/me").await.is(200);
            client.post("/logout").await.is(204);
        }
    }
}

async fn a_reset_for_an_invalid_user_ends_nothing<B: Backend>() {
    let world = World::<B>::start().await;
    let (others, bob) = sessions_elsewhere(&world).await;
    for client in [world.client(), bob] {
        for name in [String::new(), "a".repeat(1025)] {
            let reply = client.post("/reset/bytes").body(name).await;
            assert!(reply.keeps_the_cookie().status() >= 400);
        }
        assert_ne!(client.view().await.user.as_deref(), Some("alice"));
    }
    are_live(&others).await;
    assert_eq!(world.backend.live(), 3);
}

async fn a_reset_that_is_refused_for_a_revocation_ends_nothing<B: Backend>() {
    let world = World::<B>::start().await;
    for (client, op) in [
        (world.client(), Op::Create),
        (world.shopping(&[1]).await, Op::Replace),
    ] {
        let gate = world.store.hold(op, Moment::Before);
        let reset = client.post(RESET).start();
        gate.reached().await;
        world.backend.later().await;
        world.client().delete("/operator/alice").await.is(200);
        let since = world.signed_in("alice").await;
        gate.open();
        reset.reply().await.is(401).keeps_the_cookie();
        assert!(!world.audit.has(&Ended(RevokedByUser)));
        since.get("/me").await.is(200);
        client.get("/me").await.is(401);
    }
}

async fn a_reset_that_cannot_be_written_ends_nothing<B: Backend>() {
    let world = World::<B>::start().await;
    let (others, _) = sessions_elsewhere(&world).await;
    for (client, op) in [
        (world.client(), Op::Create),
        (world.shopping(&[1]).await, Op::Replace),
    ] {
        world.store.fail(op, Moment::Before);
        client.post(RESET).await.is(503).keeps_the_cookie();
        client.get("/me").await.is(401);
    }
    assert!(!world.audit.has(&Ended(RevokedByUser)));
    are_live(&others).await;
}

async fn rule_13_with_a_response_that_refuses_or_fails_nothing_ends_and_no_user_is_signed_in<
    B: Backend,
>() {
    let world = World::<B>::start().await;
    let (others, _) = sessions_elsewhere(&world).await;
    for client in [world.client(), world.shopping(&[1]).await] {
        for status in [400, 403, 408, 422, 500, 503] {
            let reply = client.post(RESET).answered(status).await;
            reply.is(status).keeps_the_cookie();
        }
        client.post(RESET).panicking().breaks().await;
        client.get("/me").await.is(401);
        assert!(!world.audit.has(&Ended(RevokedByUser)));
        are_live(&others).await;
        // The write before it is stored, and the one after it is not.
        let steps = "/in-order?steps=put:before,reset:alice,put:after";
        client.post(steps).answered(422).await.is(422);
        client.get("/get/before").await.is(200);
        client.get("/get/after").await.is(404);
    }
    are_live(&others).await;
}

async fn a_response_that_keeps_what_it_grants_ends_the_others<B: Backend>() {
    let world = World::<B>::start().await;
    let (others, _) = sessions_elsewhere(&world).await;
    let client = world.client();
    let refused = client.post(RESET).answered(403).keeping_grants();
    refused.await.is(403).new_id();
    were_ended(&others).await;
    client.get("/me").await.is(200);
}

async fn s102_a_reset_whose_client_disconnected_is_finished_and_reported<B: Backend>() {
    let world = World::<B>::start().await;
    for (client, op) in [
        (world.client(), Op::Create),
        (world.shopping(&[1]).await, Op::Replace),
    ] {
        let other = world.signed_in("alice").await;
        world.backend.later().await;
        let held = world.store.hold(op, Moment::Before);
        let flight = client.post(RESET).start();
        held.reached().await;
        flight.disconnect().await;
        world.client_disconnected().await;
        held.open();
        world.audit.until(Ended(RevokedByUser)).await;
        other.gets_end_reason("revoked_by_user").await;
        world.forget();
    }
}

async fn live_connections_of_the_others_end<B: Backend>() {
    let world = World::<B>::with(soon).await;
    let elsewhere = world.another_server().await;
    let (others, bob) = sessions_elsewhere(&world).await;
    let mut streams = [
        others[0].get("/live").listen().await,
        others[1].get("/live").listen().await,
    ];
    let mut of_bob = bob.get("/live").listen().await;
    let client = world.client_of(&elsewhere);
    client.post(RESET).await.is(204);
    let mut own = client.get("/live").listen().await;
    for stream in &mut streams {
        let reason = within(seconds(10), stream.reason()).await;
        assert_eq!(reason, "revoked_by_user");
    }
    of_bob.go_on().await;
    own.go_on().await;
}

/// Its sign-in began before the revocation.
async fn revoking_all_and_signing_in_with_one_request_signs_no_user_in<B: Backend>() {
    let world = World::<B>::start().await;
    let (others, _) = sessions_elsewhere(&world).await;
    for client in [world.client(), world.shopping(&[1]).await] {
        let reply = client.post("/reset/in-two-steps?user=alice").await;
        reply.is_problem(401, "session-ended").keeps_the_cookie();
        client.get("/me").await.is(401);
    }
    for other in &others {
        other.gets_end_reason("revoked_by_operator").await;
    }
    world.backend.later().await;
    world
        .client()
        .post("/login?user=alice")
        .await
        .is(204)
        .new_id();
}
