//! A store that is down, hangs, is full or loses its answers. No user is signed in or out by it.

use std::time::{Duration, Instant};

use portcullis::{audit::EventKind, session::EndReason, settings::SessionLimit};
use portcullis_tests::{
    Backend, Client, Memory, Moment, Op, Redis, Reply, World, about, minutes, on_every_store,
};

on_every_store![
    t67_s134_while_the_store_is_down_sessions_are_unavailable_and_nothing_else_is,
    t67_a_store_that_is_down_never_looks_like_a_signed_out_user,
    t67_a_request_that_cannot_be_written_is_refused_and_changes_nothing,
    t67_a_sign_in_that_cannot_be_written_signs_no_user_in,
    t67_a_sign_out_that_cannot_be_written_is_an_error,
    t66_a_touch_that_fails_fails_no_request,
    an_answer_that_was_lost_is_not_taken_for_a_success,
    rule_12_a_sign_out_whose_answer_was_lost_is_found_and_reported,
    an_answer_to_a_rotation_that_was_lost_leaves_no_identifier_that_works,
    rule_12_a_sign_out_by_an_early_commit_whose_answers_were_lost_is_reported,
    rule_9_an_early_commit_whose_answer_was_lost_is_not_done_twice,
    a_sign_out_that_was_done_removes_the_cookie_whatever_fails_after_it,
    rule_8_a_failure_of_the_store_is_reported_to_the_audit_once,
    rule_13_a_handler_that_failed_keeps_its_status_when_the_store_fails_too,
];

/// Sessions are unavailable, the cookie is kept, and the response has `Retry-After`.
#[track_caller]
fn is_unavailable(reply: &Reply) {
    reply
        .is_problem(503, "session-unavailable")
        .keeps_the_cookie();
    let retry_after: u64 = reply.header("retry-after").parse().expect("a number");
    assert!((1..=10).contains(&retry_after));
}

async fn t67_s134_while_the_store_is_down_sessions_are_unavailable_and_nothing_else_is<
    B: Backend,
>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    world.store.set_down(true);
    for target in ["/me", "/session", "/account", "/danger", "/cart"] {
        is_unavailable(&client.get(target).await);
    }
    for change in [
        "/cart?item=1",
        "/login?user=alice",
        "/logout",
        "/elevate",
        "/transfer",
    ] {
        is_unavailable(&client.post(change).await);
    }
    client.get("/public").await.is(200).keeps_the_cookie();
    let anonymous = world.client();
    anonymous.get("/session").await.is(200);
    anonymous.get("/maybe").await.is(200);
    anonymous.get("/me").await.is(401);

    world.store.set_down(false);
    assert_eq!(client.get("/me").await.is(200).body(), "alice");
    assert!(client.view().await.cart.is_empty());
}

async fn t67_a_store_that_is_down_never_looks_like_a_signed_out_user<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    world.store.set_down(true);
    is_unavailable(&client.get("/maybe").await);
    let page = client.get("/account").header("sec-fetch-mode", "navigate");
    let reply = page.await;
    reply.is_page(503, "Try again shortly.").keeps_the_cookie();
    assert_eq!(reply.header("retry-after"), "1");
}

async fn t67_a_request_that_cannot_be_written_is_refused_and_changes_nothing<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    let before = world.live(&client.id()).await;
    for (op, change) in [
        (Op::Commit, "/cart?item=1"),
        (Op::Commit, "/clear"),
        (Op::Replace, "/elevate"),
        (Op::Replace, "/regenerate"),
        (Op::Replace, "/login?user=bob"),
    ] {
        client.post("/put/a/b").await.is(204);
        world.store.fail(op, Moment::Before);
        is_unavailable(&client.post(change).await);
        assert_eq!(client.get("/get/a").await.body(), "b", "{change}");
    }
    assert_eq!(client.view().await.elevated_left, None);
    assert_ne!(world.live(&client.id()).await, before);
    assert_eq!(client.get("/me").await.body(), "alice");
}

async fn t67_a_sign_in_that_cannot_be_written_signs_no_user_in<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.client();
    world.store.fail(Op::Create, Moment::Before);
    is_unavailable(&client.post("/login?user=alice").await);
    assert_eq!(world.audit.take_kinds(), [EventKind::StoreFailed]);
    assert_eq!(world.backend.live(), 0);
    client.post("/login?user=alice").await.is(204).new_id();
}

