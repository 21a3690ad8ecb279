//! Registers realms and reads the registry.

use std::time::Duration;

use portcullis_core::{
    Environment,
    store::{EnvironmentSet, Register, Registered, RegisteredRealm, StoreError, StoreErrorKind},
};

use super::{context::Context, log};
use crate::{
    driver::{Command, Reply, wrong_reply},
    layout::registry,
    scripts,
};

/// Records that the realm of the context is in use.
pub(super) async fn register(
    context: &Context,
    registration: Register<'_>,
) -> Result<Registered, StoreError> {
    let prefix = context.prefix();
    let call = scripts::Register {
        prefix,
        registration,
    };
    match context.run(&call).await? {
        Reply::Gone => {
            // Each layer registers when it starts, so this is the time to warn.
            log::check(context).await;
            Ok(Registered::Done)
        }
        Reply::Conflict(entry) => {
            let entry = registry::read(prefix.realm().clone(), &entry).ok_or_else(newer)?;
            let conflict = entry.conflict(&registration).ok_or_else(wrong_reply)?;
            Ok(Registered::Refused(conflict))
        }
        Reply::Newer => Err(newer()),
        _ => Err(wrong_reply()),
    }
}

/// Gives the realm of the context another environment.
pub(super) async fn set_environment(
    context: &Context,
    environment: &Environment,
) -> Result<EnvironmentSet, StoreError> {
    let prefix = context.prefix();
    let call = scripts::SetEnvironment {
        prefix,
        environment,
    };
    match context.run(&call).await? {
        Reply::Gone => Ok(EnvironmentSet::Unregistered),
        Reply::Listed(_, entries) => {
            let before = entries.first().ok_or_else(wrong_reply)?;
            let before = registry::read(prefix.realm().clone(), before);
            Ok(EnvironmentSet::Done {
                before: before.and_then(|before| before.environment),
            })
        }
        Reply::Newer => Err(newer()),
        _ => Err(wrong_reply()),
    }
}

fn newer() -> StoreError {
    StoreError::new(
        StoreErrorKind::NewerFormat,
        "a newer version of Portcullis wrote the realm's entry in the registry; finish the upgrade of this server",
    )
}

/// The registered realms that may still have sessions.
pub(super) async fn realms(context: &Context) -> Result<Vec<RegisteredRealm>, StoreError> {
    let command = Command {
        name: "HGETALL",
        arguments: vec![context.prefix().registry().into()],
    };
    let answers = context.driver().send_all(vec![command]).await?;
    let mut realms = registry::read_all(answers.into_iter().flat_map(|answer| answer.pairs()));
    let now = context.now();
    realms.retain(|realm| realm.may_have_sessions(now));
    Ok(realms)
}

/// The longest absolute timeout of a session of the context's realm, if the registry has it.
pub(super) async fn longest_registered(context: &Context) -> Result<Option<Duration>, StoreError> {
    let realms = realms(context).await?;
    let ours = context.prefix().realm();
    let registered = realms
        .into_iter()
        .find(|registered| registered.realm == *ours);
    Ok(registered.map(|registered| registered.longest))
}
