//! Identifiers: never adopted, new with every change of rights, and dead when replaced.

use std::collections::HashSet;

use portcullis::{audit::EventKind, session::EndReason};
use portcullis_core::{Bucket, SessionId, store::Loaded};
use portcullis_tests::{Backend, World, on_every_store};

on_every_store![
    t20_s025_a_planted_identifier_is_never_adopted,
    t21_signing_in_on_a_planted_session_ends_it,
    t22_a_write_after_a_rotation_in_the_same_request_reaches_the_new_identifier,
    t23_the_old_identifier_is_dead_the_moment_it_is_replaced,
    s026_s027_every_change_of_rights_brings_a_new_identifier,
    t25_s055_another_user_signing_in_carries_nothing_over,
    t25_the_session_of_the_former_user_is_ended_and_its_handle_is_not_reused,
    s026_the_same_user_signing_in_again_keeps_the_values,
    s029_values_of_an_anonymous_session_move_along_only_if_the_application_allows_it,
    s030_no_value_of_the_application_signs_a_user_in,
    s034_a_new_identifier_reaches_the_client_whatever_the_status,
    s014_no_identifier_is_handed_out_twice,
    t18_signing_in_after_signing_out_starts_from_nothing,
];

async fn t20_s025_a_planted_identifier_is_never_adopted<B: Backend>() {
    let world = World::<B>::start().await;
    let planted = SessionId::generate(Bucket::random().unwrap())
        .unwrap()
        .expose();
    for change in ["/cart?item=1", "/login?user=alice"] {
        let victim = world.client().with_id(&planted);
        let id = victim.post(change).await.is(204).new_id();
        assert_ne!(id, planted);
        let event = world.audit.take_kinds();
        assert_eq!(event[0], EventKind::UnknownIdentifier);
        assert_eq!(world.stored(&planted).await, Loaded::Absent);
        let attacker = world.client().with_id(&planted);
        assert_eq!(attacker.view().await.handle, None);
    }
}

async fn t21_signing_in_on_a_planted_session_ends_it<B: Backend>() {
    let world = World::<B>::start().await;
    let attacker = world.shopping(&[1]).await;
    let victim = world.client().with_id(&attacker.id());
    let id = victim.post("/login?user=alice").await.is(204).new_id();
    assert_ne!(id, attacker.id());
    attacker.get("/me").await.is(401).keeps_the_cookie();
    attacker
        .post("/cart?item=2")
        .await
        .is_problem(401, "session-replaced");
    assert_eq!(victim.view().await.cart, [1]);
}

async fn t22_a_write_after_a_rotation_in_the_same_request_reaches_the_new_identifier<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    let old = client.fork();
    client.post("/commit-between").await.is(204).new_id();
    assert_eq!(client.get("/get/before").await.body(), "1");
    assert_eq!(client.get("/get/after").await.body(), "2");
    old.get("/me").await.is(401);
    assert_eq!(world.backend.live(), 1);
}

async fn t23_the_old_identifier_is_dead_the_moment_it_is_replaced<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    let old = client.fork();
    client.post("/regenerate").await.is(204).new_id();
    old.get("/me").await.is(401).keeps_the_cookie();
    assert_eq!(world.ended(&old.id()).await, Some(EndReason::Replaced));
    assert_eq!(world.backend.live(), 1);
    client.get("/me").await.is(200);
}

async fn s026_s027_every_change_of_rights_brings_a_new_identifier<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.shopping(&[7]).await;
    for change in [
        "/login?user=alice",
        "/login?user=alice",
        "/regenerate",
        "/elevate",
        "/elevate/payments",
        "/drop",
    ] {
        let old = client.fork();
        let id = client.post(change).await.new_id();
        assert_ne!(id, old.id(), "{change}");
        old.get("/me").await.is(401).keeps_the_cookie();
        old.post("/cart?item=8").await.is(401).keeps_the_cookie();
        assert_eq!(client.view().await.cart, [7], "{change}");
        assert_eq!(world.backend.live(), 1, "{change}");
    }
}