async fn t67_a_sign_out_that_cannot_be_written_is_an_error<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    for _ in 0..2 {
        world.store.fail(Op::End, Moment::Before);
    }
    is_unavailable(&client.post("/logout").await);
    assert!(client.has_cookie());
    client.get("/me").await.is(200);
    client.post("/logout").await.is(204).removes_the_cookie();
}

async fn t66_a_touch_that_fails_fails_no_request<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    world.advance(minutes(5));
    world.store.fail(Op::Touch, Moment::Before);
    client.get("/me").await.is(200).keeps_the_cookie();
    client.get("/me").await.is(200);
    assert_eq!(
        world.store.take_calls(),
        [Op::Load, Op::Touch, Op::Load, Op::Touch]
    );
}

async fn an_answer_that_was_lost_is_not_taken_for_a_success<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    world.store.fail(Op::Commit, Moment::After);
    is_unavailable(&client.post("/put/a/b").await);
    client.get("/me").await.is(200);
    client.post("/put/a/b").await.is(204);
}

async fn rule_12_a_sign_out_whose_answer_was_lost_is_found_and_reported<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    world.store.fail(Op::End, Moment::After);
    client.post("/logout").await.is(204).keeps_the_cookie();
    client.get("/me").await.is(401);
    let kinds = world.audit.take_kinds();
    assert_eq!(kinds[0], EventKind::Ended(EndReason::SignedOut));
}

async fn an_answer_to_a_rotation_that_was_lost_leaves_no_identifier_that_works<B: Backend>() {
    let world = World::<B>::start().await;
    for change in ["/elevate", "/regenerate", "/login?user=bob"] {
        let client = world.signed_in("alice").await;
        world.store.fail(Op::Replace, Moment::After);
        is_unavailable(&client.post(change).await);
        client.get("/me").await.is(401).keeps_the_cookie();
        client.post("/login?user=alice").await.is(204).new_id();
    }
}

async fn rule_12_a_sign_out_by_an_early_commit_whose_answers_were_lost_is_reported<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    for _ in 0..2 {
        world.store.fail(Op::End, Moment::After);
    }
    client.post("/logout-and-commit").await;
    client.get("/me").await.is(401);
    let kinds = world.audit.take_kinds();
    assert!(
        kinds.contains(&EventKind::Ended(EndReason::SignedOut)),
        "{kinds:?}"
    );
}

async fn rule_9_an_early_commit_whose_answer_was_lost_is_not_done_twice<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    for moment in [Moment::Before, Moment::After] {
        world.store.fail(Op::Commit, moment);
        world.store.take_calls();
        is_unavailable(&client.post("/commit-ignored").await);
        assert_eq!(world.store.take_calls(), [Op::Load, Op::Commit]);
    }
    client.post("/commit-ignored").await.is(204);
}

async fn a_sign_out_that_was_done_removes_the_cookie_whatever_fails_after_it<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    world.store.fail(Op::Create, Moment::Before);
    let reply = client.post("/logout-and-put").await;
    reply
        .is_problem(503, "session-unavailable")
        .removes_the_cookie();
    assert_eq!(world.backend.live(), 0);
}

async fn rule_8_a_failure_of_the_store_is_reported_to_the_audit_once<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    for op in [Op::Load, Op::Commit] {
        world.store.fail(op, Moment::Before);
        is_unavailable(&client.post("/put/a/b").await);
        assert_eq!(world.audit.take_kinds(), [EventKind::StoreFailed], "{op:?}");
    }
}

async fn rule_13_a_handler_that_failed_keeps_its_status_when_the_store_fails_too<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    world.store.fail(Op::Replace, Moment::Before);
    let reply = client.post("/regenerate").answered(500).await;
    reply.is(500).keeps_the_cookie();
    client.get("/me").await.is(200);
}

/// Sends the request and returns its response, within the bound for every wait.
async fn in_time(client: &Client, target: &str) -> Reply {
    let sent = Instant::now();
    let reply = client.get(target).await;
    assert!(
        sent.elapsed() < Duration::from_secs(2),
        "{:?}",
        sent.elapsed()
    );
    reply
}

/// Sends requests until sessions can be used again, for as long as that may take.
async fn healed(client: &Client) -> Reply {
    answered(async || client.get("/me").await).await
}

