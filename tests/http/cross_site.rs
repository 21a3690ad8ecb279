//! Requests that another site causes: where a session may begin, and what is activity.

use axum::{
    Router,
    body::Body,
    middleware::{Next, from_fn},
    response::Response,
    routing::{any, get},
};
use http::{Method, Request, StatusCode};
use portcullis::{
    Authenticated, CookieConfig, Key, Session, SessionError, SessionLayer, cookie::SameSite,
    reject::Refusal, route::CrossSiteSignInLayer,
};
use portcullis_tests::{
    Backend, Call, Client, Reply, Server, World, about, minutes, on_every_store, seconds,
};
use tower::ServiceExt;

on_every_store![
    where_a_browser_withholds_a_strict_cookie_no_session_begins,
    where_a_browser_withholds_a_lax_cookie_no_session_begins,
    a_cookie_without_a_restriction_is_never_withheld,
    a_withheld_cookie_is_reported_and_shows_no_user,
    a_cookie_that_came_along_was_not_withheld,
    no_write_begins_a_session_where_the_cookie_is_withheld,
    a_refused_write_that_the_handler_ignores_is_reported_all_the_same,
    a_link_to_what_needs_the_session_is_requested_once_more,
    the_page_that_requests_again_refreshes_once_at_most,
    what_needs_no_session_is_served_at_once,
    a_route_that_signs_in_from_another_site_is_annotated,
    a_write_refused_before_the_route_was_annotated_does_not_refuse_the_sign_in,
    rule_13_a_refused_sign_in_from_another_site_removes_no_cookie,
    what_other_sites_load_is_no_activity,
    what_a_page_of_a_trusted_origin_of_the_same_site_loads_is_no_activity,
    a_socket_over_http_2_is_no_activity,
];

const VISITS: Key<u32> = Key::new("visits");

type Done = Result<StatusCode, SessionError>;

