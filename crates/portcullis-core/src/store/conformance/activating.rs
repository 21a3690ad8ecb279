//! The active policy of a realm.

use std::{future::Future, time::Duration};

use bytes::Bytes;

use super::{
    Harness, assert_close,
    people::any_realm,
    subject::{answered, join_all},
};
use crate::{
    Timestamp,
    store::{
        ActivatePolicy, FoundPolicy, PolicyActivated, PolicyReport, ReceivedReport, Store,
        StoredPolicy,
    },
};

/// A realm that no other rule uses.
pub(super) struct InRealm<S>(pub(super) S);

pub(super) fn some_realm<H: Harness>(harness: &H) -> InRealm<H::Store> {
    InRealm(harness.store().in_realm(&any_realm()))
}

impl<S: Store> InRealm<S> {
    #[track_caller]
    fn policy(&self, known: Option<u64>) -> impl Future<Output = FoundPolicy> + '_ {
        let place = std::panic::Location::caller();
        async move { answered(self.0.policy(known).await, "policy", place) }
    }

    #[track_caller]
    fn activate(
        &self,
        expected: Option<u64>,
        number: u64,
        content: &'static str,
    ) -> impl Future<Output = PolicyActivated> + '_ {
        let place = std::panic::Location::caller();
        async move {
            let content = Bytes::from_static(content.as_bytes());
            let activate = ActivatePolicy::new(expected, number, &content);
            let activated = self.0.activate_policy(activate).await;
            answered(activated, "activate_policy", place)
        }
    }

    /// Activates a version, which must succeed.
    pub(super) async fn done(
        &self,
        expected: Option<u64>,
        number: u64,
        content: &'static str,
    ) -> Timestamp {
        match self.activate(expected, number, content).await {
            PolicyActivated::Done(since) => since,
            PolicyActivated::Conflict(active) => panic!("{active:?} is active"),
        }
    }

    async fn report(&self, process: &str, number: Option<u64>, problem: &str) -> PolicyReport {
        let report = PolicyReport {
            process: process.to_owned(),
            number,
            after: number.map(Duration::from_millis),
            problem: problem.to_owned(),
        };
        let reported = self.0.report_policy(&report).await;
        answered(reported, "report_policy", std::panic::Location::caller());
        report
    }

    async fn reports(&self) -> Vec<ReceivedReport> {
        let reports = self.0.policy_reports().await;
        answered(reports, "policy_reports", std::panic::Location::caller())
    }
}

/// And with the moment of its activation, by the store's clock.
pub async fn an_activated_policy_is_read_as_it_was_written<H: Harness>(harness: &H) {
    let realm = some_realm(harness);
    assert_eq!(realm.policy(None).await, FoundPolicy::None);
    assert_eq!(realm.policy(Some(3)).await, FoundPolicy::None);
    let since = realm.done(None, 7, "seven\n{}").await;
    assert_close::<H>("the activation", since, realm.0.now());
    let found = FoundPolicy::Found(StoredPolicy {
        number: 7,
        since,
        content: Bytes::from_static(b"seven\n{}"),
    });
    assert_eq!(realm.policy(None).await, found);
    assert_eq!(realm.policy(Some(6)).await, found);
    assert_eq!(realm.policy(Some(7)).await, FoundPolicy::Known);
}

/// P19: one that another operator activated meanwhile is not overwritten.
pub async fn p19_a_policy_is_activated_only_in_place_of_the_expected_one<H: Harness>(harness: &H) {
    let realm = some_realm(harness);
    let none = PolicyActivated::Conflict(None);
    assert_eq!(realm.activate(Some(1), 2, "two").await, none);
    realm.done(None, 1, "one").await;
    let one = PolicyActivated::Conflict(Some(1));
    assert_eq!(realm.activate(None, 2, "two").await, one);
    assert_eq!(realm.activate(Some(3), 4, "two").await, one);
    assert_eq!(realm.policy(Some(1)).await, FoundPolicy::Known);
    realm.done(Some(1), 2, "two").await;
    assert_eq!(realm.policy(Some(2)).await, FoundPolicy::Known);
}

/// P19.
pub async fn p19_of_many_activations_at_once_exactly_one_succeeds<H: Harness>(harness: &H) {
    let realm = some_realm(harness);
    realm.done(None, 1, "one").await;
    let contents = ["a", "b", "c", "d"];
    let all = contents.map(|content| realm.activate(Some(1), 2, content));
    let answers = join_all(all).await;
    let done = |answer: &&PolicyActivated| matches!(answer, PolicyActivated::Done(_));
    assert_eq!(answers.iter().filter(done).count(), 1, "{answers:?}");
}

/// So each version has been in force for some time.
pub async fn each_version_of_a_policy_is_later_than_the_one_before<H: Harness>(harness: &H) {
    let realm = some_realm(harness);
    let mut before = realm.done(None, 1, "one").await;
    for number in 2..6 {
        let since = realm.done(Some(number - 1), number, "again").await;
        assert!(before < since);
        before = since;
    }
}

/// Each realm has its own.
pub async fn a_policy_belongs_to_one_realm<H: Harness>(harness: &H) {
    let (one, other) = (some_realm(harness), some_realm(harness));
    one.done(None, 1, "one").await;
    assert_eq!(other.policy(None).await, FoundPolicy::None);
    one.report("web-1", Some(1), "").await;
    assert_eq!(other.reports().await, []);
}

/// The last one of each.
pub async fn the_reports_of_processes_are_read_until_they_are_too_old<H: Harness>(harness: &H) {
    let realm = some_realm(harness);
    realm.report("web-2", None, "").await;
    let second = realm
        .report("web-2", Some(3), "limits.idle: it is 2h")
        .await;
    let first = realm.report("web-1", Some(4), "").await;
    let reports = realm.reports().await;
    let now = realm.0.now();
    for received in &reports {
        assert_close::<H>("the report", received.at, now);
    }
    let reports: Vec<_> = reports
        .into_iter()
        .map(|received| received.report)
        .collect();
    assert_eq!(reports, [first, second]);
    if H::PATIENCE > PolicyReport::LASTS {
        harness.advance(PolicyReport::LASTS).await;
        assert_eq!(realm.reports().await, []);
    }
}