/// The first answer that is not a 503.
async fn answered(request: impl AsyncFn() -> Reply) -> Reply {
    let since = Instant::now();
    loop {
        let reply = request().await;
        if reply.status() != 503 {
            return reply;
        }
        is_unavailable(&reply);
        assert!(
            since.elapsed() < Duration::from_secs(15),
            "sessions do not come back"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn on_redis(options: &[&str]) -> World<Redis> {
    World::on(Redis::with_default_wait(options).await, |layer| layer).await
}

#[tokio::test(flavor = "multi_thread")]
async fn t67_redis_that_was_killed_and_kept_its_data_signs_no_user_out() {
    let mut world = on_redis(&["--appendonly", "yes", "--appendfsync", "always"]).await;
    let client = world.signed_in("alice").await;
    world.backend.server_mut().kill();
    for _ in 0..5 {
        is_unavailable(&in_time(&client, "/me").await);
        client.get("/public").await.is(200);
        world.client().get("/session").await.is(200);
    }
    world.backend.server_mut().restart();
    assert_eq!(healed(&client).await.is(200).body(), "alice");
    client.post("/cart?item=1").await.is(204);
}

#[tokio::test(flavor = "multi_thread")]
async fn t67_redis_that_lost_everything_signs_out_and_serves_on() {
    let mut world = on_redis(&[]).await;
    let client = world.signed_in("alice").await;
    world.backend.server_mut().kill();
    is_unavailable(&in_time(&client, "/me").await);
    world.backend.server_mut().restart();
    healed(&client).await.is(401).keeps_the_cookie();
    client.post("/login?user=alice").await.is(204).new_id();
    client.get("/me").await.is(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn t67_s136_redis_that_hangs_costs_a_bounded_wait_and_no_session() {
    let world = on_redis(&[]).await;
    let client = world.signed_in("alice").await;
    world.backend.server().pause();
    for _ in 0..5 {
        is_unavailable(&in_time(&client, "/me").await);
        client.get("/public").await.is(200);
    }
    let sent = Instant::now();
    is_unavailable(&client.post("/login?user=bob").await);
    assert!(sent.elapsed() < Duration::from_secs(2));
    world.backend.server().resume();
    assert_eq!(healed(&client).await.is(200).body(), "alice");
}

/// It was sent, so it may be executed when Redis continues. It must not be reported as done.
#[tokio::test(flavor = "multi_thread")]
async fn t67_a_write_while_redis_hangs_is_not_taken_for_done() {
    let world = on_redis(&[]).await;
    let client = world.signed_in("alice").await;
    let load = world.store.hold(Op::Load, Moment::After);
    let slow = client.post("/logout").start();
    load.reached().await;
    world.backend.server().pause();
    load.open();
    is_unavailable(&slow.reply().await);
    world.backend.server().resume();
    healed(&client).await;
    client.post("/logout").await.is(204);
    assert_eq!(world.backend.live(), 0);
}

/// Executed whole or not at all: after a rotation whose answer was lost no client has the new
/// identifier, and no unusable session is left.
#[tokio::test(flavor = "multi_thread")]
async fn t67_s031_a_rotation_while_redis_hangs_is_whole_or_not_at_all() {
    let world = on_redis(&[]).await;
    let client = world.signed_in("alice").await;
    let load = world.store.hold(Op::Load, Moment::After);
    let slow = client.post("/regenerate").start();
    load.reached().await;
    world.backend.server().pause();
    load.open();
    is_unavailable(&slow.reply().await);
    world.backend.server().resume();
    let goes_on = healed(&client).await.keeps_the_cookie().status() == 200;
    portcullis_redis::testing::wait_until("no half", || {
        world.backend.live() == usize::from(goes_on)
    })
    .await;
}

/// It was executed. The same operation is sent again, and finds it done.
#[tokio::test(flavor = "multi_thread")]
async fn t67_a_new_identifier_whose_answer_was_lost_signs_no_user_out() {
    for change in ["/elevate", "/regenerate", "/login?user=alice"] {
        let (redis, wire) = Redis::on_a_wire().await;
        let world = World::on(redis, |layer| layer).await;
        let client = world.signed_in("alice").await;
        let key = world.backend.keys().remove(0);
        let load = world.store.hold(Op::Load, Moment::After);
        let slow = client.post(change).start();
        load.reached().await;
        wire.lose_answer(&key);
        load.open();
        slow.reply().await.is(204).new_id();
        client.get("/me").await.is(200);
        assert_eq!(world.backend.live(), 1);
    }
}

/// An operation that Redis runs after its caller gave up creates nothing that counts against a
/// limit.
#[tokio::test(flavor = "multi_thread")]
async fn t67_a_sign_in_that_redis_runs_too_late_leaves_nothing() {
    let redis = Redis::with_default_wait(&[]).await;
    let one = SessionLimit::refuse(1).unwrap();
    let world = World::on(redis, |layer| layer.session_limit(one)).await;
    let (bob, client) = (world.signed_in("bob").await, world.client());
    world.backend.server().pause();
    is_unavailable(&client.post("/login?user=alice").await);
    // Longer than any caller waits.
    tokio::time::sleep(Duration::from_millis(300)).await;
    world.backend.server().resume();
    healed(&bob).await.is(200);
    // On a busy machine a sign-in may take longer than the wait again. It leaves nothing either.
    let reply = answered(async || client.post("/login?user=alice").await).await;
    reply.is(204).new_id();
    portcullis_redis::testing::wait_until("two", || world.backend.live() == 2).await;
}

/// It may be executed when Redis continues. Until that is known it is not reported as done.
#[tokio::test(flavor = "multi_thread")]
async fn t67_a_revocation_while_redis_hangs_is_not_taken_for_done_and_can_be_repeated() {
    let world = on_redis(&[]).await;
    for target in ["/sessions/others", "/sessions"] {
        let [desk, phone] = world.elevated_and_other("alice").await;
        let load = world.store.hold(Op::Load, Moment::After);
        let slow = desk.delete(target).start();
        load.reached().await;
        world.backend.server().pause();
        let sent = Instant::now();
        load.open();
        is_unavailable(&slow.reply().await);
        assert!(sent.elapsed() < Duration::from_secs(2));
        world.backend.server().resume();
        assert_eq!(healed(&desk).await.is(200).body(), "alice");
        desk.delete("/sessions").await.is(200).removes_the_cookie();
        phone.get("/me").await.is(401);
        assert_eq!(world.backend.live(), 0);
        portcullis_tests::a_moment().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn t66_redis_that_is_full_refuses_sign_ins_with_an_event_and_signs_no_user_out() {
    let world = on_redis(&[]).await;
    let client = world.signed_in("alice").await;
    world.advance(minutes(5));
    world.backend.configure("maxmemory", "1");
    client.get("/me").await.is(200);
    about(client.view().await.inactive, minutes(0));
    is_unavailable(&world.client().post("/login?user=bob").await);
    is_unavailable(&client.post("/put/a/b").await);
    is_unavailable(&client.post("/regenerate").await);
    client.get("/me").await.is(200);
    client.post("/logout").await.is(204).removes_the_cookie();
    assert_eq!(world.backend.live(), 0);
    world.backend.configure("maxmemory", "0");
    world.client().post("/login?user=bob").await.is(204);
}

#[tokio::test(flavor = "multi_thread")]
async fn t66_redis_that_takes_no_writes_still_serves_reads() {
    let world = on_redis(&[]).await;
    let client = world.signed_in("alice").await;
    world.backend.configure("min-replicas-to-write", "1");
    is_unavailable(&client.post("/put/a/b").await);
    is_unavailable(&client.post("/logout").await);
    client.get("/me").await.is(200);
    world.backend.configure("min-replicas-to-write", "0");
    client.post("/put/a/b").await.is(204);
}

#[tokio::test(flavor = "multi_thread")]
async fn t66_a_full_memory_store_refuses_sign_ins_with_an_event_and_signs_no_user_out() {
    let world = World::on(Memory::with_capacity(2), |layer| layer).await;
    let (alice, bob) = (world.signed_in("alice").await, world.signed_in("bob").await);
    is_unavailable(&world.client().post("/login?user=carol").await);
    for client in [&alice, &bob] {
        client.post("/put/a/b").await.is(204);
        client.post("/regenerate").await.is(204).new_id();
    }
    alice.post("/logout").await.is(204).removes_the_cookie();
    world
        .client()
        .post("/login?user=carol")
        .await
        .is(204)
        .new_id();
    bob.get("/me").await.is(200);
}
