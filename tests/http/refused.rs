//! Responses to refused requests of browsers and programs, and how users return to their page.

use axum::{Router, routing::get};
use portcullis::{
    Authenticated, CookieConfig, Elevated, GuardLayer, Session, SessionLayer,
    client::DeviceBinding,
    route::{ApiLayer, ReauthenticationPageLayer},
};
use portcullis_tests::{
    Backend, Call, CapturedLog, Client, Gate, Payments, Server, World, on_every_store,
};

on_every_store![
    s052_the_page_receives_the_scope,
    s058_a_refused_form_leads_back_to_its_page_and_to_no_other_site,
    s052_the_kind_of_client_decides_between_a_redirection_a_page_and_a_document,
    a_route_of_an_api_never_redirects_whatever_the_request_header_has,
    a_form_that_is_refused_or_fails_is_answered_with_a_page,
    a_change_that_came_too_late_is_a_page_with_a_link_back_and_no_redirection,
    a_page_with_an_identifier_that_was_just_replaced_is_requested_once_more_and_not_twice,
    a_page_that_writes_is_requested_once_more_as_well,
    a_program_or_a_form_with_a_replaced_identifier_is_not_requested_again,
    a_page_that_was_requested_again_is_served_once_the_browser_has_the_new_identifier,
    s078_behind_a_proxy_that_takes_off_a_prefix_the_page_of_the_proof_is_reachable,
    s078_a_localized_page_of_the_proof_is_reachable_in_every_spelling,
    s078_each_of_several_pages_of_the_proof_is_reachable_when_it_is_annotated,
    a_page_is_never_redirected_to_itself,
    redirections_lead_below_the_public_base_path,
    s061_the_host_of_a_request_is_compared_as_urls_are,
    s061_pages_of_apps_may_where_they_are_trusted,
    @one_thread:
    s061_the_log_has_both_sides_where_another_site_is_refused,
    s140_the_log_has_why_the_cookie_for_local_development_is_refused,
];

fn with_pages(layer: SessionLayer) -> SessionLayer {
    let layer = layer.sign_in_page("/sign-in").unwrap();
    layer.reauthentication_page("/confirm").unwrap()
}

trait AsBrowser {
    /// A navigation.
    fn navigating(self) -> Call;
    /// The submission of a form on this page of the site.
    fn submitted_on(self, page: &str) -> Call;
}

impl AsBrowser for Call {
    fn navigating(self) -> Call {
        self.header("sec-fetch-mode", "navigate")
    }

    fn submitted_on(self, page: &str) -> Call {
        self.navigating()
            .header("sec-fetch-site", "same-origin")
            .header("origin", "https://shop.example")
            .header("referer", format!("https://shop.example{page}"))
    }
}

async fn s052_the_page_receives_the_scope<B: Backend>() {
    let world = World::<B>::with(with_pages).await;
    let client = world.signed_in("alice").await;
    for (route, location) in [
        ("/danger", "/confirm?scope=general&return_to=/danger"),
        (
            "/danger/payments",
            "/confirm?scope=payments&return_to=/danger/payments",
        ),
    ] {
        let reply = client.get(route).navigating().await;
        assert_eq!(reply.is(303).header("location"), location);
    }
}

async fn s058_a_refused_form_leads_back_to_its_page_and_to_no_other_site<B: Backend>() {
    let world = World::<B>::with(with_pages).await;
    let alice = world.signed_in("alice").await;
    let form = || alice.post("/danger").navigating();
    let back = "/confirm?scope=general&return_to=/account%3Fa%3Db";
    for (call, location) in [
        (alice.post("/danger").submitted_on("/account?a=b"), back),
        // A browser without fetch metadata.
        (
            alice
                .post("/danger")
                .header("accept", "text/html")
                .header("referer", "https://shop.example/account?a=b"),
            back,
        ),
        (form(), "/confirm?scope=general"),
        (
            form().header("referer", "https://evil.example/account"),
            "/confirm?scope=general",
        ),
        (
            form()
                .header("sec-fetch-site", "cross-site")
                .header("referer", "https://shop.example/account"),
            "/confirm?scope=general",
        ),
        (
            alice.post("/danger").submitted_on("//evil.example"),
            "/confirm?scope=general",
        ),
        (
            alice
                .post("/danger")
                .submitted_on(&format!("/{}", "a".repeat(2048))),
            "/confirm?scope=general",
        ),
    ] {
        let reply = call.await;
        assert_eq!(reply.is(303).header("location"), location);
    }
    let call = world.client().post("/danger").submitted_on("/cart");
    let location = call.await.is(303).header("location");
    assert_eq!(location, "/sign-in?return_to=/cart");
    // The form of the page itself does not lead back there.
    let call = alice.post("/danger").submitted_on("/confirm?x=1");
    let location = call.await.is(303).header("location");
    assert_eq!(location, "/confirm?scope=general");
}

