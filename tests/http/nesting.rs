//! Session layers inside other session layers.

use axum::{
    Extension, Router,
    body::Body,
    extract::{Request, State},
    middleware::{Next, from_fn, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::get,
};
use portcullis::{
    CookieConfig, GuardLayer, MemoryStore, Session, SessionError, SessionLayer, Timeouts,
    route::{CrossSiteSignInLayer, PassiveLayer},
};
use portcullis_tests::{
    Backend, COOKIE, CapturedLog, Client, Gate, Gates, Op, Server, SessionView, World, hours,
    minutes, on_every_store, routes,
};
use tower::ServiceExt;

on_every_store![
    a_route_means_the_session_of_the_innermost_layer_around_it,
    a_guard_between_two_layers_asks_for_the_outer_session,
    each_layer_writes_its_own_session_and_sets_its_own_cookie,
    a_cookie_of_the_inner_layer_arrives_where_the_outer_one_refuses,
    a_route_signs_in_from_another_site_to_the_innermost_session_alone,
    a_passive_route_is_passive_for_every_layer_wherever_it_is_marked,
    the_deadlines_that_are_sent_are_those_of_the_innermost_session,
    a_layer_inside_one_with_the_same_cookie_uses_the_outer_one,
    a_layer_of_another_realm_inside_one_with_the_same_cookie_opens_nothing,
];

const ADMIN: &str = "__Host-Http-admin";

fn named(name: &'static str) -> CookieConfig {
    CookieConfig::builder().name(name).build().unwrap()
}

/// The layer of the operators' pages, on the store of the shop.
fn admin<B: Backend>(world: &World<B>) -> SessionLayer {
    let layer = SessionLayer::new(world.store.clone()).sweeping(false);
    layer.audit(world.audit.clone()).cookie(named(ADMIN))
}

/// The shop, with the same routes for operators below `/admin`.
async fn shop_and_admin<B: Backend>(world: &World<B>) -> (Server, Client) {
    let operators = routes(Gates::default()).layer(admin(world));
    let shop = routes(Gates::default()).nest("/admin", operators);
    world.serving(shop).await
}

async fn a_route_means_the_session_of_the_innermost_layer_around_it<B: Backend>() {
    let world = World::<B>::start().await;
    let (_server, client) = shop_and_admin(&world).await;
    client.post("/login?user=alice").await.is(204).new_id();
    client
        .get("/admin/account")
        .await
        .is(401)
        .keeps_the_cookie();
    client.post("/admin/login?user=root").await.is(204).new_id();
    assert_eq!(client.cookie_names(), [ADMIN, COOKIE]);
    for (path, user) in [("/me", "alice"), ("/admin/me", "root")] {
        assert_eq!(client.get(path).await.is(200).body(), user);
    }
    client.get("/admin/account").await.is(200);
    client.post("/admin/elevate").await.is(204).new_id();
    client.get("/admin/danger").await.is(200);
    client.get("/danger").await.is(401);
    let view: SessionView = client.get("/admin/passive/session").await.json();
    assert_eq!(view.user.as_deref(), Some("root"));
    assert_eq!(client.devices().await.len(), 1);
    client
        .post("/admin/session/sign-out")
        .await
        .is(200)
        .removes_the_cookie();
    assert_eq!(client.cookie_names(), [COOKIE]);
    client.get("/admin/me").await.is(401);
    assert_eq!(client.get("/me").await.body(), "alice");
}

async fn a_guard_between_two_layers_asks_for_the_outer_session<B: Backend>() {
    let world = World::<B>::start().await;
    let inner = routes(Gates::default()).layer(admin(&world));
    let guarded = inner.layer(GuardLayer::authenticated());
    let shop = routes(Gates::default()).nest("/admin", guarded);
    let (_server, client) = world.serving(shop).await;
    client
        .post("/admin/login?user=root")
        .await
        .is(401)
        .keeps_the_cookie();
    client.post("/login?user=alice").await.is(204);
    client.post("/admin/login?user=root").await.is(204).new_id();
    assert_eq!(client.get("/admin/me").await.body(), "root");
    client.post("/logout").await.is(204);
    client.get("/admin/me").await.is(401);
}

/// The session of the outer layer, passed on to the handler.
#[derive(Clone)]
struct OfShop(Session);

async fn pass_on(mut request: Request, next: Next) -> Result<Response, SessionError> {
    let outer = Session::load(request.extensions()).await?;
    request.extensions_mut().insert(OfShop(outer));
    Ok(next.run(request).await)
}

async fn each_layer_writes_its_own_session_and_sets_its_own_cookie<B: Backend>() {
    async fn both(inner: Session, Extension(OfShop(outer)): Extension<OfShop>) -> Response {
        inner.authenticate("root").unwrap();
        outer.authenticate("alice").unwrap();
        "signed in".into_response()
    }
    let world = World::<B>::start().await;
    let operators = Router::new().route("/both", get(both));
    let operators = operators.merge(routes(Gates::default()));
    let operators = operators.layer(admin(&world)).layer(from_fn(pass_on));
    let shop = routes(Gates::default()).nest("/admin", operators);
    let (_server, client) = world.serving(shop).await;
    let reply = client.get("/admin/both").await;
    let cookies = reply.is(200).set_cookies();
    let names: Vec<_> = cookies.iter().map(|cookie| &cookie.name[..]).collect();
    assert_eq!(names, [ADMIN, COOKIE]);
    assert_eq!(reply.header("vary"), "Cookie");
    assert_eq!(client.get("/admin/me").await.body(), "root");
    assert_eq!(client.get("/me").await.body(), "alice");
}

/// Counts each visit in the outer session, after the handler. A signed-in request waits at the gate
/// before that.
async fn count_visits(State(gate): State<Gate>, request: Request, next: Next) -> Response {
    let outer = Session::load(request.extensions()).await.unwrap();
    let response = next.run(request).await;
    if outer.user().is_some() {
        gate.pass().await;
    }
    let _ = outer.update("visits", |visits: &mut u32| *visits += 1);
    response
}

async fn a_cookie_of_the_inner_layer_arrives_where_the_outer_one_refuses<B: Backend>() {
    let world = World::<B>::start().await;
    let gate = Gate::closed();
    let operators = routes(Gates::default()).layer(admin(&world));
    let operators = operators.layer(from_fn_with_state(gate.clone(), count_visits));
    let shop = routes(Gates::default()).nest("/admin", operators);
    let (_server, client) = world.serving(shop).await;
    client.post("/login?user=alice").await.is(204);
    let signed_in = client.post("/admin/login?user=root").start();
    gate.reached().await;
    client.fork().post("/logout").await.is(204);
    gate.open();
    let reply = signed_in.reply().await;
    assert_eq!(reply.is(401).set_cookie().name, ADMIN);
    assert_eq!(client.get("/admin/me").await.body(), "root");
}

async fn a_route_signs_in_from_another_site_to_the_innermost_session_alone<B: Backend>() {
    let world = World::<B>::start().await;
    for outside in [false, true] {
        let annotate = |annotated: bool, routes: Router| match annotated {
            true => routes.layer(CrossSiteSignInLayer::new()),
            false => routes,
        };
        let operators = annotate(!outside, routes(Gates::default())).layer(admin(&world));
        let counted = from_fn_with_state(Gate::closed(), count_visits);
        let operators = annotate(outside, operators).layer(counted);
        let shop = routes(Gates::default()).nest("/admin", operators);
        let (_server, client) = world.serving(shop).await;
        let call = client.post("/admin/login?user=root");
        let reply = call.header("sec-fetch-site", "cross-site").await;
        let names: Vec<_> = reply.set_cookies();
        let names: Vec<_> = names.iter().map(|cookie| &cookie.name[..]).collect();
        assert_eq!(names, [ADMIN], "{reply:?}");
    }
}

async fn a_passive_route_is_passive_for_every_layer_wherever_it_is_marked<B: Backend>() {
    let world = World::<B>::start().await;
    let annotate = |annotated: bool, routes: Router| match annotated {
        true => routes.layer(PassiveLayer::new()),
        false => routes,
    };
    // Both sessions are loaded. At place 3 there is no annotation.
    let annotated_at = |place: usize| {
        let inner = annotate(place == 0, routes(Gates::default())).layer(admin(&world));
        let between = annotate(place == 1, inner).layer(GuardLayer::authenticated());
        annotate(place == 2, between.layer(world.layer.clone()))
    };
    for place in [0, 1, 2, 3] {
        let active = Server::of_router(annotated_at(3)).await;
        let client = world.signed_in("alice").await.at(active.address());
        client.post("/login?user=root").await.is(204);
        assert_eq!(client.cookie_names(), [ADMIN, COOKIE]);
        world.advance(minutes(10));
        world.forget();
        let server = Server::of_router(annotated_at(place)).await;
        client.at(server.address()).get("/me").await.is(200);
        let mut calls = world.store.take_calls();
        calls.retain(|call| *call == Op::Touch);
        let touched = if place == 3 { 2 } else { 0 };
        assert_eq!(calls.len(), touched, "{place}");
    }
}

async fn the_deadlines_that_are_sent_are_those_of_the_innermost_session<B: Backend>() {
    let world = World::<B>::with(SessionLayer::session_timeout_header).await;
    let timeouts = Timeouts::new(minutes(5), hours(1)).unwrap();
    let layer = admin(&world).timeouts(timeouts).session_timeout_header();
    let operators = routes(Gates::default()).layer(layer);
    let guarded = operators.layer(GuardLayer::authenticated());
    let shop = routes(Gates::default()).nest("/admin", guarded);
    let (_server, client) = world.serving(shop).await;
    let idle = async |target: &str| {
        let field = client.get(target).await.header("session-timeout");
        let seconds = field.strip_prefix("idle=")?.split(',').next()?;
        let seconds: u64 = seconds.parse().ok()?;
        Some(seconds.div_ceil(60))
    };
    client.post("/login?user=alice").await.is(204);
    // Without an inner session, the deadlines are those of the outer one.
    assert_eq!(idle("/admin/maybe").await, Some(30));
    client.post("/admin/login?user=root").await.is(204);
    assert_eq!(idle("/admin/me").await, Some(5));
    assert_eq!(idle("/me").await, Some(30));
}

async fn a_layer_inside_one_with_the_same_cookie_uses_the_outer_one<B: Backend>() {
    let world = World::<B>::start().await;
    let again = |layer: SessionLayer, routes: Router| routes.layer(layer);
    let other = world.layer.clone();
    let innermost = again(admin(&world), routes(Gates::default()));
    let shop_again = routes(Gates::default()).nest("/deeper", innermost);
    let shop_again = again(other, shop_again);
    let operators = routes(Gates::default()).nest("/shop", shop_again);
    let operators = again(admin(&world), operators);
    let shop = routes(Gates::default()).nest("/admin", operators);
    let (_server, client) = world.serving(shop).await;
    client
        .post("/admin/shop/login?user=alice")
        .await
        .is(204)
        .new_id();
    client
        .post("/admin/shop/deeper/login?user=root")
        .await
        .is(204)
        .new_id();
    assert_eq!(client.cookie_names(), [ADMIN, COOKIE]);
    for path in ["/me", "/admin/shop/me"] {
        assert_eq!(client.get(path).await.body(), "alice", "{path}");
    }
    for path in ["/admin/me", "/admin/shop/deeper/me"] {
        assert_eq!(client.get(path).await.body(), "root", "{path}");
    }
}

/// The session that opens the routes of the outer layer must not open those of the inner one.
async fn a_layer_of_another_realm_inside_one_with_the_same_cookie_opens_nothing<B: Backend>() {
    let world = World::<B>::start().await;
    let apart = world.layer.clone().realm("another").unwrap();
    let operators = routes(Gates::default()).layer(apart);
    let shop = routes(Gates::default()).nest("/admin", operators);
    let (_server, client) = world.serving(shop).await;
    client.post("/login?user=alice").await.is(204);
    for path in ["/admin/me", "/admin/account", "/admin/session"] {
        client.get(path).await.is(500).keeps_the_cookie();
    }
    assert_eq!(client.get("/admin/public").await.body(), "public");
    assert_eq!(client.get("/me").await.body(), "alice");
}

/// How often each warning is logged for three requests through these layers, the outermost first.
async fn warnings<const N: usize>(layers: [SessionLayer; N]) -> [usize; 3] {
    let log = CapturedLog::start();
    let route = Router::new().route("/", get(async || ""));
    let layers = layers.into_iter().rev();
    let app = layers.fold(route, |app, layer| app.layer(layer));
    for _ in 0..3 {
        let answer = app.clone().oneshot(Request::new(Body::empty())).await;
        assert_eq!(answer.unwrap().status(), 200);
    }
    let warned = log.count(" WARN ");
    let counts = [
        "the same cookie and does nothing",
        "accepts or formerly had",
        "differ in their prefix only",
    ]
    .map(|what| log.count(what));
    assert_eq!(warned, counts.iter().sum::<usize>(), "{}", log.text());
    counts
}

#[tokio::test]
async fn layers_that_conflict_are_warned_of_once() {
    let layer = |cookie| SessionLayer::new(MemoryStore::new()).cookie(cookie);
    let (shop, admin) = (|| layer(named(COOKIE)), || layer(named(ADMIN)));
    assert_eq!(warnings([shop(), admin()]).await, [0, 0, 0]);
    assert_eq!(warnings([shop(), shop()]).await, [1, 0, 0]);
    assert_eq!(warnings([shop(), admin(), shop()]).await, [1, 0, 0]);
    assert_eq!(warnings([shop(), shop(), shop()]).await, [2, 0, 0]);

    let accepting = CookieConfig::builder().name(ADMIN).also_accept(COOKIE);
    let accepting = || {
        let layer = layer(accepting.clone().build().unwrap());
        layer.realm("admin").unwrap()
    };
    assert_eq!(warnings([shop(), accepting()]).await, [0, 1, 0]);
    assert_eq!(warnings([accepting(), shop()]).await, [0, 1, 0]);
    let former = |old| {
        let cookie = CookieConfig::builder().name(ADMIN).formerly(old);
        layer(cookie.build().unwrap())
    };
    assert_eq!(warnings([shop(), former(named(COOKIE))]).await, [0, 1, 0]);
    let elsewhere = CookieConfig::builder().name("id").domain("a.example");
    let elsewhere = elsewhere.build().unwrap();
    assert_eq!(warnings([shop(), former(elsewhere)]).await, [0, 0, 0]);

    assert_eq!(warnings([shop(), layer(named("id"))]).await, [0, 0, 1]);
    let apart = layer(named("id")).realm("admin").unwrap();
    assert_eq!(warnings([shop(), apart]).await, [0, 0, 0]);
}
