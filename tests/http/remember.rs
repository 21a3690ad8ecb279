//! "Remember me": sign-ins that outlive the browser.

use std::time::Duration;

use portcullis::{SessionLayer, Timeouts, audit::EventKind, settings::RememberMe};
use portcullis_tests::{
    Backend, Client, Reply, World, about, hours, minutes, on_every_store, seconds,
};

on_every_store![
    s006_a_remembered_user_has_a_cookie_that_outlives_the_browser,
    a_remembered_session_ends_by_limits_of_its_own,
    a_layer_may_set_the_limits_of_remembered_sessions,
    t23_remember_me_is_kept_through_every_new_identifier,
    s006_its_cookie_ends_with_the_session_whenever_it_is_set,
    a_remembered_session_ends_with_a_sign_out_and_with_an_ordinary_sign_in,
    rule_7_it_is_no_recent_proof,
    rule_13_a_refused_sign_in_remembers_no_user,
    a_password_reset_may_ask_for_it,
    to_remember_without_a_sign_in_is_refused,
    no_user_is_remembered_unless_the_layer_allows_it,
    s063_a_remembered_session_ends_with_all_others,
];

const DAY: Duration = hours(24);

fn allowed(layer: SessionLayer) -> SessionLayer {
    layer.remember_me(RememberMe::default())
}

const SIGN_IN: &str = "/in-order?steps=login:alice,remember";

async fn remembered<B: Backend>(world: &World<B>) -> Client {
    let client = world.client();
    world.backend.later().await;
    lasts(&client.post(SIGN_IN).await, 90 * DAY);
    world.forget();
    client
}

/// The response sets a cookie with this lifetime.
#[track_caller]
fn lasts(reply: &Reply, expected: Duration) {
    let cookie = reply.is(204).set_cookie();
    let seconds_left: u64 = cookie.attributes["max-age"].parse().unwrap();
    let bounds = expected - seconds(60)..=expected;
    assert!(bounds.contains(&seconds(seconds_left)), "{seconds_left}");
}

/// The response sets a cookie that ends with the browser.
#[track_caller]
fn ends_with_the_browser(reply: &Reply) {
    let cookie = reply.is(204).set_cookie();
    assert!(!cookie.removes() && !cookie.attributes.contains_key("max-age"));
    assert!(!cookie.attributes.contains_key("expires"));
}

async fn s006_a_remembered_user_has_a_cookie_that_outlives_the_browser<B: Backend>() {
    let world = World::<B>::with(allowed).await;
    let client = world.client();
    let reply = client.post(SIGN_IN).await;
    lasts(&reply, 90 * DAY);
    let scope = ["httponly", "path=/", "samesite=lax", "secure"];
    assert_eq!(reply.set_cookie().scope(), scope);
    let view = client.view().await;
    assert!(view.remembered);
    assert_eq!(view.user.as_deref(), Some("alice"));
    assert_eq!(world.audit.take_kinds(), [EventKind::Authenticated]);
    ends_with_the_browser(&world.client().post("/login?user=bob").await);
    ends_with_the_browser(&world.client().post("/cart?item=1").await);
}

async fn a_remembered_session_ends_by_limits_of_its_own<B: Backend>() {
    let world = World::<B>::with(allowed).await;
    let client = remembered(&world).await;
    let idle = remembered(&world).await;
    let ordinary = world.signed_in("alice").await;
    let view = client.view().await;
    about(view.idle_left, 14 * DAY);
    about(view.absolute_left, 90 * DAY);
    world.advance(13 * DAY);
    client.get("/me").await.is(200);
    ordinary.get("/me").await.is(401);
    world.advance(DAY);
    idle.gets_end_reason("idle_timeout").await;
    for _ in 0..6 {
        world.advance(12 * DAY);
        client.get("/me").await.is(200);
    }
    world.advance(4 * DAY);
    client.gets_end_reason("absolute_timeout").await;
    assert_eq!(world.backend.live(), 0);
}

async fn a_layer_may_set_the_limits_of_remembered_sessions<B: Backend>() {
    let limits = RememberMe::new(2 * DAY, 3 * DAY).unwrap();
    let world = World::<B>::with(|layer| layer.remember_me(limits)).await;
    let client = world.client();
    lasts(&client.post(SIGN_IN).await, 3 * DAY);
    let view = client.view().await;
    about(view.idle_left, 2 * DAY);
    about(view.absolute_left, 3 * DAY);
    world.advance(2 * DAY);
    client.get("/me").await.is(401);
}

