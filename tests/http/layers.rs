//! The session layer among others: CORS, security headers, compression, tracing. Which of their
//! fields stay where it answers in place of the handler.

use axum::{
    Router,
    middleware::map_response,
    response::{Html, IntoResponse, Response},
};
use http::{HeaderName, HeaderValue, Method, header};
use portcullis::{SessionLayer, reject::Refusal};
use portcullis_tests::{Backend, Call, Client, Moment, Op, Reply, World, on_every_store};
use tower_http::{
    compression::CompressionLayer, cors::CorsLayer, set_header::SetResponseHeaderLayer,
    trace::TraceLayer,
};

on_every_store![
    a_page_of_another_origin_may_use_a_session_whichever_side_cors_is_on,
    a_page_of_another_origin_can_read_why_it_was_refused,
    a_preflight_does_not_load_the_session,
    rule_2_a_response_in_place_of_the_handlers_keeps_the_fields_of_inner_layers_and_nothing_of_the_handler,
    layers_outside_see_every_refusal,
    rule_2_a_response_in_place_of_the_handlers_is_not_compressed_by_an_inner_layer,
    a_refused_write_that_the_application_answers_is_still_a_refusal,
];

/// Another origin of the same site, whose pages send the cookie along.
const ORIGIN: &str = "https://app.shop.example";

fn cors() -> CorsLayer {
    CorsLayer::new()
        .allow_origin([ORIGIN, "https://admin.shop.example"].map(HeaderValue::from_static))
        .allow_credentials(true)
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([header::CONTENT_TYPE])
        .expose_headers([header::RETRY_AFTER])
}

fn cors_outside(routes: Router, sessions: SessionLayer) -> Router {
    routes.layer(sessions).layer(cors())
}

fn cors_inside(routes: Router, sessions: SessionLayer) -> Router {
    routes.layer(cors()).layer(sessions)
}

const ARRANGEMENTS: [fn(Router, SessionLayer) -> Router; 2] = [cors_outside, cors_inside];

/// The request of a browser for `fetch(…, { credentials: 'include' })`.
fn from_the_page(call: Call) -> Call {
    call.header("origin", ORIGIN)
        .header("sec-fetch-site", "same-site")
        .header("sec-fetch-mode", "cors")
        .header("sec-fetch-dest", "empty")
}

/// Checks that the browser shows it to the page (Fetch, "CORS check"), and that caches keep it
/// apart.
#[track_caller]
fn is_for_the_page(reply: &Reply) {
    assert_eq!(reply.header("access-control-allow-origin"), ORIGIN);
    assert_eq!(reply.header("access-control-allow-credentials"), "true");
    let vary = reply.header("vary").to_ascii_lowercase();
    let varies = |name| vary.split(", ").any(|other| other == name);
    assert!(varies("origin") && varies("cookie"), "{vary}");
    assert_eq!(reply.header("cache-control"), "no-store");
}

async fn a_page_of_another_origin_may_use_a_session_whichever_side_cors_is_on<B: Backend>() {
    let world = World::<B>::start().await;
    for arrange in ARRANGEMENTS {
        let (_server, client) = world.arranged(arrange).await;
        let reply = from_the_page(client.post("/login?user=alice")).await;
        is_for_the_page(reply.is(204));
        reply.new_id();
        let reply = from_the_page(client.get("/me")).await;
        is_for_the_page(reply.is(200));
        assert_eq!(reply.body(), "alice");
        let reply = from_the_page(client.post("/logout")).await;
        is_for_the_page(reply.is(204));
    }
}

/// A write whose session ends while its handler runs.
async fn refused_write(client: &Client, write: Call) -> Reply {
    let gate = portcullis_tests::Gate::closed();
    let flight = write.held_at(&gate).start();
    gate.reached().await;
    client.post("/logout").await.is(204);
    gate.open();
    flight.reply().await
}

async fn a_page_of_another_origin_can_read_why_it_was_refused<B: Backend>() {
    let world = World::<B>::start().await;
    for arrange in ARRANGEMENTS {
        let (_server, client) = world.arranged(arrange).await;
        let reply = from_the_page(client.get("/me")).await;
        is_for_the_page(reply.is_problem(401, "authentication-required"));

        client.post("/login?user=alice").await.is(204);
        let tab = client.fork();
        let reply = refused_write(&tab, from_the_page(client.post("/put/a/b"))).await;
        is_for_the_page(reply.is_problem(401, "session-ended").keeps_the_cookie());

        client.post("/login?user=alice").await.is(204);
        world.store.fail(Op::Commit, Moment::Before);
        let reply = from_the_page(client.post("/put/a/b")).await;
        is_for_the_page(reply.is(503));
        assert_eq!(reply.header("access-control-expose-headers"), "retry-after");
    }
}

async fn a_preflight_does_not_load_the_session<B: Backend>() {
    let world = World::<B>::start().await;
    for arrange in ARRANGEMENTS {
        let (_server, client) = world.arranged(arrange).await;
        client.post("/login?user=alice").await.is(204);
        world.forget();
        // Browsers send no cookies with it. Other clients may.
        let preflight = client.call(Method::OPTIONS, "/put/a/b");
        let reply = from_the_page(preflight)
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "content-type")
            .await;
        reply.is(200).keeps_the_cookie();
        assert_eq!(reply.header("access-control-allow-origin"), ORIGIN);
        assert_eq!(reply.header("access-control-allow-credentials"), "true");
        assert_eq!(reply.header("access-control-allow-methods"), "GET,POST");
        assert_eq!(reply.header("access-control-allow-headers"), "content-type");
        assert_eq!(world.store.take_calls(), []);
    }
}

