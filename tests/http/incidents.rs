//! What an operator does to many sessions at once.

use portcullis::{
    SessionLayer,
    audit::{Actor, EventKind, LogQuery},
    session::{EndReason, Selection},
};
use portcullis_tests::{ADMIN, Backend, Gate, Moment, Op, World, hours, minutes, on_every_store};

on_every_store![
    a_selection_ends_the_sessions_that_meet_every_condition_and_no_other,
    counting_a_selection_changes_nothing,
    sessions_that_begin_after_the_call_are_not_selected,
    visitors_are_selected_only_if_they_are_asked_for,
    flagged_sessions_can_be_ended_alone,
    an_operation_on_many_sessions_has_one_event_beside_those_of_the_sessions,
    all_elevations_end_and_the_sessions_stay,
    a_request_in_progress_does_not_bring_a_dropped_elevation_back,
    a_user_may_be_elevated_again_after_all_elevations_ended,
    a_session_that_expires_before_its_elevation_is_dropped_is_reported,
];

fn with_admins(layer: SessionLayer) -> SessionLayer {
    layer.classes([ADMIN]).unwrap()
}

async fn admin<B: Backend>(world: &World<B>, user: &str) -> portcullis_tests::Client {
    let client = world.client();
    world.backend.later().await;
    let reply = client.post(&format!("/login-as/admin?user={user}")).await;
    reply.is(204);
    world.forget();
    client
}

async fn a_selection_ends_the_sessions_that_meet_every_condition_and_no_other<B: Backend>() {
    let world = World::<B>::with(with_admins).await;
    let (old_admin, old) = (admin(&world, "ada").await, world.signed_in("alice").await);
    for _ in 0..6 {
        world.advance(minutes(20));
        old_admin.get("/me").await.is(200);
        old.get("/me").await.is(200);
    }
    let young_admin = admin(&world, "grace").await;
    let selection = Selection::all().of_class(&ADMIN).older_than(hours(1));
    let sessions = world.layer.sessions();
    let ended = sessions.end_selected(&selection).await.unwrap();
    assert_eq!((ended.sessions, ended.selected), (3, 1));
    old_admin.get("/me").await.is(401);
    old.get("/me").await.is(200);
    young_admin.get("/me").await.is(200);
}

async fn counting_a_selection_changes_nothing<B: Backend>() {
    let world = World::<B>::with(with_admins).await;
    let [elevated, other] = world.elevated_and_other("alice").await;
    let sessions = world.layer.sessions();
    let all = Selection::all();
    assert_eq!(sessions.count_selected(&all).await.unwrap().selected, 2);
    assert_eq!(sessions.count_elevated().await.unwrap().selected, 1);
    assert_eq!(world.audit.take_kinds(), []);
    elevated.post("/transfer").await.is(200);
    other.get("/me").await.is(200);
}

async fn sessions_that_begin_after_the_call_are_not_selected<B: Backend>() {
    let world = World::<B>::start().await;
    world.signed_in("alice").await;
    let selection = Selection::all().older_than(minutes(5));
    let sessions = world.layer.sessions();
    assert_eq!(sessions.end_selected(&selection).await.unwrap().selected, 0);
    world.advance(minutes(5));
    assert_eq!(sessions.end_selected(&selection).await.unwrap().selected, 1);
}

async fn visitors_are_selected_only_if_they_are_asked_for<B: Backend>() {
    let world = World::<B>::start().await;
    let visitor = world.shopping(&[1]).await;
    let sessions = world.layer.sessions();
    let all = Selection::all();
    assert_eq!(sessions.end_selected(&all).await.unwrap().selected, 0);
    let all = all.with_visitors();
    assert_eq!(sessions.end_selected(&all).await.unwrap().selected, 1);
    assert_eq!(visitor.get("/cart").await.is(200).body(), "[]");
}

