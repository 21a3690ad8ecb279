//! The active policy of a realm, and the reports of its processes.

use std::collections::BTreeMap;

use bytes::Bytes;
use portcullis_core::{
    Bucket, ClassCode, Timestamp,
    store::{
        ActivatePolicy, FoundPolicy, PolicyActivated, PolicyEnds, PolicyReport, ReceivedReport,
        SettlePolicy, Settling, StoreError, StoreErrorKind,
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
            let since = parsed(moments.first())?;
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

/// How many lists of ends are read in one round trip.
const LISTS: usize = 64;

/// Gives one caller at a time the turn at settling a version.
pub(super) async fn settle(
    context: &Context,
    settle: SettlePolicy<'_>,
) -> Result<Settling, StoreError> {
    let prefix = context.prefix();
    let call = scripts::SettlePolicy { prefix, settle };
    let Reply::Listed(answer, of) = context.run(&call).await? else {
        return Err(wrong_reply());
    };
    let bucket = || {
        let number = u16::try_from(parsed(of.first())?).ok();
        number.and_then(Bucket::from_number).ok_or_else(wrong_reply)
    };
    Ok(match answer {
        0 => Settling::Yours(bucket()?),
        1 => Settling::Others(bucket()?),
        2 => Settling::Done(Timestamp::from_millis(parsed(of.first())?)),
        3 => Settling::Superseded,
        _ => return Err(wrong_reply()),
    })
}

/// How many sessions a version has ended, over all buckets.
pub(super) async fn ends(context: &Context, version: u64) -> Result<PolicyEnds, StoreError> {
    let (mut ends, version) = (BTreeMap::<ClassCode, u64>::new(), policy::number(version));
    let buckets: Vec<_> = Bucket::all().collect();
    for buckets in buckets.chunks(LISTS) {
        let list = |bucket: &Bucket| Command {
            name: "HGETALL",
            arguments: vec![context.prefix().policy_ends(*bucket).into()],
        };
        let commands = buckets.iter().map(list).collect();
        let answers = context.driver().send_all_long(commands).await?;
        for (field, count) in answers.into_iter().flat_map(|answer| answer.pairs()) {
            if let Some(class) = policy::class_ended_by(&field, &version) {
                *ends.entry(class).or_default() += parsed(Some(&count))?;
            }
        }
    }
    Ok(ends.into_iter().collect())
}

fn parsed(number: Option<&Bytes>) -> Result<u64, StoreError> {
    let text = number.and_then(|number| std::str::from_utf8(number).ok());
    text.and_then(|text| text.parse().ok())
        .ok_or_else(wrong_reply)
}

fn newer() -> StoreError {
    StoreError::new(
        StoreErrorKind::NewerFormat,
        "a newer version of Portcullis activated the policy; finish the upgrade of this server",
    )
}
