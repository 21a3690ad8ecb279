//! How keys are written. This file alone knows it.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use portcullis_core::{Bucket, Realm, SessionIdHash, UserIdHash};

use crate::ConnectError;

/// The prefix of all keys of a realm: the prefix of the store, a colon and the realm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Prefix {
    store: String,
    realm: Realm,
    /// Both, with a colon between them.
    both: String,
}

impl Prefix {
    pub(crate) fn new(prefix: String) -> Result<Self, ConnectError> {
        let fits = |byte: u8| byte.is_ascii_graphic() && !br#"{}*?[]\"'"#.contains(&byte);
        if prefix.is_empty() || prefix.len() > 64 || !prefix.bytes().all(fits) {
            return Err(ConnectError::Setting(
                "the key prefix must be 1 to 64 ASCII characters without spaces, braces, quotes or the \
                 wildcards of Redis; choose another one",
            ));
        }
        Ok(Self::of(prefix, Realm::default()))
    }

    fn of(store: String, realm: Realm) -> Self {
        Self {
            both: format!("{store}:{realm}"),
            store,
            realm,
        }
    }

    /// The prefix of another realm.
    pub(crate) fn in_realm(&self, realm: &Realm) -> Self {
        Self::of(self.store.clone(), realm.clone())
    }

    pub(crate) fn realm(&self) -> &Realm {
        &self.realm
    }

    /// The prefix of the keys of every realm.
    pub(crate) fn of_store(&self) -> &str {
        &self.store
    }

    /// The key of the registry of realms.
    pub(crate) fn registry(&self) -> String {
        format!("{}:{{realms}}:r", self.store)
    }

    /// The key of the active policy of the realm: `pc:{policies}:p:id`.
    pub(crate) fn policy(&self) -> String {
        self.of_policy('p')
    }

    /// The key of the reports of processes on the policy of the realm.
    pub(crate) fn policy_reports(&self) -> String {
        self.of_policy('a')
    }

    /// The key of how far the settling of the policy of the realm is.
    pub(crate) fn policy_settling(&self) -> String {
        self.of_policy('s')
    }

    /// Keys about the policy of the realm. All of them are in one slot.
    fn of_policy(&self, kind: char) -> String {
        format!("{}:{{policies}}:{kind}:{}", self.store, self.realm)
    }

    /// The key of how many sessions of a bucket each version of the policy has ended.
    pub(crate) fn policy_ends(&self, bucket: Bucket) -> String {
        self.of_bucket(bucket, ":p")
    }

    /// The key of a session: `pc:id:{1ff}` and 22 characters. Keys of other kinds continue with a
    /// colon instead.
    pub(crate) fn session(&self, key: &SessionIdHash) -> String {
        let mut text = self.bucket(key.bucket(), DIGEST_CHARS);
        BASE64_URL_SAFE_NO_PAD.encode_string(key.digest(), &mut text);
        text
    }

    /// The key of the list of a bucket: its sessions, by when they are due.
    pub(crate) fn due_list(&self, bucket: Bucket) -> String {
        self.of_bucket(bucket, ":x")
    }

    /// The key of a log of a bucket. Sessions with a user and those without have one each.
    pub(crate) fn log(&self, bucket: Bucket, of_users: bool) -> String {
        self.of_bucket(bucket, if of_users { ":l" } else { ":a" })
    }

    /// The key of the list of a user's sessions.
    pub(crate) fn user_list(&self, user: &UserIdHash) -> String {
        self.of_user(user, ":u")
    }

    /// The key of the marker of a revocation of all of a user's sessions.
    pub(crate) fn marker(&self, user: &UserIdHash) -> String {
        self.of_user(user, ":e")
    }

    /// The key of the suspension of a user.
    pub(crate) fn suspension(&self, user: &UserIdHash) -> String {
        self.of_user(user, ":s")
    }

    /// The key of the list of the suspended users of a bucket.
    pub(crate) fn suspended(&self, bucket: Bucket) -> String {
        self.of_bucket(bucket, ":s")
    }

    /// The channel on which scripts publish ends, `pc:id:ended`. They derive it from their keys. It
    /// has no hash tag: every node of a cluster receives it.
    pub(crate) fn channel(&self) -> String {
        format!("{}:ended", self.both)
    }

    fn of_user(&self, user: &UserIdHash, kind: &str) -> String {
        let mut text = self.bucket(user.bucket(), kind.len() + USER_CHARS);
        text.push_str(kind);
        BASE64_URL_SAFE_NO_PAD.encode_string(user.digest(), &mut text);
        text
    }

    fn of_bucket(&self, bucket: Bucket, kind: &str) -> String {
        let mut text = self.bucket(bucket, kind.len());
        text.push_str(kind);
        text
    }

