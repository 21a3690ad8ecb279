//! The active policy of a realm in memory.

use std::collections::BTreeMap;

use crate::{
    BUCKETS, Bucket, ClassCode, Timestamp,
    store::{
        ActivatePolicy, FoundPolicy, PolicyActivated, PolicyEnds, PolicyReport, ReceivedReport,
        SettlePolicy, Settling, StoredPolicy,
    },
};

/// The active policy of a realm, and the reports of its processes.
#[derive(Default)]
pub(super) struct ActivePolicy {
    active: Option<StoredPolicy>,
    reports: BTreeMap<String, ReceivedReport>,
    settling: Option<Turn>,
    /// How many sessions each version has ended.
    ends: BTreeMap<(u64, ClassCode), u64>,
}

/// How far the settling of a version is, and who has the turn until when.
struct Turn {
    number: u64,
    next: u16,
    worker: String,
    until: Timestamp,
    settled_at: Option<Timestamp>,
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

    pub(super) fn settle(&mut self, settle: SettlePolicy<'_>, now: Timestamp) -> Settling {
        let active = self.active.as_ref();
        if active.is_none_or(|active| active.number != settle.number) {
            return Settling::Superseded;
        }
        let is_over = |at: Timestamp| settle.again_after.is_some_and(|it| now >= at.after(it));
        let known = self.settling.take().filter(|known| {
            known.number == settle.number && !known.settled_at.is_some_and(is_over)
        });
        let mut turn = known.unwrap_or_else(|| Turn {
            number: settle.number,
            next: 0,
            worker: settle.worker.to_owned(),
            until: now,
            settled_at: None,
        });
        let is_free = now >= turn.until;
        let answer = if let Some(at) = turn.settled_at {
            Settling::Done(at)
        } else if turn.worker != settle.worker && !is_free {
            Bucket::from_number(turn.next).map_or(Settling::Done(now), Settling::Others)
        } else {
            if turn.worker == settle.worker && !is_free {
                turn.next = turn.next.max(settle.done.min(BUCKETS));
            }
            settle.worker.clone_into(&mut turn.worker);
            turn.until = now.after(SettlePolicy::TURN);
            match Bucket::from_number(turn.next) {
                Some(bucket) => Settling::Yours(bucket),
                None => {
                    turn.settled_at = Some(now);
                    Settling::Done(now)
                }
            }
        };
        self.settling = Some(turn);
        answer
    }

    pub(super) fn count_end(&mut self, version: u64, class: ClassCode) {
        *self.ends.entry((version, class)).or_default() += 1;
    }

    pub(super) fn ends(&self, version: u64) -> PolicyEnds {
        let ends = self.ends.iter();
        ends.filter(|((number, _), _)| *number == version)
            .map(|((_, class), count)| (*class, *count))
            .collect()
    }

    fn forget(&mut self, now: Timestamp) {
        self.reports
            .retain(|_, received| now < received.at.after(PolicyReport::LASTS));
    }
}
