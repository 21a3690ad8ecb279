//! The routes for browsers and apps: status of the session, extension, and sign-out.

use axum::{Router, routing::get};
use http::Method;
use portcullis::{
    Authenticated, MemoryStore, SessionLayer, SessionRoutes, Timeouts, audit::EventKind,
    session::EndReason,
};
use portcullis_tests::{
    Backend, Call, CapturedLog, Client, Moment, Op, Payments, Reply, Server, World, about, hours,
    minutes, on_every_store, seconds,
};
use serde_json::Value;
use tower_http::csrf::CsrfLayer;

on_every_store![
    s105_the_status_has_both_deadlines_and_what_an_extension_would_give,
    s105_the_status_costs_one_read_and_writes_nothing,
    t36_s105_however_often_it_is_asked_for_the_status_keeps_no_session_alive,
    s105_after_the_end_the_status_has_the_reason,
    s109_the_answer_that_there_is_no_session_has_its_moment,
    a_client_without_a_session_gets_that_answer_and_no_session,
    s105_while_the_store_is_down_the_status_reveals_nothing_of_the_session,
    the_status_shows_elevations,
    the_status_has_one_fingerprint_for_a_user_everywhere_and_never_the_name,
    s107_an_extension_moves_the_idle_deadline_at_once_and_nothing_else,
    s107_ten_extensions_in_a_row_are_granted,
    t82_nothing_offers_an_extension_past_the_absolute_deadline,
    s107_an_extension_revives_no_session,
    s107_an_extension_that_could_not_be_written_is_not_taken_for_done,
    s107_an_extension_overtaken_by_the_end_has_the_reason,
    s061_s107_another_site_can_neither_extend_nor_sign_out_nor_ask,
    s061_a_link_can_neither_extend_nor_sign_out,
    a_trusted_origin_may,
    what_a_page_of_a_trusted_origin_does_is_no_activity_but_to_extend,
    a_guard_around_the_application_needs_the_trusted_origins_too,
    s059_signing_out_ends_the_session,
    s062_signing_out_twice_succeeds_twice,
    s109_the_answer_to_a_sign_out_has_a_moment_after_all_that_was_live_until_then,
    s109_the_answer_to_a_replaced_identifier_has_no_moment_and_is_no_end,
    a_browser_that_signs_out_is_redirected_to_a_page,
    s074_s075_a_device_is_ended_only_with_an_elevation_for_the_scope,
    s075_a_device_of_another_user_and_an_unknown_one_are_answered_alike,
    s074_a_browser_returns_to_the_page_of_devices,
    s061_another_site_cannot_end_a_device,
    a_session_that_ends_itself_loses_its_cookie,
    a_device_is_ended_below_a_path_with_a_parameter,
    without_the_setting_there_are_no_routes_for_devices,
    merged_routes_are_below_session_whatever_the_state_of_the_application,
    the_answers_are_never_stored,
    s112_the_scripts_are_served_from_the_same_origin_and_cost_the_store_nothing,
];

async fn status(client: &Client) -> Value {
    client.get("/session/status").await.is(200).json()
}

fn moment(status: &Value, name: &str) -> u64 {
    status[name]
        .as_u64()
        .unwrap_or_else(|| panic!("{name} in {status}"))
}

/// The milliseconds after the `now` of the answer.
fn left(status: &Value, name: &str) -> u64 {
    moment(status, name) - moment(status, "now")
}

async fn s105_the_status_has_both_deadlines_and_what_an_extension_would_give<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    world.advance(minutes(10));
    let status = status(&client).await;
    about(left(&status, "idle_deadline"), minutes(20));
    about(left(&status, "absolute_deadline"), hours(24) - minutes(10));
    about(left(&status, "extends_to"), minutes(30));
    assert_eq!(status["ends_at"], status["idle_deadline"]);
    assert_eq!(status["authenticated"], true);
}

