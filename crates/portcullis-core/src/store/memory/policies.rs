//! The active policy of a realm in memory.

use std::collections::BTreeMap;

use crate::{
    Timestamp,
    store::{
        ActivatePolicy, FoundPolicy, PolicyActivated, PolicyReport, ReceivedReport, StoredPolicy,
    },
};

/// The active policy of a realm, and the reports of its processes.
#[derive(Default)]
pub(super) struct ActivePolicy {
    active: Option<StoredPolicy>,
    reports: BTreeMap<String, ReceivedReport>,
}

impl ActivePolicy {
    pub(super) fn read(&self, known: Option<u64>) -> FoundPolicy {
        match &self.active {
            None => FoundPolicy::None,
            Some(active) if Some(active.number) == known => FoundPolicy::Known,
            Some(active) => FoundPolicy::Found(active.clone()),
        }
    }

    pub(super) fn activate(
        &mut self,
        activate: ActivatePolicy<'_>,
        now: Timestamp,
    ) -> PolicyActivated {
        let number = self.active.as_ref().map(|active| active.number);
        if number != activate.expected {
            return PolicyActivated::Conflict(number);
        }
        let next = self
            .active
            .as_ref()
            .map(|active| active.since.as_millis() + 1);
        let since = next.map_or(now, |next| now.max(Timestamp::from_millis(next)));
        self.active = Some(StoredPolicy {
            number: activate.number,
            since,
            content: activate.content.clone(),
        });
        PolicyActivated::Done(since)
    }

    pub(super) fn report(&mut self, report: &PolicyReport, now: Timestamp) {
        let received = ReceivedReport {
            report: report.clone(),
            at: now,
        };
        self.forget(now);
        self.reports.insert(report.process.clone(), received);
    }

    pub(super) fn reports(&mut self, now: Timestamp) -> Vec<ReceivedReport> {
        self.forget(now);
        self.reports.values().cloned().collect()
    }

    fn forget(&mut self, now: Timestamp) {
        self.reports
            .retain(|_, received| now < received.at.after(PolicyReport::LASTS));
    }
}
