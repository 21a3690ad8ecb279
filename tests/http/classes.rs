//! Classes of sessions: chosen at sign-in, each with limits of its own.

use axum::{Router, http::StatusCode, routing::post};
use portcullis::{Session, SessionError, SessionLayer, Timeouts, settings::SessionLimit};
use portcullis_tests::{
    ADMIN, Backend, Client, Explained, World, about, hours, minutes, on_every_store,
};
use serde_json::Value;

on_every_store![
    p01_a_session_of_a_class_has_the_limits_of_the_class_and_others_have_theirs,
    p02_ordinary_sessions_of_a_user_are_not_cut_short_by_a_stricter_class,
    a_class_that_is_not_declared_is_refused_and_signs_nobody_in,
    a_class_ends_with_the_next_sign_in,
    per_class_limits_of_sessions_hold_in_the_step_that_creates_one,
    a_session_of_a_class_that_this_process_does_not_know_has_the_shortest_privileges,
    p14_status_explanation_and_refusal_agree,
    an_explanation_names_the_rule_that_decides_each_deadline,
    rule_7_an_elevation_of_a_stricter_class_is_not_revived_by_a_route_of_a_laxer_one,
];

/// Administrators have 10 minutes and 2 hours, and 5 minutes for what is privileged.
fn classes(layer: SessionLayer) -> SessionLayer {
    let admin = Timeouts::new(minutes(10), hours(2)).unwrap();
    let admin = admin.with_privileged_idle(minutes(5)).unwrap();
    let layer = layer.classes([ADMIN]).unwrap();
    layer.class_timeouts(ADMIN, admin).unwrap()
}

async fn as_admin<B: Backend>(world: &World<B>) -> Client {
    let client = world.client();
    world.backend.later().await;
    client.post("/login-as/admin?user=alice").await.is(204);
    client
}

async fn explained(client: &Client) -> Explained {
    let passive = client.get("/explain").header("portcullis-passive", "1");
    passive.await.is(200).json()
}

async fn p01_a_session_of_a_class_has_the_limits_of_the_class_and_others_have_theirs<B: Backend>() {
    let world = World::<B>::with(classes).await;
    let (admin, other) = (as_admin(&world).await, world.signed_in("alice").await);
    assert_eq!(explained(&admin).await.class.as_deref(), Some("admin"));
    assert_eq!(explained(&other).await.class, None);
    world.advance(minutes(10));
    admin.get("/me").await.is(401);
    other.get("/me").await.is(200);
}

async fn p02_ordinary_sessions_of_a_user_are_not_cut_short_by_a_stricter_class<B: Backend>() {
    let world = World::<B>::with(classes).await;
    let other = world.signed_in("alice").await;
    let _admin = as_admin(&world).await;
    world.advance(minutes(29));
    other.get("/me").await.is(200);
}

async fn a_class_that_is_not_declared_is_refused_and_signs_nobody_in<B: Backend>() {
    let world = World::<B>::with(classes).await;
    let client = world.client();
    for class in ["other", "namesake"] {
        client
            .post(&format!("/login-as/{class}?user=alice"))
            .await
            .is(500);
    }
    client.get("/me").await.is(401);
}

async fn a_class_ends_with_the_next_sign_in<B: Backend>() {
    let world = World::<B>::with(classes).await;
    let client = as_admin(&world).await;
    client.elevate().await;
    assert_eq!(explained(&client).await.class.as_deref(), Some("admin"));
    client.post("/login?user=alice").await.is(204);
    assert_eq!(explained(&client).await.class, None);
    world.advance(minutes(20));
    client.get("/me").await.is(200);
}

async fn per_class_limits_of_sessions_hold_in_the_step_that_creates_one<B: Backend>() {
    let two = SessionLimit::displace(2).unwrap();
    let world = World::<B>::with(|layer| classes(layer.session_limit(two))).await;
    let others = [
        world.signed_in("alice").await,
        world.signed_in("alice").await,
    ];
    let mut admins = Vec::new();
    for _ in 0..3 {
        admins.push(as_admin(&world).await);
    }
    for other in &others {
        other.get("/me").await.is(200);
    }
    admins[0].get("/me").await.is(401);
    admins[1].get("/me").await.is(200);
    admins[2].get("/me").await.is(200);
}

