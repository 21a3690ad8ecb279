//! Commands of Redis.

use bytes::Bytes;
use fred::{
    prelude::{Error, Value},
    util::redis_keyslot,
};

use super::{failure, script::Script};

/// How long the answers to some commands may be. It decides which connection carries them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AnswerSize {
    Short,
    Long,
}

/// A command of Redis.
pub(crate) struct Command {
    pub(crate) name: &'static str,
    pub(crate) arguments: Vec<Bytes>,
}

impl Command {
    /// The slot of its key. All keys of one command share a slot.
    pub(super) fn slot(&self) -> u16 {
        let scripts = ["EVALSHA", "EVAL"].contains(&self.name);
        // The script and the number of keys come first.
        let key = self.arguments.get(if scripts { 2 } else { 0 });
        redis_keyslot(key.map(AsRef::as_ref).unwrap_or_default())
    }

    /// Reads a value of another type as an absent record where only a part of a record was asked
    /// for. `GETRANGE` answers such a value with an error.
    pub(super) fn ignore_other_type(&self, answer: Result<Value, Error>) -> Result<Value, Error> {
        match answer {
            Err(error) if self.name == "GETRANGE" && failure::is(&error, "WRONGTYPE") => {
                Ok(Value::Null)
            }
            answer => answer,
        }
    }

    /// The same command with the source of the script in place of its hash.
    pub(super) fn with_source(&self, script: &Script) -> Self {
        let mut arguments = self.arguments.clone();
        if let Some(first) = arguments.first_mut() {
            *first = Bytes::from_static(script.source().as_bytes());
        }
        Self {
            name: "EVAL",
            arguments,
        }
    }
}
