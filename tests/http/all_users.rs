//! S-068: an operator ends the sessions of all users.

use std::collections::HashSet;

use portcullis::{
    audit::{Actor, EventKind::Ended},
    session::EndReason::RevokedByOperator,
    store::StoreErrorKind,
};
use portcullis_tests::{
    Backend, Client, Moment, Op, Redis, Reply, World, a_moment, on_every_store,
};

on_every_store![
    s068_an_operator_ends_the_sessions_of_all_users,
    rule_12_each_end_is_reported_with_session_and_user,
    sessions_without_a_user_and_later_sign_ins_stay,
    a_session_that_gets_a_new_identifier_meanwhile_is_ended_all_the_same,
    rule_8_a_session_that_cannot_be_ended_is_reported_and_the_others_are_ended,
    s102_it_is_finished_although_the_operator_disconnects,
];

async fn end_all_sessions<B: Backend>(world: &World<B>) -> Reply {
    let reply = world.client().delete("/operator").await;
    world.backend.later().await;
    reply
}

async fn was_ended(client: &Client) {
    client.gets_end_reason("revoked_by_operator").await;
}

async fn signed_in<B: Backend>(world: &World<B>) -> [Client; 4] {
    let [desk, phone] = world.elevated_and_other("alice").await;
    let bob = world.signed_in("bob").await;
    [desk, phone, bob, world.signed_in("carol").await]
}

async fn s068_an_operator_ends_the_sessions_of_all_users<B: Backend>() {
    let world = World::<B>::start().await;
    let server = world.another_server().await;
    let clients = signed_in(&world).await;
    assert_eq!(end_all_sessions(&world).await.is(200).body(), "4");
    for client in &clients {
        was_ended(client).await;
        was_ended(&client.at(server.address())).await;
    }
    assert_eq!(end_all_sessions(&world).await.is(200).body(), "0");
}

async fn rule_12_each_end_is_reported_with_session_and_user<B: Backend>() {
    let world = World::<B>::start().await;
    let mut expected = Vec::new();
    for client in &signed_in(&world).await {
        let user = client.view().await.user;
        expected.push((client.handle().await, user));
    }
    world.forget();
    end_all_sessions(&world).await.is(200);
    let mut reported = Vec::new();
    for event in world.audit.take_ends() {
        assert_eq!(event.kind, Ended(RevokedByOperator));
        assert_eq!(event.actor, Actor::Operator("ops\nolga".into()));
        let user = event.user.map(|user| user.to_string());
        reported.push((event.session.unwrap().to_string(), user));
    }
    expected.sort();
    reported.sort();
    assert_eq!(reported, expected);
}

async fn sessions_without_a_user_and_later_sign_ins_stay<B: Backend>() {
    let world = World::<B>::start().await;
    let visitor = world.shopping(&[1]).await;
    let alice = world.signed_in("alice").await;
    end_all_sessions(&world).await.is(200);
    assert_eq!(visitor.view().await.cart, vec![1]);
    alice.post("/login?user=alice").await.is(204);
    visitor.post("/login?user=bob").await.is(204);
    for client in [&alice, &visitor] {
        client.get("/me").await.is(200);
        client.post("/put/a/b").await.is(204);
    }
}

async fn a_session_that_gets_a_new_identifier_meanwhile_is_ended_all_the_same<B: Backend>() {
    let world = World::<B>::start().await;
    let alice = world.signed_in("alice").await;
    let found = world.store.hold(Op::Revoke, Moment::Before);
    let ending = world.client().delete("/operator").start();
    found.reached().await;
    alice.post("/regenerate").await.is(204).new_id();
    found.open();
    assert_eq!(ending.reply().await.is(200).body(), "1");
    was_ended(&alice).await;
}

async fn rule_8_a_session_that_cannot_be_ended_is_reported_and_the_others_are_ended<B: Backend>() {
    let world = World::<B>::start().await;
    let clients = signed_in(&world).await;
    world.forget();
    world.store.fail(Op::Revoke, Moment::Before);
    end_all_sessions(&world)
        .await
        .is_problem(503, "session-unavailable");
    let ends = world.audit.take_ends().into_iter();
    let users: HashSet<_> = ends.filter_map(|event| event.user).collect();
    assert_eq!(users.len(), 2, "{users:?}");
    end_all_sessions(&world).await.is(200);
    for client in &clients {
        was_ended(client).await;
    }
}

async fn s102_it_is_finished_although_the_operator_disconnects<B: Backend>() {
    let world = World::<B>::start().await;
    let clients = signed_in(&world).await;
    world.forget();
    let gate = world.store.hold(Op::Users, Moment::Before);
    let ending = world.client().delete("/operator").start();
    gate.reached().await;
    ending.disconnect().await;
    world.client_disconnected().await;
    gate.open();
    let ended = Ended(RevokedByOperator);
    world.audit.until_there_are(clients.len(), ended).await;
    for client in &clients {
        was_ended(client).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn t07_a_session_that_its_users_list_has_lost_ends_when_it_is_next_written() {
    let world = World::<Redis>::start().await;
    let clients = signed_in(&world).await;
    world.backend.lose_lists_of_users();
    a_moment().await;
    assert_eq!(end_all_sessions(&world).await.is(200).body(), "0");
    for client in &clients {
        let refused = client.post("/put/a/b").await;
        refused.is_problem(401, "session-ended");
        was_ended(client).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_of_a_newer_version_does_not_block_others() {
    let world = World::<Redis>::start().await;
    world.signed_in("alice").await;
    let session = world.backend.keys().remove(0);
    world
        .backend
        .server()
        .cli(&["SETRANGE", &session, "0", "2"]);
    let others = [world.signed_in("alice").await, world.signed_in("bob").await];
    let ended = world.layer.sessions().revoke_everybody().await;
    assert_eq!(ended.unwrap_err().kind(), StoreErrorKind::NewerFormat);
    for client in &others {
        was_ended(client).await;
    }
}
