//! The active policy of a realm, and the reports of its processes.

use portcullis_core::{
    Timestamp,
    store::{
        ActivatePolicy, FoundPolicy, PolicyActivated, PolicyReport, ReceivedReport, StoreError,
        StoreErrorKind,
    },
};

use super::context::Context;
use crate::{
    driver::{Command, Reply, wrong_reply},
    layout::policy,
    scripts,
};

/// Reads the active policy, unless it is the known one.
pub(super) async fn read(context: &Context, known: Option<u64>) -> Result<FoundPolicy, StoreError> {
    let prefix = context.prefix();
    match context.run(&scripts::ReadPolicy { prefix, known }).await? {
        Reply::Gone => Ok(FoundPolicy::None),
        Reply::Listed(0, _) => Ok(FoundPolicy::Known),
        Reply::Listed(_, policies) => {
            let stored = policies.first().ok_or_else(wrong_reply)?;
            let stored = policy::read(stored).ok_or_else(newer)?;
            Ok(FoundPolicy::Found(stored))
        }
        Reply::Newer => Err(newer()),
        _ => Err(wrong_reply()),
    }
}

/// Activates a version, if the expected one is active.
pub(super) async fn activate(
    context: &Context,
    activation: ActivatePolicy<'_>,
) -> Result<PolicyActivated, StoreError> {
    let prefix = context.prefix();
    let call = scripts::ActivatePolicy { prefix, activation };
    match context.run(&call).await? {
        Reply::Listed(_, moments) => {
            let since = moments
                .first()
                .and_then(|since| std::str::from_utf8(since).ok());
            let since = since
                .and_then(|since| since.parse().ok())
                .ok_or_else(wrong_reply)?;
            Ok(PolicyActivated::Done(Timestamp::from_millis(since)))
        }
        Reply::Conflict(number) => Ok(PolicyActivated::Conflict(policy::read_number(&number))),
        Reply::Newer => Err(newer()),
        _ => Err(wrong_reply()),
    }
}

/// Records which version a process uses.
pub(super) async fn report(context: &Context, report: &PolicyReport) -> Result<(), StoreError> {
    let prefix = context.prefix();
    match context
        .run(&scripts::ReportPolicy { prefix, report })
        .await?
    {
        Reply::Gone => Ok(()),
        _ => Err(wrong_reply()),
    }
}

/// The last report of each process.
pub(super) async fn reports(context: &Context) -> Result<Vec<ReceivedReport>, StoreError> {
    let command = Command {
        name: "HGETALL",
        arguments: vec![context.prefix().policy_reports().into()],
    };
    let answers = context.driver().send_all(vec![command]).await?;
    let pairs = answers.into_iter().flat_map(|answer| answer.pairs());
    let reports = pairs.filter_map(|(process, report)| policy::read_report(&process, &report));
    let now = context.now();
    let recent = reports.filter(|received| now < received.at.after(PolicyReport::LASTS));
    let mut reports: Vec<_> = recent.collect();
    reports.sort_unstable_by(|one, other| one.report.process.cmp(&other.report.process));
    Ok(reports)
}

fn newer() -> StoreError {
    StoreError::new(
        StoreErrorKind::NewerFormat,
        "a newer version of Portcullis activated the policy; finish the upgrade of this server",
    )
}
