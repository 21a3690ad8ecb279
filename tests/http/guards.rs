//! Guards as extractors and as layers, and the responses to refused requests.

use axum::{
    Router, middleware,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use portcullis::{ReturnTo, Session, reject::Refusal, route::PassiveLayer};
use portcullis_tests::{
    Backend, CapturedLog, Client, Gates, Server, World, minutes, on_every_store, routes,
};

on_every_store![
    guards_let_through_the_users_they_name_and_no_others,
    optional_extractors_serve_every_request,
    s052_a_program_is_challenged_for_a_recent_proof,
    s052_a_challenge_names_scope_and_age,
    s052_a_browser_is_redirected_to_the_page_for_it_and_back,
    without_a_page_for_it_a_browser_gets_the_status,
    a_form_that_was_submitted_is_not_a_place_to_return_to,
    s058_no_address_of_another_site_is_passed_on,
    s058_a_handler_returns_to_a_page_of_this_site_and_to_no_other,
    an_application_can_answer_refusals_itself,
    a_layer_inside_another_of_the_same_cookie_uses_the_session_of_the_outer_one,
    s041_a_passive_layer_works_on_either_side_of_the_session_layer,
    a_refused_request_is_never_half_carried_out,
    @one_thread:
    without_the_layer_a_route_fails_and_the_log_has_the_remedy,
];

async fn guards_let_through_the_users_they_name_and_no_others<B: Backend>() {
    let world = World::<B>::start().await;
    let anonymous = world.shopping(&[1]).await;
    let alice = world.signed_in("alice").await;
    let elevated = world.signed_in("bob").await;
    elevated.post("/elevate").await.is(204);
    for (client, account, danger) in [
        (anonymous, 401, 401),
        (alice, 200, 401),
        (elevated, 200, 200),
    ] {
        client.get("/me").await.is(account);
        client.get("/account").await.is(account).keeps_the_cookie();
        client.post("/transfer").await.is(danger);
        client.get("/danger").await.is(danger).keeps_the_cookie();
        client.get("/danger/payments").await.is(401);
        client.post("/pay").await.is(401);
        client.get("/public").await.is(200);
    }
}

async fn optional_extractors_serve_every_request<B: Backend>() {
    let world = World::<B>::start().await;
    let maybe =
        |client: Client| async move { client.get("/maybe").await.is(200).body().to_owned() };
    let (no_session, anonymous) = (world.client(), world.shopping(&[1]).await);
    assert_eq!(
        maybe(no_session).await,
        "session false, signed in false, elevated false"
    );
    assert_eq!(
        maybe(anonymous).await,
        "session true, signed in false, elevated false"
    );
    let alice = world.signed_in("alice").await;
    assert_eq!(
        maybe(alice.clone()).await,
        "session true, signed in true, elevated false"
    );
    alice.post("/elevate").await.is(204);
    assert_eq!(
        maybe(alice.clone()).await,
        "session true, signed in true, elevated true"
    );
    world.advance(minutes(30));
    assert_eq!(
        maybe(alice).await,
        "session false, signed in false, elevated false"
    );
}

async fn s052_a_program_is_challenged_for_a_recent_proof<B: Backend>() {
    let world = World::<B>::with(|layer| layer.reauthentication_page("/confirm").unwrap()).await;
    let client = world.signed_in("alice").await;
    let call = client
        .post("/transfer")
        .header("accept", "application/json");
    let reply = call.await;
    reply
        .is_problem(401, "elevation-required")
        .keeps_the_cookie();
    assert_eq!(
        reply.header("www-authenticate"),
        "Session error=\"insufficient_user_authentication\", error_description=\"a more recent authentication is required\", scope=\"general\", max_age=\"900\""
    );
    let reply = world.client().post("/transfer").await;
    reply.is_problem(401, "authentication-required");
    assert_eq!(reply.header("www-authenticate"), "Session");
}

async fn s052_a_challenge_names_scope_and_age<B: Backend>() {
    let timeouts = portcullis::Timeouts::default()
        .with_elevation(minutes(5))
        .unwrap();
    let world = World::<B>::with(|layer| layer.timeouts(timeouts)).await;
    let challenge = world.signed_in("alice").await.get("/danger/payments").await;
    let challenge = challenge.is(401).header("www-authenticate");
    assert!(
        challenge.ends_with("scope=\"payments\", max_age=\"300\""),
        "{challenge}"
    );
}

async fn s052_a_browser_is_redirected_to_the_page_for_it_and_back<B: Backend>() {
    let world = with_pages::<B>().await;
    let alice = world.signed_in("alice").await;
    for (client, page) in [
        (alice, "/confirm?scope=general"),
        (world.client(), "/sign-in?x=1"),
    ] {
        for (name, value) in [
            ("sec-fetch-mode", "navigate"),
            ("accept", "text/html,*/*;q=0.8"),
        ] {
            let reply = client
                .get("/danger?amount=3&to=bob")
                .header(name, value)
                .await;
            reply.is(303).keeps_the_cookie();
            let location = format!("{page}&return_to=/danger%3Famount%3D3%26to%3Dbob");
            assert_eq!(reply.header("location"), location);
            assert_eq!(reply.header("cache-control"), "no-store");
            assert_eq!(reply.body(), "");
        }
    }
}

async fn without_a_page_for_it_a_browser_gets_the_status<B: Backend>() {
    let world = World::<B>::start().await;
    let call = world
        .client()
        .get("/account")
        .header("sec-fetch-mode", "navigate");
    let reply = call.await;
    reply.is_page(401, "Sign in to do this.");
    assert_eq!(reply.header("www-authenticate"), "Session");
}

async fn a_form_that_was_submitted_is_not_a_place_to_return_to<B: Backend>() {
    let world = with_pages::<B>().await;
    let call = world
        .client()
        .post("/danger?a=b")
        .header("sec-fetch-mode", "navigate");
    assert_eq!(call.await.is(303).header("location"), "/sign-in?x=1");
}

async fn s058_no_address_of_another_site_is_passed_on<B: Backend>() {
    let world = with_pages::<B>().await;
    let (server, client) = world.serving(everywhere_guarded()).await;
    for hostile in [
        "//evil.example",
        "//evil.example/a?b=c",
        "/a//evil.example",
        "/..//evil.example",
    ] {
        let call = client.get(hostile).header("sec-fetch-mode", "navigate");
        assert_eq!(
            call.await.is(303).header("location"),
            "/sign-in?x=1",
            "{hostile}"
        );
    }
    let call = client
        .get("/?next=//evil.example")
        .header("sec-fetch-mode", "navigate");
    let location = call.await.header("location");
    assert_eq!(location, "/sign-in?x=1&return_to=/%3Fnext%3D//evil.example");
    for hostile in [
        "//evil.example",
        "https://evil.example",
        "/\\evil.example",
        "javascript:alert(1)",
    ] {
        assert_eq!(ReturnTo::parse(hostile), None);
    }
    drop(server);
}

/// Handlers that return to where the browser came from.
fn returning() -> Router {
    let known =
        async |return_to: Option<ReturnTo>| return_to.map_or("-".into(), |it| it.to_string());
    let back = async |return_to: ReturnTo| return_to;
    let nested = Router::new().route("/back", post(back));
    Router::new()
        .route("/back", get(back).post(back))
        .route("/known", get(known))
        .nest("/nested", nested)
}

async fn s058_a_handler_returns_to_a_page_of_this_site_and_to_no_other<B: Backend>() {
    let world = World::<B>::start().await;
    let (_server, client) = world.serving(returning()).await;
    for (query, expected) in [
        ("?return_to=/cart%3Fitem%3D3%26x", Some("/cart?item=3&x")),
        ("?scope=general&return_to=/devices", Some("/devices")),
        ("", None),
        ("?return_to", None),
        ("?return_to=//evil.example", None),
        ("?return_to=https%3A%2F%2Fevil.example", None),
        ("?return_to=/%5Cevil.example", None),
        ("?return_to=/%0d%0aSet-Cookie:a=b", None),
        ("?return_to=/a&return_to=/a", None),
    ] {
        let known = client.get(&format!("/known{query}")).await;
        assert_eq!(known.is(200).body(), expected.unwrap_or("-"), "{query}");
        for path in ["/back", "/nested/back"] {
            let form = client
                .post(&format!("{path}{query}"))
                .body("return_to=/other");
            let location = form.await.is(303).header("location");
            assert_eq!(location, expected.unwrap_or("/"), "{query}");
        }
    }
    client.get("/back").await.is(303);
    assert_eq!(world.store.take_calls(), []);

    // Behind a proxy, the front page is where browsers see it.
    let layer = world.layer.clone().public_base_path("/shop").unwrap();
    let server = Server::of_router(returning().layer(layer)).await;
    let client = world.client_of(&server);
    for (target, expected) in [("/back", "/shop/"), ("/back?return_to=/shop/a", "/shop/a")] {
        assert_eq!(client.post(target).await.header("location"), expected);
    }
    // Without a layer, too.
    let server = Server::of_router(returning()).await;
    let reply = world.client_of(&server).post("/back").await;
    assert_eq!(reply.is(303).header("location"), "/");
}

async fn an_application_can_answer_refusals_itself<B: Backend>() {
    let world = World::<B>::start().await;
    let routes = routes(Gates::default()).layer(world.layer.clone());
    let routes = routes.layer(middleware::map_response(own_response));
    let server = Server::of_router(routes).await;
    let client = world.client_of(&server);
    assert_eq!(client.get("/me").await.body(), "sign in");
    client.post("/login?user=alice").await.is(204);
    assert_eq!(client.post("/transfer").await.body(), "confirm for general");
    assert_eq!(client.get("/danger").await.body(), "confirm for general");
    let old = client.fork();
    client.post("/regenerate").await.is(204);
    assert_eq!(old.post("/put/a/b").await.body(), "replaced");
    world.store.set_down(true);
    assert_eq!(client.get("/me").await.body(), "come back in 1s");
}

async fn a_layer_inside_another_of_the_same_cookie_uses_the_session_of_the_outer_one<B: Backend>() {
    let world = World::<B>::start().await;
    let routes = routes(Gates::default()).layer(world.layer.clone());
    let server = Server::of_router(routes.layer(world.layer.clone())).await;
    let client = world.client_of(&server);
    client.post("/cart?item=1").await.is(204).new_id();
    client.post("/login?user=alice").await.is(204).new_id();
    assert_eq!(client.view().await.user.as_deref(), Some("alice"));
    assert_eq!(world.backend.live(), 1);
}

async fn s041_a_passive_layer_works_on_either_side_of_the_session_layer<B: Backend>() {
    let world = World::<B>::start().await;
    let routes = routes(Gates::default()).layer(world.layer.clone());
    let server = Server::of_router(routes.layer(PassiveLayer::new())).await;
    let client = world.client_of(&server);
    client.post("/login?user=alice").await.is(204);
    for _ in 0..2 {
        world.advance(minutes(14));
        client.get("/me").await.is(200);
    }
    world.advance(minutes(2));
    client.get("/me").await.is(401);
}

async fn a_refused_request_is_never_half_carried_out<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    client.post("/danger").await.is(401);
    client.post("/transfer").await.is(401);
    use portcullis_tests::Op::Load;
    assert_eq!(world.store.take_calls(), [Load, Load]);
    assert_eq!(world.audit.take_kinds(), []);
}

