//! The user of a session.

use std::fmt;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize, Serializer};
use sha2::{Digest, Sha256};

use crate::ChangeError;

/// The user of a session: the bytes by which the application identifies its users.
///
/// Two are equal if their bytes are; nothing is trimmed, folded or normalised. Use an identifier
/// that never changes, such as a primary key. A name or an address may belong to another user
/// later.
///
/// A session can be bound to an identifier of 1 to [`MAX_BYTES`](Self::MAX_BYTES) bytes. For any
/// other one, a search finds no session, and a revocation stores nothing.
///
/// ```
/// # use portcullis_core::UserId;
/// assert_eq!(UserId::from(42), UserId::from("42"));
/// assert_eq!(UserId::from("alice").as_str(), Some("alice"));
/// assert!(UserId::from("alice") == "alice");
/// ```
///
/// In human-readable formats such as JSON it is a string if it is UTF-8, and bytes otherwise.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
pub struct UserId(#[serde(with = "serde_bytes")] Box<[u8]>);

impl Serialize for UserId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.as_str() {
            Some(text) if serializer.is_human_readable() => serializer.serialize_str(text),
            _ => serializer.serialize_bytes(&self.0),
        }
    }
}

impl UserId {
    /// The longest identifier of a user, in bytes. It is stored with each session, in lists and in
    /// the log.
    pub const MAX_BYTES: usize = 1024;

    /// Checks that a session can be bound to this user.
    ///
    /// ```
    /// # use portcullis_core::{ChangeError, UserId};
    /// assert!(UserId::from("alice").check().is_ok());
    /// let long = UserId::from("a".repeat(2000)).check();
    /// assert!(matches!(long, Err(ChangeError::UserTooLong { bytes: 2000, limit: 1024 })));
    /// ```
    ///
    /// # Errors
    ///
    /// [`ChangeError::EmptyUser`], [`ChangeError::UserTooLong`].
    pub fn check(&self) -> Result<(), ChangeError> {
        match self.0.len() {
            0 => Err(ChangeError::EmptyUser),
            1..=Self::MAX_BYTES => Ok(()),
            bytes => Err(ChangeError::UserTooLong {
                bytes,
                limit: Self::MAX_BYTES,
            }),
        }
    }

    /// The bytes of the identifier.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The identifier as text, if it is UTF-8.
    pub fn as_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }

    /// A digest of the user's identifier: 22 characters of base64url, always the same for one user.
    /// It does not reveal the user to a reader who cannot guess the identifier. Browsers use it to
    /// compare the users of two sessions.
    ///
    /// ```
    /// # use portcullis_core::UserId;
    /// let alice = UserId::from("alice").fingerprint();
    /// assert_eq!(alice.len(), 22);
    /// assert_ne!(alice, UserId::from("bob").fingerprint());
    /// ```
    pub fn fingerprint(&self) -> String {
        let hash = Sha256::new_with_prefix(b"portcullis fingerprint\0")
            .chain_update(&self.0)
            .finalize();
        let (half, _) = hash.split_at(16);
        BASE64_URL_SAFE_NO_PAD.encode(half)
    }
}

/// Bytes that are not UTF-8, and characters that would break a line of a log, are escaped.
impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            for character in chunk.valid().chars() {
                match character {
                    '\\' => f.write_str("\\\\")?,
                    character if character.is_control() => {
                        write!(f, "{}", character.escape_default())?
                    }
                    character => fmt::Write::write_char(f, character)?,
                }
            }
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UserId({self})")
    }
}

impl PartialEq<str> for UserId {
    fn eq(&self, text: &str) -> bool {
        self.as_bytes() == text.as_bytes()
    }
}

impl PartialEq<&str> for UserId {
    fn eq(&self, text: &&str) -> bool {
        *self == **text
    }
}

impl From<&Self> for UserId {
    fn from(user: &Self) -> Self {
        user.clone()
    }
}

impl From<&[u8]> for UserId {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }
}

impl From<Vec<u8>> for UserId {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes.into())
    }
}

impl From<&str> for UserId {
    fn from(text: &str) -> Self {
        Self::from(text.as_bytes())
    }
}

impl From<String> for UserId {
    fn from(text: String) -> Self {
        Self::from(text.into_bytes())
    }
}

impl From<&String> for UserId {
    fn from(text: &String) -> Self {
        Self::from(text.as_bytes())
    }
}

macro_rules! from_numbers {
    ($($number:ty),*) => {$(
        /// The number in decimal digits.
        impl From<$number> for UserId {
            fn from(number: $number) -> Self {
                Self::from(number.to_string())
            }
        }
    )*};
}

from_numbers!(i32, i64, i128, isize, u32, u64, u128, usize);

/// The text of the `Uuid` in lower case with hyphens, as its `Display` writes it:
/// `67e55044-10b1-426f-9247-bb680e5fe0c8`.
#[cfg(feature = "uuid")]
impl From<uuid::Uuid> for UserId {
    fn from(uuid: uuid::Uuid) -> Self {
        let mut buffer = uuid::Uuid::encode_buffer();
        Self::from(&*uuid.hyphenated().encode_lower(&mut buffer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_any_width_name_the_same_user() {
        let seven = UserId::from("7");
        for user in [
            7usize.into(),
            7isize.into(),
            7u32.into(),
            UserId::from(7u128),
        ] {
            assert_eq!(user, seven);
        }
        assert_eq!(UserId::from(-7isize).as_str(), Some("-7"));
    }

    #[test]
    #[cfg(feature = "uuid")]
    fn a_uuid_is_stored_as_the_text_of_its_display() {
        let uuid = uuid::Uuid::from_u128(0x67e5_5044_10b1_426f_9247_bb68_0e5f_e0c8);
        assert_eq!(UserId::from(uuid), UserId::from(uuid.to_string()));
        let text = "67e55044-10b1-426f-9247-bb680e5fe0c8";
        assert_eq!(UserId::from(uuid).as_str(), Some(text));
    }

    #[test]
    fn s101_a_user_name_cannot_break_a_line_of_a_log() {
        let user = UserId::from(b"eve\r\n\x1b[31m\\\xff\xc2\x85".as_slice());
        assert_eq!(user.to_string(), r"eve\r\n\u{1b}[31m\\\xff\u{85}");
    }
}