async fn s052_the_kind_of_client_decides_between_a_redirection_a_page_and_a_document<B: Backend>() {
    const REDIRECTED: &str = "";
    const PAGE: &str = "text/html; charset=utf-8";
    const DOCUMENT: &str = "application/problem+json";
    let world = World::<B>::start().await;
    let pages = world.serve(with_pages(world.layer.clone())).await;
    let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
    for (name, value, with_page, without) in [
        ("sec-fetch-mode", "navigate", REDIRECTED, PAGE),
        ("sec-fetch-mode", "cors", DOCUMENT, DOCUMENT),
        ("accept", browser, REDIRECTED, PAGE),
        (
            "accept",
            "application/json, text/html;q=0",
            DOCUMENT,
            DOCUMENT,
        ),
        (
            "accept",
            "application/json, text/plain, */*",
            DOCUMENT,
            DOCUMENT,
        ),
        ("accept", "*/*;q=0.8", DOCUMENT, DOCUMENT),
        ("accept", "*/*", DOCUMENT, DOCUMENT),
    ] {
        for (client, expected) in [
            (world.client_of(&pages), with_page),
            (world.client(), without),
        ] {
            for call in [client.get("/danger"), client.post("/danger")] {
                let reply = call.header(name, value).await;
                reply.keeps_the_cookie();
                let status = if expected == REDIRECTED { 303 } else { 401 };
                let kind = reply.is(status).header("content-type");
                assert_eq!(kind, expected, "{name}: {value}");
            }
        }
    }
}

async fn a_route_of_an_api_never_redirects_whatever_the_request_header_has<B: Backend>() {
    let world = World::<B>::with(with_pages).await;
    let routes = Router::new()
        .route("/guarded", get(async || {}))
        .route_layer(GuardLayer::authenticated())
        .route("/extracted", get(async |_: Authenticated| {}))
        .route_layer(ApiLayer::new())
        .route("/page", get(async |_: Authenticated| {}));
    let (_server, client) = world.serving(routes).await;
    for route in ["/guarded", "/extracted"] {
        let reply = client.get(route).navigating().await;
        reply.is_problem(401, "authentication-required");
    }
    client.get("/page").navigating().await.is(303);
    // It may stand around the session layer as well.
    let routes = Router::new().route("/page", get(async |_: Authenticated| {}));
    let routes = routes.layer(world.layer.clone()).layer(ApiLayer::new());
    let server = Server::of_router(routes).await;
    let reply = world.client_of(&server).get("/page").navigating().await;
    reply.is_problem(401, "authentication-required");
}

async fn a_form_that_is_refused_or_fails_is_answered_with_a_page<B: Backend>() {
    let world = World::<B>::start().await;
    let alice = world.signed_in("alice").await;
    // An error that a handler passes on is answered like a refusal of a guard.
    let reply = alice.post("/big/a/70000").submitted_on("/form").await;
    reply.is_page(413, "This is more than a session can hold.");
    assert!(reply.body().contains("<a href=\"/form\">"), "{reply:?}");
    let reply = alice.post("/danger").submitted_on("/form").await;
    reply.is_page(401, "Prove again who you are to do this.");
    assert!(
        reply
            .header("www-authenticate")
            .contains("scope=\"general\"")
    );
    let forged = alice.post("/session/extend").navigating();
    let reply = forged.header("sec-fetch-site", "cross-site").await;
    reply.is_page(403, "Another site asked for this");
    world.store.set_down(true);
    let reply = alice.post("/put/a/b").submitted_on("/form").await;
    reply.is_page(503, "Try again shortly.");
    assert_eq!(reply.header("retry-after"), "1");
}

async fn a_change_that_came_too_late_is_a_page_with_a_link_back_and_no_redirection<B: Backend>() {
    let world = World::<B>::with(with_pages).await;
    let alice = world.signed_in("alice").await;
    let gate = Gate::closed();
    let call = alice.post("/put/a/b").submitted_on("/form");
    let late = call.held_at(&gate).start();
    gate.reached().await;
    alice.fork().post("/logout").await.is(204);
    gate.open();
    let reply = late.reply().await;
    reply.is_page(401, "You signed out.").keeps_the_cookie();
    let link = "<a href=\"/sign-in?return_to=/form\">Sign in</a>";
    assert!(reply.body().contains(link), "{reply:?}");
}