async fn s105_the_status_costs_one_read_and_writes_nothing<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    world.advance(minutes(10));
    status(&client).await;
    assert_eq!(world.store.take_calls(), [Op::Load]);
}

async fn t36_s105_however_often_it_is_asked_for_the_status_keeps_no_session_alive<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    for _ in 0..5 {
        world.advance(minutes(6) - seconds(1));
        status(&client).await;
    }
    world.advance(seconds(5));
    client.get("/session/status").await.is(401);
}

async fn s105_after_the_end_the_status_has_the_reason<B: Backend>() {
    let world = World::<B>::start().await;
    let [idle, out] = [world.signed_in("alice").await, world.signed_in("bob").await];
    let signed_out = out.fork();
    out.post("/session/sign-out").await.is(200);
    world.advance(minutes(30));
    for (client, reason) in [
        (idle, EndReason::IdleTimeout),
        (signed_out, EndReason::SignedOut),
    ] {
        let reply = client.get("/session/status").await;
        reply
            .is_problem(401, "authentication-required")
            .keeps_the_cookie();
        assert_eq!(reply.reason().as_deref(), Some(reason.as_str()));
        assert_eq!(reply.json::<Value>()["detail"], reason.message());
    }
}

async fn s109_the_answer_that_there_is_no_session_has_its_moment<B: Backend>() {
    let world = World::<B>::start().await;
    let alice = world.signed_in("alice").await;
    world.advance(minutes(30));
    let bob = world.signed_in("bob").await;
    let before = moment(&status(&bob).await, "now");
    let gate = world.store.hold(Op::Touch, Moment::Before);
    let overtaken = bob.post("/session/extend").start();
    gate.reached().await;
    bob.fork().post("/logout").await.is(204);
    gate.open();
    for reply in [
        overtaken.reply().await,
        alice.get("/session/status").await,
        alice.post("/session/extend").await,
        world.client().get("/session/status").await,
    ] {
        let answer = moment(&reply.is(401).json(), "now");
        about(answer.checked_sub(before).unwrap(), seconds(0));
    }
}

async fn a_client_without_a_session_gets_that_answer_and_no_session<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.client();
    for call in [
        client.get("/session/status"),
        client.post("/session/extend"),
    ] {
        let reply = call.await;
        reply
            .is_problem(401, "authentication-required")
            .keeps_the_cookie();
        assert_eq!(reply.reason(), None);
    }
    assert_eq!(world.backend.live(), 0);
}

async fn s105_while_the_store_is_down_the_status_reveals_nothing_of_the_session<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    world.store.set_down(true);
    for call in [
        client.get("/session/status"),
        client.post("/session/extend"),
    ] {
        let reply = call.await;
        reply
            .is_problem(503, "session-unavailable")
            .keeps_the_cookie();
        assert!(!reply.header("retry-after").is_empty());
    }
    world.store.set_down(false);
    status(&client).await;
}

async fn the_status_shows_elevations<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    assert_eq!(status(&client).await["elevated_until"], Value::Null);
    client.elevate().await;
    client.post("/elevate/payments").await.is(204);
    let elevated = status(&client).await;
    about(left(&elevated, "elevated_until"), minutes(15));
    let scopes = elevated["elevations"].as_object().unwrap();
    assert_eq!(scopes.keys().collect::<Vec<_>>(), ["general", "payments"]);
    world.advance(minutes(15));
    assert_eq!(status(&client).await["elevations"], serde_json::json!({}));
}

async fn the_status_has_one_fingerprint_for_a_user_everywhere_and_never_the_name<B: Backend>() {
    let world = World::<B>::start().await;
    let [alice, again, bob] = [
        world.signed_in("alice").await,
        world.signed_in("alice").await,
        world.signed_in("bob").await,
    ];
    let server = world.another_server().await;
    let fingerprint = |client: Client| async move {
        let reply = client.get("/session/status").await;
        assert!(!reply.body().contains("alice"), "{reply:?}");
        reply.json::<Value>()["user_fingerprint"].clone()
    };
    let of_alice = fingerprint(alice.clone()).await;
    assert_eq!(of_alice, fingerprint(again.at(server.address())).await);
    assert_ne!(of_alice, fingerprint(bob).await);
    assert_eq!(fingerprint(world.shopping(&[1]).await).await, Value::Null);
}

