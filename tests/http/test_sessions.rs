//! Sessions that a test of an application begins without its sign-in page.

use portcullis::{Key, audit::EventKind, settings::SessionLimit, testing::TestSession};
use portcullis_tests::{Backend, Client, World, hours, on_every_store};

on_every_store![
    a_session_for_a_test_is_one_of_a_user_who_signed_in,
    an_elevated_session_opens_what_its_scope_opens_and_no_more,
    an_anonymous_session_has_values_and_no_user,
    a_session_for_a_test_follows_the_limits_of_the_layer,
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
    let payments = TestSession::of("alice").elevated_for::<portcullis_tests::Payments>();
    let payments = has(&world, payments).await;
    payments.get("/danger/payments").await.is(200);
    payments.post("/transfer").await.is(401);
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
