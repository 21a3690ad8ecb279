//! Policies that an operator activates while the application runs.

use std::time::{Duration, Instant};

use portcullis::{
    SessionLayer, Timeouts,
    audit::EventKind,
    policy::{
        EndsAtMost, LimitName, Policies, PolicyBounds, PolicyChange, PolicyError, PolicyReport,
    },
    session::EndReason,
};
use portcullis_core::store::{ActivatePolicy, PolicyActivated, Store};
use portcullis_tests::{
    Backend, Client, Explained, Moment, Op, Operate, Redis, World, a_moment, about, hours, minutes,
    on_every_store, seconds, soon, within,
};

on_every_store![
    p09_a_tightened_limit_ends_sessions_that_exceed_it_at_their_next_use,
    p09_a_process_that_did_not_activate_it_learns_of_it_within_the_interval,
    p10_a_loosening_after_a_tightening_revives_nothing,
    p11_a_loosened_idle_timeout_holds_from_the_next_activity,
    p12_a_tightened_absolute_timeout_ends_older_sessions_now,
    p13_a_sign_in_has_the_limits_of_the_active_policy_without_a_restart,
    p14_status_and_explanation_name_the_active_policy,
    p16_a_process_that_could_not_ask_for_a_while_asks_before_it_judges,
    p17_a_process_keeps_the_last_good_policy_if_another_is_damaged_or_contradicts_it,
    p19_of_two_operators_who_activate_at_once_one_is_told,
    a_policy_that_is_active_is_not_activated_again_and_an_earlier_one_can_be,
    a_session_that_a_policy_has_ended_is_not_listed,
    a_stream_ends_with_a_session_that_a_policy_ends,
    lost_privileges_are_not_restored_by_a_looser_policy,
    a_stream_ends_when_a_policy_tightens_its_demand,
];

fn often(layer: SessionLayer) -> SessionLayer {
    layer.policy_interval(seconds(1)).unwrap()
}

/// Activates limits in place of those that are active.
async fn activate(policies: &Policies, limits: &str) -> u64 {
    let active = policies.versions().await.unwrap();
    let expected = active.and_then(|it| it.active().map(|active| active.number));
    let text = format!("schema = 1\n[limits]\n{limits}");
    let change = PolicyChange::document(&text, expected, "ada").reason(Some("SEC-214"));
    let activated = policies.apply(change.ends_at_most(EndsAtMost::Any)).await;
    activated.unwrap().number
}

/// Waits until a process reports this.
async fn reported(policies: &Policies, what: impl Fn(&PolicyReport) -> bool) {
    reported_by(policies, 1, what).await;
}

