//! The application shortens the timeouts of one session.

use portcullis_tests::{
    Backend, Client, Explained, Gate, World, about, minutes, on_every_store, seconds, soon, within,
};

on_every_store![
    a_session_that_the_application_shortened_ends_at_its_new_deadlines,
    p14_a_shortened_session_is_explained_as_such_and_ends_then,
    a_stream_of_another_server_ends_at_the_shortened_deadline,
    a_sign_in_that_is_shortened_in_the_same_request_begins_with_those_limits,
    what_another_request_shortened_is_not_undone_by_one_that_began_before,
];

async fn shorten(client: &Client, limits: &str) {
    client.post(&format!("/shorten?{limits}")).await.is(204);
}

async fn a_session_that_the_application_shortened_ends_at_its_new_deadlines<B: Backend>() {
    let world = World::<B>::start().await;
    let idle = world.signed_in("alice").await;
    shorten(&idle, "idle=300").await;
    let absolute = world.signed_in("alice").await;
    shorten(&absolute, "left=600").await;
    for _ in 0..2 {
        world.advance(minutes(4));
        idle.get("/me").await.is(200);
        absolute.get("/me").await.is(200);
    }
    world.advance(minutes(2));
    idle.get("/me").await.is(200);
    absolute.get("/me").await.is(401);
    world.advance(minutes(5));
    idle.get("/me").await.is(401);
}

async fn p14_a_shortened_session_is_explained_as_such_and_ends_then<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    shorten(&client, "left=600").await;
    let view = client.view().await;
    about(view.absolute_left, minutes(10));
    let explained: Explained = client.get("/explain").await.is(200).json();
    assert!(
        explained
            .text
            .unwrap()
            .contains("shortened by the application")
    );
}

async fn a_stream_of_another_server_ends_at_the_shortened_deadline<B: Backend>() {
    let world = World::<B>::with(soon).await;
    let server = world.serve(world.another_layer().await).await;
    let client = world.signed_in("alice").await;
    let mut events = client.get("/live").listen().await;
    events.go_on().await;
    shorten(&client.at(server.address()), "left=1").await;
    world.advance(seconds(2));
    let reason = within(seconds(3), events.reason()).await;
    assert_eq!(reason, "absolute_timeout");
}

async fn a_sign_in_that_is_shortened_in_the_same_request_begins_with_those_limits<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.client();
    client.post("/login-shortened?user=alice").await.is(204);
    let view = client.view().await;
    about(view.idle_left, minutes(5));
    about(view.absolute_left, minutes(60));
}

async fn what_another_request_shortened_is_not_undone_by_one_that_began_before<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    let gate = Gate::closed();
    let slow = client.fork().post("/put/a/b").held_at(&gate).start();
    gate.reached().await;
    shorten(&client, "idle=300&left=600").await;
    gate.open();
    slow.reply().await.is(204);
    let view = client.view().await;
    about(view.idle_left, minutes(5));
    about(view.absolute_left, minutes(10));
}
