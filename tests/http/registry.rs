//! Processes that share a store agree on the environment and on the classes of their realm.

use portcullis::{
    SessionLayer,
    settings::{Class, Environment, Realm},
    store::{EnvironmentSet, StoreErrorKind},
};
use portcullis_tests::{Backend, CapturedLog, Client, Server, World, on_every_store};

on_every_store![
    p06_a_process_of_another_environment_uses_no_session,
    p06_a_process_that_declares_no_environment_uses_no_session_beside_one_that_does,
    a_class_with_the_character_of_another_is_refused,
    a_class_with_another_character_is_refused,
    processes_with_equal_declarations_share_sessions,
    a_refused_layer_uses_sessions_once_the_registry_is_corrected,
    a_layer_that_was_accepted_is_refused_after_its_environment_was_changed,
    a_refusal_is_logged_once_with_what_to_correct,
    realms_have_environments_of_their_own,
    the_registry_shows_environments_and_classes,
];

const ADMIN: Class = Class::new("admin", 'a');
const DEVELOPER: Class = Class::new("developer", 'd');

fn production(layer: SessionLayer) -> SessionLayer {
    let layer = layer.environment("production").unwrap();
    layer.classes([ADMIN, DEVELOPER]).unwrap()
}

/// An application in production whose realm is registered, and a user's browser.
async fn in_production<B: Backend>() -> (World<B>, Client) {
    let world = World::<B>::with(production).await;
    world.layer.register().await.unwrap();
    let client = world.signed_in("alice").await;
    (world, client)
}

/// Another process on the same store.
async fn process<B: Backend>(
    world: &World<B>,
    declare: impl FnOnce(SessionLayer) -> SessionLayer,
) -> (SessionLayer, Server) {
    let layer = declare(world.another_layer().await);
    let server = world.serve(layer.clone()).await;
    (layer, server)
}

/// Its sessions cannot be used, its other pages can, and its start fails with these words.
async fn is_refused<B: Backend>(
    world: &World<B>,
    client: &Client,
    (layer, server): (SessionLayer, Server),
    words: [&str; 2],
) {
    let there = world.client_of(&server).with_id(&client.id());
    // The first request comes before any answer of the registry.
    for target in ["/me", "/maybe", "/session"] {
        let reply = there.get(target).await;
        reply
            .is_problem(503, "session-unavailable")
            .keeps_the_cookie();
    }
    let visitor = world.client_of(&server);
    for change in ["/login?user=alice", "/cart?item=1"] {
        let reply = visitor.post(change).await;
        reply.is_problem(503, "session-unavailable");
    }
    there.get("/public").await.is(200).keeps_the_cookie();
    let refused = layer.register().await.unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::Misconfigured);
    let text = refused.to_string();
    assert!(words.iter().all(|word| text.contains(word)), "{text}");
    assert!(text.contains("the realm `id`"), "{text}");
    assert_eq!(client.get("/me").await.is(200).body(), "alice");
}

async fn p06_a_process_of_another_environment_uses_no_session<B: Backend>() {
    let (world, client) = in_production::<B>().await;
    for name in ["prod", "staging"] {
        let other = process(&world, |layer| layer.environment(name).unwrap()).await;
        let declared = format!("this process declares `{name}`");
        is_refused(&world, &client, other, ["`production`", &declared]).await;
    }
}

async fn p06_a_process_that_declares_no_environment_uses_no_session_beside_one_that_does<
    B: Backend,
>() {
    let (world, client) = in_production::<B>().await;
    let (layer, server) = process(&world, |layer| layer).await;
    // It declares nothing that the registry could contradict before it answers.
    layer.register().await.unwrap_err();
    let words = ["`production`", "this process declares none; declare it"];
    is_refused(&world, &client, (layer, server), words).await;
}

async fn a_class_with_the_character_of_another_is_refused<B: Backend>() {
    let (world, client) = in_production::<B>().await;
    let auditor = Class::new("auditor", 'a');
    let declare = |layer: SessionLayer| {
        let layer = layer.environment("production").unwrap();
        layer.classes([auditor, DEVELOPER]).unwrap()
    };
    let other = process(&world, declare).await;
    let words = ["class `admin`", "give `auditor` a character"];
    is_refused(&world, &client, other, words).await;
}

