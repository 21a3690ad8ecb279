//! Responses and shared caches.

use portcullis_tests::{Backend, Call, World, on_every_store};

on_every_store![
    t33_s085_a_response_with_the_cookie_is_never_stored,
    s085_no_field_of_a_cdn_lets_it_store_what_depends_on_the_session,
    s086_a_response_made_with_the_session_is_never_shared,
    s087_every_response_for_which_the_session_was_loaded_varies_by_cookie,
    s087_the_vary_of_the_handler_stays,
    a_response_that_never_used_the_session_is_unchanged,
    refusals_are_never_stored,
];

const CACHED: &str = "Cache-Control: public, max-age=600";

async fn t33_s085_a_response_with_the_cookie_is_never_stored<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.client();
    for change in [
        "/cart?item=1",
        "/login?user=alice",
        "/regenerate",
        "/elevate",
        "/drop",
        "/logout",
    ] {
        let reply = client.post(change).with_response_field(CACHED).await;
        reply.set_cookie();
        assert_eq!(reply.header("cache-control"), "no-store", "{change}");
        assert_eq!(reply.header("vary"), "Cookie", "{change}");
    }
}

async fn s085_no_field_of_a_cdn_lets_it_store_what_depends_on_the_session<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    for (name, allows, forbids) in [
        ("cdn-cache-control", "max-age=60", "no-store"),
        ("cloudflare-cdn-cache-control", "max-age=60", "private"),
        ("surrogate-control", "max-age=60", "no-store"),
        ("edge-control", "!no-store, max-age=60", "bypass-cache"),
        ("x-accel-expires", "60", "0"),
    ] {
        for (value, left) in [(allows, ""), (forbids, forbids)] {
            let field = format!("{name}: {value}");
            let cache_control = |call: Call| call.with_response_field(&field);
            for call in [client.get("/me"), client.post("/regenerate")] {
                assert_eq!(cache_control(call).await.header(name), left, "{field}");
            }
            let reply = cache_control(client.get("/public")).await;
            assert_eq!(reply.header(name), value, "{field}");
        }
    }
}

async fn s086_a_response_made_with_the_session_is_never_shared<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    let cache_control = |call: Call| async { call.await.is(200).header("cache-control") };
    assert_eq!(cache_control(client.get("/me")).await, "no-store");
    for (field, becomes) in [
        (CACHED, "private, max-age=600"),
        (
            "Cache-Control: public, s-maxage=9, max-age=1",
            "private, max-age=1",
        ),
        ("Cache-Control: private, max-age=60", "private, max-age=60"),
        ("Cache-Control: no-store", "no-store"),
        ("Cache-Control: no-cache", "private, no-cache"),
    ] {
        let call = client.get("/me").with_response_field(field);
        assert_eq!(cache_control(call).await, becomes);
    }
}

async fn s087_every_response_for_which_the_session_was_loaded_varies_by_cookie<B: Backend>() {
    let world = World::<B>::start().await;
    let alice = world.signed_in("alice").await;
    for client in [alice, world.client(), world.client().with_id("x")] {
        let reply = client.get("/maybe").await;
        assert_eq!(reply.is(200).header("vary"), "Cookie");
        assert_eq!(reply.header("cache-control"), "no-store");
    }
    let bob = world.signed_in("bob").await;
    world.store.set_down(true);
    assert_eq!(bob.get("/maybe").await.is(503).header("vary"), "Cookie");
}

async fn s087_the_vary_of_the_handler_stays<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    for (field, becomes) in [
        ("Vary: Accept-Encoding", "Accept-Encoding, Cookie"),
        ("Vary: accept, COOKIE", "accept, COOKIE"),
        ("Vary: *", "*"),
    ] {
        for target in ["/me", "/maybe"] {
            let reply = client.get(target).with_response_field(field).await;
            assert_eq!(reply.is(200).header("vary"), becomes);
        }
        let reply = client.post("/regenerate").with_response_field(field).await;
        assert_eq!(reply.header("vary"), becomes);
    }
}

async fn a_response_that_never_used_the_session_is_unchanged<B: Backend>() {
    let world = World::<B>::start().await;
    for client in [world.client(), world.signed_in("alice").await] {
        let reply = client.get("/public").await;
        assert_eq!(
            (reply.header("cache-control"), reply.header("vary")),
            ("".into(), "".into())
        );
        let reply = client.get("/public").with_response_field(CACHED).await;
        assert_eq!(reply.header("cache-control"), "public, max-age=600");
        assert_eq!(reply.header("vary"), "");
    }
}

async fn refusals_are_never_stored<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    for target in ["/danger", "/danger/payments"] {
        let reply = client.get(target).await;
        assert_eq!(reply.is(401).header("cache-control"), "no-store");
        assert_eq!(reply.header("vary"), "Cookie");
    }
    world.store.set_down(true);
    assert_eq!(
        client.get("/me").await.is(503).header("cache-control"),
        "no-store"
    );
    assert_eq!(
        client.get("/account").await.is(503).header("cache-control"),
        "no-store"
    );
}
