//! Policies that an operator tightens for a time.

use portcullis::policy::{EndsAtMost, Policies, PolicyChange, PolicyError, Tightening};
use portcullis_tests::{Backend, Memory, Redis, World, about, hours, minutes, on_every_store};

on_every_store![
    a_tightening_holds_at_once,
    another_document_is_tightened_too,
    one_tightening_holds_at_a_time_and_can_be_cancelled,
    a_tightening_is_planned_and_bounded_as_any_change_is,
    a_policy_that_is_not_active_cannot_be_tightened,
];

const DOCUMENT: &str = "schema = 1\n[limits]\nidle = '30m'";

fn to_idle(idle: u64) -> Tightening {
    Tightening {
        idle: Some(minutes(idle)),
        ..Tightening::default()
    }
}

/// An active document, as version 1.
async fn active<B: Backend>(world: &World<B>) -> Policies {
    let policies = world.layer.policies();
    let change = PolicyChange::document(DOCUMENT, None, "ada");
    policies
        .apply(change.ends_at_most(EndsAtMost::Any))
        .await
        .unwrap();
    policies
}

async fn tighten(policies: &Policies, idle: u64, lasts: u64, expected: u64) {
    let change = PolicyChange::tighten(to_idle(idle), minutes(lasts), Some(expected), "ada");
    policies
        .apply(change.ends_at_most(EndsAtMost::Any))
        .await
        .unwrap();
}

async fn a_tightening_holds_at_once<B: Backend>() {
    let world = World::<B>::start().await;
    let policies = active(&world).await;
    let (idle, used) = (world.signed_in("alice").await, world.signed_in("bob").await);
    world.advance(minutes(10));
    used.get("/me").await.is(200);
    tighten(&policies, 5, 120, 1).await;
    idle.get("/me").await.is(401);
    about(used.view().await.idle_left, minutes(5));
    let versions = policies.versions().await.unwrap().unwrap();
    let overlay = versions.active().unwrap().overlay.unwrap();
    assert_eq!(overlay.limits.idle(), minutes(5));
}

async fn another_document_is_tightened_too<B: Backend>() {
    let world = World::<B>::start().await;
    let policies = active(&world).await;
    tighten(&policies, 5, 120, 1).await;
    let longer = "schema = 1\n[limits]\nidle = '60m'";
    let change = PolicyChange::document(longer, Some(2), "ada");
    policies.apply(change).await.unwrap();
    about(
        world.signed_in("alice").await.view().await.idle_left,
        minutes(5),
    );
    let back = PolicyChange::roll_back(1, Some(3), "ada");
    policies.apply(back).await.unwrap();
    about(
        world.signed_in("alice").await.view().await.idle_left,
        minutes(5),
    );
}

async fn one_tightening_holds_at_a_time_and_can_be_cancelled<B: Backend>() {
    let world = World::<B>::start().await;
    let policies = active(&world).await;
    let cancel = |expected| PolicyChange::cancel_tightening(Some(expected), "ada");
    assert!(policies.apply(cancel(1)).await.unwrap().unchanged);
    tighten(&policies, 5, 120, 1).await;
    let second = PolicyChange::tighten(to_idle(10), minutes(10), Some(2), "grace");
    let refused = policies.apply(second).await;
    assert!(
        matches!(refused, Err(PolicyError::Tightened { .. })),
        "{refused:?}"
    );
    let cancelled = policies.apply(cancel(2)).await.unwrap();
    assert_eq!((cancelled.number, cancelled.unchanged), (3, false));
    about(
        world.signed_in("alice").await.view().await.idle_left,
        minutes(30),
    );
    policies.apply(second_of(3)).await.unwrap();
}

fn second_of(expected: u64) -> PolicyChange<'static> {
    PolicyChange::tighten(to_idle(10), minutes(10), Some(expected), "grace")
}

async fn a_tightening_is_planned_and_bounded_as_any_change_is<B: Backend>() {
    let world = World::<B>::start().await;
    let policies = active(&world).await;
    world.signed_in("alice").await;
    world.advance(minutes(10));
    let change = PolicyChange::tighten(to_idle(5), minutes(10), Some(1), "ada");
    assert_eq!(policies.plan(&change).await.unwrap().ends(), 1);
    let refused = policies.apply(change).await;
    assert!(
        matches!(refused, Err(PolicyError::EndsTooMany { .. })),
        "{refused:?}"
    );
    for (limits, lasts) in [
        (Tightening::default(), hours(1)),
        (to_idle(0), hours(1)),
        (to_idle(5), hours(24 * 31)),
    ] {
        let change = PolicyChange::tighten(limits, lasts, Some(1), "ada");
        let refused = policies.plan(&change).await;
        assert!(
            matches!(refused, Err(PolicyError::Limits(_))),
            "{refused:?}"
        );
    }
}

async fn a_policy_that_is_not_active_cannot_be_tightened<B: Backend>() {
    let world = World::<B>::start().await;
    let change = PolicyChange::tighten(to_idle(5), hours(1), None, "ada");
    let refused = world.layer.policies().apply(change).await;
    assert!(matches!(refused, Err(PolicyError::NoPolicy)), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_tightening_the_document_holds_and_what_has_ended_stays_ended() {
    let world = World::<Memory>::start().await;
    let policies = active(&world).await;
    let (idle, used) = (world.signed_in("alice").await, world.signed_in("bob").await);
    tighten(&policies, 5, 10, 1).await;
    for _ in 0..3 {
        world.advance(minutes(3));
        used.get("/me").await.is(200);
    }
    about(used.view().await.idle_left, minutes(5));
    world.advance(minutes(2));
    // It was idle for longer than 5 minutes while the tightening held, and nobody looked.
    idle.get("/me").await.is(401);
    used.get("/me").await.is(200);
    about(used.view().await.idle_left, minutes(30));
    world.advance(minutes(20));
    used.get("/me").await.is(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_starts_after_a_tightening_has_the_document_alone() {
    let world = World::<Redis>::start().await;
    let policies = active(&world).await;
    tighten(&policies, 5, 60, 1).await;
    world.advance(minutes(59));
    let server = world.another_server().await;
    let client = world.client_of(&server);
    client.post("/login?user=alice").await.is(204);
    about(client.view().await.idle_left, minutes(5));
    world.advance(minutes(2));
    let server = world.another_server().await;
    let client = world.client_of(&server);
    client.post("/login?user=alice").await.is(204);
    about(client.view().await.idle_left, minutes(30));
}
