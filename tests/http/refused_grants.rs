//! Handlers that refuse: sign-ins and elevations are dropped, and what else is written or not.

use axum::{
    Router,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::post,
};
use portcullis::{
    Session, SessionError,
    audit::EventKind,
    reject::{KeepGrants, Outcome},
    session::EndReason,
    settings::SessionLimit,
};
use portcullis_tests::{Backend, CapturedLog, Gate, World, minutes, on_every_store};

on_every_store![
    a_refusal_of_the_application_is_no_failure,
    rule_13_a_refused_sign_in_signs_no_user_in,
    rule_13_a_refused_elevation_elevates_no_session,
    rule_13_of_a_refused_request_what_came_before_the_grant_is_written_and_nothing_after,
    rule_13_a_refused_visitor_keeps_what_was_written_before_the_sign_in,
    rule_13_a_sign_out_is_carried_out_and_the_sign_in_after_it_is_not,
    rule_13_a_sign_out_that_comes_too_late_is_refused_with_the_sign_in_after_it,
    rule_13_a_new_identifier_is_given_to_the_session_there_was,
    rule_13_an_elevation_is_dropped_though_the_sign_in_before_it_is_not_granted,
    rule_13_an_extension_before_the_grant_is_written_and_after_it_is_not,
    rule_13_what_was_committed_before_the_refusal_stays,
    rule_13_our_own_error_that_a_handler_passes_on_refuses_the_sign_in_before_it,
    rule_13_a_refused_sign_in_displaces_no_session,
    grants_can_be_kept_on_purpose_where_the_request_was_refused,
    grants_cannot_be_kept_where_the_request_failed,
    grants_that_are_kept_and_fail_are_not_answered_as_granted,
    the_head_of_a_response_can_refuse_or_fail_in_another_protocol,
    a_failure_in_another_protocol_keeps_its_response,
    a_response_that_is_refused_in_another_protocol_is_no_activity,
    a_classifier_that_panics_keeps_no_user_signed_in,
    no_classifier_runs_for_a_response_that_did_not_use_its_session,
    @one_thread:
    rule_13_a_dropped_sign_in_is_logged,
];

async fn a_refusal_of_the_application_is_no_failure<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.client();
    // Such a write counts failed attempts.
    for _ in 0..3 {
        client.post("/number/attempts").answered(403).await.is(403);
    }
    assert_eq!(client.get("/number/attempts").await.body(), "Some(3)");
}

/// The statuses with which applications refuse, and an unknown one.
const REFUSALS: [u16; 8] = [400, 401, 403, 404, 409, 422, 429, 499];

async fn rule_13_a_refused_sign_in_signs_no_user_in<B: Backend>() {
    let world = World::<B>::start().await;
    let login = "/login?user=bob";
    for status in REFUSALS {
        world.forget();
        let anonymous = world.client();
        let reply = anonymous.post(login).answered(status).await;
        reply.is(status).keeps_the_cookie();
        assert_eq!(world.store.take_calls(), [], "{status}");

        let shopping = world.shopping(&[1]).await;
        let reply = shopping.post(login).answered(status).await;
        reply.is(status).keeps_the_cookie();
        let view = shopping.view().await;
        assert_eq!((view.user, view.cart), (None, vec![1]));

        let alice = world.signed_in("alice").await;
        let reply = alice.post(login).answered(status).await;
        reply.is(status).keeps_the_cookie();
        assert_eq!(alice.get("/me").await.body(), "alice");
        assert_eq!(world.audit.take_kinds(), [], "{status}");
    }
}

async fn rule_13_a_refused_elevation_elevates_no_session<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    for status in REFUSALS {
        for change in ["/elevate", "/in-order?steps=login:alice,elevate"] {
            let reply = client.post(change).answered(status).await;
            reply.is(status).keeps_the_cookie();
        }
    }
    client.get("/me").await.is(200);
    client.post("/transfer").await.is(401);
    assert_eq!(world.audit.take_kinds(), []);
}

async fn rule_13_of_a_refused_request_what_came_before_the_grant_is_written_and_nothing_after<
    B: Backend,
