//! What a handler can and cannot do with its session.

use portcullis::{SessionError, audit::EventKind};
use portcullis_tests::{Backend, Moment, Op, World, on_every_store};

on_every_store![
    a_function_given_to_update_may_read_the_session,
    a_function_given_to_update_cannot_change_the_session,
    a_function_given_to_update_cannot_commit_the_session,
    a_value_cannot_change_the_session_while_it_is_encoded,
    t35_a_session_loaded_after_the_head_of_the_response_is_closed,
    t35_a_change_after_the_head_of_the_response_is_an_error,
    t35_a_change_while_the_session_is_being_committed_is_an_error,
    an_early_commit_is_visible_to_others_before_the_response,
    an_early_commit_that_is_refused_returns_an_error_to_the_handler,
    a_handler_sees_its_own_changes,
    values_are_removed_and_cleared,
    no_user_is_signed_in_under_an_empty_name,
];

async fn a_function_given_to_update_may_read_the_session<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    client.post("/cart?item=1").await.is(204);
    let seen = client.post("/nested/read").await;
    assert_eq!(
        seen.is(200).body(),
        "(Some(Some([1])), Some(UserId(alice)), true)"
    );
    assert_eq!(client.view().await.cart, [1, 9]);
}

async fn a_function_given_to_update_cannot_change_the_session<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    let reply = client.post("/nested/write").await;
    assert_eq!(reply.is(200).keeps_the_cookie().body(), "all refused: true");
    let view = client.view().await;
    assert_eq!((view.cart, view.user.as_deref()), (vec![9], Some("alice")));
    client.get("/get/inner").await.is(404);
}

async fn a_function_given_to_update_cannot_commit_the_session<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    let polled = client.post("/nested/commit").await;
    assert_eq!(
        polled.is(200).body(),
        format!("Ready(Err({}))", SessionError::InsideUpdate)
    );
}

async fn a_value_cannot_change_the_session_while_it_is_encoded<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    let encoded = client.post("/nested/encode").await;
    assert_eq!(
        encoded.is(200).body(),
        format!("Err({})", SessionError::InsideUpdate)
    );
}

async fn t35_a_session_loaded_after_the_head_of_the_response_is_closed<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    let seen = client.get("/late/load").await;
    let sent = format!("Err({})", SessionError::ResponseSent);
    assert_eq!(seen.is(200).body(), format!("Some(UserId(alice)) {sent}"));
    client.get("/me").await.is(200);
}

async fn t35_a_change_after_the_head_of_the_response_is_an_error<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    let results = client.get("/late").await;
    let sent = format!("Err({})", SessionError::ResponseSent);
    assert_eq!(
        results.is(200).keeps_the_cookie().body(),
        format!("[{sent}, {sent}, {sent}, {sent}]")
    );
    let commit = client.get("/late/commit").await;
    assert_eq!(commit.is(200).body(), sent);
    assert_eq!(client.get("/me").await.body(), "alice");
    client.get("/get/late").await.is(404);
    assert_eq!(world.audit.take_kinds(), []);
}

async fn t35_a_change_while_the_session_is_being_committed_is_an_error<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    let commit = world.store.hold(Op::Commit, Moment::Before);
    let (beside, name) = world.gate();
    let flight = client.post(&format!("/commit-beside/{name}")).start();
    commit.reached().await;
    beside.reached().await;
    commit.open();
    beside.open();
    assert_eq!(
        flight.reply().await.is(200).body(),
        format!("Err({})", SessionError::Committing)
    );
    client.get("/get/beside").await.is(404);
    client.get("/get/before").await.is(200);
}

async fn an_early_commit_is_visible_to_others_before_the_response<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    let gate = portcullis_tests::Gate::closed();
    let flight = client.post("/commit-only").held_at(&gate).start();
    gate.reached().await;
    assert_eq!(client.get("/get/before").await.body(), "1");
    world.forget();
    gate.open();
    flight.reply().await.is(204).keeps_the_cookie();
    assert_eq!(world.store.take_calls(), []);
}

async fn an_early_commit_that_is_refused_returns_an_error_to_the_handler<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    let other = world.another_process().await;
    let commit = world.store.hold(Op::Commit, Moment::Before);
    let flight = client.post("/commit-only").start();
    commit.reached().await;
    let there = client.fork().at(other.address());
    there.post("/logout").await.is(204);
    commit.open();
    flight
        .reply()
        .await
        .is_problem(401, "session-ended")
        .keeps_the_cookie();
    assert!(world.audit.has(&EventKind::WriteRefused));
}

async fn a_handler_sees_its_own_changes<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.client();
    let seen = client.post("/own-changes").await;
    assert_eq!(
        seen.is(200).body(),
        "Some(\"1\") true None Some(UserId(alice)) true None false"
    );
}

async fn values_are_removed_and_cleared<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    client.post("/put/a/1").await.is(204);
    client.post("/put/b/2").await.is(204);
    let remove = || client.call("DELETE".parse().unwrap(), "/key/a");
    assert_eq!(remove().await.body(), "true");
    assert_eq!(remove().await.body(), "false");
    client.get("/get/a").await.is(404);
    client.post("/clear").await.is(204);
    client.get("/get/b").await.is(404);
    assert_eq!(client.get("/me").await.body(), "alice");
}

async fn no_user_is_signed_in_under_an_empty_name<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    let reply = client.post("/login?user=").await;
    reply.is_problem(500, "session-error").keeps_the_cookie();
    assert_eq!(client.get("/me").await.body(), "alice");
}