async fn t25_s055_another_user_signing_in_carries_nothing_over<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    for change in [
        "/cart?item=1",
        "/put/address/secret",
        "/elevate",
        "/elevate/payments",
    ] {
        client.post(change).await.is(204);
    }
    client.post("/login?user=bob").await.is(204).new_id();
    let view = client.view().await;
    assert_eq!(view.user.as_deref(), Some("bob"));
    assert_eq!(
        (view.cart, view.elevated_left, view.payments_left),
        (vec![], None, None)
    );
    client.get("/get/address").await.is(404);
    client.post("/transfer").await.is(401);
}

async fn t25_the_session_of_the_former_user_is_ended_and_its_handle_is_not_reused<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    let alice = client.fork();
    let before = client.view().await;
    client.post("/login?user=bob").await.is(204);
    let after = client.view().await;
    assert_ne!(before.handle, after.handle);
    assert!(after.age < 60_000);
    alice.get("/me").await.is(401).keeps_the_cookie();
    assert_eq!(world.backend.live(), 1);
}

async fn s026_the_same_user_signing_in_again_keeps_the_values<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    client.post("/cart?item=1").await.is(204);
    let before = client.view().await;
    client.post("/login?user=alice").await.is(204).new_id();
    let after = client.view().await;
    assert_eq!((after.handle, after.cart), (before.handle, before.cart));
}

async fn s029_values_of_an_anonymous_session_move_along_only_if_the_application_allows_it<
    B: Backend,
>() {
    let world = World::<B>::start().await;
    let client = world.shopping(&[1]).await;
    client.post("/put/is_admin/true").await.is(204);
    let careful = world.shopping(&[2]).await;
    careful.post("/put/is_admin/true").await.is(204);

    client.post("/login?user=alice").await.is(204);
    assert_eq!(client.view().await.cart, [1]);
    careful.post("/clear-and-login?user=bob").await.is(204);
    assert!(careful.view().await.cart.is_empty());
    careful.get("/get/is_admin").await.is(404);
}

async fn s030_no_value_of_the_application_signs_a_user_in<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.client();
    let names = [
        "user",
        "user_id",
        "uid",
        "sub",
        "handle",
        "id",
        "_user",
        "__user",
        "elevations",
        "elevated",
        "general",
        "_elevated_until",
        "lifetime",
        "age",
        "absolute_deadline",
        "is_admin",
    ];
    for name in names {
        client.post(&format!("/put/{name}/alice")).await.is(204);
    }
    let view = client.view().await;
    assert_eq!((view.user, view.elevated_left), (None, None));
    client.get("/me").await.is(401);
    client.post("/transfer").await.is(401);
    client.post("/login?user=bob").await.is(204);
    assert_eq!(client.get("/me").await.body(), "bob");
    client.post("/transfer").await.is(401);
}

async fn s034_a_new_identifier_reaches_the_client_whatever_the_status<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    for status in [200, 303, 404, 500, 503] {
        let old = client.fork();
        let call = client.post("/regenerate").answered(status);
        call.await.is(status).new_id();
        client.get("/me").await.is(200);
        old.get("/me").await.is(401);
    }
    client.post("/regenerate").panicking().breaks().await;
    client.get("/me").await.is(200);
}

async fn s014_no_identifier_is_handed_out_twice<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    let mut seen = HashSet::from([client.id()]);
    for _ in 0..100 {
        assert!(seen.insert(client.post("/regenerate").await.new_id()));
    }
}

async fn t18_signing_in_after_signing_out_starts_from_nothing<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    client.post("/cart?item=1").await.is(204);
    let before = client.view().await;
    client.post("/logout").await.is(204).removes_the_cookie();
    client.post("/login?user=alice").await.is(204).new_id();
    let after = client.view().await;
    assert!(after.cart.is_empty());
    assert_ne!(after.handle, before.handle);
}
