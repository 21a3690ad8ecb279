//! Gives a registered realm another environment.

use bytes::Bytes;
use portcullis_core::{Environment, millis, store::RegisteredRealm};

use super::{
    arguments::number,
    call::{Call, script},
};
use crate::{
    driver::Script,
    layout::{Prefix, registry},
};

/// A call of `lua/set_environment.lua`.
pub(crate) struct SetEnvironment<'c> {
    pub(crate) prefix: &'c Prefix,
    pub(crate) environment: &'c Environment,
}

impl Call for SetEnvironment<'_> {
    fn script(&self) -> &'static Script {
        script!("set_environment.lua")
    }

    fn keys(&self) -> Vec<String> {
        vec![self.prefix.registry()]
    }

    fn arguments(&self) -> Vec<Bytes> {
        vec![
            Bytes::copy_from_slice(self.prefix.realm().as_str().as_bytes()),
            registry::environment(Some(self.environment)),
            number(millis(RegisteredRealm::SEEN_EVERY)),
        ]
    }
}