async fn a_session_of_a_class_that_this_process_does_not_know_has_the_shortest_privileges<
    B: Backend,
>() {
    let world = World::<B>::with(classes).await;
    let short = Timeouts::default()
        .with_privileged_idle(minutes(1))
        .unwrap();
    let layer = SessionLayer::new(world.store.clone()).sweeping(false);
    let server = world.serve(layer.timeouts(short)).await;
    let admin = as_admin(&world).await;
    world.advance(minutes(2));
    admin.post("/operate").await.is(200);
    world.advance(minutes(2));
    let elsewhere = admin.at(server.address());
    elsewhere.post("/operate").await.is(401);
    elsewhere.get("/me").await.is(200);
    assert_eq!(explained(&elsewhere).await.class, None);
}

async fn p14_status_explanation_and_refusal_agree<B: Backend>() {
    let world = World::<B>::with(classes).await;
    let client = as_admin(&world).await;
    world.advance(minutes(1));
    let ends = explained(&client).await.ends;
    let status: Value = client.get("/session/status").await.is(200).json();
    assert_eq!(status["idle_deadline"], ends["idle"]);
    assert_eq!(status["absolute_deadline"], ends["absolute"]);
    assert_eq!(status["privileged_until"], ends["privileged_idle"]);
    let left =
        |deadline: &str| status[deadline].as_u64().unwrap() - status["now"].as_u64().unwrap();
    about(left("privileged_until"), minutes(4));
    about(left("idle_deadline"), minutes(9));

    world.advance(minutes(4));
    client.post("/operate").await.is(401);
    let status: Value = client.get("/session/status").await.is(200).json();
    assert_eq!(status["privileged_until"], Value::Null);
}

async fn an_explanation_names_the_rule_that_decides_each_deadline<B: Backend>() {
    let world = World::<B>::with(classes).await;
    let text = explained(&as_admin(&world).await).await.text.unwrap();
    for (limit, length) in [
        ("idle", "10m"),
        ("absolute", "2h"),
        ("privileged_idle", "5m"),
    ] {
        let line = format!("{limit:<16} {length:<6} SessionLayer::class_timeouts\n");
        assert!(text.contains(&line), "{text}");
    }
    let text = explained(&world.signed_in("bob").await).await.text.unwrap();
    assert!(
        text.contains("idle             30m    SessionLayer::timeouts\n"),
        "{text}"
    );
    let text = explained(&world.shopping(&[1]).await).await.text.unwrap();
    assert!(text.contains("limits of sessions without a user"), "{text}");
}

async fn elevate_before_class(session: Session) -> Result<StatusCode, SessionError> {
    session.authenticate("alice")?;
    session.elevate()?;
    session.set_class(ADMIN)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn rule_7_an_elevation_of_a_stricter_class_is_not_revived_by_a_route_of_a_laxer_one<
    B: Backend,
>() {
    let privileged = |idle| {
        let timeouts = Timeouts::new(minutes(30), hours(24)).unwrap();
        timeouts.with_privileged_idle(minutes(idle)).unwrap()
    };
    let world = World::<B>::with(|layer| {
        let layer = layer.timeouts(privileged(5)).classes([ADMIN]).unwrap();
        layer.class_timeouts(ADMIN, privileged(15)).unwrap()
    })
    .await;
    let sign_in = Router::new().route("/elevate-before-class", post(elevate_before_class));
    let (_server, client) = world.serving_also(sign_in).await;
    client.post("/elevate-before-class").await.is(204);
    client.post("/transfer").await.is(200);
    world.advance(minutes(6));
    client.post("/operate").await.is(200);
    client.post("/transfer").await.is(401);
}