async fn count(session: Session) -> Done {
    session.update(VISITS, |visits| *visits += 1)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn sign_in(session: Session) -> Done {
    session.authenticate("alice")?;
    Ok(StatusCode::NO_CONTENT)
}

async fn elevate(session: Session) -> Done {
    session.elevate()?;
    Ok(StatusCode::NO_CONTENT)
}

async fn commit(session: Session) -> Done {
    let _ = session.insert(VISITS, 1);
    session.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Writes, and ignores the result.
async fn write_and_ignore(session: Session) -> &'static str {
    let _ = session.insert(VISITS, 1);
    "done"
}

async fn read(session: Session) -> Result<String, SessionError> {
    let taken = session.take(VISITS)?;
    session.clear()?;
    session.regenerate()?;
    let user = session.user().map(|user| user.to_string());
    Ok(format!("{user:?} {taken:?} {}", session.cookie_withheld()))
}

fn routes() -> Router {
    let annotated = Router::new()
        .route("/callback", any(sign_in))
        .route("/callback/read", any(read))
        .route_layer(CrossSiteSignInLayer::new());
    Router::new()
        .route("/count", any(count))
        .route("/sign-in", any(sign_in))
        .route("/elevate", any(elevate))
        .route("/commit", any(commit))
        .route("/write_and_ignore", any(write_and_ignore))
        .route("/read", any(read))
        .route(
            "/me",
            any(|me: Authenticated| async move { me.user().to_string() }),
        )
        .route(
            "/maybe",
            get(|me: Option<Authenticated>| async move { me.is_some().to_string() }),
        )
        .merge(annotated)
}

async fn serving<B: Backend>(same_site: SameSite) -> (World<B>, Server, Client) {
    let cookie = CookieConfig::builder().same_site(same_site).build();
    let world = World::<B>::with(|layer| layer.cookie(cookie.unwrap())).await;
    let (server, client) = world.serving(routes()).await;
    (world, server, client)
}

type Field = (&'static str, &'static str);

const CROSS_SITE: Field = ("sec-fetch-site", "cross-site");
const NAVIGATE: Field = ("sec-fetch-mode", "navigate");
const DOCUMENT: Field = ("sec-fetch-dest", "document");
const CLICKED: Field = ("sec-fetch-user", "?1");
const LINK: &[Field] = &[CROSS_SITE, NAVIGATE, DOCUMENT, CLICKED];
const FRAME: &[Field] = &[CROSS_SITE, NAVIGATE, ("sec-fetch-dest", "iframe")];
const IMAGE: &[Field] = &[
    CROSS_SITE,
    ("sec-fetch-mode", "no-cors"),
    ("sec-fetch-dest", "image"),
];
const SCRIPT: &[Field] = &[
    CROSS_SITE,
    ("sec-fetch-mode", "cors"),
    ("sec-fetch-dest", "empty"),
    ("origin", "https://evil.example"),
];

fn with(call: Call, fields: &[Field]) -> Call {
    let add = |call: Call, (name, value): &Field| call.header(name, *value);
    fields.iter().fold(call, add)
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Answer {
    /// A session begins.
    Begins,
    Refused,
    AskedAgain,
}
use Answer::{AskedAgain, Begins, Refused};

fn is_requested_again(reply: &Reply) -> bool {
    reply.body().contains("<a href=\"\">Continue</a>")
}

/// The rows of the table: method, fields, and the result of a write under `Strict` and under `Lax`.
fn rows() -> Vec<(&'static str, &'static [Field], Answer, Answer)> {
    vec![
        ("GET", LINK, AskedAgain, Begins),
        ("HEAD", LINK, Refused, Begins),
        ("POST", LINK, Refused, Refused),
        ("PUT", LINK, Refused, Refused),
        ("GET", FRAME, Refused, Refused),
        ("GET", IMAGE, Refused, Refused),
        ("GET", SCRIPT, Refused, Refused),
        ("POST", SCRIPT, Refused, Refused),
        ("GET", &[CROSS_SITE], Refused, Refused),
        (
            "GET",
            &[("sec-fetch-site", "same-origin"), NAVIGATE, DOCUMENT],
            Begins,
            Begins,
        ),
        ("POST", &[("sec-fetch-site", "same-origin")], Begins, Begins),
        (
            "POST",
            &[
                ("sec-fetch-site", "same-site"),
                ("origin", "https://a.example"),
            ],
            Begins,
            Begins,
        ),
        (
            "GET",
            &[("sec-fetch-site", "none"), NAVIGATE, DOCUMENT],
            Begins,
            Begins,
        ),
        (
            "POST",
            &[("origin", "https://evil.example")],
            Refused,
            Refused,
        ),
        ("POST", &[("origin", "null")], Refused, Refused),
        (
            "POST",
            &[("origin", "https://shop.example")],
            Begins,
            Begins,
        ),
        (
            "POST",
            &[("origin", "https://www.shop.example")],
            Begins,
            Begins,
        ),
        ("GET", &[("origin", "https://evil.example")], Begins, Begins),
        (
            "OPTIONS",
            &[("origin", "https://evil.example")],
            Begins,
            Begins,
        ),
        ("GET", &[], Begins, Begins),
        ("POST", &[], Begins, Begins),
    ]
}

async fn is_answered<B: Backend>(world: &World<B>, reply: Reply, expected: Answer, row: &str) {
    match expected {
        Begins => {
            reply.is(204).new_id();
        }
        Refused => {
            reply.is(403).keeps_the_cookie();
        }
        AskedAgain => {
            reply.is(200).keeps_the_cookie();
        }
    }
    assert_eq!(is_requested_again(&reply), expected == AskedAgain, "{row}");
    let calls = world.store.take_calls();
    assert_eq!(calls.is_empty(), expected != Begins, "{row}: {calls:?}");
}

async fn every_row<B: Backend>(same_site: SameSite) {
    let (world, server, _) = serving::<B>(same_site).await;
    for (method, fields, strict, lax) in rows() {
        let expected = match same_site {
            SameSite::Strict => strict,
            _ => lax,
        };
        for target in ["/count", "/sign-in"] {
            let row = format!("{method} {target} {fields:?} {same_site:?}");
            let client = world.client_of(&server);
            let call = client.call(method.parse().unwrap(), target);
            is_answered(&world, with(call, fields).await, expected, &row).await;
        }
    }
}

async fn where_a_browser_withholds_a_strict_cookie_no_session_begins<B: Backend>() {
    every_row::<B>(SameSite::Strict).await;
}

async fn where_a_browser_withholds_a_lax_cookie_no_session_begins<B: Backend>() {
    every_row::<B>(SameSite::Lax).await;
}

async fn a_cookie_without_a_restriction_is_never_withheld<B: Backend>() {
    let cookie = CookieConfig::builder().dangerous_same_site_none("a widget elsewhere");
    let cookie = cookie.build().unwrap();
    let world = World::<B>::with(|layer| layer.cookie(cookie)).await;
    let (server, _) = world.serving(routes()).await;
    for (method, fields, ..) in rows() {
        let client = world.client_of(&server);
        let call = client.call(method.parse().unwrap(), "/count");
        with(call, fields).await.is(204).new_id();
    }
}

async fn a_withheld_cookie_is_reported_and_shows_no_user<B: Backend>() {
    let (_world, _server, client) = serving::<B>(SameSite::Lax).await;
    for (fields, withheld) in [(IMAGE, true), (LINK, false)] {
        let reply = with(client.get("/read"), fields).await;
        let body = reply.is(200).keeps_the_cookie().body();
        assert_eq!(body, format!("None None {withheld}"));
    }
}

async fn a_cookie_that_came_along_was_not_withheld<B: Backend>() {
    let (world, _server, anonymous) = serving::<B>(SameSite::Strict).await;
    let alice = anonymous.with_id(&world.signed_in("alice").await.id());
    with(alice.post("/count"), SCRIPT).await.is(204);
    // The request also has an identifier that is no longer one.
    let unknown = alice.fork().with_id(&alice.id().replace(|_| true, "A"));
    let reply = with(unknown.post("/count"), SCRIPT).await;
    reply.is(204).new_id();
    let body = with(alice.get("/read"), LINK).await;
    assert_eq!(body.is(200).body(), "Some(\"alice\") Some(1) false");
}

fn is_page(reply: &Reply) {
    assert_eq!(reply.header("content-type"), "text/html; charset=utf-8");
}

async fn no_write_begins_a_session_where_the_cookie_is_withheld<B: Backend>() {
    let (world, _server, client) = serving::<B>(SameSite::Lax).await;
    for target in ["/count", "/sign-in", "/elevate", "/commit"] {
        let reply = with(client.post(target), SCRIPT).await;
        reply
            .is_problem(403, "session-cookie-withheld")
            .keeps_the_cookie();
        // A form, for which a user waits.
        let reply = with(client.post(target), LINK).await;
        is_page(reply.is(403).keeps_the_cookie());
    }
    assert_eq!(world.store.take_calls(), []);
    assert_eq!(world.backend.live(), 0);
    let request = Request::post("/count").header("sec-fetch-site", "cross-site");
    let app = routes().layer(world.layer.clone());
    let response = app.oneshot(request.body(Body::empty()).unwrap()).await;
    let refusal = response.unwrap().extensions().get::<Refusal>().cloned();
    assert_eq!(refusal, Some(Refusal::CookieWithheld));
}

async fn a_refused_write_that_the_handler_ignores_is_reported_all_the_same<B: Backend>() {
    let (_world, _server, client) = serving::<B>(SameSite::Strict).await;
    let reply = with(client.post("/write_and_ignore"), SCRIPT).await;
    reply.is_problem(403, "session-cookie-withheld");
    is_page(with(client.post("/write_and_ignore"), LINK).await.is(403));
    let reply = with(client.get("/write_and_ignore"), LINK).await;
    assert!(is_requested_again(reply.is(200)));
    assert_eq!(client.get("/write_and_ignore").await.is(200).body(), "done");
}

async fn a_link_to_what_needs_the_session_is_requested_once_more<B: Backend>() {
    let (world, _server, anonymous) = serving::<B>(SameSite::Strict).await;
    let alice = anonymous
        .fork()
        .with_id(&world.signed_in("alice").await.id());
    let own = [("sec-fetch-site", "same-origin"), NAVIGATE, DOCUMENT];
    for (target, status) in [("/count", 204), ("/me", 200)] {
        let reply = with(anonymous.get(target), LINK).await;
        assert!(
            is_requested_again(reply.is(200).keeps_the_cookie()),
            "{target}"
        );
        assert_eq!(reply.header("content-type"), "text/html; charset=utf-8");
        assert!(reply.header("cache-control").contains("no-store"));
        // The page of the site sends the request, so the cookie comes along.
        let reply = with(alice.get(target), &own).await;
        reply.is(status).keeps_the_cookie();
    }
    // A request without a cookie is anonymous.
    with(anonymous.get("/me"), &own).await.is(401);
    with(anonymous.get("/count"), &own).await.is(204).new_id();
}

async fn the_page_that_requests_again_refreshes_once_at_most<B: Backend>() {
    let (_world, _server, client) = serving::<B>(SameSite::Strict).await;
    let link = &[CROSS_SITE, NAVIGATE, DOCUMENT];
    for (cause, by_itself) in [
        (Some(CLICKED), true),
        (Some(("referer", "https://mail.example/")), true),
        // The request of the page itself, if a sandbox makes it another site.
        (None, false),
    ] {
        let call = with(client.get("/count"), link);
        let reply = with(call, cause.as_slice()).await;
        assert!(is_requested_again(reply.is(200)));
        let refresh = reply.body().contains("http-equiv=\"refresh\"");
        let hidden = reply
            .body()
            .contains("name=\"referrer\" content=\"no-referrer\"");
        assert_eq!((refresh, hidden), (by_itself, by_itself), "{cause:?}");
    }
}

async fn what_needs_no_session_is_served_at_once<B: Backend>() {
    let (_world, _server, client) = serving::<B>(SameSite::Strict).await;
    let reply = with(client.get("/maybe"), LINK).await;
    assert_eq!(reply.is(200).body(), "false");
    // No user follows these.
    for fields in [IMAGE, SCRIPT] {
        let reply = with(client.get("/me"), fields).await;
        reply.is_problem(401, "authentication-required");
    }
    is_page(with(client.get("/me"), FRAME).await.is(401));
}

async fn a_route_that_signs_in_from_another_site_is_annotated<B: Backend>() {
    let (world, server, client) = serving::<B>(SameSite::Strict).await;
    with(client.post("/callback"), LINK).await.is(204).new_id();
    let reply = with(client.get("/me"), &[]).await;
    assert_eq!(reply.is(200).body(), "alice");
    // The annotation may also stand outside of the session layer.
    let app = routes().layer(world.layer.clone());
    let outside = Server::of_router(app.layer(CrossSiteSignInLayer::new())).await;
    let reply = with(world.client_of(&outside).post("/sign-in"), LINK).await;
    reply.is(204).new_id();
    let reply = with(world.client_of(&server).post("/callback/read"), LINK).await;
    assert_eq!(reply.is(200).body(), "None None true");
}

async fn count_each(request: Request<Body>, next: Next) -> Response {
    if let Ok(session) = Session::load(request.extensions()).await {
        let _ = session.update(VISITS, |visits| *visits += 1);
    }
    next.run(request).await
}

async fn a_write_refused_before_the_route_was_annotated_does_not_refuse_the_sign_in<B: Backend>() {
    let world = World::<B>::start().await;
    let counted = routes().layer(from_fn(count_each));
    let (server, client) = world.serving(counted).await;
    let form = [CROSS_SITE, NAVIGATE, DOCUMENT];
    with(client.post("/callback"), &form).await.is(204).new_id();
    let refused = with(world.client_of(&server).post("/sign-in"), &form).await;
    refused.is(403).keeps_the_cookie();
}

async fn rule_13_a_refused_sign_in_from_another_site_removes_no_cookie<B: Backend>() {
    let fails = async |session: Session| {
        session.insert(VISITS, 1)?;
        Ok::<_, SessionError>(StatusCode::BAD_REQUEST)
    };
    let annotated = Router::new()
        .route("/callback", any(fails))
        .route_layer(CrossSiteSignInLayer::new());
    let world = World::<B>::start().await;
    let (_server, client) = world.serving(annotated).await;
    let reply = with(client.post("/callback"), &[CROSS_SITE, NAVIGATE, DOCUMENT]).await;
    reply.is(400).keeps_the_cookie();
    // A handler that keeps the browser's cookie may still count failures.
    with(client.post("/callback"), &[]).await.is(400).new_id();
}

/// The table in `activity.rs`.
async fn what_other_sites_load_is_no_activity<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    let frame = |dest| [CROSS_SITE, NAVIGATE, ("sec-fetch-dest", dest)];
    let (iframe, object) = (frame("iframe"), frame("object"));
    for fields in [IMAGE, SCRIPT, &iframe, &object] {
        world.advance(minutes(20));
        with(client.get("/me"), fields).await.is(200);
        about(client.view().await.inactive, minutes(20));
        with(client.get("/me"), LINK).await.is(200);
        about(client.view().await.inactive, seconds(0));
    }
}

const SIBLING: &str = "https://app.shop.example";

fn trusting(layer: &SessionLayer) -> SessionLayer {
    layer.clone().trusted_origins([SIBLING]).unwrap()
}

async fn what_a_page_of_a_trusted_origin_of_the_same_site_loads_is_no_activity<B: Backend>() {
    let world = World::<B>::start().await;
    let alice = world.signed_in("alice").await;
    let server = world.serve(trusting(&world.layer)).await;
    let client = alice.at(server.address());
    let same_site = ("sec-fetch-site", "same-site");
    let loads = [same_site, ("sec-fetch-mode", "cors"), ("origin", SIBLING)];
    world.advance(minutes(20));
    for fields in [&loads[..], &[("origin", SIBLING)]] {
        for method in [Method::GET, Method::OPTIONS] {
            with(client.call(method, "/me"), fields).await.is(200);
        }
        about(client.view().await.inactive, minutes(20));
    }
    let own = [("sec-fetch-site", "same-origin"), ("origin", SIBLING)];
    let comes = [same_site, NAVIGATE, DOCUMENT];
    for fields in [&own[..], &comes] {
        with(client.get("/me"), fields).await.is(200);
        about(client.view().await.inactive, seconds(0));
        world.advance(minutes(20));
    }
}

async fn a_socket_over_http_2_is_no_activity<B: Backend>() {
    let world = World::<B>::start().await;
    let alice = world.signed_in("alice").await;
    world.advance(minutes(20));
    let app = routes().layer(world.layer.clone());
    for (method, inactive) in [(Method::CONNECT, minutes(20)), (Method::POST, seconds(0))] {
        let cookie = format!("{}={}", portcullis_tests::COOKIE, alice.id());
        let request = Request::builder().method(method).uri("/me");
        let request = request.header("cookie", cookie).body(Body::empty());
        let response = app.clone().oneshot(request.unwrap()).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        about(alice.view().await.inactive, inactive);
    }
}
