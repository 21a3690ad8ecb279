//! Limits from a policy document.

use portcullis::{
    SessionLayer, Timeouts,
    policy::{Document, InvalidDocument, LimitName, PolicyBounds},
};
use portcullis_tests::{
    ADMIN, Backend, Deploy, Explained, Operate, World, hours, minutes, on_every_store,
};

on_every_store![
    a_document_replaces_the_limits_that_code_sets,
    p04_the_most_specific_value_of_the_environment_decides,
    a_document_tightens_a_demand_by_its_name,
    a_flagged_session_has_the_limits_of_the_document,
    a_remembered_sign_in_has_the_limits_of_the_document,
    an_explanation_names_the_paths_of_the_document,
    a_class_that_is_optional_need_not_be_in_the_document,
];

fn layer_with(layer: SessionLayer, text: &str) -> Result<SessionLayer, InvalidDocument> {
    let document = Document::parse(text).unwrap();
    let layer = layer.demand::<Operate>().demand::<Deploy>();
    layer.classes([ADMIN]).unwrap().policy(&document)
}

async fn with<B: Backend>(text: &str) -> World<B> {
    World::<B>::with(|layer| layer_with(layer, text).unwrap()).await
}

async fn a_document_replaces_the_limits_that_code_sets<B: Backend>() {
    let text = "schema = 1\n[limits]\nidle = '20m'\n[class.admin]\nidle = '10m'";
    let document = Document::parse(text).unwrap();
    let world = World::<B>::with(|layer| {
        let layer = layer.classes([ADMIN]).unwrap().policy(&document).unwrap();
        // Whatever their order.
        layer.timeouts(Timeouts::new(hours(1), hours(2)).unwrap())
    })
    .await;
    let (client, admin) = (world.signed_in("alice").await, world.client());
    admin.post("/login-as/admin?user=alice").await.is(204);
    world.advance(minutes(10));
    admin.get("/me").await.is(401);
    client.get("/me").await.is(200);
    world.advance(minutes(20));
    client.get("/me").await.is(401);
}

async fn p04_the_most_specific_value_of_the_environment_decides<B: Backend>() {
    let text = "schema = 1\n[limits]\nidle = '20m'\n[environment.staging]\n\
                [environment.production]\nidle = '10m'\n[class.admin]\nidle = '15m'";
    for (environment, minute) in [("staging", 20), ("production", 10)] {
        let world = World::<B>::with(|layer| {
            layer_with(layer.environment(environment).unwrap(), text).unwrap()
        })
        .await;
        let client = world.signed_in("alice").await;
        world.advance(minutes(minute));
        client.get("/me").await.is(401);
    }
}

async fn a_document_tightens_a_demand_by_its_name<B: Backend>() {
    let world =
        with::<B>("schema = 1\n[class.admin]\nidle = '15m'\n[demand.operate]\nmax_auth_age = '3m'")
            .await;
    let client = world.signed_in("alice").await;
    for _ in 0..2 {
        world.advance(minutes(1));
        client.post("/operate").await.is(200);
    }
    world.advance(minutes(1));
    client.post("/operate").await.is(401);
    client.elevate().await;
    client.post("/operate").await.is(200);
}

async fn a_flagged_session_has_the_limits_of_the_document<B: Backend>() {
    let text =
        "schema = 1\n[class.admin]\nidle = '15m'\n[flagged]\nidle = '5m'\nelevation = 'none'";
    let world = with::<B>(text).await;
    let client = world.signed_in("alice").await;
    client.elevate().await;
    let phone = client.calling_itself("Mozilla/5.0 (iPhone) Version/18.0 Safari/604.1");
    phone.post("/transfer").await.is(401);
    world.advance(minutes(5));
    phone.get("/me").await.is(401);

    let client = world.signed_in("bob").await;
    let phone = client.calling_itself("Mozilla/5.0 (iPhone) Version/18.0 Safari/604.1");
    phone.get("/me").await.is(200);
    phone.elevate().await;
    world.advance(minutes(20));
    phone.get("/me").await.is(200);
}

async fn a_remembered_sign_in_has_the_limits_of_the_document<B: Backend>() {
    let text =
        "schema = 1\n[class.admin]\nidle = '15m'\n[limits.remember]\nidle = '3d'\nabsolute = '10d'";
    let world = with::<B>(text).await;
    let client = world.client();
    let sign_in = client.post("/in-order?steps=login:alice,remember");
    sign_in.await.is(204).new_id();
    world.advance(hours(71));
    client.get("/me").await.is(200);
    world.advance(hours(72));
    client.get("/me").await.is(401);
}

async fn an_explanation_names_the_paths_of_the_document<B: Backend>() {
    let world = with::<B>("schema = 1\nprofile = 'aal2'\n[class.admin]\nidle = '15m'").await;
    let admin = world.client();
    admin.post("/login-as/admin?user=alice").await.is(204);
    let explained: Explained = admin.get("/explain").await.is(200).json();
    let text = explained.text.unwrap();
    assert!(text.starts_with("policy "), "{text}");
    assert!(
        text.contains("idle             15m    class.admin.idle\n"),
        "{text}"
    );
    assert!(text.contains("under "), "{text}");
}

fn refused(text: &str) -> String {
    let bounds = PolicyBounds::new()
        .at_most(LimitName::Absolute, hours(12))
        .unwrap();
    let layer = SessionLayer::new(portcullis::MemoryStore::new()).policy_bounds(bounds);
    layer_with(layer, text).unwrap_err().to_string()
}

#[test]
fn p03_a_document_that_contradicts_code_is_refused_with_each_path() {
    let text = refused(
        "schema = 1\n[limits]\nabsolute = '24h'\n[class.other]\nidle = '5m'\n[demand.missing]\nidle = '5m'",
    );
    for path in [
        "limits.absolute",
        "class.other",
        "class.admin",
        "demand.missing",
    ] {
        assert!(text.contains(path), "{path} in {text}");
    }
}

#[test]
fn a_document_demands_no_scope_of_its_own() {
    let own = "schema = 1\n[limits]\nabsolute = '8h'\n[class.admin]\nidle = '5m'\n[demand.deploy]\nscope = 'payments'";
    let bounds = PolicyBounds::new();
    let layer = SessionLayer::new(portcullis::MemoryStore::new()).policy_bounds(bounds);
    assert!(layer_with(layer, own).is_ok());
    let text = refused(&own.replace("payments", "other"));
    assert!(text.contains("demand.deploy.scope"), "{text}");
}

#[test]
fn what_a_policy_depends_on_comes_before_it() {
    let layer = SessionLayer::new(portcullis::MemoryStore::new());
    let layer = layer_with(layer, "schema = 1\n[class.admin]\nidle = '5m'").unwrap();
    let error = layer.clone().classes([]).unwrap_err().to_string();
    assert!(error.ends_with("call it before"), "{error}");
    assert!(layer.environment("production").is_err());
}

async fn a_class_that_is_optional_need_not_be_in_the_document<B: Backend>() {
    for (text, minute) in [("", 20), ("[class.admin]\nidle = '10m'", 10)] {
        let text = format!("schema = 1\n[limits]\nidle = '20m'\n{text}");
        let document = Document::parse(&text).unwrap();
        let world = World::<B>::with(|layer| {
            let layer = layer.optional_classes([ADMIN]).unwrap();
            layer.policy(&document).unwrap()
        })
        .await;
        let client = world.client();
        client.post("/login-as/admin?user=alice").await.is(204);
        world.advance(minutes(minute));
        client.get("/me").await.is(401);
    }
}
