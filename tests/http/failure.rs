//! Handlers that fail, panic or lose their client.

use portcullis::{EndReason, EventKind};

use portcullis_tests::{Backend, Client, Gate, Moment, Op, World, minutes, on_every_store};

on_every_store![
    rule_13_data_written_by_a_handler_that_failed_is_dropped,
    rule_13_a_sign_in_by_a_handler_that_failed_is_dropped,
    rule_13_an_elevation_by_a_handler_that_failed_is_dropped,
    rule_13_the_end_of_a_session_is_carried_out_all_the_same,
    rule_13_changes_of_the_identifier_are_carried_out_all_the_same,
    rule_13_of_many_wishes_only_the_safe_ones_are_carried_out,
    rule_13_without_a_session_a_failure_begins_none,
    a_refusal_of_the_application_is_no_failure,
    rule_13_a_handler_that_was_cut_off_by_a_time_limit_grants_nothing,
    rule_12_a_commit_that_nobody_waits_for_is_finished_and_told,
    what_was_committed_before_the_failure_stays,
    rule_13_a_failed_handler_after_logout_elsewhere_keeps_its_status,
    s139_a_panic_changes_nothing,
    s139_a_panic_after_signing_out_signs_out,
    s139_a_client_that_leaves_changes_nothing,
    s139_a_client_that_leaves_after_signing_out_is_signed_out,
    s139_a_write_under_way_is_finished_though_the_client_leaves,
    s139_s031_a_rotation_under_way_is_finished_whole_though_the_client_leaves,
    s139_a_sign_out_under_way_is_finished_though_the_client_leaves,
    s139_a_panic_between_two_changes_of_one_value_keeps_neither,
];

async fn rule_13_data_written_by_a_handler_that_failed_is_dropped<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.shopping(&[1]).await;
    client.post("/put/a/1").await.is(204);
    for status in [500, 502, 503, 599] {
        world.forget();
        for change in ["/cart?item=2", "/put/a/2", "/put/b/2", "/clear"] {
            client
                .post(change)
                .answered(status)
                .await
                .is(status)
                .keeps_the_cookie();
        }
        assert!(!world.store.take_calls().contains(&Op::Commit));
    }
    assert_eq!(client.look().await.cart, [1]);
    assert_eq!(client.get("/get/a").await.body(), "1");
    client.get("/get/b").await.is(404);
}

async fn rule_13_a_sign_in_by_a_handler_that_failed_is_dropped<B: Backend>() {
    let world = World::<B>::start().await;
    let login = |client: &Client| client.post("/login?user=bob").answered(500);
    let stranger = world.client();
    login(&stranger).await.is(500).keeps_the_cookie();
    assert_eq!(world.store.take_calls(), []);
    let shopping = world.shopping(&[1]).await;
    login(&shopping).await.is(500).keeps_the_cookie();
    let look = shopping.look().await;
    assert_eq!((look.user, look.cart), (None, vec![1]));
    let alice = world.signed_in("alice").await;
    login(&alice).await.is(500).keeps_the_cookie();
    assert_eq!(alice.get("/me").await.body(), "alice");
}

async fn rule_13_an_elevation_by_a_handler_that_failed_is_dropped<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    client
        .post("/elevate")
        .answered(500)
        .await
        .is(500)
        .keeps_the_cookie();
    client.get("/me").await.is(200);
    client.post("/transfer").await.is(401);
    assert_eq!(world.audit.take_kinds(), []);
}

async fn rule_13_the_end_of_a_session_is_carried_out_all_the_same<B: Backend>() {
    let world = World::<B>::start().await;
    for change in ["/logout", "/logout-and-put"] {
        let client = world.signed_in("alice").await;
        let copy = client.fork();
        client
            .post(change)
            .answered(500)
            .await
            .is(500)
            .removes_the_cookie();
        copy.get("/me").await.is(401);
        assert_eq!(world.backend.live(), 0, "{change}");
    }
}

async fn rule_13_changes_of_the_identifier_are_carried_out_all_the_same<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    client.post("/elevate").await.is(204);
    for change in ["/drop", "/regenerate"] {
        let old = client.fork();
        client.post(change).answered(500).await.is(500).new_id();
        old.get("/me").await.is(401);
        client.get("/me").await.is(200);
        client.post("/transfer").await.is(401);
    }
}

async fn rule_13_of_many_wishes_only_the_safe_ones_are_carried_out<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("bob").await;
    let old = client.fork();
    client
        .post("/everything")
        .answered(500)
        .await
        .is(500)
        .new_id();
    old.get("/me").await.is(401);
    assert_eq!(client.get("/me").await.body(), "bob");
    client.get("/get/a").await.is(404);
    let granted =
        |kind: &EventKind| matches!(kind, EventKind::Authenticated | EventKind::Elevated(_));
    assert!(!world.audit.take_kinds().iter().any(granted));
}

async fn rule_13_without_a_session_a_failure_begins_none<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.client();
    for change in [
        "/cart?item=1",
        "/login?user=alice",
        "/everything",
        "/logout-and-put",
        "/regenerate",
    ] {
        client
            .post(change)
            .answered(500)
            .await
            .is(500)
            .keeps_the_cookie();
    }
    assert_eq!(world.store.take_calls(), []);
    assert_eq!(world.audit.take_kinds(), []);
}

async fn a_refusal_of_the_application_is_no_failure<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.client();
    // Counting failed attempts is what such a write is for.
    for _ in 0..3 {
        client.post("/number/attempts").answered(403).await.is(403);
    }
    assert_eq!(client.get("/number/attempts").await.body(), "Some(3)");
}

