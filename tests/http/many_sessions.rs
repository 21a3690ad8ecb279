//! A policy for a hundred thousand sessions.

use futures_util::{StreamExt, stream};
use portcullis::{
    SessionLayer,
    audit::{EventKind, LogQuery},
    policy::{EndsAtMost, PolicyChange},
    session::EndReason,
    testing::TestSession,
};
use portcullis_tests::{Redis, World, minutes};

const IDLE: usize = 20_000;
const ACTIVE: usize = 80_000;

/// Signs in users without a server in between.
async fn sign_in_many(layer: &SessionLayer, name: &str, count: usize) {
    let sign_in = |number| TestSession::of(format!("{name}-{number}")).cookie(layer);
    let sign_ins = stream::iter((0..count).map(sign_in));
    sign_ins.buffer_unordered(64).count().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p21_plan_receipt_and_audit_agree_on_a_hundred_thousand_sessions() {
    let world = World::<Redis>::start().await;
    sign_in_many(&world.layer, "idle", IDLE).await;
    world.advance(minutes(20));
    sign_in_many(&world.layer, "active", ACTIVE).await;
    let policies = world.layer.policies();
    let change = PolicyChange::document("schema = 1\n[limits]\nidle = '10m'", None, "ada");
    let plan = policies.plan(&change).await.unwrap();
    assert_eq!(
        (plan.ends(), plan.sessions()),
        (IDLE as u64, (IDLE + ACTIVE) as u64)
    );
    let any = change.ends_at_most(EndsAtMost::Any);
    policies.apply(any).await.unwrap();
    // It waits until every process judges by the policy.
    policies.settle().await.unwrap();
    assert_eq!(policies.receipt(1).await.unwrap().total(), IDLE as u64);
    let sessions = world.layer.sessions();
    assert_eq!(sessions.count().await.unwrap().total(), ACTIVE as u64);
    let query = LogQuery {
        names: vec!["session_ended".to_owned()],
        most: 2 * (IDLE + ACTIVE),
        ..LogQuery::default()
    };
    let logged = sessions.history(query).await.unwrap();
    let tightened = EventKind::Ended(EndReason::PolicyTightened);
    let ended = logged.into_iter().filter_map(|line| line.event);
    assert_eq!(ended.filter(|event| event.kind == tightened).count(), IDLE);
}