async fn s107_an_extension_moves_the_idle_deadline_at_once_and_nothing_else<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    client.elevate().await;
    // Less than a step of granularity, so that an ordinary request would not be written.
    world.advance(seconds(30));
    let (id, before) = (client.id(), status(&client).await);
    let reply = client.post("/session/extend").await;
    let extended: Value = reply.is(200).keeps_the_cookie().json();
    about(left(&extended, "idle_deadline"), minutes(30));
    assert_eq!(world.store.take_calls().last(), Some(&Op::Touch));
    let after = status(&client).await;
    for same in ["absolute_deadline", "elevated_until", "user_fingerprint"] {
        assert_eq!(before[same], after[same]);
    }
    assert_eq!(extended["idle_deadline"], after["idle_deadline"]);
    assert_eq!(client.id(), id);
}

async fn s107_ten_extensions_in_a_row_are_granted<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    for _ in 0..10 {
        world.advance(minutes(29));
        client.post("/session/extend").await.is(200);
    }
    world.advance(minutes(29));
    client.get("/me").await.is(200);
}

async fn t82_nothing_offers_an_extension_past_the_absolute_deadline<B: Backend>() {
    let timeouts = Timeouts::new(minutes(30), hours(1)).unwrap();
    let world = World::<B>::with(|layer| layer.timeouts(timeouts)).await;
    let client = world.signed_in("alice").await;
    world.advance(minutes(20));
    let extended: Value = client.post("/session/extend").await.json();
    assert_ne!(extended["extends_to"], Value::Null);
    world.advance(minutes(20));
    let last = status(&client).await;
    assert_eq!(last["extends_to"], last["absolute_deadline"]);
    let extended: Value = client.post("/session/extend").await.json();
    assert_eq!(extended["extends_to"], Value::Null);
    assert_eq!(extended["ends_at"], extended["absolute_deadline"]);
    world.advance(minutes(20));
    client.post("/session/extend").await.is(401);
}

async fn s107_an_extension_revives_no_session<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    world.advance(minutes(30));
    let reply = client.post("/session/extend").await;
    reply.is(401).keeps_the_cookie();
    assert_eq!(reply.reason().as_deref(), Some("idle_timeout"));
    client.get("/me").await.is(401);
    assert_eq!(world.backend.live(), 0);
}

async fn s107_an_extension_that_could_not_be_written_is_not_taken_for_done<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    world.advance(minutes(10));
    world.store.fail(Op::Touch, Moment::Before);
    let reply = client.post("/session/extend").await;
    reply
        .is_problem(503, "session-unavailable")
        .keeps_the_cookie();
    about(left(&status(&client).await, "idle_deadline"), minutes(20));
}

async fn s107_an_extension_overtaken_by_the_end_has_the_reason<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    let gate = world.store.hold(Op::Touch, Moment::Before);
    let extension = client.post("/session/extend").start();
    gate.reached().await;
    client.fork().post("/logout").await.is(204);
    gate.open();
    let reply = extension.reply().await;
    reply.is_problem(401, "session-ended").keeps_the_cookie();
    assert_eq!(reply.reason().as_deref(), Some("signed_out"));
    let answer: Vec<_> = world.audit.take().into_iter().map(|it| it.kind).collect();
    assert!(answer.contains(&EventKind::WriteRefused), "{answer:?}");
}

#[track_caller]
fn is_refused(reply: &Reply) {
    reply
        .is_problem(403, "cross-site-request")
        .keeps_the_cookie();
}