>() {
    let world = World::<B>::start().await;
    for grant in ["login:bob", "login:alice", "elevate"] {
        let client = world.signed_in("alice").await;
        client.post("/put/old/1").await.is(204);
        let steps = format!(
            "/in-order?steps=count:attempts,put:before,{grant},put:after,count:attempts,remove:old,clear"
        );
        let reply = client.post(&steps).answered(403).await;
        reply.is(403).keeps_the_cookie();
        assert_eq!(client.get("/number/attempts").await.body(), "Some(1)");
        for (name, status) in [("before", 200), ("old", 200), ("after", 404)] {
            client.get(&format!("/get/{name}")).await.is(status);
        }
        assert_eq!(client.get("/me").await.body(), "alice");
    }
}

async fn rule_13_a_refused_visitor_keeps_what_was_written_before_the_sign_in<B: Backend>() {
    let world = World::<B>::start().await;
    let visitor = world.client();
    for attempt in 1..=3 {
        let steps = "/in-order?steps=count:attempts,login:alice,put:after";
        let reply = visitor.post(steps).answered(401).await;
        match attempt {
            1 => drop(reply.is(401).new_id()),
            _ => drop(reply.is(401).keeps_the_cookie()),
        }
    }
    assert_eq!(visitor.get("/number/attempts").await.body(), "Some(3)");
    visitor.get("/get/after").await.is(404);
    visitor.get("/me").await.is(401);
    assert_eq!(world.audit.take_kinds(), [EventKind::Created]);
    assert_eq!(world.backend.live(), 1);
}

async fn rule_13_a_sign_out_is_carried_out_and_the_sign_in_after_it_is_not<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    let copy = client.fork();
    let steps = "/in-order?steps=logout,login:bob,put:a";
    let reply = client.post(steps).answered(403).await;
    reply.is(403).removes_the_cookie();
    copy.get("/me").await.is(401);
    assert_eq!(world.backend.live(), 0);
    let ended = EventKind::Ended(EndReason::SignedOut);
    assert_eq!(world.audit.take_kinds()[..1], [ended]);
}

async fn rule_13_a_sign_out_that_comes_too_late_is_refused_with_the_sign_in_after_it<B: Backend>() {
    let world = World::<B>::start().await;
    for status in [403, 500] {
        let client = world.signed_in("alice").await;
        let late = client.fork();
        client.post("/regenerate").await.is(204);
        world.forget();
        let steps = "/in-order?steps=logout,login:bob";
        let reply = late.post(steps).answered(status).await;
        reply.is(status).keeps_the_cookie();
        assert!(world.audit.has(&EventKind::WriteRefused));
        assert_eq!(client.get("/me").await.body(), "alice");
    }
}

async fn rule_13_a_new_identifier_is_given_to_the_session_there_was<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    let before = client.view().await.handle;
    let old = client.fork();
    let steps = "/in-order?steps=put:a,login:bob,regenerate,put:b";
    client.post(steps).answered(409).await.is(409).new_id();
    old.get("/me").await.is(401);
    let view = client.view().await;
    assert_eq!((view.user.as_deref(), view.handle), (Some("alice"), before));
    client.get("/get/a").await.is(200);
    client.get("/get/b").await.is(404);
    assert!(!world.audit.has(&EventKind::Authenticated));
}

async fn rule_13_an_elevation_is_dropped_though_the_sign_in_before_it_is_not_granted<B: Backend>() {
    let world = World::<B>::start().await;
    for status in [403, 500] {
        let client = world.signed_in("alice").await;
        client.elevate().await;
        world.forget();
        let steps = "/in-order?steps=login:bob,drop";
        client.post(steps).answered(status).await.new_id();
        assert_eq!(client.get("/me").await.body(), "alice");
        client.post("/transfer").await.is(401);
        assert!(world.audit.has(&EventKind::ElevationDropped));
    }
}

