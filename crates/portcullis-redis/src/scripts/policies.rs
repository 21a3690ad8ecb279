//! Reads and activates the policy of a realm, and records which version a process uses.

use bytes::Bytes;
use portcullis_core::{
    millis,
    store::{ActivatePolicy as Activation, PolicyReport, SettlePolicy as Settle},
};

use super::{
    arguments::number,
    call::{Call, script},
};
use crate::{
    driver::Script,
    layout::{Prefix, policy},
};

/// A call of `lua/read_policy.lua`.
pub(crate) struct ReadPolicy<'c> {
    pub(crate) prefix: &'c Prefix,
    pub(crate) known: Option<u64>,
}

impl Call for ReadPolicy<'_> {
    fn script(&self) -> &'static Script {
        script!("read_policy.lua")
    }

    fn keys(&self) -> Vec<String> {
        vec![self.prefix.policy()]
    }

    fn arguments(&self) -> Vec<Bytes> {
        vec![self.known.map(policy::number).unwrap_or_default()]
    }
}

/// A call of `lua/activate_policy.lua`.
pub(crate) struct ActivatePolicy<'c> {
    pub(crate) prefix: &'c Prefix,
    pub(crate) activation: Activation<'c>,
}

impl Call for ActivatePolicy<'_> {
    fn script(&self) -> &'static Script {
        script!("activate_policy.lua")
    }

    fn keys(&self) -> Vec<String> {
        vec![self.prefix.policy()]
    }

    fn arguments(&self) -> Vec<Bytes> {
        let activation = &self.activation;
        vec![
            activation.expected.map(policy::number).unwrap_or_default(),
            policy::number(activation.number),
            activation.content.clone(),
            self.prefix.channel().into(),
        ]
    }
}

/// A call of `lua/settle_policy.lua`.
pub(crate) struct SettlePolicy<'c> {
    pub(crate) prefix: &'c Prefix,
    pub(crate) settle: Settle<'c>,
}

impl Call for SettlePolicy<'_> {
    fn script(&self) -> &'static Script {
        script!("settle_policy.lua")
    }

    fn keys(&self) -> Vec<String> {
        vec![self.prefix.policy_settling(), self.prefix.policy()]
    }

    fn arguments(&self) -> Vec<Bytes> {
        let again = self.settle.again_after;
        vec![
            policy::number(self.settle.number),
            Bytes::copy_from_slice(self.settle.worker.as_bytes()),
            number(self.settle.done.into()),
            number(millis(Settle::TURN)),
            number(millis(Settle::REMEMBERED)),
            again.map(|after| number(millis(after))).unwrap_or_default(),
        ]
    }
}

/// A call of `lua/report_policy.lua`.
pub(crate) struct ReportPolicy<'c> {
    pub(crate) prefix: &'c Prefix,
    pub(crate) report: &'c PolicyReport,
}

impl Call for ReportPolicy<'_> {
    fn script(&self) -> &'static Script {
        script!("report_policy.lua")
    }

    fn keys(&self) -> Vec<String> {
        vec![self.prefix.policy_reports()]
    }

    fn arguments(&self) -> Vec<Bytes> {
        let PolicyReport {
            process,
            number: version,
            after,
            problem,
        } = self.report;
        vec![
            Bytes::copy_from_slice(process.as_bytes()),
            version.map_or(none(), policy::number),
            Bytes::copy_from_slice(problem.as_bytes()),
            number(millis(PolicyReport::LASTS)),
            after.map_or(none(), |after| number(millis(after))),
        ]
    }
}

fn none() -> Bytes {
    Bytes::from_static(policy::NONE.as_bytes())
}
