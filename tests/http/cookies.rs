//! The cookie: its attributes, and which values count as one.

use portcullis::{CookieConfig, SessionLayer, Timeouts, audit::EventKind, cookie::SameSite};
use portcullis_tests::{Backend, COOKIE, Reply, World, hours, on_every_store, seconds};

on_every_store![
    s001_s002_every_cookie_has_exactly_the_attributes_of_the_default,
    s006_a_cookie_ends_with_the_browser_by_default,
    s006_a_persistent_cookie_lasts_for_what_is_left_of_the_absolute_timeout,
    s007_a_cookie_kept_for_longer_than_the_session_opens_nothing,
    s008_however_often_the_identifier_changes_there_is_one_cookie,
    s009_the_same_identifier_twice_is_one,
    s010_the_cookie_is_found_in_any_of_several_fields,
    s011_a_value_that_is_no_identifier_never_reaches_the_store,
    s012_the_cookie_is_small_whatever_the_session_holds,
    s013_t32_the_removal_has_the_scope_of_the_cookie_it_removes,
    s018_an_identifier_counts_in_the_cookie_and_nowhere_else,
    s140_the_cookie_for_local_development_works_for_localhost_only,
];

async fn s001_s002_every_cookie_has_exactly_the_attributes_of_the_default<B: Backend>() {
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
        let cookie = client.post(change).await.set_cookie();
        assert_eq!(cookie.name, "__Host-Http-id", "{change}");
        let scope = ["httponly", "path=/", "samesite=lax", "secure"];
        assert_eq!(cookie.scope(), scope, "{change}");
    }
}

async fn s006_a_cookie_ends_with_the_browser_by_default<B: Backend>() {
    let world = World::<B>::start().await;
    let cookie = world.client().post("/login?user=alice").await.set_cookie();
    assert!(!cookie.attributes.contains_key("max-age"));
    assert!(!cookie.attributes.contains_key("expires"));
}

async fn s006_a_persistent_cookie_lasts_for_what_is_left_of_the_absolute_timeout<B: Backend>() {
    let world = World::<B>::with(persistent).await;
    let client = world.signed_in("alice").await;
    for _ in 0..10 {
        world.advance(hours(23));
        client.get("/me").await.is(200);
    }
    let cookie = client.post("/regenerate").await.set_cookie();
    let left: u64 = cookie.attributes["max-age"].parse().unwrap();
    let expected = hours(30 * 24) - hours(230);
    assert!(
        (expected - seconds(10)..=expected).contains(&seconds(left)),
        "{left}"
    );
}

async fn s007_a_cookie_kept_for_longer_than_the_session_opens_nothing<B: Backend>() {
    let world = World::<B>::with(persistent).await;
    let client = world.signed_in("alice").await;
    world.advance(hours(24));
    client.get("/me").await.is(401).keeps_the_cookie();
    assert_eq!(world.backend.live(), 0);
}

fn persistent(layer: SessionLayer) -> SessionLayer {
    let timeouts = Timeouts::new(hours(24), hours(30 * 24)).unwrap();
    let cookie = CookieConfig::builder().persistent().build().unwrap();
    layer.timeouts(timeouts).cookie(cookie)
}

async fn s008_however_often_the_identifier_changes_there_is_one_cookie<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    client.post("/everything").await.is(204).new_id();
    assert_eq!(client.get("/me").await.body(), "alice");
    client
        .post("/everything?logout=1")
        .await
        .is(204)
        .removes_the_cookie();
    assert_eq!(world.backend.live(), 0);
}

async fn s009_the_same_identifier_twice_is_one<B: Backend>() {
    let world = World::<B>::start().await;
    let id = world.signed_in("alice").await.id();
    let twice = format!("{COOKIE}={id}; {COOKIE}={id}");
    world.client().get("/me").raw_cookie(twice).await.is(200);
}

async fn s010_the_cookie_is_found_in_any_of_several_fields<B: Backend>() {
    let world = World::<B>::start().await;
    let id = world.signed_in("alice").await.id();
    let call = world
        .client()
        .get("/me")
        .raw_cookie("a=b; c=d")
        .raw_cookie("e=f");
    call.raw_cookie(format!("g=h;{COOKIE}={id}")).await.is(200);
}

