//! Responses that continue after their head end with the session. Events here; sockets have a file
//! of their own.

use std::time::Duration;

use portcullis::{Timeouts, settings::SessionLimit};
use portcullis_tests::{
    Backend, CapturedAudit, Client, Moment, Op, Redis, World, about, hours, late, minutes,
    on_every_store, seconds, some_polls, soon, within,
};
use tokio::time::Instant;

on_every_store![
    t55_s065_a_stream_ends_when_its_session_is_signed_out_in_another_tab,
    t55_s065_a_stream_ends_when_its_session_is_revoked,
    t55_s065_a_stream_ends_when_its_session_is_ended_by_another_server,
    t55_whatever_ends_a_session_in_this_process_ends_its_streams_at_once,
    t55_a_stream_ends_at_the_idle_deadline_and_is_no_activity,
    t55_a_stream_ends_at_the_absolute_deadline_whatever_the_activity,
    t55_s050_a_stream_that_needs_an_elevation_ends_with_it,
    t55_a_stream_ends_when_the_elevation_is_dropped_or_lost_with_a_new_identifier,
    a_stream_is_not_judged_by_a_load_that_began_before_it,
    an_elevation_for_another_scope_is_not_what_a_stream_needs,
    a_new_identifier_in_another_tab_is_followed,
    t55_an_authentication_begins_another_session_and_ends_the_streams_of_this_one,
    a_stream_begins_with_what_its_request_has_committed,
    a_stream_without_a_session_ends_at_once,
    a_long_poll_is_answered_when_its_session_ends,
    t67_a_store_that_is_down_for_long_ends_streams_and_for_a_moment_does_not,
    a_session_is_loaded_once_however_many_streams_it_has_and_only_while_it_has_any,
    bytes_that_are_always_ready_end_as_well,
];

async fn t55_s065_a_stream_ends_when_its_session_is_signed_out_in_another_tab<B: Backend>() {
    let world = World::<B>::with(late).await;
    for route in ["/live", "/live/session"] {
        let client = world.signed_in("alice").await;
        let mut events = client.get(route).listen().await;
        events.go_on().await;
        client.post("/logout").await.is(204);
        let reason = within(seconds(5), events.reason()).await;
        assert_eq!(reason, "signed_out");
    }
}

async fn t55_s065_a_stream_ends_when_its_session_is_revoked<B: Backend>() {
    let world = World::<B>::with(late).await;
    let [desk, phone] = world.elevated_and_other("alice").await;
    let mut of_phone = phone.get("/live").listen().await;
    let mut of_desk = desk.get("/live").listen().await;
    of_phone.go_on().await;
    let target = format!("/sessions/{}", phone.handle().await);
    desk.delete(&target).await.is(200);
    let reason = within(seconds(5), of_phone.reason()).await;
    assert_eq!(reason, "revoked_by_user");

    of_desk.go_on().await;
    world.client().delete("/operator/alice").await.is(200);
    let reason = within(seconds(5), of_desk.reason()).await;
    assert_eq!(reason, "revoked_by_operator");
}

async fn t55_s065_a_stream_ends_when_its_session_is_ended_by_another_server<B: Backend>() {
    let world = World::<B>::with(soon).await;
    let elsewhere = world.another_layer().await;
    let server = world.serve(elsewhere.clone()).await;
    let client = world.signed_in("alice").await;
    let mut events = client.get("/live").listen().await;
    events.go_on().await;
    elsewhere.sessions().revoke_all("alice").await.unwrap();
    let reason = within(seconds(3), events.reason()).await;
    assert_eq!(reason, "revoked_by_operator");

    let client = world.signed_in("alice").await;
    let mut events = client.get("/live").listen().await;
    events.go_on().await;
    let there = client.at(server.address());
    there.post("/logout").await.is(204);
    let reason = within(seconds(3), events.reason()).await;
    assert_eq!(reason, "signed_out");
}

