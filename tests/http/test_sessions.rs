//! Sessions that a test of an application begins without its sign-in page.

use axum::{
    Form, Router,
    body::to_bytes,
    http::{Request, Uri},
    routing::get,
};
use portcullis::{
    Authenticated, Elevated, Key, Scope, SessionError, Timeouts, audit::EventKind,
    settings::SessionLimit, testing::TestSession,
};
use portcullis_tests::{ADMIN, Backend, Client, Payments, World, hours, minutes, on_every_store};
use tower::ServiceExt;

on_every_store![
    a_session_for_a_test_is_one_of_a_user_who_signed_in,
    an_elevated_session_opens_what_its_scope_opens_and_no_more,
    a_session_of_a_class_has_the_limits_of_the_class,
    an_anonymous_session_has_values_and_no_user,
    a_session_for_a_test_follows_the_limits_of_the_layer,
    a_request_for_a_test_is_ready_to_be_sent,
    s052_a_declared_scope_opens_what_names_it_and_no_more,
];

async fn has<B: Backend>(world: &World<B>, session: TestSession) -> Client {
    let cookie = session.cookie(&world.layer).await;
    let (name, value) = cookie.to_str().unwrap().split_once('=').unwrap();
    world.client().with_cookie(name, value)
}

async fn a_session_for_a_test_is_one_of_a_user_who_signed_in<B: Backend>() {
    let world = World::<B>::start().await;
    let client = has(&world, TestSession::of("alice")).await;
    assert_eq!(world.audit.take_kinds(), [EventKind::Authenticated]);
    assert_eq!(client.get("/me").await.body(), "alice");
    client.post("/transfer").await.is(401);
    assert_eq!(world.layer.sessions().list("alice").await.unwrap().len(), 1);
    world.advance(hours(1));
    client.get("/me").await.is(401);
}

async fn an_elevated_session_opens_what_its_scope_opens_and_no_more<B: Backend>() {
    let world = World::<B>::start().await;
    let elevated = has(&world, TestSession::of("alice").elevated()).await;
    assert_eq!(elevated.post("/transfer").await.body(), "alice");
    elevated.get("/danger/payments").await.is(401);
    let payments = TestSession::of("alice").elevated_for::<Payments>();
    let payments = has(&world, payments).await;
    payments.get("/danger/payments").await.is(200);
    payments.post("/transfer").await.is(401);
}

async fn a_session_of_a_class_has_the_limits_of_the_class<B: Backend>() {
    let admin = Timeouts::new(minutes(10), hours(2)).unwrap();
    let world = World::<B>::with(|layer| {
        let layer = layer.classes([ADMIN]).unwrap();
        layer.class_timeouts(ADMIN, admin).unwrap()
    })
    .await;
    let client = has(&world, TestSession::of("alice").of_class(ADMIN)).await;
    client.get("/me").await.is(200);
    let listed = world.layer.sessions().list("alice").await.unwrap();
    assert_eq!(listed[0].info.class, ADMIN.code());
    world.advance(minutes(10));
    client.get("/me").await.is(401);
}

async fn an_anonymous_session_has_values_and_no_user<B: Backend>() {
    let world = World::<B>::start().await;
    const CART: Key<Vec<u32>> = Key::new("cart");
    let visitor = has(&world, TestSession::of_a_visitor().with(CART, vec![7])).await;
    assert_eq!(visitor.get("/cart").await.body(), "[7]");
    visitor.get("/me").await.is(401);
    let customer = has(&world, TestSession::of("alice").with(CART, vec![8])).await;
    assert_eq!(customer.get("/cart").await.body(), "[8]");
}

async fn a_session_for_a_test_follows_the_limits_of_the_layer<B: Backend>() {
    let one = SessionLimit::displace(1).unwrap();
    let world = World::<B>::with(|layer| layer.session_limit(one)).await;
    let first = has(&world, TestSession::of("alice")).await;
    world.backend.later().await;
    let second = has(&world, TestSession::of("alice")).await;
    first.get("/me").await.is(401);
    second.get("/me").await.is(200);
}

portcullis::scope!(
    /// What `send` needs.
    Letters = "letters"
);

async fn read(signed_in: Authenticated) -> Result<String, SessionError> {
    let text: Option<String> = signed_in.session().get("text")?;
    Ok(format!(
        "{}: {}",
        signed_in.user(),
        text.unwrap_or_default()
    ))
}

async fn write(signed_in: Authenticated, Form(fields): Form<Vec<(String, String)>>) -> String {
    format!("{}: {fields:?}", signed_in.user())
}

async fn send(elevated: Elevated<Letters>) -> String {
    format!("{}: {}", elevated.user(), Letters::NAME)
}

/// The answer of an application that sets its pages itself.
async fn answer<B: Backend>(world: &World<B>, request: Request<String>) -> (u16, String) {
    let layer = world.layer.clone().sign_in_page("/sign-in").unwrap();
    let app = Router::new()
        .route("/text", get(read).post(write))
        .route("/send", get(send))
        .layer(layer);
    let (head, body) = app.oneshot(request).await.unwrap().into_parts();
    let body = to_bytes(body, 4096).await.unwrap();
    (
        head.status.as_u16(),
        String::from_utf8(body.to_vec()).unwrap(),
    )
}

async fn a_request_for_a_test_is_ready_to_be_sent<B: Backend>() {
    let world = World::<B>::start().await;
    let session = TestSession::of("alice").with("text", "x".to_owned());
    let request = session.get(&world.layer, "/text?a=b").await;
    assert_eq!(
        (request.method().as_str(), request.uri()),
        ("GET", &Uri::from_static("/text?a=b"))
    );
    assert_eq!(answer(&world, request).await, (200, "alice: x".to_owned()));

    let mut stranger = TestSession::of("alice").get(&world.layer, "/text").await;
    stranger.headers_mut().remove("cookie");
    assert_eq!(answer(&world, stranger).await.0, 401);

    let request = TestSession::of("alice").post(&world.layer, "/text", "item=tea&b=%26");
    let expected = "alice: [(\"item\", \"tea\"), (\"b\", \"&\")]".to_owned();
    assert_eq!(answer(&world, request.await).await, (200, expected));
    assert_eq!(world.layer.sessions().list("alice").await.unwrap().len(), 3);
}

async fn s052_a_declared_scope_opens_what_names_it_and_no_more<B: Backend>() {
    let world = World::<B>::start().await;
    for (session, status) in [
        (TestSession::of("alice"), 401),
        (TestSession::of("alice").elevated(), 401),
        (TestSession::of("alice").elevated_for::<Payments>(), 401),
        (TestSession::of("alice").elevated_for::<Letters>(), 200),
    ] {
        let request = session.get(&world.layer, "/send").await;
        assert_eq!(answer(&world, request).await.0, status);
    }
}