async fn s011_a_value_that_is_no_identifier_never_reaches_the_store<B: Backend>() {
    let world = World::<B>::start().await;
    let id = world.signed_in("alice").await.id();
    let named = |value: &str| format!("{COOKIE}={value}").into_bytes();
    let malformed = [
        named(""),
        named(&format!("\"{id}\"")),
        named(&format!("%{:02X}{}", id.as_bytes()[0], &id[1..])),
        named(&id[1..]),
        named(&format!("{id}A")),
        named(&format!("{id}=")),
        named(&format!("{id} x")),
        named(&format!("{}\t", &id[1..])),
        named(&"A".repeat(8192)),
        named("🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀"),
        [&named(&id[2..])[..], b"\xff\xfe"].concat(),
    ];
    for field in malformed {
        world
            .client()
            .get("/me")
            .raw_cookie(&field)
            .await
            .is(401)
            .keeps_the_cookie();
        assert_eq!(
            world.audit.take_kinds(),
            [EventKind::MalformedIdentifier],
            "{field:?}"
        );
    }
    let another_name = COOKIE.to_lowercase();
    for field in [
        format!("{another_name}={id}"),
        format!("x{COOKIE}={id}"),
        format!("{COOKIE} ={id}"),
    ] {
        world
            .client()
            .get("/me")
            .raw_cookie(&field)
            .await
            .is(401)
            .keeps_the_cookie();
        assert_eq!(world.audit.take_kinds(), [], "{field:?}");
    }
    assert_eq!(world.store.take_calls(), []);
}

async fn s012_the_cookie_is_small_whatever_the_session_holds<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    client.post("/big/a/32768").await.is(204).keeps_the_cookie();
    let cookie = client.post("/regenerate").await.set_cookie();
    assert_eq!(cookie.value.len(), 43);
    assert!(cookie.name.len() + cookie.value.len() < 128);
}

async fn s013_t32_the_removal_has_the_scope_of_the_cookie_it_removes<B: Backend>() {
    let name = |name| CookieConfig::builder().name(name);
    for config in [
        CookieConfig::default(),
        name("__Host-s")
            .same_site(SameSite::Strict)
            .build()
            .unwrap(),
        name("s")
            .path("/shop")
            .domain("shop.example")
            .persistent()
            .build()
            .unwrap(),
        name("__Host-s")
            .dangerous_same_site_none("embedded")
            .partitioned()
            .build()
            .unwrap(),
    ] {
        let world = World::<B>::with(|layer| layer.cookie(config)).await;
        let client = world.client();
        let set = client.post("/login?user=alice").await.set_cookie();
        let removed = client.post("/logout").await.set_cookie();
        assert_eq!((&removed.name, removed.scope()), (&set.name, set.scope()));
        assert_eq!(removed.value, "");
        assert_eq!(removed.attributes["max-age"], "0");
        assert_eq!(
            removed.attributes["expires"],
            "thu, 01 jan 1970 00:00:00 gmt"
        );
    }
}

async fn s018_an_identifier_counts_in_the_cookie_and_nowhere_else<B: Backend>() {
    let world = World::<B>::start().await;
    let id = world.signed_in("alice").await.id();
    let client = world.client();
    for call in [
        client.get(&format!("/me?{COOKIE}={id}&id={id}&sid={id}&session={id}")),
        client
            .get("/me")
            .header("authorization", format!("Bearer {id}")),
        client.get("/me").header("x-session-id", &id),
        client.get("/me").header("__host-http-id", &id),
        client
            .get("/me")
            .raw_cookie(format!("id={id}; session={id}; sid={id}")),
        client.get("/me").body(format!("{COOKIE}={id}")),
    ] {
        call.await.is(401).keeps_the_cookie();
    }
    let found = client.get(&format!("/me;{COOKIE}={id}")).await.status();
    assert_eq!(found, 404);
    assert_eq!(world.store.take_calls(), []);
}

async fn s140_the_cookie_for_local_development_works_for_localhost_only<B: Backend>() {
    let world =
        World::<B>::with(|layer| layer.cookie(CookieConfig::insecure_for_local_development()))
            .await;
    let login = |host: &'static str| {
        let client = world.client();
        async move { client.post("/login?user=alice").header("host", host).await }
    };
    for host in ["localhost", "localhost:3000", "127.0.0.1:80", "[::1]:8080"] {
        let cookie = login(host).await.set_cookie();
        assert_eq!(
            (
                cookie.name.as_str(),
                cookie.attributes.contains_key("secure")
            ),
            ("id", false)
        );
    }
    for host in [
        "shop.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "[::2]",
        "",
    ] {
        let reply: Reply = login(host).await;
        reply.is_problem(500, "session-error").keeps_the_cookie();
        assert_eq!(
            world
                .client()
                .get("/public")
                .header("host", host)
                .await
                .status(),
            200
        );
    }
}

#[test]
fn t30_s003_a_cookie_that_browsers_would_drop_cannot_be_configured() {
    let builder = CookieConfig::builder;
    for refused in [
        builder().domain("shop.example"),
        builder().path("/shop"),
        builder().name("__HOST-s").path("/shop"),
        builder().partitioned(),
        builder()
            .name("s")
            .dangerous_same_site_none("embedded")
            .partitioned(),
        builder().name("s;"),
        builder().name(""),
        builder().name("s").domain(".shop.example"),
        builder().name("s").domain("shop.example; x"),
        builder().name("s").path("/; Domain=evil.example"),
    ] {
        assert!(refused.clone().build().is_err(), "{refused:?}");
    }
}