async fn rule_13_an_extension_before_the_grant_is_written_and_after_it_is_not<B: Backend>() {
    let world = World::<B>::start().await;
    for (steps, inactive) in [("extend,elevate", 0), ("elevate,extend", 20)] {
        let client = world.signed_in("alice").await;
        world.advance(minutes(20));
        let steps = format!("/in-order?steps={steps}");
        client.post(&steps).answered(422).await.keeps_the_cookie();
        let since = client.view().await.inactive;
        assert_eq!(since / 60_000, inactive, "{steps}");
    }
}

async fn rule_13_what_was_committed_before_the_refusal_stays<B: Backend>() {
    let world = World::<B>::start().await;
    for status in [403, 500] {
        let client = world.client();
        let steps = "/in-order?steps=login:alice,put:a,commit,elevate,put:b";
        client.post(steps).answered(status).await.new_id();
        assert_eq!(client.get("/me").await.body(), "alice");
        client.get("/get/a").await.is(200);
        client.get("/get/b").await.is(404);
        client.post("/transfer").await.is(401);
    }
}

async fn rule_13_our_own_error_that_a_handler_passes_on_refuses_the_sign_in_before_it<
    B: Backend,
>() {
    let world = World::<B>::start().await;
    let sign_in = async |session: Session| -> Result<StatusCode, SessionError> {
        session.authenticate("alice")?;
        session.insert("profile", "x".repeat(100_000))?;
        Ok(StatusCode::NO_CONTENT)
    };
    let (_server, client) = world.serving(Router::new().route("/", post(sign_in))).await;
    let reply = client.post("/").await;
    reply
        .is_problem(413, "session-too-large")
        .keeps_the_cookie();
    assert_eq!(world.store.take_calls(), []);
}

async fn rule_13_a_dropped_sign_in_is_logged<B: Backend>() {
    let world = World::<B>::start().await;
    let log = CapturedLog::start();
    let count = || log.count("a sign-in or elevation was dropped");
    let client = world.client();
    for status in [401, 503] {
        client.post("/login?user=alice").answered(status).await;
    }
    assert_eq!(count(), 2);
    client.post("/put/a/b").answered(403).await;
    client.post("/put/a/b").answered(500).await;
    client.post("/login?user=alice").await.is(204);
    assert_eq!(count(), 2, "only where something was dropped");
}

async fn rule_13_a_refused_sign_in_displaces_no_session<B: Backend>() {
    let one = SessionLimit::displace(1).unwrap();
    let world = World::<B>::with(|layer| layer.session_limit(one)).await;
    let client = world.signed_in("alice").await;
    let other = world.client().post("/login?user=alice").answered(401);
    other.await.keeps_the_cookie();
    client.get("/me").await.is(200);
}

async fn grants_can_be_kept_on_purpose_where_the_request_was_refused<B: Backend>() {
    let world = World::<B>::start().await;
    let terms = async |session: Session| -> Result<Response, SessionError> {
        session.authenticate("alice")?;
        session.elevate()?;
        session.insert("a", "1")?;
        Ok((StatusCode::FORBIDDEN, KeepGrants, "accept the terms").into_response())
    };
    let (_server, client) = world.serving(Router::new().route("/", post(terms))).await;
    client.post("/").await.is(403).new_id();
    let granted = [
        EventKind::Authenticated,
        EventKind::Elevated("general".into()),
    ];
    assert_eq!(world.audit.take_kinds(), granted);
    let client = world.client().with_id(&client.id());
    client.post("/transfer").await.is(200);
    client.get("/get/a").await.is(200);
}

async fn grants_cannot_be_kept_where_the_request_failed<B: Backend>() {
    let world = World::<B>::start().await;
    for status in [408, 500, 503, 599] {
        let call = world.client().post("/in-order?steps=put:a,login:alice");
        let reply = call.answered(status).keeping_grants().await;
        reply.is(status).keeps_the_cookie();
    }
    assert_eq!(world.store.take_calls(), []);
}

/// The handler refuses, and yet keeps its grants. If the sign-in fails, the response must not
/// report success.
async fn grants_that_are_kept_and_fail_are_not_answered_as_granted<B: Backend>() {
    let one = SessionLimit::refuse(1).unwrap();
    let world = World::<B>::with(|layer| layer.session_limit(one)).await;
    world.signed_in("alice").await;
    let login = || world.client().post("/login?user=alice").answered(403);
    let reply = login().keeping_grants().await;
    reply
        .is_problem(409, "session-limit-reached")
        .keeps_the_cookie();
    login().await.is(403).keeps_the_cookie();
}