fn security(name: &'static str, value: &'static str) -> SetResponseHeaderLayer<HeaderValue> {
    let (name, value) = (
        HeaderName::from_static(name),
        HeaderValue::from_static(value),
    );
    SetResponseHeaderLayer::overriding(name, value)
}

async fn rule_2_a_response_in_place_of_the_handlers_keeps_the_fields_of_inner_layers_and_nothing_of_the_handler<
    B: Backend,
>() {
    let world = World::<B>::start().await;
    let arrange = |routes: Router, sessions: SessionLayer| {
        routes
            .layer(security("content-security-policy", "default-src 'none'"))
            .layer(security("x-content-type-options", "nosniff"))
            .layer(security("x-request-id", "7"))
            .layer(security("set-cookie", "basket=7"))
            .layer(security("location", "/orders/7"))
            .layer(security("etag", "\"7\""))
            .layer(sessions)
    };
    let (_server, client) = world.arranged(arrange).await;
    client.post("/login?user=alice").await.is(204);
    let tab = client.fork();
    let write = client.post("/put/a/b").with_response_field("x-order: 7");
    let reply = refused_write(&tab, write).await;
    reply.is_problem(401, "session-ended").keeps_the_cookie();
    assert_eq!(
        reply.header("content-security-policy"),
        "default-src 'none'"
    );
    assert_eq!(reply.header("x-content-type-options"), "nosniff");
    assert_eq!(reply.header("x-request-id"), "7");
    for field in ["location", "etag", "x-order"] {
        assert_eq!(reply.header(field), "", "{field}");
    }
}

async fn layers_outside_see_every_refusal<B: Backend>() {
    let world = World::<B>::start().await;
    let arrange = |routes: Router, sessions: SessionLayer| {
        routes
            .layer(sessions)
            .layer(security("x-frame-options", "DENY"))
            .layer(CompressionLayer::new())
            .layer(TraceLayer::new_for_http())
    };
    let (_server, client) = world.arranged(arrange).await;
    let zipped = |call: Call| call.header("accept-encoding", "gzip");
    let sealed = |reply: &Reply| {
        assert_eq!(reply.header("content-encoding"), "gzip");
        assert_eq!(reply.header("x-frame-options"), "DENY");
        assert_eq!(reply.header("cache-control"), "no-store");
        let vary = reply.header("vary").to_ascii_lowercase();
        assert!(vary.contains("cookie") && vary.contains("accept-encoding"));
    };
    // Refusals of the extractor, of a guard layer, and in place of the handler.
    for target in ["/me", "/account"] {
        sealed(zipped(client.get(target)).await.is(401));
    }
    client.post("/login?user=alice").await.is(204);
    let tab = client.fork();
    let reply = refused_write(&tab, zipped(client.post("/put/a/b"))).await;
    sealed(reply.is(401));
}

async fn rule_2_a_response_in_place_of_the_handlers_is_not_compressed_by_an_inner_layer<
    B: Backend,
>() {
    let world = World::<B>::start().await;
    let arrange = |routes: Router, sessions| routes.layer(CompressionLayer::new()).layer(sessions);
    let (_server, client) = world.arranged(arrange).await;
    client.post("/login?user=alice").await.is(204);
    let big = client.get("/debug").header("accept-encoding", "gzip").await;
    assert_eq!(big.is(200).header("content-encoding"), "gzip");
    let tab = client.fork();
    let write = client.post("/put/a/b").header("accept-encoding", "gzip");
    let reply = refused_write(&tab, write.with_response_field("content-encoding: gzip")).await;
    reply.is_problem(401, "session-ended");
    assert_eq!(reply.header("content-encoding"), "");
}

async fn own_response(response: Response) -> Response {
    let page = match response.extensions().get::<Refusal>() {
        Some(Refusal::SessionEnded {
            reason: Some(reason),
            ..
        }) => Html(format!("<h1>Not saved</h1>{}", reason.message())),
        _ => return response,
    };
    Refusal::reword(response, page.into_response())
}

async fn a_refused_write_that_the_application_answers_is_still_a_refusal<B: Backend>() {
    let world = World::<B>::start().await;
    let arrange =
        |routes: Router, sessions| routes.layer(sessions).layer(map_response(own_response));
    let (_server, client) = world.arranged(arrange).await;
    client.post("/login?user=alice").await.is(204);
    let tab = client.fork();
    let reply = refused_write(&tab, client.post("/put/a/b")).await;
    reply.is(401).keeps_the_cookie();
    assert!(reply.body().starts_with("<h1>Not saved</h1>"));
    assert_eq!(reply.header("content-type"), "text/html; charset=utf-8");
    assert_eq!(reply.header("cache-control"), "no-store");
    assert_eq!(reply.header("vary"), "Cookie");
    assert_eq!(reply.header("www-authenticate"), "Session");
}
