//! The two deadlines: what moves them, what does not, and what happens at them.

use std::time::Duration;

use http::Method;
use portcullis::{Timeouts, audit::EventKind, session::EndReason};
use portcullis_tests::{
    Backend, Gate, Memory, Moment, Op, Redis, World, about, hours, minutes, on_every_store, seconds,
};

on_every_store![
    s036_a_session_without_activity_ends_at_its_idle_timeout,
    s037_t39_a_session_ends_at_its_absolute_timeout_whatever_happens,
    s038_a_session_always_has_both_deadlines,
    s039_a_full_authentication_restarts_both_timeouts,
    s039_t39_no_other_change_moves_the_absolute_deadline,
    idle_never_extends_past_the_absolute_deadline,
    t36_s041_passive_routes_do_not_keep_a_session_alive,
    t36_a_write_of_a_passive_route_is_kept_but_is_no_activity,
    t37_what_is_no_activity_does_not_move_the_idle_deadline,
    t38_a_request_that_is_refused_is_no_activity,
    t37_what_is_activity_moves_the_idle_deadline,
    s040_a_touch_is_written_once_in_a_step_and_errs_short,
    t40_a_write_across_the_absolute_deadline_is_refused,
    t40_a_rotation_across_the_deadline_is_refused,
    t43_a_write_or_a_touch_that_reaches_the_store_after_expiry_creates_nothing,
    t45_a_touch_that_is_overtaken_does_not_move_activity_back,
    t46_servers_agree_when_a_session_ends,
    s046_after_expiry_the_session_is_gone_and_the_next_one_is_new,
    changed_timeouts_hold_for_sessions_that_begin_or_authenticate_after,
];

async fn s036_a_session_without_activity_ends_at_its_idle_timeout<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    world.advance(minutes(30) - seconds(10));
    client.get("/me").await.is(200);
    world.advance(minutes(30));
    client.get("/me").await.is(401).keeps_the_cookie();
    let ended = world.ended(&client.id()).await;
    assert_eq!(ended, Some(EndReason::IdleTimeout));
    assert_eq!(world.backend.live(), 0);
}

async fn s037_t39_a_session_ends_at_its_absolute_timeout_whatever_happens<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    let changes = [
        "/cart?item=1",
        "/regenerate",
        "/elevate",
        "/drop",
        "/put/a/b",
    ];
    for change in changes.iter().cycle().take(49) {
        world.advance(minutes(29));
        client.get("/me").await.is(200);
        client.post(change).await;
    }
    about(client.view().await.absolute_left, minutes(19));
    world.advance(minutes(19));
    client.get("/me").await.is(401).keeps_the_cookie();
    assert_eq!(world.backend.live(), 0);
}

async fn s038_a_session_always_has_both_deadlines<B: Backend>() {
    let world = World::<B>::start().await;
    let (anonymous, alice) = (world.shopping(&[1]).await, world.signed_in("alice").await);
    for (client, absolute) in [(anonymous, hours(4)), (alice, hours(24))] {
        let view = client.view().await;
        about(view.idle_left, minutes(30));
        about(view.absolute_left, absolute);
    }
}

async fn s039_a_full_authentication_restarts_both_timeouts<B: Backend>() {
    let world = World::<B>::with(|layer| layer.timeouts(day_of_idling())).await;
    let client = world.signed_in("alice").await;
    world.advance(hours(23));
    client.post("/login?user=alice").await.is(204);
    let view = client.view().await;
    about(view.absolute_left, hours(24));
    about(view.idle_left, hours(24));
    about(view.authenticated.unwrap(), seconds(0));
    about(view.age, hours(23));
}

async fn s039_t39_no_other_change_moves_the_absolute_deadline<B: Backend>() {
    let world = World::<B>::with(|layer| layer.timeouts(day_of_idling())).await;
    let client = world.signed_in("alice").await;
    let mut passed = Duration::ZERO;
    for change in [
        "/regenerate",
        "/elevate",
        "/drop",
        "/cart?item=1",
        "/clear",
        "/elevate/payments",
    ] {
        world.advance(hours(1));
        passed += hours(1);
        client.post(change).await;
        client.get("/me").await.is(200);
        let view = client.view().await;
        about(view.absolute_left, hours(24) - passed);
        about(view.age, passed);
        about(view.authenticated.unwrap(), passed);
    }
}

async fn idle_never_extends_past_the_absolute_deadline<B: Backend>() {
    let world = World::<B>::with(|layer| layer.timeouts(day_of_idling())).await;
    let client = world.signed_in("alice").await;
    world.advance(hours(23));
    client.get("/me").await.is(200);
    let view = client.view().await;
    about(view.inactive, seconds(0));
    assert_eq!(view.idle_left, view.absolute_left);
    world.advance(hours(1));
    client.get("/me").await.is(401);
}