async fn t55_whatever_ends_a_session_in_this_process_ends_its_streams_at_once<B: Backend>() {
    let limit = SessionLimit::displace(1).unwrap();
    let world = World::<B>::with(|layer| late(layer.session_limit(limit))).await;
    for (cause, expected) in [
        ("sweep", "idle_timeout"),
        ("request", "idle_timeout"),
        ("sign-in elsewhere", "displaced_by_limit"),
        ("program with another audit", "revoked_by_operator"),
        ("password", "revoked_by_user"),
    ] {
        let user = if cause == "password" { "bob" } else { "alice" };
        let client = world.signed_in(user).await;
        let mut events = client.get("/live").listen().await;
        events.go_on().await;
        match cause {
            "sweep" => {
                world.advance(minutes(30));
                world.layer.sessions().sweep().await.unwrap();
            }
            "request" => {
                world.advance(minutes(30));
                client.get("/me").await.is(401);
            }
            "sign-in elsewhere" => {
                world.client().post("/login?user=alice").await.is(204);
            }
            "program with another audit" => {
                let sessions = world.layer.sessions().audit(CapturedAudit::default());
                sessions.revoke_all("alice").await.unwrap();
            }
            _ => {
                // A session from before the limit.
                let unlimited = world.layer.clone().session_limit(None);
                let server = world.serve(unlimited).await;
                let desk = world.client_of(&server);
                desk.post("/login?user=bob").await.is(204);
                desk.elevate().await;
                desk.post("/password").await.is(200);
            }
        }
        let reason = within(seconds(5), events.reason()).await;
        assert_eq!(reason, expected, "{cause}");
    }
}

async fn t55_a_stream_ends_at_the_idle_deadline_and_is_no_activity<B: Backend>() {
    let world = World::<B>::with(soon).await;
    let client = world.signed_in("alice").await;
    let mut events = client.get("/live").listen().await;
    for passed in [10, 20, 29] {
        world.advance(minutes(if passed == 29 { 9 } else { 10 }));
        tokio::time::sleep(seconds(1)).await;
        events.go_on().await;
        about(client.view().await.inactive, minutes(passed));
    }
    world.advance(minutes(1));
    let reason = within(seconds(3), events.reason()).await;
    assert_eq!(reason, "idle_timeout");
    client.get("/me").await.is(401);
}

async fn t55_a_stream_ends_at_the_absolute_deadline_whatever_the_activity<B: Backend>() {
    let timeouts = Timeouts::new(hours(1), hours(2)).unwrap();
    let world = World::<B>::with(|layer| soon(layer.timeouts(timeouts))).await;
    let client = world.signed_in("alice").await;
    let mut events = client.get("/live").listen().await;
    for _ in 0..2 {
        world.advance(minutes(50));
        client.get("/me").await.is(200);
        tokio::time::sleep(seconds(1)).await;
        events.go_on().await;
    }
    world.advance(minutes(20));
    let reason = within(seconds(3), events.reason()).await;
    assert_eq!(reason, "absolute_timeout");
}

async fn t55_s050_a_stream_that_needs_an_elevation_ends_with_it<B: Backend>() {
    let world = World::<B>::with(soon).await;
    let client = world.signed_in("alice").await;
    client.elevate().await;
    let mut elevated = client.get("/live/elevated").listen().await;
    let mut signed_in = client.get("/live").listen().await;
    world.advance(minutes(14));
    client.get("/me").await.is(200);
    tokio::time::sleep(seconds(1)).await;
    elevated.go_on().await;
    world.advance(minutes(1));
    let reason = within(seconds(3), elevated.reason()).await;
    assert_eq!(reason, "elevation_ended");
    signed_in.go_on().await;
}

async fn t55_a_stream_ends_when_the_elevation_is_dropped_or_lost_with_a_new_identifier<
    B: Backend,
>() {
    let world = World::<B>::with(late).await;
    let client = world.signed_in("alice").await;
    let mut signed_in = client.get("/live").listen().await;
    for change in ["/drop", "/regenerate"] {
        client.elevate().await;
        let mut elevated = client.get("/live/elevated").listen().await;
        elevated.go_on().await;
        client.post(change).await;
        let reason = within(seconds(5), elevated.reason()).await;
        assert_eq!(reason, "elevation_ended");
    }
    signed_in.go_on().await;
    client.elevate().await;
    let mut elevated = client.get("/live/elevated").listen().await;
    client.post("/logout").await.is(204);
    for events in [&mut elevated, &mut signed_in] {
        assert_eq!(events.reason().await, "signed_out");
    }
}

async fn a_stream_is_not_judged_by_a_load_that_began_before_it<B: Backend>() {
    let world = World::<B>::with(soon).await;
    let client = world.signed_in("alice").await;
    let mut signed_in = client.get("/live").listen().await;
    signed_in.go_on().await;
    // It has loaded the session before the elevation, and reports that later.
    let view = world.store.hold(Op::Load, Moment::After);
    view.reached().await;
    client.elevate().await;
    let mut elevated = client.get("/live/elevated").listen().await;
    elevated.go_on().await;
    view.open();
    some_polls().await;
    elevated.go_on().await;
}

