//! Calls of scripts.

use bytes::Bytes;
use portcullis_core::{Bucket, Timestamp};

use crate::driver::Script;

/// A call of a script.
pub(crate) trait Call {
    fn script(&self) -> &'static Script;
    fn keys(&self) -> Vec<String>;
    fn arguments(&self) -> Vec<Bytes>;
}

/// A call of a script that grants something. Its first argument is the moment until which its
/// caller waits. Run later, the script does nothing.
pub(crate) trait TimedCall {
    fn script(&self) -> &'static Script;
    /// The bucket by whose clock the moment is compared.
    fn bucket(&self) -> Bucket;
    fn keys(&self) -> Vec<String>;
    fn arguments(&self, not_after: Timestamp) -> Vec<Bytes>;
}

/// Defines the script of a file: the source is the prelude, then these files of `lua/`.
macro_rules! script {
    ($($file:literal),+) => {{
        static SCRIPT: $crate::driver::Script = $crate::driver::Script::new(concat!(
            include_str!("../../lua/prelude.lua"),
            $(include_str!(concat!("../../lua/", $file))),+
        ));
        &SCRIPT
    }};
}
pub(super) use script;
