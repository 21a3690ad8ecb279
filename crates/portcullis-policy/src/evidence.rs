//! What auditors ask for: each limit with its value, where the figures come from, and why it is
//! above what they recommend.

use portcullis_core::policy::Decision;
use serde::Serialize;

use crate::{
    document::Document,
    resolve::{Resolved, Row},
};

/// One limit of one class in one environment, as evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Evidence {
    /// The environment. `None` if the document has no environments.
    pub environment: Option<String>,
    /// The class. `None` for sessions without a class.
    pub class: Option<String>,
    /// The limit, such as `idle`.
    pub limit: &'static str,
    /// Its value.
    pub value: String,
    /// The rule that decided.
    pub rule: String,
    /// What the profile recommends at most.
    pub recommended: Option<String>,
    /// Above this value, the profile refuses a document.
    pub refused_above: String,
    /// The clause that asks for this limit. The figures may be the library's own: see
    /// `docs/policies.md`.
    pub clause: &'static str,
    /// Why the value is above the recommended one.
    pub justification: Option<String>,
}

/// Rules that are about the lock of a workstation or a device. No limit of a session meets them.
pub const NOT_CLAIMED: [&str; 2] = [
    "FedRAMP AC-11 (a workstation locks after 15 minutes)",
    "CIS Controls v8, 4.3 (a workstation locks after 15 minutes, a mobile device after 2)",
];

impl Document {
    /// The evidence of what was [resolved](Self::resolve_all) from this document.
    pub fn evidence(&self, resolved: &Resolved) -> Vec<Evidence> {
        let mut evidence = Vec::new();
        for row in resolved.rows_in_use() {
            let decisions = row.limits.decisions.iter();
            evidence.extend(decisions.map(|decision| self.evidence_of(row, decision)));
        }
        evidence
    }

    fn evidence_of(&self, row: &Row, decision: &Decision) -> Evidence {
        let level = self.profile.level(decision.limit);
        let recommended = level.justified_above;
        let is_above = recommended.is_some_and(|most| decision.value.amount() > most.amount());
        let justification = self.justification(&decision.rule).filter(|_| is_above);
        Evidence {
            environment: row.environment.clone(),
            class: row.class.clone(),
            limit: decision.limit.as_str(),
            value: decision.value.to_string(),
            rule: decision.rule.clone(),
            recommended: recommended.map(|most| most.to_string()),
            refused_above: level.refused_above.to_string(),
            clause: level.clause,
            justification: justification.map(str::to_owned),
        }
    }
}
