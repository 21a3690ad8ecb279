//! Limits that are shortened for a time.

use portcullis::policy::{PolicyChange, PolicyError, Tightening};

use super::{live, plan};
use crate::{
    args::{OutputOptions, PolicyTighten},
    context::Context,
    exit::{Failure, Outcome},
    text::shown,
};

/// Tightens the active document for a time, or ends that.
pub(super) async fn tighten(
    context: &Context,
    output: OutputOptions,
    tighten: &PolicyTighten,
) -> Result<Outcome, Failure> {
    let (policies, activation) = (live::policies(context), &tighten.activation);
    let (by, reason) = (activation.by()?, activation.reason.as_deref());
    // An operator in an incident need not know the number.
    let active = match tighten.expect {
        Some(expected) => expected.0,
        None => {
            let versions = policies.versions().await?;
            versions.and_then(|versions| Some(versions.active()?.number))
        }
    };
    let limits = Tightening {
        idle: tighten.idle,
        absolute: tighten.absolute,
        privileged_idle: tighten.privileged_idle,
        elevation: tighten.elevation,
    };
    let change = match tighten.lasts {
        Some(lasts) => PolicyChange::tighten(limits, lasts, active, &by),
        None => PolicyChange::cancel_tightening(active, &by),
    };
    let change = change.reason(reason);
    if tighten.dry_run {
        return plan::print_plan(context, output, &policies.plan(&change).await?);
    }
    let change = change.ends_at_most(activation.ends_at_most());
    match policies.apply(change).await {
        Ok(activated) if activated.unchanged => {
            context.print_message("the policy is not tightened; nothing was changed");
            Ok(Outcome::NotFound)
        }
        Err(error @ PolicyError::Tightened { .. }) => {
            context.print_message(&shown(&error.to_string()));
            Ok(Outcome::Overtaken)
        }
        applied => plan::print_activated(context, output, applied, !activation.no_wait).await,
    }
}