async fn refused(client: &Client) -> String {
    let reply = client.get("/me").await;
    reply.is(401).json::<serde_json::Value>()["reason"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

async fn p09_a_tightened_limit_ends_sessions_that_exceed_it_at_their_next_use<B: Backend>() {
    let world = World::<B>::start().await;
    let policies = world.layer.policies();
    let (idle, active) = (world.signed_in("alice").await, world.signed_in("bob").await);
    world.advance(minutes(10));
    active.get("/me").await.is(200);
    world.advance(minutes(10));
    activate(&policies, "idle = '15m'").await;
    world.forget();
    let tab = idle.fork();
    assert_eq!(refused(&idle).await, "policy_tightened");
    active.get("/me").await.is(200);
    let ended = EventKind::Ended(EndReason::PolicyTightened);
    assert_eq!(world.audit.take_kinds(), [ended]);
    assert_eq!(refused(&tab).await, "policy_tightened", "and stays so");
    world.advance(minutes(15));
    assert_eq!(refused(&active).await, "idle_timeout");
}

async fn p09_a_process_that_did_not_activate_it_learns_of_it_within_the_interval<B: Backend>() {
    let world = World::<B>::with(often).await;
    let elsewhere = often(world.another_layer().await);
    let client = world.signed_in("alice").await;
    world.advance(minutes(20));
    let number = activate(&elsewhere.policies(), "idle = '15m'").await;
    tokio::time::sleep(seconds(1)).await;
    assert_eq!(refused(&client).await, "policy_tightened");
    reported(&world.layer.policies(), |report| {
        report.number == Some(number)
    })
    .await;
}

async fn p10_a_loosening_after_a_tightening_revives_nothing<B: Backend>() {
    let world = World::<B>::start().await;
    let policies = world.layer.policies();
    let client = world.signed_in("alice").await;
    world.advance(minutes(25));
    activate(&policies, "idle = '15m'").await;
    activate(&policies, "idle = '30m'").await;
    assert_eq!(refused(&client).await, "policy_tightened");
}

async fn p11_a_loosened_idle_timeout_holds_from_the_next_activity<B: Backend>() {
    let world = World::<B>::start().await;
    let policies = world.layer.policies();
    let (idle, active) = (world.signed_in("alice").await, world.signed_in("bob").await);
    world.advance(minutes(20));
    activate(&policies, "idle = '60m'").await;
    active.get("/me").await.is(200);
    world.advance(minutes(10));
    assert_eq!(refused(&idle).await, "idle_timeout");
    world.advance(minutes(45));
    active.get("/me").await.is(200);
}

async fn p12_a_tightened_absolute_timeout_ends_older_sessions_now<B: Backend>() {
    let world = World::<B>::start().await;
    let policies = world.layer.policies();
    let old = world.signed_in("alice").await;
    for _ in 0..4 {
        world.advance(minutes(25));
        old.get("/me").await.is(200);
    }
    let young = world.signed_in("bob").await;
    activate(&policies, "absolute = '1h'").await;
    assert_eq!(refused(&old).await, "policy_tightened");
    about(young.view().await.absolute_left, hours(1));
}

async fn p13_a_sign_in_has_the_limits_of_the_active_policy_without_a_restart<B: Backend>() {
    let world = World::<B>::start().await;
    let policies = world.layer.policies();
    activate(&policies, "idle = '10m'\nabsolute = '2h'").await;
    let view = world.signed_in("alice").await.view().await;
    about(view.idle_left, minutes(10));
    about(view.absolute_left, hours(2));
    activate(&policies, "idle = '1h'\nabsolute = '24h'").await;
    let view = world.signed_in("alice").await.view().await;
    about(view.idle_left, hours(1));
    about(view.absolute_left, hours(24));
}

async fn p14_status_and_explanation_name_the_active_policy<B: Backend>() {
    let world = World::<B>::start().await;
    let policies = world.layer.policies();
    let client = world.signed_in("alice").await;
    activate(&policies, "idle = '20m'\nabsolute = '2h'").await;
    world.advance(minutes(2));
    client.get("/me").await.is(200);
    let explained: Explained = client.get("/explain").await.is(200).json();
    let text = explained.text.unwrap();
    for part in [
        "limits.idle\n",
        "20m",
        "limits.absolute\n",
        "2h",
        ", no class\n",
    ] {
        assert!(text.contains(part), "{text}");
    }
    let view = client.view().await;
    about(view.idle_left, minutes(20));
    about(view.absolute_left, minutes(118));
    let ends = |limit: &str| explained.ends[limit];
    assert_eq!(
        ends("absolute") - ends("idle"),
        view.absolute_left - view.idle_left
    );
}

async fn p16_a_process_that_could_not_ask_for_a_while_asks_before_it_judges<B: Backend>() {
    let world = World::<B>::with(often).await;
    let elsewhere = world.another_layer().await;
    let (idle, active) = (world.signed_in("alice").await, world.signed_in("bob").await);
    world.advance(minutes(10));
    active.get("/me").await.is(200);
    world.advance(minutes(10));
    active.post("/operate").await.is(401);
    active.elevate().await;
    world.advance(minutes(6));
    // The task that asks at intervals gets no answer from now on.
    let gate = world.store.hold(Op::Policy, Moment::Before);
    gate.reached().await;
    activate(
        &elsewhere.policies(),
        "idle = '15m'\nprivileged_idle = '5m'",
    )
    .await;
    tokio::time::sleep(seconds(1)).await;
    active.post("/operate").await.is(401);
    assert_eq!(refused(&idle).await, "policy_tightened");
    gate.open();
}

async fn p17_a_process_keeps_the_last_good_policy_if_another_is_damaged_or_contradicts_it<
    B: Backend,
>() {
    let most = PolicyBounds::new()
        .at_most(LimitName::Idle, minutes(20))
        .unwrap();
    let world = World::<B>::with(|layer| {
        let own = Timeouts::new(minutes(20), hours(24)).unwrap();
        often(layer.policy_bounds(most.clone()).timeouts(own))
    })
    .await;
    let policies = world.layer.policies();
    activate(&policies, "idle = '10m'").await;
    let over = activate(&policies, "idle = '25m'").await;
    let view = world.signed_in("alice").await.view().await;
    about(view.idle_left, minutes(10));

    let garbage = (&b"garbage"[..]).into();
    let damaged = ActivatePolicy::new(Some(over), over + 1, &garbage);
    let activated = world.store.activate_policy(damaged).await.unwrap();
    assert!(matches!(activated, PolicyActivated::Done(_)));
    tokio::time::sleep(seconds(1)).await;
    let view = world.signed_in("alice").await.view().await;
    about(view.idle_left, minutes(10));
    assert!(matches!(
        policies.versions().await,
        Err(PolicyError::Unreadable(_))
    ));
    reported(&policies, |report| {
        report.problem.contains("cannot be read")
    })
    .await;
}

async fn p19_of_two_operators_who_activate_at_once_one_is_told<B: Backend>() {
    let world = World::<B>::start().await;
    let policies = world.layer.policies();
    let text = |idle: u32| format!("schema = 1\n[limits]\nidle = '{idle}m'");
    let (one, other) = (text(10), text(20));
    let (one, other) = tokio::join!(
        policies.apply(PolicyChange::document(&one, None, "ada")),
        policies.apply(PolicyChange::document(&other, None, "grace"))
    );
    let active = policies.versions().await.unwrap().unwrap();
    let by = &*active.active().unwrap().by;
    match (one, other) {
        (Ok(_), Err(PolicyError::Conflict { active: Some(1) })) => assert_eq!(by, "ada"),
        (Err(PolicyError::Conflict { active: Some(1) }), Ok(_)) => assert_eq!(by, "grace"),
        answers => panic!("{answers:?}"),
    }
}

async fn a_policy_that_is_active_is_not_activated_again_and_an_earlier_one_can_be<B: Backend>() {
    let world = World::<B>::start().await;
    let policies = world.layer.policies();
    let first = activate(&policies, "idle = '10m'").await;
    let text = "schema = 1\n# The same limits.\n[limits]\nidle = '600s'";
    let again = policies
        .apply(PolicyChange::document(text, Some(first), "ada"))
        .await
        .unwrap();
    assert!(again.unchanged && again.number == first);
    let second = activate(&policies, "idle = '20m'").await;
    let back = policies
        .apply(PolicyChange::roll_back(first, Some(second), "ada").reason(Some("a mistake")))
        .await;
    let back = back.unwrap();
    assert!(back.number > second && !back.unchanged);
    let view = world.signed_in("alice").await.view().await;
    about(view.idle_left, minutes(10));
    let unknown = policies
        .apply(PolicyChange::roll_back(99, Some(back.number), "ada"))
        .await;
    assert!(matches!(
        unknown,
        Err(PolicyError::UnknownVersion { number: 99 })
    ));
}

async fn a_session_that_a_policy_has_ended_is_not_listed<B: Backend>() {
    let world = World::<B>::start().await;
    let policies = world.layer.policies();
    world.signed_in("alice").await;
    world.advance(minutes(20));
    world.signed_in("alice").await;
    activate(&policies, "idle = '15m'").await;
    let listed = world.layer.sessions().list("alice").await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].info.idle_timeout, minutes(15));
}