async fn s061_s107_another_site_can_neither_extend_nor_sign_out_nor_ask<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    world.advance(minutes(10));
    for (method, target) in [
        (Method::POST, "/session/extend"),
        (Method::POST, "/session/sign-out"),
        (Method::GET, "/session/status"),
    ] {
        let call = || client.call(method.clone(), target);
        is_refused(&call().header("sec-fetch-site", "cross-site").await);
        if method == Method::POST {
            is_refused(&call().header("sec-fetch-site", "same-site").await);
            is_refused(&call().header("origin", "https://evil.example").await);
            is_refused(&call().header("origin", "null").await);
        }
    }
    about(left(&status(&client).await, "idle_deadline"), minutes(20));
    let own = client.post("/session/extend");
    own.header("origin", "https://shop.example").await.is(200);
}

async fn s061_a_link_can_neither_extend_nor_sign_out<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    for target in ["/session/extend", "/session/sign-out"] {
        client.get(target).await.is(405);
        client.call(Method::HEAD, target).await.is(405);
    }
    client.get("/me").await.is(200);
}

const TRUSTED: &str = "https://app.example";

/// The application, for pages of another site too.
fn trusting<B: Backend>(world: &World<B>) -> Router {
    let layer = world.layer.clone().trusted_origins([TRUSTED]).unwrap();
    let session_routes = layer.routes().into_router();
    Router::new().nest("/session", session_routes).route(
        "/me",
        get(async |signed_in: Authenticated| signed_in.user().to_string()),
    )
}

/// A request of a page of the other site.
fn from_the_other_site(call: Call) -> Call {
    let call = call.header("sec-fetch-site", "cross-site");
    call.header("sec-fetch-mode", "cors")
        .header("origin", TRUSTED)
}

async fn what_a_page_of_a_trusted_origin_does_is_no_activity_but_to_extend<B: Backend>() {
    let world = World::<B>::start().await;
    let alice = world.signed_in("alice").await;
    let (_server, anonymous) = world.serving(trusting(&world)).await;
    let client = anonymous.with_id(&alice.id());
    world.advance(minutes(10));
    from_the_other_site(client.get("/me")).await.is(200);
    about(left(&status(&alice).await, "idle_deadline"), minutes(20));
    from_the_other_site(client.post("/session/extend"))
        .await
        .is(200);
    about(left(&status(&alice).await, "idle_deadline"), minutes(30));
}

async fn a_guard_around_the_application_needs_the_trusted_origins_too<B: Backend>() {
    let world = World::<B>::start().await;
    let alice = world.signed_in("alice").await;
    let answer = CsrfLayer::new().add_trusted_origin(TRUSTED).unwrap();
    for (guard, expected) in [(CsrfLayer::new(), 403), (answer, 200)] {
        let app = trusting(&world).layer(world.layer.clone()).layer(guard);
        let server = Server::of_router(app).await;
        let client = world.client_of(&server).with_id(&alice.id());
        let reply = from_the_other_site(client.post("/session/extend")).await;
        reply.is(expected);
    }
}

async fn a_trusted_origin_may<B: Backend>() {
    let world = World::<B>::start().await;
    let alice = world.signed_in("alice").await;
    let (_server, anonymous) = world.serving(trusting(&world)).await;
    let client = anonymous.with_id(&alice.id());
    for (method, target) in [
        (Method::GET, "/session/status"),
        (Method::POST, "/session/extend"),
    ] {
        let request = || {
            let call = client.call(method.clone(), target);
            call.header("sec-fetch-site", "cross-site")
        };
        let by = |origin: &'static str| request().header("origin", origin);
        by(TRUSTED).await.is(200);
        is_refused(&by("https://app.example.evil").await);
        is_refused(&by("null").await);
        is_refused(&request().await);
    }
}

async fn s059_signing_out_ends_the_session<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    let copy = client.fork();
    let reply = client.post("/session/sign-out").await;
    reply.is(200).removes_the_cookie();
    copy.get("/me").await.is(401);
    assert_eq!(world.backend.live(), 0);
}

