//! Registers realms and reads the registry.

use std::time::Duration;

use portcullis_core::store::{Register, RegisteredRealm, StoreError};

use super::{context::Context, log};
use crate::{driver::Command, layout::registry, scripts};

/// Records that the realm of the context is in use.
pub(super) async fn register(context: &Context, register: Register<'_>) -> Result<(), StoreError> {
    let Register {
        cookie, longest, ..
    } = register;
    let call = scripts::Register {
        prefix: context.prefix(),
        cookie,
        longest,
    };
    context.run(&call).await?;
    // Each layer registers when it starts, so this is the time to warn.
    log::check(context).await;
    Ok(())
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
