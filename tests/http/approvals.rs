//! A proof of identity for one operation, which is carried out once.

use axum::{Router, extract::Path, http::StatusCode, routing::post};
use portcullis::{Authenticated, audit::EventKind};
use portcullis_tests::{
    Backend, Client, Moment, Op, Operate, World, minutes, on_every_store, seconds,
};

on_every_store![
    s057_p23_an_approval_is_for_one_operation_and_for_one_use,
    s057_an_approval_is_for_its_parameters_alone,
    p23_the_approval_of_an_operation_that_failed_may_be_used_again_in_its_five_minutes,
    p23_an_operation_that_succeeded_or_was_refused_has_used_its_approval,
    an_approval_ends_after_five_minutes,
    of_many_uses_at_once_exactly_one_is_carried_out,
    an_approval_comes_with_a_new_identifier,
    an_approval_ends_with_its_session_and_with_another_sign_in,
    a_refused_request_approves_nothing,
    without_an_answer_of_the_store_nothing_is_carried_out,
    an_approval_elevates_nothing_and_is_a_recent_proof,
    each_step_of_an_approval_is_in_the_log_without_its_parameters,
    rule_7_an_approval_is_restored_to_its_user_and_identifier_alone,
];

async fn approve(client: &Client, order: &str) {
    let target = format!("/approve/{order}");
    client.post(&target).await.is(204);
}

async fn s057_p23_an_approval_is_for_one_operation_and_for_one_use<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    let reply = client.post("/carry-out/ten").await;
    reply.is_problem(401, "approval-required");
    let challenge = reply.header("www-authenticate");
    assert!(
        challenge.ends_with("approve=\"operate\", max_age=\"0\""),
        "{challenge}"
    );
    approve(&client, "ten").await;
    client.post("/carry-out/ten").await.is(200);
    client.post("/carry-out/ten").await.is(401);
}

async fn s057_an_approval_is_for_its_parameters_alone<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    approve(&client, "ten").await;
    client.post("/carry-out/thousand").await.is(401);
    approve(&client, "twenty").await;
    client.post("/carry-out/twenty").await.is(200);
    client.post("/carry-out/ten").await.is(200);
}

async fn p23_the_approval_of_an_operation_that_failed_may_be_used_again_in_its_five_minutes<
    B: Backend,
>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    approve(&client, "ten").await;
    for _ in 0..2 {
        world.advance(minutes(2));
        let failed = client.post("/carry-out/ten").answered(500);
        failed.await.is(500);
    }
    let copy = client.fork();
    client.post("/carry-out/ten").await.is(200);
    copy.post("/carry-out/ten").await.is(401);

    approve(&client, "ten").await;
    client.post("/carry-out/ten").answered(503).await.is(503);
    world.advance(minutes(5));
    client.post("/carry-out/ten").await.is(401);
}

async fn p23_an_operation_that_succeeded_or_was_refused_has_used_its_approval<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    for status in [200, 303, 404, 409] {
        approve(&client, "ten").await;
        let first = client.post("/carry-out/ten").answered(status);
        first.await.is(status);
        client.post("/carry-out/ten").await.is(401);
    }
}

async fn an_approval_ends_after_five_minutes<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    approve(&client, "ten").await;
    world.advance(minutes(5) - seconds(10));
    let copy = client.fork();
    copy.post("/carry-out/ten").answered(500).await.is(500);
    world.advance(seconds(10));
    client.post("/carry-out/ten").await.is(401);
}

async fn of_many_uses_at_once_exactly_one_is_carried_out<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    approve(&client, "ten").await;
    let gate = world.store.hold_each(Op::Load, Moment::After, 10);
    let all: Vec<_> = (0..10)
        .map(|_| client.post("/carry-out/ten").start())
        .collect();
    gate.reached().await;
    gate.open();
    let mut carried_out = 0;
    for one in all {
        match one.reply().await.status() {
            200 => carried_out += 1,
            status => assert_eq!(status, 401),
        }
    }
    assert_eq!(carried_out, 1);
}

async fn an_approval_comes_with_a_new_identifier<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    let old = client.fork();
    client.post("/approve/ten").await.is(204).new_id();
    old.post("/carry-out/ten").await.is(401);
    client.post("/carry-out/ten").await.is(200);
}

async fn an_approval_ends_with_its_session_and_with_another_sign_in<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    approve(&client, "ten").await;
    client.post("/login?user=alice").await.is(204);
    client.post("/carry-out/ten").await.is(401);
    approve(&client, "ten").await;
    client.post("/regenerate").await.is(204);
    client.post("/carry-out/ten").await.is(401);
}

async fn a_refused_request_approves_nothing<B: Backend>() {
    let world = World::<B>::start().await;
    world.client().post("/approve/ten").await.is(401);
    let client = world.signed_in("alice").await;
    client.post("/approve/ten").answered(403).await.is(403);
    client.post("/carry-out/ten").await.is(401);
}

async fn without_an_answer_of_the_store_nothing_is_carried_out<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    approve(&client, "ten").await;
    world.store.fail(Op::Commit, Moment::Before);
    client.post("/carry-out/ten").await.is(503);
    client.post("/carry-out/ten").await.is(200);
}

async fn an_approval_elevates_nothing_and_is_a_recent_proof<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    world.advance(minutes(20));
    client.post("/operate").await.is(401);
    approve(&client, "ten").await;
    client.post("/transfer").await.is(401);
    client.post("/operate").await.is(200);
}

async fn each_step_of_an_approval_is_in_the_log_without_its_parameters<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    approve(&client, "ten").await;
    client.post("/carry-out/ten").answered(500).await.is(500);
    client.post("/carry-out/ten").await.is(200);
    let demand = || "operate".to_owned();
    let expected = [
        EventKind::OperationApproved(demand()),
        EventKind::ApprovalUsed(demand()),
        EventKind::ApprovalRestored(demand()),
        EventKind::ApprovalUsed(demand()),
    ];
    assert_eq!(world.audit.take_kinds(), expected);
}

/// Uses the approval and fails, after something else has ended it.
async fn fail_after(
    signed_in: Authenticated,
    Path(what): Path<String>,
) -> axum::response::Result<StatusCode> {
    signed_in.use_approval::<Operate>("ten").await?;
    let session = signed_in.session();
    match &*what {
        "sign-in" => session.authenticate("bob")?,
        "drop" => {
            session.drop_elevation()?;
        }
        _ => session.regenerate()?,
    }
    if what == "sign-in" {
        session.commit().await?;
    }
    Ok(StatusCode::INTERNAL_SERVER_ERROR)
}

async fn rule_7_an_approval_is_restored_to_its_user_and_identifier_alone<B: Backend>() {
    let world = World::<B>::start().await;
    let failing = Router::new().route("/fail-after/{what}", post(fail_after));
    let (_server, client) = world.serving_also(failing).await;
    for what in ["sign-in", "drop", "regenerate"] {
        world.backend.later().await;
        client.post("/login?user=alice").await.is(204);
        client.elevate().await;
        approve(&client, "ten").await;
        client.post(&format!("/fail-after/{what}")).await.is(500);
        client.post("/carry-out/ten").await.is(401);
    }
}