async fn a_page_with_an_identifier_that_was_just_replaced_is_requested_once_more_and_not_twice<
    B: Backend,
>() {
    let world = World::<B>::start().await;
    let pages = world.serve(with_pages(world.layer.clone())).await;
    for renew in ["/regenerate", "/login?user=alice"] {
        let alice = world.signed_in("alice").await;
        let (old, other) = (alice.fork(), alice.fork().at(pages.address()));
        alice.post(renew).await.is(204).new_id();
        for client in [&old, &other] {
            let reply = client.get("/account").navigating().await;
            reply.is_page(401, "Try again.");
            assert_eq!(reply.header("refresh"), "1; url=./account", "{renew}");
            assert_eq!(reply.header("location"), "");
            let marker = reply.set_cookie();
            assert_eq!(marker.name, "__Host-Http-id-retried");
            assert_eq!(marker.attributes["max-age"], "60");
            assert_eq!(
                marker.scope(),
                ["httponly", "path=/", "samesite=lax", "secure"]
            );
        }
        let reply = old.get("/account").navigating().await;
        reply.is_page(401, "Try again.").keeps_the_cookie();
        assert_eq!(reply.header("refresh"), "");
        let reply = other.get("/account").navigating().await;
        assert_eq!(
            reply.is(303).header("location"),
            "/sign-in?return_to=/account"
        );
        reply.keeps_the_cookie();
    }
}

async fn a_page_that_writes_is_requested_once_more_as_well<B: Backend>() {
    let world = World::<B>::start().await;
    let visit = async |session: Session| session.insert("seen", true);
    let routes = Router::new().route("/visit", get(visit));
    let (server, _) = world.serving(routes).await;
    let alice = world.signed_in("alice").await;
    let old = alice.fork().at(server.address());
    let new = alice.post("/regenerate").await.is(204).new_id();
    let reply = old.get("/visit").navigating().await;
    reply.is_page(401, "Nothing was changed; try again.");
    assert_eq!(reply.header("refresh"), "1; url=./visit");
    let reply = old.get("/visit").navigating().await;
    assert_eq!(reply.is(401).header("refresh"), "");
    old.with_id(&new).get("/visit").navigating().await.is(200);
}

async fn a_program_or_a_form_with_a_replaced_identifier_is_not_requested_again<B: Backend>() {
    let world = World::<B>::with(with_pages).await;
    let alice = world.signed_in("alice").await;
    let (old, signed_out) = (alice.fork(), world.signed_in("bob").await);
    alice.post("/regenerate").await.is(204);
    let reply = old.get("/account").await;
    reply.is_problem(401, "authentication-required");
    assert_eq!(reply.header("refresh"), "");
    reply.keeps_the_cookie();
    let reply = old.post("/danger").submitted_on("/form").await;
    reply.is_page(401, "Try again.").keeps_the_cookie();
    assert_eq!(reply.header("refresh"), "");
    assert!(reply.body().contains("<a href=\"/form\">"), "{reply:?}");
    // An end is no replacement.
    let copy = signed_out.fork();
    signed_out.post("/logout").await.is(204);
    let reply = copy.get("/account").navigating().await;
    assert_eq!(reply.is(303).header("refresh"), "");
}

async fn a_page_that_was_requested_again_is_served_once_the_browser_has_the_new_identifier<
    B: Backend,
>() {
    let world = World::<B>::start().await;
    let alice = world.signed_in("alice").await;
    let tab = alice.fork();
    let new = alice.post("/regenerate").await.is(204).new_id();
    let reply = tab.get("/account?a=b").navigating().await;
    assert_eq!(reply.is(401).header("refresh"), "1; url=?a=b");
    let tab = tab.with_id(&new);
    assert_eq!(
        tab.get("/account").navigating().await.is(200).body(),
        "account"
    );
}

/// A flagged session of alice, which guards redirect to the page of the proof.
async fn flagged<B: Backend>(world: &World<B>) -> Client {
    let alice = world.client().calling_itself(
        "Mozilla/5.0 (Windows NT 11.0; Win64; x64; rv:151.0) Gecko/20100101 Firefox/151.0",
    );
    alice.post("/login?user=alice").await.is(204).new_id();
    alice.calling_itself("curl/8.5.0")
}

fn confirmations(path: &str) -> Router {
    let page = get(async |_: Authenticated| "confirm").post(async |signed_in: Authenticated| {
        signed_in.session().elevate()?;
        Ok::<_, portcullis::SessionError>("confirmed")
    });
    Router::new()
        .route(path, page)
        .route("/account", get(async |_: Authenticated| "account"))
}