async fn an_elevation_for_another_scope_is_not_what_a_stream_needs<B: Backend>() {
    let world = World::<B>::with(soon).await;
    let client = world.signed_in("alice").await;
    client.post("/elevate/payments").await.is(204);
    let mut payments = client.get("/live/payments").listen().await;
    world.advance(minutes(10));
    // The other elevation stays, under the new identifier.
    client.elevate().await;
    let mut general = client.get("/live/elevated").listen().await;
    payments.go_on().await;
    world.advance(minutes(5));
    let reason = within(seconds(3), payments.reason()).await;
    assert_eq!(reason, "elevation_ended");
    general.go_on().await;
    world.advance(minutes(10));
    assert_eq!(general.reason().await, "elevation_ended");
}

async fn a_new_identifier_in_another_tab_is_followed<B: Backend>() {
    for configure in [soon, late] {
        let world = World::<B>::with(configure).await;
        let client = world.signed_in("alice").await;
        let mut before = client.get("/live").listen().await;
        // The other server sends no notifications to this one.
        let elsewhere = world.another_server().await;
        let there = client.at(elsewhere.address());
        for tab in [&client, &there, &there, &client] {
            tab.post("/regenerate").await.is(204).new_id();
        }
        let mut after = client.get("/live").listen().await;
        there.post("/regenerate").await.is(204);
        some_polls().await;
        for events in [&mut before, &mut after] {
            events.go_on().await;
        }
        client.post("/logout").await.is(204);
        for events in [&mut before, &mut after] {
            let reason = within(seconds(5), events.reason()).await;
            assert_eq!(reason, "signed_out");
        }
    }
}

async fn t55_an_authentication_begins_another_session_and_ends_the_streams_of_this_one<
    B: Backend,
>() {
    let world = World::<B>::with(late).await;
    for user in ["alice", "bob"] {
        let client = world.signed_in("alice").await;
        let mut before = client.get("/live").listen().await;
        before.go_on().await;
        world.advance(seconds(1));
        client.post(&format!("/login?user={user}")).await.is(204);
        let mut after = client.get("/live").listen().await;
        let reason = within(seconds(5), before.reason()).await;
        assert_eq!(reason, "replaced_at_sign_in");
        after.go_on().await;
    }
    // The session of a moment ago is still watched. This server has not been notified of its end.
    let elsewhere = world.another_server().await;
    let client = world.signed_in("carol").await;
    let mut before = client.get("/live").listen().await;
    before.go_on().await;
    world.advance(seconds(1));
    let there = client.at(elsewhere.address());
    there.post("/login?user=carol").await.is(204);
    let mut after = client.get("/live").listen().await;
    after.go_on().await;
    some_polls().await;
    after.go_on().await;

    let anonymous = world.shopping(&[1]).await;
    let mut before = anonymous.get("/live/session").listen().await;
    before.go_on().await;
    anonymous.post("/login?user=carol").await.is(204);
    assert_eq!(before.reason().await, "replaced_at_sign_in");
}

async fn a_stream_begins_with_what_its_request_has_committed<B: Backend>() {
    let world = World::<B>::with(late).await;
    let cases = [
        (world.client(), "/live/login?user=alice"),
        (world.signed_in("alice").await, "/live/login?user=alice"),
        (world.client(), "/live/new"),
        (world.signed_in("alice").await, "/live/regenerate"),
    ];
    for (client, route) in cases {
        let mut events = client.post(route).listen().await;
        events.go_on().await;
        client.post("/logout").await.is(204);
        let reason = within(seconds(5), events.reason()).await;
        assert_eq!(reason, "signed_out", "{route}");
    }
    // A task waits for the end of the session while the request is about to begin another one.
    for client in [world.client(), world.signed_in("bob").await] {
        let mut events = client.post("/live/early?user=alice").listen().await;
        events.go_on().await;
        some_polls().await;
        events.go_on().await;
        client.post("/logout").await.is(204);
        while let Some((name, _)) = events.next().await {
            assert_eq!(name, "tick");
        }
    }
    let client = world.signed_in("alice").await;
    let mut events = client.post("/live/logout").listen().await;
    assert_eq!(events.reason().await, "signed_out");
}

async fn a_stream_without_a_session_ends_at_once<B: Backend>() {
    let world = World::<B>::start().await;
    let mut events = world.client().get("/live/session").listen().await;
    assert_eq!(events.reason().await, "session_ended");
    let client = world.signed_in("alice").await;
    let tab = client.fork();
    client.post("/logout").await.is(204);
    let mut events = tab.get("/live/session").listen().await;
    assert_eq!(events.reason().await, "signed_out");
    tab.get("/live").await.is(401);
}

async fn a_long_poll_is_answered_when_its_session_ends<B: Backend>() {
    let world = World::<B>::with(late).await;
    let client = world.signed_in("alice").await;
    let poll = client.get("/live/poll").start();
    let mut events = client.get("/live").listen().await;
    events.go_on().await;
    client.post("/regenerate").await.is(204);
    client.post("/logout").await.is(204);
    let reply = within(seconds(5), poll.reply()).await;
    assert_eq!(reply.is(200).body(), "signed_out");
}