async fn t36_s041_passive_routes_do_not_keep_a_session_alive<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    for _ in 0..29 {
        world.advance(minutes(1));
        client.get("/passive/session").await.is(200);
    }
    about(client.view().await.inactive, minutes(29));
    world.advance(minutes(1));
    client.get("/me").await.is(401);
}

async fn t36_a_write_of_a_passive_route_is_kept_but_is_no_activity<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    world.advance(minutes(20));
    client.post("/passive/put/a/b").await.is(204);
    about(client.view().await.inactive, minutes(20));
    client.call(Method::HEAD, "/get/a").await.is(200);
    world.advance(minutes(10));
    client.get("/me").await.is(401);
}

async fn t37_what_is_no_activity_does_not_move_the_idle_deadline<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    world.advance(minutes(20));
    for (method, target, field) in [
        (Method::HEAD, "/me", ("accept", "*/*")),
        (Method::OPTIONS, "/me", ("accept", "*/*")),
        (Method::GET, "/me", ("sec-purpose", "prefetch")),
        (Method::GET, "/me", ("sec-purpose", "prefetch;prerender")),
        (Method::GET, "/me", ("purpose", "prefetch")),
        (Method::GET, "/public", ("accept", "*/*")),
    ] {
        client
            .call(method, target)
            .header(field.0, field.1)
            .await
            .is(200);
    }
    for status in [401, 403, 404, 429, 500, 503] {
        client.get("/me").answered(status).await.is(status);
    }
    client.get("/nothing-here").await.is(404);
    about(client.view().await.inactive, minutes(20));
}

async fn t38_a_request_that_is_refused_is_no_activity<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    world.advance(minutes(20));
    client.post("/transfer").await.is(401);
    client.get("/danger").await.is(401);
    about(client.view().await.inactive, minutes(20));
}

async fn t37_what_is_activity_moves_the_idle_deadline<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    for (method, target, status) in [
        ("GET", "/me", 200),
        ("POST", "/cart?item=1", 204),
        ("POST", "/regenerate", 204),
        ("GET", "/session", 200),
        ("POST", "/elevate", 303),
        ("GET", "/account", 200),
    ] {
        world.advance(minutes(20));
        let call = client.call(method.parse().unwrap(), target);
        call.answered(status).await.is(status);
        about(client.view().await.inactive, seconds(0));
    }
}

async fn s040_a_touch_is_written_once_in_a_step_and_errs_short<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    world.advance(seconds(30));
    client.get("/me").await.is(200);
    assert_eq!(world.store.take_calls(), [Op::Load]);
    world.advance(seconds(30));
    client.get("/me").await.is(200);
    assert_eq!(world.store.take_calls(), [Op::Load, Op::Touch]);
    client.get("/me").await.is(200);
    assert_eq!(world.store.take_calls(), [Op::Load]);
    world.advance(minutes(30));
    client.get("/me").await.is(401);
}

async fn t40_a_write_across_the_absolute_deadline_is_refused<B: Backend>() {
    let world = World::<B>::with(|layer| layer.timeouts(day_of_idling())).await;
    let client = world.signed_in("alice").await;
    world.advance(hours(24) - seconds(10));
    let gate = Gate::closed();
    let slow = client.post("/put/a/b").held_at(&gate).start();
    gate.reached().await;
    world.advance(seconds(10));
    gate.open();
    slow.reply()
        .await
        .is_problem(401, "session-ended")
        .keeps_the_cookie();
    let ended = world.ended(&client.id()).await;
    assert_eq!(ended, Some(EndReason::AbsoluteTimeout));
}

async fn t40_a_rotation_across_the_deadline_is_refused<B: Backend>() {
    let world = World::<B>::start().await;
    for change in [
        "/regenerate",
        "/elevate",
        "/login?user=alice",
        "/login?user=bob",
    ] {
        let client = world.signed_in("alice").await;
        let gate = Gate::closed();
        let slow = client.post(change).held_at(&gate).start();
        gate.reached().await;
        world.advance(minutes(30));
        gate.open();
        slow.reply().await.is(401).keeps_the_cookie();
        assert_eq!(world.backend.live(), 0, "{change}");
    }
}

async fn t43_a_write_or_a_touch_that_reaches_the_store_after_expiry_creates_nothing<B: Backend>() {
    let world = World::<B>::start().await;
    for (op, method, target, status) in [
        (Op::Commit, "POST", "/put/a/b", 401),
        (Op::Touch, "GET", "/me", 200),
        (Op::Replace, "POST", "/regenerate", 401),
    ] {
        let client = world.signed_in("alice").await;
        world.advance(minutes(20));
        let held = world.store.hold(op, Moment::Before);
        let slow = client.call(method.parse().unwrap(), target).start();
        held.reached().await;
        world.advance(minutes(10));
        held.open();
        slow.reply().await.is(status).keeps_the_cookie();
        assert_eq!(world.backend.live(), 0, "{op:?}");
        let ended = world.ended(&client.id()).await;
        assert_eq!(ended, Some(EndReason::IdleTimeout), "{op:?}");
    }
}