async fn s078_behind_a_proxy_that_takes_off_a_prefix_the_page_of_the_proof_is_reachable<
    B: Backend,
>() {
    let step_up = |layer: SessionLayer| layer.device_binding(DeviceBinding::StepUp);
    let world = World::<B>::with(step_up).await;
    let layer = world.layer.clone();
    let with_base = layer.clone().public_base_path("/app").unwrap();
    let annotation = ReauthenticationPageLayer::new();
    let annotated = confirmations("/confirm").route_layer(annotation);
    for (layer, page, routes) in [
        (with_base, "/confirm", confirmations("/confirm")),
        // Without the setting, the page is the address that browsers see, and only the annotation
        // helps.
        (layer, "/app/confirm", annotated),
    ] {
        let layer = layer.reauthentication_page(page).unwrap();
        let unmarked = Router::new().route("/me", get(async |_: Authenticated| "me"));
        let server = Server::of_router(routes.merge(unmarked).layer(layer)).await;
        let client = flagged(&world).await.at(server.address());
        // The application sees this part of `/app/me`.
        let reply = client.get("/me").navigating().await;
        let location = reply.is(303).header("location");
        assert!(
            location.starts_with("/app/confirm?scope=general&"),
            "{location}"
        );
        let page = client.get("/confirm").navigating().await;
        assert_eq!(page.is(200).body(), "confirm");
        client
            .post("/confirm")
            .submitted_on("/app/confirm")
            .await
            .is(200);
        client.get("/me").navigating().await.is(200);
    }
}

async fn s078_a_localized_page_of_the_proof_is_reachable_in_every_spelling<B: Backend>() {
    let world = World::<B>::with(|layer| {
        let layer = layer.device_binding(DeviceBinding::StepUp);
        layer.reauthentication_page("/bestätigen").unwrap()
    })
    .await;
    let routes = confirmations("/best%C3%A4tigen");
    let (server, _) = world
        .serving(routes.route("/best%c3%a4tigen", get(async |_: Authenticated| "confirm")))
        .await;
    let client = flagged(&world).await.at(server.address());
    let reply = client.get("/account").navigating().await;
    assert_eq!(
        reply.is(303).header("location"),
        "/best%C3%A4tigen?scope=general&return_to=/account"
    );
    for page in ["/best%C3%A4tigen", "/best%c3%a4tigen"] {
        let page = client.get(page).navigating().await;
        assert_eq!(page.is(200).body(), "confirm");
    }
    // An address in another script can be returned to.
    let reply = client.get("/account?q=%C3%A4").navigating().await;
    let location = reply.is(303).header("location");
    assert!(
        location.ends_with("&return_to=/account%3Fq%3D%25C3%25A4"),
        "{location}"
    );
}

async fn s078_each_of_several_pages_of_the_proof_is_reachable_when_it_is_annotated<B: Backend>() {
    let world = World::<B>::with(|layer| {
        let layer = layer.device_binding(DeviceBinding::StepUp);
        layer.reauthentication_page("/en/confirm").unwrap()
    })
    .await;
    let pages = Router::new()
        .route("/de/bestaetigen", get(async || "confirm"))
        .route_layer(GuardLayer::authenticated())
        .route_layer(ReauthenticationPageLayer::new());
    let routes = Router::new().route("/me", get(async |_: Authenticated| "me"));
    let app = routes.merge(pages).layer(world.layer.clone());
    let server = Server::of_router(app).await;
    let client = flagged(&world).await.at(server.address());
    client.get("/me").navigating().await.is(303);
    client.get("/de/bestaetigen").navigating().await.is(200);
    // An annotation is no proof.
    world
        .client()
        .at(server.address())
        .get("/de/bestaetigen")
        .await
        .is(401);
}

async fn a_page_is_never_redirected_to_itself<B: Backend>() {
    let world = World::<B>::with(with_pages).await;
    let routes = Router::new()
        .route("/sign-in", get(async |_: Authenticated| {}))
        .route("/confirm", get(async |_: Elevated<Payments>| {}));
    let (server, client) = world.serving(routes).await;
    let reply = client.get("/sign-in?return_to=/a").navigating().await;
    reply.is_page(401, "Sign in to do this.");
    let alice = world.signed_in("alice").await.at(server.address());
    let reply = alice.get("/confirm").navigating().await;
    reply.is_page(401, "Prove again who you are to do this.");
}