async fn t23_remember_me_is_kept_through_every_new_identifier<B: Backend>() {
    let world = World::<B>::with(allowed).await;
    let client = remembered(&world).await;
    for change in [
        "/regenerate",
        "/elevate",
        "/elevate/payments",
        "/drop",
        "/in-order?steps=regenerate,put:a,commit,regenerate",
    ] {
        let reply = client.post(change).await;
        let old = reply.set_cookie();
        assert!(old.attributes.contains_key("max-age"), "{change}");
        let view = client.view().await;
        assert!(view.remembered, "{change}");
        about(view.idle_left, 14 * DAY);
        about(view.absolute_left, 90 * DAY);
    }
    client.post("/clear").await.is(204).keeps_the_cookie();
    assert!(client.view().await.remembered);
}

async fn s006_its_cookie_ends_with_the_session_whenever_it_is_set<B: Backend>() {
    let world = World::<B>::with(allowed).await;
    let client = remembered(&world).await;
    for days in [10, 20, 30] {
        world.advance(10 * DAY);
        lasts(&client.post("/regenerate").await, (90 - days) * DAY);
    }
}

async fn a_remembered_session_ends_with_a_sign_out_and_with_an_ordinary_sign_in<B: Backend>() {
    let world = World::<B>::with(allowed).await;
    for user in ["alice", "bob"] {
        let client = remembered(&world).await;
        world.backend.later().await;
        let reply = client.post(&format!("/login?user={user}")).await;
        ends_with_the_browser(&reply);
        let view = client.view().await;
        assert!(!view.remembered);
        about(view.idle_left, minutes(30));
        about(view.absolute_left, DAY);
    }
    let client = remembered(&world).await;
    client.post("/logout").await.is(204).removes_the_cookie();
    ends_with_the_browser(&client.post("/cart?item=1").await);
    ends_with_the_browser(&client.post("/login?user=alice").await);
    assert!(!client.view().await.remembered);
    // A write after a sign-out in one request begins another session, too.
    let client = remembered(&world).await;
    ends_with_the_browser(&client.post("/logout-and-put").await);
}

async fn rule_7_it_is_no_recent_proof<B: Backend>() {
    let world = World::<B>::with(allowed).await;
    let client = remembered(&world).await;
    client.get("/me").await.is(200);
    client
        .get("/danger")
        .await
        .is_problem(401, "elevation-required");
    client.elevate().await;
    client.get("/danger").await.is(200);
    world.advance(minutes(15));
    client
        .get("/danger")
        .await
        .is_problem(401, "elevation-required");
    // An elevation in the request that signs in ends as usual.
    let client = world.client();
    let steps = "/in-order?steps=login:alice,elevate,remember";
    lasts(&client.post(steps).await, 90 * DAY);
    client.get("/danger").await.is(200);
    world.advance(minutes(15));
    client.get("/danger").await.is(401);
}

async fn rule_13_a_refused_sign_in_remembers_no_user<B: Backend>() {
    let world = World::<B>::with(allowed).await;
    for status in [401, 422, 500] {
        let call = world.client().post(SIGN_IN).answered(status);
        call.await.is(status).keeps_the_cookie();
        let client = world.shopping(&[1]).await;
        let call = client.post(SIGN_IN).answered(status);
        call.await.is(status).keeps_the_cookie();
        assert!(!client.view().await.remembered);
    }
}

async fn a_password_reset_may_ask_for_it<B: Backend>() {
    let world = World::<B>::with(allowed).await;
    let other = remembered(&world).await;
    world.backend.later().await;
    let client = world.client();
    let steps = "/in-order?steps=reset:alice,remember";
    lasts(&client.post(steps).await, 90 * DAY);
    other.get("/me").await.is(401);
    assert!(client.view().await.remembered);
}

async fn to_remember_without_a_sign_in_is_refused<B: Backend>() {
    let world = World::<B>::with(allowed).await;
    let client = world.signed_in("alice").await;
    for steps in ["remember", "login:alice,commit,remember", "logout,remember"] {
        let client = client.fork();
        let reply = client.post(&format!("/in-order?steps={steps}")).await;
        reply.is_problem(500, "session-error");
    }
}

async fn s063_a_remembered_session_ends_with_all_others<B: Backend>() {
    let timeouts = Timeouts::new(minutes(1), minutes(2)).unwrap();
    let world = World::<B>::with(|layer| allowed(layer).timeouts(timeouts)).await;
    let client = remembered(&world).await;
    world.backend.later().await;
    let operator = world.client();
    assert_eq!(operator.delete("/operator/alice").await.body(), "1");
    client.gets_end_reason("revoked_by_operator").await;
    // The registry knows how long sessions of the realm may live.
    let sessions = world.layer.sessions();
    for realm in sessions.realms().await.unwrap() {
        assert!(realm.longest >= 90 * DAY, "{realm:?}");
    }
}

async fn no_user_is_remembered_unless_the_layer_allows_it<B: Backend>() {
    let world = World::<B>::start().await;
    let reply = world.client().post(SIGN_IN).await;
    reply.is_problem(500, "session-error").keeps_the_cookie();
    assert_eq!(world.backend.live(), 0);
}
