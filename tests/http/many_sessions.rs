//! A policy for a hundred thousand sessions.

use std::sync::Arc;

use futures_util::{StreamExt, stream};
use portcullis::{
    audit::{EventKind, LogQuery},
    policy::{EndsAtMost, PolicyChange},
    session::EndReason,
};
use portcullis_core::{
    SystemRandom, VisitorLimits,
    store::{Activity, Create, Created, Store},
    unit_of_work::{SessionSettings, Step, UnitOfWork},
};
use portcullis_redis::RedisStore;
use portcullis_tests::{Backend, Redis, World, minutes};

const IDLE: usize = 20_000;
const ACTIVE: usize = 80_000;

/// Signs in users without a server in between.
async fn sign_in_many(store: &RedisStore, name: &str, count: usize) {
    let settings = SessionSettings {
        policy: Arc::default(),
        payload_limit: 4096,
        visitors: VisitorLimits::default(),
    };
    let sign_in = |number| {
        let (settings, store) = (settings.clone(), store.clone());
        async move {
            let now = store.now();
            let mut unit = UnitOfWork::without_session(settings, None);
            let user = format!("{name}-{number}");
            unit.authenticate(user.into(), now).unwrap();
            let plan = unit.plan(Activity::Active, now, &mut SystemRandom).unwrap();
            let Step::Create {
                id,
                write,
                limits,
                others,
            } = plan.step
            else {
                panic!("{:?}", plan.step)
            };
            let key = id.key();
            let created = store
                .create(Create::new(&key, &write, limits, &others))
                .await;
            assert!(matches!(created, Ok(Created::Done(..))), "{created:?}");
        }
    };
    let sign_ins = stream::iter((0..count).map(sign_in));
    sign_ins.buffer_unordered(64).collect::<()>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p21_plan_receipt_and_audit_agree_on_a_hundred_thousand_sessions() {
    let world = World::<Redis>::start().await;
    let store = world.backend.store();
    sign_in_many(&store, "idle", IDLE).await;
    world.advance(minutes(20));
    sign_in_many(&store, "active", ACTIVE).await;
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