async fn s062_signing_out_twice_succeeds_twice<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    let copy = client.fork();
    for reply in [
        client.post("/session/sign-out").await,
        copy.post("/session/sign-out").await,
        world.client().post("/session/sign-out").await,
    ] {
        let answer: Value = reply.is(200).json();
        assert_eq!(answer["reason"], "signed_out");
        assert_eq!(answer["detail"], EndReason::SignedOut.message());
    }
    copy.post("/session/sign-out").await.keeps_the_cookie();
}

async fn s109_the_answer_to_a_sign_out_has_a_moment_after_all_that_was_live_until_then<
    B: Backend,
>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    let copy = client.fork();
    let gate = world.store.hold(Op::End, Moment::Before);
    let overtaken = client.post("/session/sign-out").start();
    gate.reached().await;
    world.advance(seconds(5));
    let last = moment(&status(&copy).await, "now");
    gate.open();
    let reply = overtaken.reply().await;
    let ended = moment(&reply.is(200).removes_the_cookie().json(), "now");
    assert!(ended >= last, "{ended} is before {last}");
    about(ended - last, seconds(0));
}

async fn s109_the_answer_to_a_replaced_identifier_has_no_moment_and_is_no_end<B: Backend>() {
    let world = World::<B>::start().await;
    for change in ["/regenerate", "/login?user=alice"] {
        let client = world.signed_in("alice").await;
        let late = client.fork();
        client.post(change).await.is(204);
        for call in [
            late.get("/session/status"),
            late.post("/session/extend"),
            late.get("/me"),
        ] {
            let answer: Value = call.await.is(401).json();
            assert!(answer["reason"].as_str().unwrap().starts_with("replaced"));
            assert_eq!(answer["now"], Value::Null, "{answer}");
        }
    }
}

async fn a_browser_that_signs_out_is_redirected_to_a_page<B: Backend>() {
    let world = World::<B>::start().await;
    let routes = SessionRoutes::new().after_sign_out("/goodbye?a=b").unwrap();
    let routes = Router::new().nest("/session", routes.into_router());
    let (_server, client) = world.serving(routes).await;
    for (name, value) in [
        ("sec-fetch-mode", "navigate"),
        ("accept", "text/html,*/*;q=0.8"),
    ] {
        let reply = client.post("/session/sign-out").header(name, value).await;
        assert_eq!(reply.is(303).header("location"), "/goodbye?a=b");
    }
    assert!(
        SessionRoutes::new()
            .after_sign_out("//evil.example")
            .is_err()
    );
}

/// The application with routes for devices, which need an elevation for payments.
async fn with_devices<B: Backend>(world: &World<B>) -> (Server, Client, Client) {
    let arrange = |routes: Router, layer: SessionLayer| {
        let layer = layer.reauthentication_page("/confirm").unwrap();
        let own = layer.routes().devices::<Payments>().into_router();
        routes.nest("/own", own).layer(layer)
    };
    let (server, client) = world.arranged(arrange).await;
    let other = world.client_of(&server);
    for client in [&client, &other] {
        client.post("/login?user=alice").await.is(204);
    }
    world.forget();
    (server, client, other)
}

async fn s074_s075_a_device_is_ended_only_with_an_elevation_for_the_scope<B: Backend>() {
    let world = World::<B>::start().await;
    let (_server, alice, other) = with_devices(&world).await;
    let third = world.signed_in("alice").await;
    let revoke = format!("/own/devices/{}/revoke", other.handle().await);
    let others = "/own/devices/revoke-others";
    let stranger = world.client().at(alice.address());
    stranger.post(&revoke).await.is(401);
    for target in [&*revoke, others] {
        alice.get(target).await.is(405);
        let reply = alice.post(target).await;
        reply.is_problem(401, "elevation-required");
    }
    alice.elevate().await;
    alice.post(&revoke).await.is(401);
    alice.post(others).await.is(401);
    other.get("/me").await.is(200);

    alice.post("/elevate/payments").await.is(204);
    alice.post(&revoke).await.is(204).keeps_the_cookie();
    other.gets_end_reason("revoked_by_user").await;
    third.get("/me").await.is(200);
    alice.post(others).await.is(204).keeps_the_cookie();
    third.gets_end_reason("revoked_by_user").await;
    alice.get("/me").await.is(200);
}