async fn t67_a_store_that_is_down_for_long_ends_streams_and_for_a_moment_does_not<B: Backend>() {
    let world = World::<B>::with(soon).await;
    let client = world.signed_in("alice").await;
    let mut events = client.get("/live").listen().await;
    events.go_on().await;
    world.store.set_down(true);
    tokio::time::sleep(seconds(1)).await;
    world.store.set_down(false);
    some_polls().await;
    events.go_on().await;
    world.store.set_down(true);
    let reason = within(seconds(5), events.reason()).await;
    assert_eq!(reason, "unverifiable");
    // The session itself did not end.
    world.store.set_down(false);
    client.get("/me").await.is(200);
}

async fn a_session_is_loaded_once_however_many_streams_it_has_and_only_while_it_has_any<
    B: Backend,
>() {
    let world = World::<B>::with(soon).await;
    let client = world.signed_in("alice").await;
    let mut streams = Vec::new();
    for n in 0..6 {
        streams.push(client.get("/live").listen().await);
        if n == 3 {
            client.post("/regenerate").await.is(204);
        }
    }
    for events in &mut streams {
        events.go_on().await;
    }
    let loads = || {
        world
            .store
            .take_calls()
            .iter()
            .filter(|op| **op == Op::Load)
            .count()
    };
    loads();
    some_polls().await;
    // Every 0.7 to 0.9 seconds.
    let count = loads();
    assert!((2..=5).contains(&count), "{count} loads");

    drop(streams);
    tokio::time::sleep(seconds(1)).await;
    loads();
    some_polls().await;
    assert_eq!(loads(), 0);
}

async fn bytes_that_are_always_ready_end_as_well<B: Backend>() {
    let world = World::<B>::with(late).await;
    let client = world.signed_in("alice").await;
    let download = client.get("/live/bytes").start();
    tokio::time::sleep(Duration::from_millis(200)).await;
    client.post("/logout").await.is(204);
    within(seconds(10), download.breaks()).await;
}

/// This clock moves by itself, and polling comes too late to notice anything.
async fn with_idle_timeout(idle: Duration) -> (World<Redis>, Client) {
    let timeouts = Timeouts::new(idle, hours(1)).unwrap();
    let world = World::<Redis>::with(|layer| late(layer.timeouts(timeouts))).await;
    let client = world.signed_in("alice").await;
    (world, client)
}

#[tokio::test(flavor = "multi_thread")]
async fn t55_a_stream_ends_at_the_deadline_itself() {
    let (_world, client) = with_idle_timeout(seconds(2)).await;
    let left = Duration::from_millis(client.view().await.idle_left);
    let began = Instant::now();
    let mut events = client.get("/live").listen().await;
    assert_eq!(events.reason().await, "idle_timeout");
    let lasted = began.elapsed();
    assert!(
        lasted + seconds(1) > left && lasted < left + seconds(3),
        "{lasted:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn t55_activity_elsewhere_that_moves_the_idle_deadline_is_loaded_first() {
    let (_world, client) = with_idle_timeout(seconds(5)).await;
    let mut events = client.get("/live").listen().await;
    for _ in 0..3 {
        tokio::time::sleep(seconds(2)).await;
        client.get("/me").await.is(200);
        events.go_on().await;
    }
    let reason = within(seconds(8), events.reason()).await;
    assert_eq!(reason, "idle_timeout");
}

#[tokio::test(flavor = "multi_thread")]
async fn t55_an_elevation_ends_at_its_deadline_and_not_with_the_next_load() {
    let timeouts = Timeouts::default().with_elevation(seconds(2)).unwrap();
    let world = World::<Redis>::with(|layer| late(layer.timeouts(timeouts))).await;
    let client = world.signed_in("alice").await;
    client.elevate().await;
    let mut events = client.get("/live/elevated").listen().await;
    let reason = within(seconds(5), events.reason()).await;
    assert_eq!(reason, "elevation_ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn t67_a_killed_redis_ends_streams_within_the_bound_and_one_that_is_back_soon_does_not() {
    let backend = Redis::with_default_wait(&["--appendonly", "yes", "--appendfsync", "always"]);
    let mut world = World::on(backend.await, soon).await;
    let client = world.signed_in("alice").await;
    let mut events = client.get("/live").listen().await;
    events.go_on().await;
    world.backend.server_mut().kill();
    world.backend.server_mut().restart();
    some_polls().await;
    events.go_on().await;
    world.backend.server_mut().kill();
    let reason = within(seconds(7), events.reason()).await;
    assert_eq!(reason, "unverifiable");
}
