//! Records in the registry that a realm is in use.

use std::time::Duration;

use bytes::Bytes;
use portcullis_core::millis;

use super::{
    arguments::number,
    call::{Call, script},
};
use crate::{driver::Script, layout::Prefix};

/// A call of `lua/register.lua`.
pub(crate) struct Register<'c> {
    pub(crate) prefix: &'c Prefix,
    pub(crate) cookie: &'c str,
    /// The longest absolute timeout of the realm.
    pub(crate) longest: Duration,
}

impl Call for Register<'_> {
    fn script(&self) -> &'static Script {
        script!("register.lua")
    }

    fn keys(&self) -> Vec<String> {
        vec![self.prefix.registry()]
    }

    fn arguments(&self) -> Vec<Bytes> {
        vec![
            Bytes::copy_from_slice(self.prefix.realm().as_str().as_bytes()),
            Bytes::copy_from_slice(self.cookie.as_bytes()),
            number(millis(self.longest)),
        ]
    }
}