async fn s075_a_device_of_another_user_and_an_unknown_one_are_answered_alike<B: Backend>() {
    let world = World::<B>::start().await;
    let (_server, alice, _) = with_devices(&world).await;
    let bob = world.signed_in("bob").await;
    alice.post("/elevate/payments").await.is(204);
    for handle in [&*bob.handle().await, "AAAAAAAAAAAAAAAA"] {
        world.forget();
        let target = format!("/own/devices/{handle}/revoke");
        assert_eq!(alice.post(&target).await.is(404).body(), "");
        world.audit.until(EventKind::RevocationRefused).await;
        let form = alice.post(&target).header("accept", "text/html");
        assert_eq!(form.await.is(303).header("location"), "/");
    }
    for malformed in ["x", "%FF", "%2F"] {
        let target = format!("/own/devices/{malformed}/revoke");
        let status = alice.post(&target).await.status();
        assert!([400, 404].contains(&status), "{malformed}: {status}");
    }
    bob.get("/me").await.is(200);
}

async fn s074_a_browser_returns_to_the_page_of_devices<B: Backend>() {
    let world = World::<B>::start().await;
    let (_server, alice, _) = with_devices(&world).await;
    let form = |target: &str| {
        let call = alice.post(target).header("accept", "text/html");
        call.header("sec-fetch-site", "same-origin")
    };
    let on_page = |target: &str| form(target).header("referer", "https://shop.example/devices?x=1");
    let others = "/own/devices/revoke-others";
    let location = on_page(others).await.is(303).header("location");
    assert_eq!(
        location,
        "/confirm?scope=payments&return_to=/devices%3Fx%3D1"
    );
    alice.post("/elevate/payments").await.is(204);
    let other = |query: &str| format!("{others}?{query}");
    for (call, expected) in [
        (on_page(others), "/devices?x=1"),
        (on_page(&other("return_to=/account")), "/account"),
        (on_page(&other("return_to=//evil.example")), "/devices?x=1"),
        (form(others), "/"),
        (form(&other("return_to=//evil.example")), "/"),
    ] {
        assert_eq!(call.await.is(303).header("location"), expected);
    }
}

async fn s061_another_site_cannot_end_a_device<B: Backend>() {
    let world = World::<B>::start().await;
    let (_server, alice, other) = with_devices(&world).await;
    let revoke = format!("/own/devices/{}/revoke", other.handle().await);
    alice.post("/elevate/payments").await.is(204);
    for target in [&*revoke, "/own/devices/revoke-others"] {
        for site in ["cross-site", "same-site"] {
            is_refused(&alice.post(target).header("sec-fetch-site", site).await);
        }
        let evil = alice.post(target).header("origin", "https://evil.example");
        is_refused(&evil.await);
    }
    other.get("/me").await.is(200);
}

async fn a_session_that_ends_itself_loses_its_cookie<B: Backend>() {
    let world = World::<B>::start().await;
    let (_server, alice, other) = with_devices(&world).await;
    alice.post("/elevate/payments").await.is(204);
    let revoke = format!("/own/devices/{}/revoke", alice.handle().await);
    let form = alice.post(&revoke).header("accept", "text/html");
    form.await.is(303).removes_the_cookie();
    alice.get("/me").await.is(401);
    other.get("/me").await.is(200);
}