    /// `pc:id:{1ff}`, with room for more. The text in braces, the bucket in hexadecimal, decides
    /// the slot in a Redis Cluster. So all keys of a bucket share one slot.
    fn bucket(&self, bucket: Bucket, room: usize) -> String {
        let mut text = String::with_capacity(self.both.len() + ":{3ff}".len() + room);
        text.push_str(&self.both);
        text.push_str(":{");
        let bucket = u32::from(bucket.number());
        let mut significant = false;
        for shift in [8, 4, 0] {
            let digit = bucket >> shift & 0xf;
            significant |= digit != 0 || shift == 0;
            if significant {
                text.extend(char::from_digit(digit, 16));
            }
        }
        text.push('}');
        text
    }
}

const USER_CHARS: usize = 16;
const DIGEST_CHARS: usize = 22;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]

    use portcullis_core::{SessionId, UserId};

    use super::*;

    #[test]
    fn a_key_contains_the_bucket_and_a_hash_but_neither_identifier_nor_user() {
        let user = UserId::from("alice");
        let id = SessionId::generate(Bucket::of(&user)).unwrap();
        let key = Prefix::new("pc".into()).unwrap().session(&id.key());
        let (bucket, hash) = key
            .strip_prefix("pc:id:{")
            .unwrap()
            .split_once('}')
            .unwrap();
        assert_eq!(bucket, format!("{:x}", Bucket::of(&user).number()));
        assert_eq!(hash.len(), DIGEST_CHARS);
        let secret = id.expose();
        assert!((0..secret.len() - 5).all(|at| !key.contains(&secret[at..at + 5])));
        assert!(!key.contains("alice"));
    }

    #[test]
    fn every_bucket_is_written_in_hex_without_leading_zeros() {
        let prefix = Prefix::new("pc".into()).unwrap();
        let mut seen = std::collections::HashSet::new();
        while seen.len() < usize::from(portcullis_core::BUCKETS) {
            let bucket = Bucket::random().unwrap();
            let key = SessionId::generate(bucket).unwrap().key();
            let expected = format!("pc:id:{{{:x}}}", bucket.number());
            assert!(prefix.session(&key).starts_with(&expected));
            assert_eq!(prefix.session(&key).len(), expected.len() + DIGEST_CHARS);
            seen.insert(bucket);
        }
    }

    #[test]
    fn t72_a_user_of_any_bytes_has_a_key_of_the_same_shape() {
        let prefix = Prefix::new("pc".into()).unwrap();
        let long = "x".repeat(10_000);
        for user in ["alice", ":*{}?[]", "\0\r\n", "аlice", long.as_str()] {
            let key = UserIdHash::of(&UserId::from(user));
            let list = prefix.user_list(&key);
            let (bucket, rest) = list.split_once('}').unwrap();
            assert_eq!(bucket, format!("pc:id:{{{:x}", key.bucket().number()));
            assert_eq!((&rest[..2], rest.len()), (":u", 2 + USER_CHARS));
            assert_ne!(prefix.marker(&key), list);
            assert_ne!(prefix.suspension(&key), prefix.suspended(key.bucket()));
        }
    }

    #[test]
    fn no_key_of_one_realm_is_one_of_another() {
        let prefix = Prefix::new("pc".into()).unwrap();
        let admin = prefix.in_realm(&Realm::new("admin").unwrap());
        let (user, bucket) = (UserIdHash::of(&"alice".into()), Bucket::random().unwrap());
        let session = SessionId::generate(bucket).unwrap().key();
        for (one, other) in [
            (prefix.session(&session), admin.session(&session)),
            (prefix.due_list(bucket), admin.due_list(bucket)),
            (prefix.log(bucket, true), admin.log(bucket, true)),
            (prefix.policy_ends(bucket), admin.policy_ends(bucket)),
            (prefix.user_list(&user), admin.user_list(&user)),
            (prefix.marker(&user), admin.marker(&user)),
            (prefix.suspension(&user), admin.suspension(&user)),
            (prefix.suspended(bucket), admin.suspended(bucket)),
            (prefix.channel(), admin.channel()),
        ] {
            assert_ne!(one, other);
        }
        assert_eq!(prefix.registry(), admin.registry());
    }

    #[test]
    fn a_prefix_that_would_move_the_hash_tag_is_refused() {
        for prefix in ["", "a b", "{x}", "a*", "ü", "a\n", &"x".repeat(65)] {
            assert!(Prefix::new(prefix.into()).is_err(), "{prefix}");
        }
        assert!(Prefix::new("my-app:pc_1".into()).is_ok());
    }
}