async fn t45_a_touch_that_is_overtaken_does_not_move_activity_back<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    world.advance(minutes(10));
    let touch = world.store.hold(Op::Touch, Moment::Before);
    let slow = client.get("/me").start();
    touch.reached().await;
    world.advance(minutes(10));
    client.get("/me").await.is(200);
    about(client.view().await.inactive, seconds(0));
    touch.open();
    slow.reply().await.is(200);
    about(client.view().await.inactive, seconds(0));
}

async fn t46_servers_agree_when_a_session_ends<B: Backend>() {
    let world = World::<B>::start().await;
    let other = world.another_server().await;
    let here = world.signed_in("alice").await;
    let there = here.at(other.address());
    world.advance(minutes(20));
    there.get("/me").await.is(200);
    world.advance(minutes(20));
    about(here.view().await.inactive, minutes(20));
    here.get("/me").await.is(200);
    world.advance(minutes(30));
    there.get("/me").await.is(401);
    here.get("/me").await.is(401);
}

async fn s046_after_expiry_the_session_is_gone_and_the_next_one_is_new<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    client.post("/put/a/b").await.is(204);
    let before = client.view().await;
    world.advance(minutes(30));
    world.forget();
    client
        .get("/me")
        .await
        .is_problem(401, "authentication-required")
        .keeps_the_cookie();
    assert_eq!(
        world.audit.take_kinds(),
        [EventKind::Ended(EndReason::IdleTimeout)]
    );
    let old = client.id();
    let id = client.post("/login?user=alice").await.is(204).new_id();
    assert_ne!(id, old);
    client.get("/get/a").await.is(404);
    assert_ne!(client.view().await.handle, before.handle);
}

async fn changed_timeouts_hold_for_sessions_that_begin_or_authenticate_after<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    let short = Timeouts::new(minutes(5), hours(1)).unwrap();
    let stricter = world.layer.clone().timeouts(short);
    let routes = portcullis_tests::routes(portcullis_tests::Gates::default());
    let server = portcullis_tests::Server::of_router(routes.layer(stricter)).await;
    let there = client.at(server.address());
    there.post("/put/a/b").await.is(204);
    about(there.view().await.idle_left, minutes(30));
    about(there.view().await.absolute_left, hours(24));
    there.post("/login?user=alice").await.is(204);
    about(there.view().await.idle_left, minutes(5));
    about(there.view().await.absolute_left, hours(1));
}

fn day_of_idling() -> Timeouts {
    Timeouts::new(hours(24), hours(24)).unwrap()
}

#[tokio::test]
async fn t49_a_session_is_live_until_the_last_millisecond_and_not_at_its_deadline() {
    let millisecond = Duration::from_millis(1);
    let world = World::<Memory>::with(|layer| layer.timeouts(day_of_idling())).await;
    let client = world.signed_in("alice").await;
    world.advance(hours(24) - millisecond);
    client.get("/passive/session").await.is(200);
    assert_eq!(client.view().await.absolute_left, 1);
    client.get("/me").await.is(200);
    world.advance(millisecond);
    client.get("/me").await.is(401);

    let world = World::<Memory>::start().await;
    let client = world.signed_in("alice").await;
    world.advance(minutes(30) - millisecond);
    assert_eq!(client.view().await.idle_left, 1);
    world.advance(millisecond);
    client.get("/me").await.is(401);
}

/// The one test that lets real time pass: only Redis itself can show that a key expires.
#[tokio::test]
async fn t41_a_session_of_less_than_a_second_is_gone_in_time() {
    let timeouts = Timeouts::new(seconds(60), seconds(60)).unwrap();
    let world = World::<Redis>::with(|layer| layer.timeouts(timeouts)).await;
    let client = world.signed_in("alice").await;
    world.advance(seconds(59));
    client.post("/put/a/b").await.is(204);
    let keys = world.backend.keys();
    let left = world.backend.server().cli(&["PTTL", &keys[0]]).integer();
    assert!((1..1000).contains(&left), "{left}");
    tokio::time::sleep(seconds(1)).await;
    client.get("/me").await.is(401);
    assert_eq!(world.backend.live(), 0);
}

#[tokio::test]
async fn t42_t44_rule_11_whatever_happens_every_key_in_redis_has_a_time_to_live() {
    let world = World::<Redis>::start().await;
    let client = world.client();
    for change in [
        "/cart?item=1",
        "/cart?item=2",
        "/login?user=alice",
        "/put/a/b",
        "/elevate",
        "/drop",
        "/regenerate",
        "/clear",
        "/login?user=bob",
        "/logout-and-put",
        "/logout",
    ] {
        world.advance(minutes(2));
        client.post(change).await;
        client.get("/me").await;
        let keys = world.backend.keys();
        assert!(!keys.is_empty());
        for key in keys {
            let left = world.backend.server().cli(&["PTTL", &key]).integer();
            assert!((1..=86_400_000).contains(&left), "{left} after {change}");
        }
    }
}
