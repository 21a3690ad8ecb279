//! The public name of a session.

use std::{borrow::Cow, fmt, str::FromStr};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::{NoRandomness, RandomSource, SystemRandom};

const HANDLE_BYTES: usize = 12;

/// The public name of a session, for lists, logs and support tickets.
///
/// It is random, stays the same when the identifier changes, and is useless as a cookie: nothing can be
/// derived from it (ASVS 5.0, 7.5.2; OWASP Session Management, "Logging Sessions Life Cycle").
///
/// In formats for people, such as JSON, paths and forms, it is the text that [`Display`](fmt::Display) writes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionHandle([u8; HANDLE_BYTES]);

impl Serialize for SessionHandle {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            return serializer.collect_str(self);
        }
        serde_bytes::serialize(&self.0, serializer)
    }
}

impl<'de> Deserialize<'de> for SessionHandle {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let text = Cow::<str>::deserialize(deserializer)?;
            return text.parse().map_err(D::Error::custom);
        }
        serde_bytes::deserialize(deserializer).map(Self)
    }
}

/// What [`Display`](fmt::Display) does not write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a session's handle has 16 codes, digits, `-` and `_`")]
#[non_exhaustive]
pub struct InvalidHandle;

impl FromStr for SessionHandle {
    type Err = InvalidHandle;

    fn from_str(text: &str) -> Result<Self, InvalidHandle> {
        Self::parse(text).ok_or(InvalidHandle)
    }
}

impl SessionHandle {
    pub(crate) fn generate() -> Result<Self, NoRandomness> {
        let mut bytes = [0; HANDLE_BYTES];
        SystemRandom.fill(&mut bytes)?;
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

impl fmt::Display for SessionHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64_URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for SessionHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionHandle({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_is_text_for_people_and_bytes_in_records() {
        let handle = SessionHandle::generate().unwrap();
        let json = serde_json::to_string(&handle).unwrap();
        assert_eq!(json, format!("\"{handle}\""));
        assert_eq!(
            serde_json::from_str::<SessionHandle>(&json).unwrap(),
            handle
        );
        assert!(serde_json::from_str::<SessionHandle>("\"short\"").is_err());
        let record = rmp_serde::to_vec(&handle).unwrap();
        assert_eq!(record.len(), 2 + HANDLE_BYTES);
        assert_eq!(
            rmp_serde::from_slice::<SessionHandle>(&record).unwrap(),
            handle
        );
    }

    #[test]
    fn a_handle_is_read_back_from_its_text_and_nothing_else_is() {
        let handle = SessionHandle::generate().unwrap();
        assert_eq!(SessionHandle::parse(&handle.to_string()), Some(handle));
        for other in ["", "short", "AAAAAAAAAAAAAAAAA", "!!!!!!!!!!!!!!!!"] {
            assert_eq!(SessionHandle::parse(other), None);
        }
    }
}
