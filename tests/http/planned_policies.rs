//! How many sessions a policy ends: counted before it is activated, and after.

use std::num::NonZeroU64;

use portcullis::{
    SessionLayer,
    audit::{EventKind, LogQuery},
    policy::{EndsAtMost, Policies, PolicyChange, PolicyError, PolicyPlan},
    session::EndReason,
};
use portcullis_core::{
    BUCKETS,
    store::{SettlePolicy, Settling, Store},
};
use portcullis_tests::{ADMIN, Backend, World, minutes, on_every_store, seconds};

on_every_store![
    p20_a_change_that_would_end_more_than_a_tenth_is_refused_unless_that_is_allowed,
    p21_a_plan_is_what_the_receipt_and_the_audit_show_afterwards,
    p15_a_rollback_spares_no_session_that_a_mistake_has_ended,
    a_plan_counts_each_class_and_changes_nothing,
    a_plan_tells_how_many_sessions_may_have_been_in_use,
    a_plan_does_not_count_what_an_earlier_version_has_ended,
    a_sample_of_all_sessions_is_exact,
    sessions_in_use_get_the_shorter_idle_timeout_when_the_policy_is_settled,
    settling_makes_no_idle_timeout_longer,
    settling_goes_on_where_another_process_has_stopped,
    a_session_that_signed_out_before_it_was_settled_is_not_counted,
];

const SHORT: &str = "schema = 1\n[limits]\nidle = '10m'";

fn change(text: &str, expected: Option<u64>) -> PolicyChange<'_> {
    PolicyChange::document(text, expected, "ada")
}

fn forced(text: &str, expected: Option<u64>) -> PolicyChange<'_> {
    change(text, expected).ends_at_most(EndsAtMost::Any)
}

/// Some people who were active a while ago, and as many who are active now.
async fn idle_and_active<B: Backend>(world: &World<B>, of_each: usize) {
    for person in 0..of_each {
        world.signed_in(&format!("idle-{person}")).await;
    }
    world.advance(minutes(20));
    for person in 0..of_each {
        world.signed_in(&format!("active-{person}")).await;
    }
    world.forget();
}

/// Lets the time pass after which a version is settled, and waits for that.
async fn settled<B: Backend>(world: &World<B>, policies: &Policies) {
    world.advance(seconds(6));
    policies.settle().await.unwrap().unwrap();
}

async fn p20_a_change_that_would_end_more_than_a_tenth_is_refused_unless_that_is_allowed<
    B: Backend,
>() {
    let world = World::<B>::start().await;
    let policies = world.layer.policies();
    idle_and_active(&world, 3).await;
    let at_most = |most| change(SHORT, None).ends_at_most(EndsAtMost::Sessions(most));
    for (refused, most) in [(change(SHORT, None), 0), (at_most(2), 2)] {
        let answer = policies.apply(refused).await;
        let Err(PolicyError::EndsTooMany { plan, most: may }) = answer else {
            panic!("{answer:?}");
        };
        assert_eq!((plan.ends(), plan.sessions(), may), (3, 6, most));
    }
    assert!(policies.versions().await.unwrap().is_none());
    let activated = policies.apply(at_most(3)).await.unwrap();
    assert_eq!(activated.plan.map(|plan| plan.ends()), Some(3));
}

async fn p21_a_plan_is_what_the_receipt_and_the_audit_show_afterwards<B: Backend>() {
    let world = World::<B>::start().await;
    let policies = world.layer.policies();
    let client = world.signed_in("someone").await;
    idle_and_active(&world, 3).await;
    let plan = policies.plan(&forced(SHORT, None)).await.unwrap();
    policies.apply(forced(SHORT, None)).await.unwrap();
    // One is ended by a request, the others in the background.
    client.get("/me").await.is(401);
    settled(&world, &policies).await;
    let receipt = policies.receipt(1).await.unwrap();
    assert_eq!((plan.ends(), receipt.total()), (4, 4));
    let is_end = |kind: &EventKind| *kind == EventKind::Ended(EndReason::PolicyTightened);
    let emitted = world.audit.take_kinds();
    assert_eq!(emitted.iter().filter(|kind| is_end(kind)).count(), 4);
    let logged = world
        .layer
        .sessions()
        .history(LogQuery::default())
        .await
        .unwrap();
    let logged = logged.into_iter().filter_map(|line| line.event);
    assert_eq!(logged.filter(|event| is_end(&event.kind)).count(), 4);
    let left = world.layer.sessions().count().await.unwrap();
    assert_eq!(left.of_users, 3);
    policies.settle().await.unwrap();
    assert_eq!(policies.receipt(1).await.unwrap(), receipt, "and once only");
}

async fn p15_a_rollback_spares_no_session_that_a_mistake_has_ended<B: Backend>() {
    let world = World::<B>::start().await;
    let policies = world.layer.policies();
    let long = "schema = 1\n[limits]\nidle = '30m'";
    policies.apply(forced(long, None)).await.unwrap();
    let client = world.signed_in("alice").await;
    world.advance(minutes(20));
    policies.apply(forced(SHORT, Some(1))).await.unwrap();
    let back = PolicyChange::roll_back(1, Some(2), "ada");
    let plan = policies.plan(&back).await.unwrap();
    assert_eq!((plan.ends(), plan.ended_before), (0, 1), "it says so");
    policies.apply(back).await.unwrap();
    client.get("/me").await.is(401);
    settled(&world, &policies).await;
    assert_eq!(policies.receipt(2).await.unwrap().total(), 1);
    assert_eq!(policies.receipt(3).await.unwrap().total(), 0);
}

