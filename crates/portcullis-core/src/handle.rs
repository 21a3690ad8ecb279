//! The public name of a session.

use std::fmt;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

use crate::id::{NoRandomness, fill};

const HANDLE_BYTES: usize = 12;

/// The public name of a session, for lists, logs and support tickets.
///
/// It is random, stays the same when the identifier changes, and is useless as a cookie: nothing can be
/// derived from it (ASVS 5.0, 7.5.2; OWASP Session Management, "Logging Sessions Life Cycle").
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Handle(#[serde(with = "serde_bytes")] [u8; HANDLE_BYTES]);

impl Handle {
    pub(crate) fn generate() -> Result<Self, NoRandomness> {
        let mut bytes = [0; HANDLE_BYTES];
        fill(&mut bytes)?;
        Ok(Self(bytes))
    }

    /// The handle with these bytes: for a store that has written them down.
    pub const fn from_bytes(bytes: [u8; HANDLE_BYTES]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    pub const fn as_bytes(&self) -> &[u8; HANDLE_BYTES] {
        &self.0
    }

    /// Reads a handle as [`Display`](fmt::Display) writes it.
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; HANDLE_BYTES];
        match BASE64_URL_SAFE_NO_PAD.decode_slice(text, &mut bytes) {
            Ok(HANDLE_BYTES) => Some(Self(bytes)),
            _ => None,
        }
    }
}

impl fmt::Display for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64_URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Handle({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_is_read_back_from_its_text_and_nothing_else_is() {
        let handle = Handle::generate().unwrap();
        assert_eq!(Handle::parse(&handle.to_string()), Some(handle));
        for other in ["", "short", "AAAAAAAAAAAAAAAAA", "!!!!!!!!!!!!!!!!"] {
            assert_eq!(Handle::parse(other), None);
        }
    }
}