async fn without_the_layer_a_route_fails_and_the_log_has_the_remedy<B: Backend>() {
    let world = World::<B>::start().await;
    let id = world.signed_in("alice").await.id();
    let server = Server::of_router(routes(Gates::default())).await;
    let client = world.client_of(&server).with_id(&id);
    for target in ["/me", "/session", "/maybe", "/account", "/danger"] {
        let log = CapturedLog::start();
        client
            .get(target)
            .await
            .is_problem(500, "session-error")
            .keeps_the_cookie();
        assert!(
            log.text().contains("add `SessionLayer` outside of it"),
            "{target}: {}",
            log.text()
        );
    }
    client.get("/public").await.is(200);
}

async fn with_pages<B: Backend>() -> World<B> {
    World::with(|layer| {
        let layer = layer.sign_in_page("/sign-in?x=1").unwrap();
        layer.reauthentication_page("/confirm").unwrap()
    })
    .await
}

fn everywhere_guarded() -> Router {
    let guarded = |_: portcullis::Authenticated, _: Session| async {};
    Router::new()
        .route("/", get(guarded))
        .route("/{*rest}", get(guarded))
}

async fn own_response(response: Response) -> Response {
    let text = match response.extensions().get::<Refusal>() {
        Some(Refusal::SignInRequired { .. }) => "sign in".to_owned(),
        Some(Refusal::ElevationRequired { scope, .. }) => format!("confirm for {scope}"),
        Some(Refusal::SessionReplaced) => "replaced".to_owned(),
        Some(Refusal::Unavailable { retry_after }) => format!("come back in {retry_after:?}"),
        _ => return response,
    };
    text.into_response()
}