fn with_admins(layer: SessionLayer) -> SessionLayer {
    layer.classes([ADMIN]).unwrap()
}

fn of_class(plan: &PolicyPlan, class: Option<&str>) -> Option<(u64, u64)> {
    let mut classes = plan.classes.iter();
    let class = classes.find(|planned| planned.class.as_deref() == class)?;
    Some((class.sessions, class.ends))
}

async fn a_plan_counts_each_class_and_changes_nothing<B: Backend>() {
    let world = World::<B>::with(with_admins).await;
    let policies = world.layer.policies();
    for user in ["ada", "grace"] {
        let client = world.client();
        client
            .post(&format!("/login-as/admin?user={user}"))
            .await
            .is(204);
    }
    world.signed_in("alice").await;
    world.shopping(&[1]).await;
    world.advance(minutes(12));
    world.forget();
    let text = "schema = 1\n[limits]\nidle = '20m'\n[class.admin]\nidle = '10m'";
    let plan = policies.plan(&change(text, None)).await.unwrap();
    assert_eq!(of_class(&plan, Some("admin")), Some((2, 2)));
    // One of a user, one of a visitor.
    assert_eq!(of_class(&plan, None), Some((2, 0)));
    assert_eq!(world.audit.take_kinds(), []);
    assert_eq!(world.layer.sessions().count().await.unwrap().total(), 4);
    assert!(policies.versions().await.unwrap().is_none());
}

async fn a_plan_tells_how_many_sessions_may_have_been_in_use<B: Backend>() {
    let world = World::<B>::start().await;
    let policies = world.layer.policies();
    world.signed_in("alice").await;
    // Activity is written in steps of a minute.
    world.advance(minutes(10) + seconds(30));
    let plan = policies.plan(&change(SHORT, None)).await.unwrap();
    assert_eq!((plan.ends(), plan.perhaps_in_use), (1, 1));
    world.advance(minutes(1));
    let plan = policies.plan(&change(SHORT, None)).await.unwrap();
    assert_eq!((plan.ends(), plan.perhaps_in_use), (1, 0));
}

async fn a_plan_does_not_count_what_an_earlier_version_has_ended<B: Backend>() {
    let world = World::<B>::start().await;
    let policies = world.layer.policies();
    idle_and_active(&world, 2).await;
    policies.apply(forced(SHORT, None)).await.unwrap();
    let shorter = "schema = 1\n[limits]\nidle = '5m'";
    let plan = policies.plan(&change(shorter, Some(1))).await.unwrap();
    assert_eq!((plan.sessions(), plan.ends(), plan.ended_before), (2, 0, 2));
}

async fn a_sample_of_all_sessions_is_exact<B: Backend>() {
    let world = World::<B>::start().await;
    let policies = world.layer.policies();
    idle_and_active(&world, 3).await;
    let all = NonZeroU64::new(1000).unwrap();
    let sample = policies
        .plan_sample(&change(SHORT, None), all)
        .await
        .unwrap();
    assert_eq!(
        (sample.counted, sample.ends, sample.interval),
        (6, 3, (3, 3))
    );
}

async fn sessions_in_use_get_the_shorter_idle_timeout_when_the_policy_is_settled<B: Backend>() {
    let world = World::<B>::start().await;
    let policies = world.layer.policies();
    world.signed_in("alice").await;
    policies.apply(forced(SHORT, None)).await.unwrap();
    settled(&world, &policies).await;
    // The store ends it by itself, as any session that is idle.
    world.advance(minutes(10));
    assert_eq!(world.layer.sessions().count().await.unwrap().total(), 0);
    world.layer.sessions().sweep().await.unwrap();
    let ended = EventKind::Ended(EndReason::IdleTimeout);
    assert!(world.audit.take_kinds().contains(&ended));
    assert_eq!(policies.receipt(1).await.unwrap().total(), 0);
}

async fn settling_makes_no_idle_timeout_longer<B: Backend>() {
    let world = World::<B>::start().await;
    let policies = world.layer.policies();
    let client = world.signed_in("alice").await;
    let longer = "schema = 1\n[limits]\nidle = '60m'";
    policies.apply(forced(longer, None)).await.unwrap();
    settled(&world, &policies).await;
    world.advance(minutes(30));
    client.get("/me").await.is(401);
}

async fn settling_goes_on_where_another_process_has_stopped<B: Backend>() {
    let world = World::<B>::start().await;
    let policies = world.layer.policies();
    world.signed_in("alice").await;
    world.advance(minutes(20));
    policies.apply(forced(SHORT, None)).await.unwrap();
    world.advance(seconds(6));
    // A process takes the turn, says that all but the last bucket are done, and dies.
    let dead = |done| SettlePolicy::new(1, "a process that dies", done);
    for done in [0, BUCKETS - 1] {
        let turn = world.store.settle_policy(dead(done)).await.unwrap();
        assert!(matches!(turn, Settling::Yours(_)), "{turn:?}");
    }
    world.advance(SettlePolicy::TURN);
    policies.settle().await.unwrap();
    // What the other said that it had done is not done again.
    assert_eq!(policies.receipt(1).await.unwrap().total(), 0);
}

async fn a_session_that_signed_out_before_it_was_settled_is_not_counted<B: Backend>() {
    let world = World::<B>::start().await;
    let policies = world.layer.policies();
    idle_and_active(&world, 2).await;
    policies.apply(forced(SHORT, None)).await.unwrap();
    let sessions = world.layer.sessions();
    sessions.revoke_all("idle-0").await.unwrap();
    settled(&world, &policies).await;
    assert_eq!(policies.receipt(1).await.unwrap().total(), 1);
}