async fn rule_13_a_handler_that_was_cut_off_by_a_time_limit_grants_nothing<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    for change in ["/elevate", "/login?user=bob", "/cart?item=1"] {
        let reply = client.post(change).answered(408).await;
        reply.is(408).keeps_the_cookie();
    }
    let look = client.look().await;
    assert_eq!((look.user.as_deref(), look.cart), (Some("alice"), vec![]));
    client
        .post("/logout")
        .answered(408)
        .await
        .removes_the_cookie();
}

async fn rule_12_a_commit_that_nobody_waits_for_is_finished_and_told<B: Backend>() {
    let world = World::<B>::start().await;
    for status in [204, 504] {
        let client = world.signed_in("alice").await;
        world.forget();
        let gate = world.store.hold(Op::Replace, Moment::Before);
        let flight = client.post("/commit-abandoned").answered(status).start();
        gate.reached().await;
        gate.open();
        flight.reply().await.is(status).new_id();
        assert_eq!(client.look().await.user.as_deref(), Some("bob"));
        let events = [
            EventKind::Ended(EndReason::ReplacedAtSignIn),
            EventKind::Regenerated,
            EventKind::Authenticated,
        ];
        assert_eq!(world.audit.take_kinds(), events, "{status}");
    }
}

async fn what_was_committed_before_the_failure_stays<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    client
        .post("/commit-then-fail")
        .await
        .is(500)
        .keeps_the_cookie();
    client.get("/get/before").await.is(200);
    client.get("/get/after").await.is(404);

    let stranger = world.client();
    stranger.post("/commit-then-fail").await.is(500).new_id();
    stranger.get("/get/before").await.is(200);
}

async fn rule_13_a_failed_handler_after_logout_elsewhere_keeps_its_status<B: Backend>() {
    let world = World::<B>::start().await;
    for change in ["/put/a/b", "/regenerate", "/logout"] {
        let client = world.signed_in("alice").await;
        let gate = Gate::closed();
        let slow = client.post(change).answered(500).held_at(&gate).start();
        gate.reached().await;
        client.fork().post("/logout").await.is(204);
        gate.open();
        slow.reply().await.is(500).keeps_the_cookie();
        assert_eq!(world.backend.live(), 0);
    }
}

async fn s139_a_panic_changes_nothing<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    let before = world.live(&client.id()).await;
    for change in [
        "/cart?item=1",
        "/login?user=bob",
        "/elevate",
        "/regenerate",
        "/clear",
        "/everything",
    ] {
        client.post(change).panicking().breaks().await;
    }
    assert_eq!(world.live(&client.id()).await, before);
    assert_eq!(world.audit.take_kinds(), []);
    client.get("/me").await.is(200);
}

async fn s139_a_panic_after_signing_out_signs_out<B: Backend>() {
    let world = World::<B>::start().await;
    for change in ["/logout", "/logout-and-put", "/everything?logout=1"] {
        let client = world.signed_in("alice").await;
        client.post(change).panicking().breaks().await;
        world
            .audit
            .until(EventKind::Ended(EndReason::SignedOut))
            .await;
        client.get("/me").await.is(401).keeps_the_cookie();
        assert_eq!(world.backend.live(), 0, "{change}");
    }
}

async fn s139_a_client_that_leaves_changes_nothing<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    let before = world.live(&client.id()).await;
    for change in ["/cart?item=1", "/login?user=bob", "/elevate", "/regenerate"] {
        leave_during(&world, &client, change).await;
    }
    assert_eq!(world.live(&client.id()).await, before);
    assert_eq!(world.audit.take_kinds(), []);
}

async fn s139_a_client_that_leaves_after_signing_out_is_signed_out<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    leave_during(&world, &client, "/logout").await;
    world
        .audit
        .until(EventKind::Ended(EndReason::SignedOut))
        .await;
    assert_eq!(world.ended(&client.id()).await, Some(EndReason::SignedOut));
    client.get("/me").await.is(401).keeps_the_cookie();
}

/// The client goes away when the handler has done its work but not answered.
async fn leave_during<B: Backend>(world: &World<B>, client: &Client, change: &str) {
    let gate = Gate::closed();
    let flight = client.post(change).held_at(&gate).start();
    gate.reached().await;
    flight.disconnect().await;
    world.departed().await;
}

/// The client goes away when the store has been asked; what was asked is done all the same.
async fn leave_at_the_store<B: Backend>(world: &World<B>, client: &Client, change: &str, op: Op) {
    let (before, after) = (
        world.store.hold(op, Moment::Before),
        world.store.hold(op, Moment::After),
    );
    let flight = client.post(change).start();
    before.reached().await;
    flight.disconnect().await;
    world.departed().await;
    before.open();
    after.reached().await;
    after.open();
}

async fn s139_a_write_under_way_is_finished_though_the_client_leaves<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    leave_at_the_store(&world, &client, "/put/a/b", Op::Commit).await;
    assert_eq!(client.get("/get/a").await.body(), "b");
}

async fn s139_s031_a_rotation_under_way_is_finished_whole_though_the_client_leaves<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    leave_at_the_store(&world, &client, "/elevate", Op::Replace).await;
    world
        .audit
        .until(EventKind::Elevated("general".into()))
        .await;
    client.get("/me").await.is(401).keeps_the_cookie();
    assert_eq!(world.backend.live(), 1);
}

async fn s139_a_sign_out_under_way_is_finished_though_the_client_leaves<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    world.advance(minutes(5));
    leave_at_the_store(&world, &client, "/logout", Op::End).await;
    world
        .audit
        .until(EventKind::Ended(EndReason::SignedOut))
        .await;
    assert_eq!(world.backend.live(), 0);
}

async fn s139_a_panic_between_two_changes_of_one_value_keeps_neither<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    client.post("/nested/panic").breaks().await;
    client.get("/get/a").await.is(404);
    client.post("/put/a/b").await.is(204);
}