async fn redirections_lead_below_the_public_base_path<B: Backend>() {
    let base = |layer| with_pages(layer).public_base_path("/app/").unwrap();
    let world = World::<B>::with(base).await;
    let alice = world.signed_in("alice").await;
    let reply = alice.get("/danger?a=b").navigating().await;
    assert_eq!(
        reply.is(303).header("location"),
        "/app/confirm?scope=general&return_to=/app/danger%3Fa%3Db"
    );
    // The page of a form is the address that the browser sees.
    let reply = world
        .client()
        .post("/danger")
        .submitted_on("/app/form")
        .await;
    assert_eq!(
        reply.is(303).header("location"),
        "/app/sign-in?return_to=/app/form"
    );
    let reply = alice
        .post("/session/sign-out")
        .submitted_on("/app/account")
        .await;
    assert_eq!(reply.is(303).header("location"), "/app/");
    for refused in [
        "app",
        "//evil.example",
        "/app?a",
        "https://evil.example",
        "",
    ] {
        assert!(
            world.layer.clone().public_base_path(refused).is_err(),
            "{refused}"
        );
    }
    assert!(world.layer.clone().public_base_path("/").is_ok());
}

async fn s061_the_host_of_a_request_is_compared_as_urls_are<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    for (host, status) in [
        ("shop.example:443", 200),
        ("SHOP.example", 200),
        ("shop.example:8443", 403),
        ("shop.example.", 403),
    ] {
        let call = client.post("/session/extend").header("host", host);
        let reply = call.header("origin", "https://shop.example").await;
        assert_eq!(reply.status(), status, "{host}");
        let call = client.get("/socket").header("host", host);
        let socket = call
            .header("origin", "https://shop.example")
            .try_socket()
            .await;
        assert_eq!(socket.is_ok(), status == 200, "{host}");
    }
}

async fn s061_pages_of_apps_may_where_they_are_trusted<B: Backend>() {
    const APPS: [&str; 4] = [
        "capacitor://localhost",
        "tauri://localhost",
        "ionic://localhost",
        "chrome-extension://abcdefghijklmnopabcdefghijklmnop",
    ];
    let world = World::<B>::with(|layer| layer.trusted_origins(APPS).unwrap()).await;
    let alice = world.signed_in("alice").await;
    let routes = world.layer.routes().into_router();
    let (server, _) = world.serving(Router::new().nest("/session", routes)).await;
    for origin in APPS {
        let routes = alice.at(server.address());
        let call = routes.post("/session/extend").header("origin", origin);
        call.header("sec-fetch-site", "cross-site").await.is(200);
        let call = routes.get("/session/status").header("origin", origin);
        call.header("sec-fetch-site", "cross-site").await.is(200);
        let socket = alice.get("/socket").header("origin", origin);
        socket.try_socket().await.expect("a socket");
    }
    let call = alice
        .post("/session/extend")
        .header("origin", "capacitor://evil");
    call.await.is(403);
}

async fn s061_the_log_has_both_sides_where_another_site_is_refused<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    let log = CapturedLog::start();
    let call = client
        .post("/session/extend")
        .header("host", "10.0.0.7:8080");
    call.header("origin", "https://shop.example").await.is(403);
    let request = client
        .get("/socket")
        .header("origin", "https://evil.example");
    request.try_socket().await.err().expect("no socket").is(403);
    let text = log.text();
    for side in [
        "a session route was asked for by another site",
        "origin=\"https://shop.example\" host=\"10.0.0.7:8080\"",
        "a WebSocket was asked for by another site",
        "origin=\"https://evil.example\" host=\"shop.example\"",
        "trusted_origins",
    ] {
        assert!(text.contains(side), "{side}: {text}");
    }
}

async fn s140_the_log_has_why_the_cookie_for_local_development_is_refused<B: Backend>() {
    let local = |layer: SessionLayer| layer.cookie(CookieConfig::insecure_for_local_development());
    let world = World::<B>::with(local).await;
    let client = world.client();
    for (name, value, why) in [
        ("host", "shop.example", "it is for the host shop.example"),
        ("host", "", "it names no host"),
        (
            "x-forwarded-for",
            "10.0.0.7",
            "it came through a proxy (`x-forwarded-for`)",
        ),
    ] {
        let log = CapturedLog::start();
        let call = client.get("/me").header(name, value);
        call.await
            .is_problem(500, "session-error")
            .keeps_the_cookie();
        let text = log.text();
        assert!(text.contains(why), "{why}: {text}");
        assert!(text.contains("use `CookieConfig::default()`"), "{text}");
    }
    for host in ["LOCALHOST:3000", "shop.localhost", "[0:0:0:0:0:0:0:1]:80"] {
        let log = CapturedLog::start();
        client.get("/session").header("host", host).await.is(200);
        assert_eq!(log.count("local development"), 0, "{host}");
    }
}