async fn a_class_with_another_character_is_refused<B: Backend>() {
    let (world, client) = in_production::<B>().await;
    let admin = Class::new("admin", 'x');
    let declare = |layer: SessionLayer| {
        let layer = layer.environment("production").unwrap();
        layer.classes([admin]).unwrap()
    };
    let other = process(&world, declare).await;
    let words = ["class `admin` has the character `a`", "declares `x`"];
    is_refused(&world, &client, other, words).await;
}

async fn processes_with_equal_declarations_share_sessions<B: Backend>() {
    let (world, client) = in_production::<B>().await;
    // A later version has another class beside those of the earlier one.
    let more = |layer| {
        let auditor = Class::new("auditor", 'u');
        let classes = [DEVELOPER, auditor, ADMIN];
        production(layer).classes(classes).unwrap()
    };
    let others = [
        process(&world, production).await,
        process(&world, more).await,
        process(&world, production).await,
    ];
    for (layer, server) in others {
        let there = world.client_of(&server).with_id(&client.id());
        assert_eq!(there.get("/me").await.is(200).body(), "alice");
        layer.register().await.unwrap();
        there.post("/put/a/b").await.is(204);
    }
}

async fn a_refused_layer_uses_sessions_once_the_registry_is_corrected<B: Backend>() {
    let (world, client) = in_production::<B>().await;
    let (layer, server) = process(&world, |layer| layer.environment("live").unwrap()).await;
    let there = world.client_of(&server).with_id(&client.id());
    there.get("/me").await.is(503);
    let live = Environment::new("live").unwrap();
    let set = layer.sessions().dangerous_set_environment(&live).await;
    let before = Environment::new("production").ok();
    assert_eq!(set.unwrap(), EnvironmentSet::Done { before });
    // The layer does this by itself every 5 seconds.
    layer.register().await.unwrap();
    assert_eq!(there.get("/me").await.is(200).body(), "alice");
}

async fn a_layer_that_was_accepted_is_refused_after_its_environment_was_changed<B: Backend>() {
    let (world, client) = in_production::<B>().await;
    let live = Environment::new("live").unwrap();
    let sessions = world.layer.sessions();
    sessions.dangerous_set_environment(&live).await.unwrap();
    client.get("/me").await.is(200);
    // The layer does this by itself every hour.
    world.layer.register().await.unwrap_err();
    client.get("/me").await.is(503);
    client.get("/public").await.is(200);
}

async fn a_refusal_is_logged_once_with_what_to_correct<B: Backend>() {
    let (world, _) = in_production::<B>().await;
    let layer = world.another_layer().await;
    let layer = layer.environment("prod").unwrap();
    let log = CapturedLog::start();
    for _ in 0..3 {
        layer.register().await.unwrap_err();
    }
    assert_eq!(log.count("ERROR"), 1, "{}", log.text());
    assert_eq!(log.count("this process declares `prod`; correct"), 1);
    let prod = Environment::new("prod").unwrap();
    let sessions = layer.sessions();
    sessions.dangerous_set_environment(&prod).await.unwrap();
    layer.register().await.unwrap();
    assert_eq!(log.count("sessions can be used"), 1, "{}", log.text());
}

async fn realms_have_environments_of_their_own<B: Backend>() {
    let (world, _) = in_production::<B>().await;
    let auditor = Class::new("auditor", 'a');
    let declare = |layer: SessionLayer| {
        let layer = layer.realm("other").unwrap().environment("staging");
        layer.unwrap().classes([auditor]).unwrap()
    };
    let (layer, server) = process(&world, declare).await;
    layer.register().await.unwrap();
    let there = world.client_of(&server);
    there.post("/login?user=alice").await.is(204);
    there.get("/me").await.is(200);
}

async fn the_registry_shows_environments_and_classes<B: Backend>() {
    let (world, _) = in_production::<B>().await;
    let realms = world.layer.sessions().realms().await.unwrap();
    let [known] = &realms[..] else {
        panic!("{realms:?}")
    };
    assert_eq!(known.realm, Realm::default());
    assert_eq!(known.environment, Environment::new("production").ok());
    let classes = known.classes.iter();
    let classes: Vec<_> = classes
        .map(|class| (class.name.as_str(), class.code.as_char()))
        .collect();
    assert_eq!(classes, [("admin", 'a'), ("developer", 'd')]);
}
