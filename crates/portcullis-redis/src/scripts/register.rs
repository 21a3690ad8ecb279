//! Records in the registry that a realm is in use.

use bytes::Bytes;
use portcullis_core::{
    millis,
    store::{Register as Registration, RegisteredRealm},
};

use super::{
    arguments::number,
    call::{Call, script},
};
use crate::{
    driver::Script,
    layout::{Prefix, registry},
};

/// A call of `lua/register.lua`.
pub(crate) struct Register<'c> {
    pub(crate) prefix: &'c Prefix,
    pub(crate) registration: Registration<'c>,
}

impl Call for Register<'_> {
    fn script(&self) -> &'static Script {
        script!("register.lua")
    }

    fn keys(&self) -> Vec<String> {
        vec![self.prefix.registry()]
    }

    fn arguments(&self) -> Vec<Bytes> {
        let registration = &self.registration;
        vec![
            Bytes::copy_from_slice(self.prefix.realm().as_str().as_bytes()),
            Bytes::copy_from_slice(registration.cookie.as_bytes()),
            number(millis(registration.longest)),
            registry::environment(registration.environment),
            registry::classes(registration.classes),
            number(millis(RegisteredRealm::SEEN_EVERY)),
        ]
    }
}