async fn a_stream_ends_with_a_session_that_a_policy_ends<B: Backend>() {
    let world = World::<B>::start().await;
    let policies = world.layer.policies();
    let client = world.signed_in("alice").await;
    let mut events = client.get("/live").listen().await;
    events.go_on().await;
    world.advance(minutes(20));
    activate(&policies, "idle = '15m'").await;
    let reason = within(seconds(5), events.reason()).await;
    assert_eq!(reason, "policy_tightened");
}

async fn lost_privileges_are_not_restored_by_a_looser_policy<B: Backend>() {
    let world = World::<B>::start().await;
    let policies = world.layer.policies();
    let client = world.signed_in("alice").await;
    world.advance(minutes(8));
    activate(&policies, "privileged_idle = '5m'").await;
    activate(&policies, "privileged_idle = '15m'").await;
    client.post("/operate").await.is(401);
    client.get("/me").await.is(200);
    client.elevate().await;
    client.post("/operate").await.is(200);
}

async fn a_stream_ends_when_a_policy_tightens_its_demand<B: Backend>() {
    let world = World::<B>::with(|layer| soon(layer.demand::<Operate>())).await;
    let client = world.signed_in("alice").await;
    let mut events = client.get("/live/operate").listen().await;
    events.go_on().await;
    let text = "schema = 1\n[demand.operate]\nmax_auth_age = '1m'";
    let policies = world.layer.policies();
    let activated = policies
        .apply(PolicyChange::document(text, None, "ada"))
        .await;
    activated.unwrap();
    world.advance(minutes(2));
    client.post("/operate").await.is(401);
    let reason = within(seconds(3), events.reason()).await;
    assert_eq!(reason, "elevation_ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn p18_a_process_keeps_the_policy_that_the_store_has_lost_and_says_so() {
    let world = World::<Redis>::with(often).await;
    let policies = world.layer.policies();
    let first = activate(&policies, "idle = '10m'").await;
    activate(&policies, "idle = '12m'").await;
    world.backend.server().cli(&["FLUSHALL"]);
    tokio::time::sleep(seconds(1)).await;
    let view = world.signed_in("alice").await.view().await;
    about(view.idle_left, minutes(12));
    reported(&policies, |report| {
        report.problem.contains("has lost the policy")
    })
    .await;

    let again = activate(&policies, "idle = '14m'").await;
    assert!(
        again > first + 1,
        "no process goes back to an earlier version"
    );
    tokio::time::sleep(seconds(1)).await;
    let view = world.signed_in("alice").await.view().await;
    about(view.idle_left, minutes(14));
}

/// A process asks at most three times in that time.
const BEFORE_THE_THIRD_QUESTION: Duration = Duration::from_secs(9);

#[tokio::test(flavor = "multi_thread")]
async fn another_process_is_told_of_each_activation_and_need_not_wait_for_its_next_question() {
    let world = World::<Redis>::start().await;
    let policies = world.layer.policies();
    activate(&policies, "idle = '20m'").await;
    let elsewhere = world.another_server().await;
    let _served = world.client_of(&elsewhere).get("/me").await;
    let uses = |number| move |report: &PolicyReport| report.number == Some(number);
    reported_by(&policies, 2, uses(1)).await;
    // The subscription is up as soon as one activation arrives by it.
    let begun = Instant::now();
    for idle in 10..15 {
        let number = activate(&policies, &format!("idle = '{idle}m'")).await;
        reported_by(&policies, 2, uses(number)).await;
    }
    assert!(
        begun.elapsed() < BEFORE_THE_THIRD_QUESTION,
        "{:?}",
        begun.elapsed()
    );
    let reports = policies.reports().await.unwrap();
    assert!(
        reports.iter().all(|it| it.report.after.is_some()),
        "{reports:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn p16_a_process_that_is_not_told_asks_in_time() {
    let world = World::<Redis>::with(often).await;
    let elsewhere = often(world.another_layer().await);
    let elsewhere = world.serve(elsewhere).await;
    let client = world.signed_in("alice").await.at(elsewhere.address());
    activate(&world.layer.policies(), "idle = '25m'").await;
    client.get("/me").await.is(200);
    let forbidden = ["ACL", "SETUSER", "default", "-publish"];
    assert_eq!(world.backend.server().cli(&forbidden).text(), "OK");
    world.advance(minutes(20));
    activate(&world.layer.policies(), "idle = '15m'").await;
    tokio::time::sleep(seconds(1)).await;
    assert_eq!(refused(&client).await, "policy_tightened");
}

/// Waits until this many processes report this.
async fn reported_by(policies: &Policies, processes: usize, what: impl Fn(&PolicyReport) -> bool) {
    let begun = Instant::now();
    loop {
        let reports = policies.reports().await.unwrap();
        if reports.iter().filter(|it| what(&it.report)).count() >= processes {
            return;
        }
        assert!(begun.elapsed() < seconds(20), "{reports:?}");
        a_moment().await;
    }
}