async fn a_device_is_ended_below_a_path_with_a_parameter<B: Backend>() {
    let world = World::<B>::start().await;
    let arrange = |routes: Router, layer: SessionLayer| {
        let own = layer.routes().devices::<Payments>().into_router();
        routes.nest("/{shop}/own", own).layer(layer)
    };
    let (_server, alice) = world.arranged(arrange).await;
    alice.post("/login?user=alice").await.is(204);
    let other = world.signed_in("alice").await;
    alice.post("/elevate/payments").await.is(204);
    let revoke = format!("/books/own/devices/{}/revoke", other.handle().await);
    alice.post(&revoke).await.is(204);
    other.get("/account").await.is(401);
}

async fn without_the_setting_there_are_no_routes_for_devices<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    client.elevate().await;
    client.post("/session/devices/revoke-others").await.is(404);
}

async fn merged_routes_are_below_session_whatever_the_state_of_the_application<B: Backend>() {
    let world = World::<B>::start().await;
    let alice = world.signed_in("alice").await;
    let routes: Router<u32> = Router::new().merge(world.layer.routes().devices::<Payments>());
    let (_server, stranger) = world.serving(routes.with_state(7)).await;
    let client = stranger.with_id(&alice.id());
    assert_eq!(status(&client).await["authenticated"], true);
    client.post("/session/devices/revoke-others").await.is(401);
    let link = client.post("/session/sign-out");
    is_refused(&link.header("sec-fetch-site", "cross-site").await);
    client
        .post("/session/sign-out")
        .await
        .is(200)
        .removes_the_cookie();
}

async fn the_answers_are_never_stored<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    let signed_out = client.fork();
    for call in [
        client.get("/session/status"),
        client.post("/session/extend"),
        client.post("/session/sign-out"),
        signed_out.get("/session/status"),
        signed_out
            .get("/session/status")
            .header("sec-fetch-site", "cross-site"),
    ] {
        let reply = call.await;
        assert_eq!(reply.header("cache-control"), "no-store");
        assert_eq!(reply.header("vary"), "Cookie");
    }
}

async fn s112_the_scripts_are_served_from_the_same_origin_and_cost_the_store_nothing<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    for (target, bytes) in [("/session/timeout.js", 8000), ("/session/keep.js", 4000)] {
        let reply = client.get(target).await;
        reply.is(200).keeps_the_cookie();
        let kind = reply.header("content-type");
        assert_eq!(kind, "text/javascript; charset=utf-8");
        assert!(reply.body().len() < bytes, "{}", reply.body().len());
        let tag = reply.header("etag");
        for known in [tag.clone(), format!("W/{tag}"), format!("\"x\", {tag}")] {
            let again = client.get(target).header("if-none-match", known).await;
            assert_eq!(again.is(304).body(), "");
        }
        client
            .get(target)
            .header("if-none-match", "\"x\"")
            .await
            .is(200);
    }
    assert_eq!(world.store.take_calls(), []);
}

/// The warnings about extensions when the routes are created.
fn warnings_about(
    absolute: u64,
    change: impl FnOnce(SessionRoutes) -> SessionRoutes,
) -> Vec<String> {
    let log = CapturedLog::start();
    let timeouts = Timeouts::new(minutes(15), minutes(absolute)).unwrap();
    let layer = SessionLayer::new(MemoryStore::new()).timeouts(timeouts);
    let _: Router = change(layer.routes()).into_router();
    let text = log.text();
    let lines = text.lines().filter(|line| line.contains("extended"));
    lines.map(ToOwned::to_owned).collect()
}

#[test]
fn s107_limits_too_short_for_ten_extensions_are_warned_of_once_with_the_remedy() {
    let warnings = warnings_about(164, |routes| routes);
    let [line] = &warnings[..] else {
        panic!("{warnings:?}")
    };
    for part in ["WARN", "900s", "9840s", "essential_limit"] {
        assert!(line.contains(part), "{part} in {line}");
    }
    assert!(warnings_about(165, |routes| routes).is_empty());
}

#[test]
fn s107_a_limit_that_is_declared_essential_is_not_warned_of() {
    assert!(warnings_about(60, |routes| routes.essential_limit("shifts change")).is_empty());
}
