//! How keys are spelled. The only place.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use portcullis_core::SessionKey;

use crate::ConnectError;

/// What all keys of a store begin with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Prefix(String);

impl Prefix {
    pub(crate) fn new(prefix: String) -> Result<Self, ConnectError> {
        let fits = |byte: u8| byte.is_ascii_graphic() && !br#"{}*?[]\"'"#.contains(&byte);
        if prefix.is_empty() || prefix.len() > 64 || !prefix.bytes().all(fits) {
            return Err(ConnectError::Setting(
                "the key prefix must be 1 to 64 ASCII characters without spaces, braces, quotes or the \
                 wildcards of Redis; choose another one",
            ));
        }
        Ok(Self(prefix))
    }

    /// The key of a session: `pc:{512}:s:` and 22 characters. What stands in braces decides the slot of a
    /// Redis Cluster, so all sessions of a bucket share one.
    pub(crate) fn session(&self, key: &SessionKey) -> String {
        format!(
            "{}:{{{}}}:s:{}",
            self.0,
            key.bucket(),
            BASE64_URL_SAFE_NO_PAD.encode(key.digest())
        )
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]

    use portcullis_core::{Bucket, SessionId, UserId};

    use super::*;

    #[test]
    fn a_key_holds_the_bucket_and_a_hash_but_neither_identifier_nor_user() {
        let user = UserId::from("alice");
        let id = SessionId::generate(Bucket::of(&user)).unwrap();
        let key = Prefix::new("pc".into()).unwrap().session(&id.key());
        let (bucket, hash) = key
            .strip_prefix("pc:{")
            .unwrap()
            .split_once("}:s:")
            .unwrap();
        assert_eq!(bucket, Bucket::of(&user).to_string());
        assert_eq!(hash.len(), 22);
        let secret = id.expose();
        assert!((0..secret.len() - 5).all(|at| !key.contains(&secret[at..at + 5])));
        assert!(!key.contains("alice"));
    }

    #[test]
    fn a_prefix_that_would_move_the_hash_tag_is_refused() {
        for prefix in ["", "a b", "{x}", "a*", "ü", "a\n", &"x".repeat(65)] {
            assert!(Prefix::new(prefix.into()).is_err(), "{prefix}");
        }
        assert!(Prefix::new("my-app:pc_1".into()).is_ok());
    }
}