async fn flagged_sessions_can_be_ended_alone<B: Backend>() {
    let world = World::<B>::with(with_admins).await;
    let (taken, own) = (world.signed_in("alice").await, world.signed_in("bob").await);
    let elsewhere = taken.fork().calling_itself("curl/8.0");
    elsewhere.get("/me").await.is(200);
    let flagged = Selection::all().flagged();
    let ended = world.layer.sessions().end_selected(&flagged).await.unwrap();
    assert_eq!(ended.selected, 1);
    taken.get("/me").await.is(401);
    own.get("/me").await.is(200);
}

async fn an_operation_on_many_sessions_has_one_event_beside_those_of_the_sessions<B: Backend>() {
    let world = World::<B>::with(with_admins).await;
    for user in ["ada", "grace"] {
        admin(&world, user).await;
    }
    let selection = Selection::all().of_class(&ADMIN);
    let sessions = world.layer.sessions().as_operator("ops");
    sessions.end_selected(&selection).await.unwrap();
    let ended = EventKind::Ended(EndReason::RevokedByOperator);
    let what = "sessions ended: 2 (of class admin)".to_owned();
    let many = EventKind::ManyChanged(what);
    let emitted = world.audit.take_kinds();
    assert_eq!(emitted, [ended.clone(), ended.clone(), many.clone()]);
    let logged = sessions.history(LogQuery::default()).await.unwrap();
    let logged = logged.into_iter().filter_map(|line| line.event);
    let by_ops = logged.filter(|event| event.actor == Actor::Operator("ops".to_owned()));
    let mut kinds: Vec<_> = by_ops.map(|event| event.kind).collect();
    kinds.sort_by_key(|kind| kind.as_str());
    assert_eq!(kinds, [ended.clone(), ended, many]);
}

async fn all_elevations_end_and_the_sessions_stay<B: Backend>() {
    let world = World::<B>::start().await;
    let [elevated, other] = world.elevated_and_other("alice").await;
    let id = elevated.id();
    let sessions = world.layer.sessions();
    let dropped = sessions.drop_all_elevations().await.unwrap();
    assert_eq!((dropped.sessions, dropped.selected), (2, 1));
    let emitted = world.audit.take_kinds();
    let many = "sessions that lost their elevations: 1".to_owned();
    let expected = [EventKind::ElevationDropped, EventKind::ManyChanged(many)];
    assert_eq!(emitted, expected);
    elevated.post("/transfer").await.is(401);
    elevated.get("/me").await.is(200);
    assert_eq!(elevated.id(), id, "the identifier stays");
    other.get("/me").await.is(200);
    // Nothing is left to expire.
    world.advance(minutes(20));
    sessions.sweep().await.unwrap();
    assert_eq!(world.audit.take_kinds(), []);
}

async fn a_request_in_progress_does_not_bring_a_dropped_elevation_back<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    client.elevate().await;
    let gate = Gate::closed();
    let slow = client.post("/put/a/slow").held_at(&gate).start();
    gate.reached().await;
    world.layer.sessions().drop_all_elevations().await.unwrap();
    gate.open();
    slow.reply().await.is(204);
    client.post("/transfer").await.is(401);
    assert_eq!(client.get("/get/a").await.is(200).body(), "slow");
}

async fn a_user_may_be_elevated_again_after_all_elevations_ended<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    client.elevate().await;
    world.layer.sessions().drop_all_elevations().await.unwrap();
    client.elevate().await;
    client.post("/transfer").await.is(200);
}

async fn a_session_that_expires_before_its_elevation_is_dropped_is_reported<B: Backend>() {
    let world = World::<B>::start().await;
    let client = world.signed_in("alice").await;
    client.elevate().await;
    world.forget();
    let load = world.store.hold(Op::Load, Moment::Before);
    let sessions = world.layer.sessions();
    let dropping = tokio::spawn(async move { sessions.drop_all_elevations().await });
    load.reached().await;
    world.advance(minutes(31));
    load.open();
    assert_eq!(dropping.await.unwrap().unwrap().selected, 0);
    let expired = EventKind::Ended(EndReason::IdleTimeout);
    assert!(world.audit.take_kinds().contains(&expired));
}