/// A response as in gRPC: 200, and the result of the call in a field.
async fn grpc<B: Backend>() -> World<B> {
    World::with(|layer| {
        layer.classify_responses(|head| match head.headers.get("grpc-status") {
            None => Outcome::Succeeded,
            Some(status) if status == "0" => Outcome::Succeeded,
            Some(status) if status == "13" => Outcome::Failed,
            Some(status) if status == "99" => panic!("as the test wants"),
            Some(_) => Outcome::Refused,
        })
    })
    .await
}

async fn the_head_of_a_response_can_refuse_or_fail_in_another_protocol<B: Backend>() {
    let world = grpc::<B>().await;
    for (field, user, before, after) in [
        ("grpc-status: 0", "bob", 200, 200),
        ("grpc-status: 7", "alice", 200, 404),
        ("grpc-status: 13", "alice", 404, 404),
    ] {
        let client = world.signed_in("alice").await;
        client.post("/clear").await.is(204);
        let steps = "/in-order?steps=login:alice,commit,put:before,login:alice,elevate,put:after";
        let steps = match user {
            "bob" => "/in-order?steps=login:bob,put:before,put:after",
            _ => steps,
        };
        let reply = client.post(steps).answered(200).with_response_field(field);
        reply.await.is(200);
        assert_eq!(client.get("/me").await.body(), user, "{field}");
        client.get("/get/before").await.is(before);
        client.get("/get/after").await.is(after);
    }
    // The response of a layer in between has no such field.
    let unavailable = world.client().post("/login?user=alice").answered(503);
    unavailable.await.is(503).keeps_the_cookie();
    let refused = world.client().post("/login?user=alice").answered(403);
    refused.await.is(403).keeps_the_cookie();
}

async fn a_failure_in_another_protocol_keeps_its_response<B: Backend>() {
    let world = grpc::<B>().await;
    for (field, status) in [
        ("grpc-status: 0", 401),
        ("grpc-status: 7", 200),
        ("grpc-status: 13", 200),
    ] {
        let client = world.signed_in("alice").await;
        let gate = Gate::closed();
        let call = client.post("/put/a/b").answered(200);
        let slow = call.with_response_field(field).held_at(&gate).start();
        gate.reached().await;
        client.fork().post("/logout").await.is(204);
        gate.open();
        slow.reply().await.is(status).keeps_the_cookie();
    }
}

async fn a_response_that_is_refused_in_another_protocol_is_no_activity<B: Backend>() {
    let world = grpc::<B>().await;
    for (field, inactive) in [
        ("grpc-status: 0", 0),
        ("grpc-status: 7", 20),
        ("grpc-status: 13", 20),
    ] {
        let client = world.signed_in("alice").await;
        world.advance(minutes(20));
        client.get("/me").with_response_field(field).await.is(200);
        let since = client.view().await.inactive;
        assert_eq!(since / 60_000, inactive, "{field}");
    }
}

async fn a_classifier_that_panics_keeps_no_user_signed_in<B: Backend>() {
    let world = grpc::<B>().await;
    let panicking = "grpc-status: 99";
    let client = world.signed_in("alice").await;
    let sign_in = client.post("/login?user=bob");
    sign_in.with_response_field(panicking).breaks().await;
    assert_eq!(client.get("/me").await.body(), "alice");
    let logout = client.post("/logout");
    logout.with_response_field(panicking).breaks().await;
    let ended = EventKind::Ended(EndReason::SignedOut);
    world.audit.until(ended).await;
    assert_eq!(world.backend.live(), 0);
}

async fn no_classifier_runs_for_a_response_that_did_not_use_its_session<B: Backend>() {
    let world = grpc::<B>().await;
    let call = world.client().get("/public");
    call.with_response_field("grpc-status: 99").await.is(200);
}
