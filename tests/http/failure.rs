//! Handlers that fail, panic or are cut off.

use portcullis::{audit::EventKind, session::EndReason};
use portcullis_tests::{Backend, Client, Gate, Op, World, on_every_store};

on_every_store![
    rule_13_data_written_by_a_handler_that_failed_is_dropped,
    rule_13_a_sign_in_by_a_handler_that_failed_is_dropped,
    rule_13_an_elevation_by_a_handler_that_failed_is_dropped,
    rule_13_the_end_of_a_session_is_carried_out_all_the_same,
    rule_13_changes_of_the_identifier_are_carried_out_all_the_same,
    rule_13_of_many_operations_only_the_safe_ones_are_carried_out,
    rule_13_without_a_session_a_failure_begins_none,
    rule_13_a_handler_that_was_cut_off_by_a_time_limit_grants_nothing,
    what_was_committed_before_the_failure_stays,
    rule_13_a_failed_handler_after_logout_elsewhere_keeps_its_status,
    s139_a_panic_changes_nothing,
    s139_a_panic_after_signing_out_signs_out,
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
    assert_eq!(client.view().await.cart, [1]);
    assert_eq!(client.get("/get/a").await.body(), "1");
    client.get("/get/b").await.is(404);
}

async fn rule_13_a_sign_in_by_a_handler_that_failed_is_dropped<B: Backend>() {
    let world = World::<B>::start().await;
    let login = |client: &Client| client.post("/login?user=bob").answered(500);
    let anonymous = world.client();
    login(&anonymous).await.is(500).keeps_the_cookie();
    assert_eq!(world.store.take_calls(), []);
    let shopping = world.shopping(&[1]).await;
    login(&shopping).await.is(500).keeps_the_cookie();
    let view = shopping.view().await;
    assert_eq!((view.user, view.cart), (None, vec![1]));
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

async fn rule_13_of_many_operations_only_the_safe_ones_are_carried_out<B: Backend>() {
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

async fn rule_13_a_handler_that_was_cut_off_by_a_time_limit_grants_nothing<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    for change in ["/elevate", "/login?user=bob", "/cart?item=1"] {
        let reply = client.post(change).answered(408).await;
        reply.is(408).keeps_the_cookie();
    }
    let view = client.view().await;
    assert_eq!((view.user.as_deref(), view.cart), (Some("alice"), vec![]));
    client
        .post("/logout")
        .answered(408)
        .await
        .removes_the_cookie();
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

    let anonymous = world.client();
    anonymous.post("/commit-then-fail").await.is(500).new_id();
    anonymous.get("/get/before").await.is(200);
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

async fn s139_a_panic_between_two_changes_of_one_value_keeps_neither<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    client.post("/nested/panic").breaks().await;
    client.get("/get/a").await.is(404);
    client.post("/put/a/b").await.is(204);
}
