//! The identifier in the cookie, and the key the store sees instead.
//!
//! An identifier is 32 bytes: 30 from the operating system's generator and 2 that say which of the
//! 1024 [`Bucket`]s the session lives in, masked so that no position of the text is constant. With
//! 240 random bits it exceeds the 128 that OWASP ASVS 5.0 (7.2.3) asks for.

use std::fmt;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};
use zeroize::Zeroize;

use crate::{RandomSource, SystemRandom, UserId};

const RANDOM_BYTES: usize = 30;
const ID_BYTES: usize = 2 + RANDOM_BYTES;

/// How many characters an identifier has in the cookie.
pub const ID_CHARS: usize = 43;

/// How many buckets there are. Part of the identifier's format: changing it would orphan sessions.
pub const BUCKETS: u16 = 1024;

/// The secret that the cookie carries.
///
/// It leaves through the session cookie and nowhere else: there is no `Display`, no `Serialize` and no
/// `PartialEq`, `Debug` shows nothing, and the bytes are wiped on drop. Stores get a [`SessionIdHash`].
///
/// ```compile_fail
/// let id = portcullis_core::SessionId::generate(portcullis_core::Bucket::random()?)?;
/// println!("{id}"); // an identifier cannot be printed
/// # Ok::<(), portcullis_core::NoRandomness>(())
/// ```
#[derive(Clone)]
pub struct SessionId([u8; ID_BYTES]);

impl SessionId {
    /// Draws a new identifier for a session that lives in `bucket`.
    ///
    /// # Errors
    ///
    /// [`NoRandomness`] when the operating system's generator fails. There is no weaker fallback.
    pub fn generate(bucket: Bucket) -> Result<Self, NoRandomness> {
        Self::draw(bucket, &mut SystemRandom)
    }

    /// The same with bytes from `source`.
    pub(crate) fn draw(
        bucket: Bucket,
        source: &mut dyn RandomSource,
    ) -> Result<Self, NoRandomness> {
        let mut random = [0; RANDOM_BYTES];
        source.fill(&mut random)?;
        let mut bytes = [0; ID_BYTES];
        for (to, from) in bytes.iter_mut().skip(2).zip(&random) {
            *to = *from;
        }
        random.zeroize();
        let mut id = Self(bytes);
        let [high, low] = (bucket.0 ^ id.mask()).to_be_bytes();
        let [first, second, ..] = &mut id.0;
        (*first, *second) = (high, low);
        Ok(id)
    }

    /// Reads an identifier as a cookie carries it: 43 characters of unpadded base64url, and only in
    /// the one spelling that [`expose`](Self::expose) writes. Anything else is `None`.
    pub fn parse(text: &[u8]) -> Option<Self> {
        if text.len() != ID_CHARS {
            return None;
        }
        let mut bytes = [0; ID_BYTES];
        match BASE64_URL_SAFE_NO_PAD.decode_slice(text, &mut bytes) {
            Ok(ID_BYTES) => {
                let id = Self(bytes);
                (id.masked() < BUCKETS).then_some(id)
            }
            _ => None,
        }
    }

    /// The text for the cookie. The only way the secret leaves this type.
    pub fn expose(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(self.0)
    }

    /// What the store may know of this identifier.
    pub fn key(&self) -> SessionIdHash {
        let hash = Sha256::new_with_prefix(b"portcullis session id\0")
            .chain_update(self.0)
            .finalize();
        let mut digest = [0; 16];
        for (to, from) in digest.iter_mut().zip(hash.iter()) {
            *to = *from;
        }
        SessionIdHash {
            bucket: Bucket(self.masked() % BUCKETS),
            digest,
        }
    }

    fn masked(&self) -> u16 {
        let [high, low, ..] = self.0;
        u16::from_be_bytes([high, low]) ^ self.mask()
    }

    fn mask(&self) -> u16 {
        let [_, _, high, low, ..] = self.0;
        u16::from_be_bytes([high, low])
    }
}

impl Drop for SessionId {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionId(secret)")
    }
}

/// What a store sees of an identifier: its bucket and half of a SHA-256 of it.
///
/// It cannot be turned back into the cookie. It is still not something to show people: that is what
/// [`SessionHandle`](crate::SessionHandle) is for, and `Debug` shows the bucket alone.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionIdHash {
    bucket: Bucket,
    digest: [u8; 16],
}

impl SessionIdHash {
    /// The key with this bucket and this digest: for a store that has written down
    /// [`bucket`](Self::bucket) and [`digest`](Self::digest) and wants the key back. No identifier comes
    /// of it.
    pub fn from_parts(bucket: Bucket, digest: [u8; 16]) -> Self {
        Self { bucket, digest }
    }

    /// The bucket, which a sharded store may use as its shard key.
    pub fn bucket(&self) -> Bucket {
        self.bucket
    }

    /// The first 16 bytes of the identifier's hash.
    pub fn digest(&self) -> &[u8; 16] {
        &self.digest
    }
}

impl fmt::Debug for SessionIdHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionIdHash(bucket {})", self.bucket)
    }
}

/// One of the [`BUCKETS`] groups that sessions are spread over.
///
/// All sessions of a user share that user's bucket, so that a sharded store can change them and an
/// index of them in one atomic step. Sessions without a user get a random one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Bucket(u16);

impl Bucket {
    /// The bucket in which all sessions of `user` live.
    pub fn of(user: &UserId) -> Self {
        UserIdHash::of(user).bucket
    }

    /// A bucket for a session that has no user.
    ///
    /// # Errors
    ///
    /// [`NoRandomness`] when the operating system's generator fails.
    pub fn random() -> Result<Self, NoRandomness> {
        Self::draw(&mut SystemRandom)
    }

    /// The same with bytes from `source`.
    pub(crate) fn draw(source: &mut dyn RandomSource) -> Result<Self, NoRandomness> {
        let mut bytes = [0; 2];
        source.fill(&mut bytes)?;
        Ok(Self(u16::from_be_bytes(bytes) % BUCKETS))
    }

    /// The bucket with this [`number`](Self::number), if there is one: it is less than [`BUCKETS`].
    pub fn from_number(number: u16) -> Option<Self> {
        (number < BUCKETS).then_some(Self(number))
    }

    /// All of them, in the order of their numbers.
    pub fn all() -> impl Iterator<Item = Self> + Send {
        (0..BUCKETS).map(Self)
    }

    /// The number, from 0 to 1023.
    pub fn number(self) -> u16 {
        self.0
    }
}

impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a store may file the sessions of a user under: a bucket, and 12 bytes of a hash. Names of users may be
/// any bytes; this is always of one size and means nothing to any store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UserIdHash {
    bucket: Bucket,
    digest: [u8; 12],
}

impl UserIdHash {
    /// The key of `user`.
    pub fn of(user: &UserId) -> Self {
        let hash = Sha256::new_with_prefix(b"portcullis user\0")
            .chain_update(user.as_bytes())
            .finalize();
        let mut bytes = hash.iter().copied();
        let number = [bytes.next(), bytes.next()].map(Option::unwrap_or_default);
        let mut digest = [0; 12];
        for (to, from) in digest.iter_mut().zip(bytes) {
            *to = from;
        }
        Self {
            bucket: Bucket(u16::from_be_bytes(number) % BUCKETS),
            digest,
        }
    }

    /// The bucket in which all sessions of the user live.
    pub fn bucket(&self) -> Bucket {
        self.bucket
    }

    /// The hash.
    pub fn digest(&self) -> &[u8; 12] {
        &self.digest
    }
}

/// The operating system could not provide random bytes, so no identifier was made.
#[derive(Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the operating system's random generator failed, so no session can be started; check that getrandom or /dev/urandom is available"
)]
#[non_exhaustive]
pub struct NoRandomness;

impl fmt::Debug for NoRandomness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        crate::debug_as_message(self, f)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn id() -> SessionId {
        SessionId::generate(Bucket::random().unwrap()).unwrap()
    }

    #[test]
    fn an_identifier_survives_the_cookie_and_keeps_its_key() {
        for _ in 0..1000 {
            let id = id();
            let text = id.expose();
            assert_eq!(text.len(), ID_CHARS);
            assert_eq!(SessionId::parse(text.as_bytes()).unwrap().key(), id.key());
        }
    }

    #[test]
    fn the_bucket_asked_for_is_the_bucket_of_the_key() {
        for number in 0..BUCKETS {
            let bucket = Bucket(number);
            assert_eq!(SessionId::generate(bucket).unwrap().key().bucket(), bucket);
        }
    }

    #[test]
    fn a_key_is_made_of_its_parts_again() {
        let key = id().key();
        let bucket = Bucket::from_number(key.bucket().number()).unwrap();
        assert_eq!(SessionIdHash::from_parts(bucket, *key.digest()), key);
    }

    #[test]
    fn a_number_that_no_bucket_has_makes_none() {
        for number in 0..=u16::MAX {
            let bucket = Bucket::from_number(number);
            assert_eq!(
                bucket.map(Bucket::number),
                (number < BUCKETS).then_some(number)
            );
        }
    }

    #[test]
    fn s015_no_position_of_the_text_is_constant_even_for_one_user() {
        let bucket = Bucket::of(&UserId::from("alice"));
        let mut seen = vec![HashSet::new(); ID_CHARS];
        for _ in 0..1000 {
            let text = SessionId::generate(bucket).unwrap().expose();
            for (position, code) in text.chars().enumerate() {
                seen[position].insert(code);
            }
        }
        // The last character holds four bits, every other one six.
        assert!(seen.iter().take(ID_CHARS - 1).all(|codes| codes.len() > 55));
        assert_eq!(seen[ID_CHARS - 1].len(), 16);
    }

    #[test]
    fn s014_no_bit_of_the_identifier_is_biased() {
        const DRAWS: i32 = 20_000;
        let mut ones = [0_i32; ID_BYTES * 8];
        for _ in 0..DRAWS {
            let id = id();
            for (bit, count) in ones.iter_mut().enumerate() {
                *count += i32::from(id.0[bit / 8] >> (bit % 8) & 1);
            }
        }
        // Five standard deviations of a fair coin.
        let bound = (5.0 * f64::from(DRAWS).sqrt() / 2.0) as i32;
        assert!(ones.iter().all(|count| (count - DRAWS / 2).abs() < bound));
    }

    #[test]
    fn s011_only_the_exact_spelling_is_read() {
        let text = id().expose();
        let mut last = text.clone().into_bytes();
        // The two spare bits of the last character must be zero.
        last[ID_CHARS - 1] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"[1 + 4 * 7];
        for hostile in [
            &text.as_bytes()[..42],
            format!("{text}A").as_bytes(),
            format!("\"{text}\"").as_bytes(),
            format!("{}+", &text[..42]).as_bytes(),
            format!("{}=", &text[..42]).as_bytes(),
            b"%41".repeat(14).as_slice(),
            "é".repeat(21).as_bytes(),
            &[0; ID_CHARS],
            &[b'A'; 8192],
            b"",
            &last,
        ] {
            assert!(SessionId::parse(hostile).is_none());
        }
    }

    #[test]
    fn s023_debug_output_shows_nothing_of_the_secret() {
        let id = id();
        assert_eq!(format!("{id:?}"), "SessionId(secret)");
        assert_eq!(
            format!("{:?}", id.key()),
            format!("SessionIdHash(bucket {})", id.key().bucket)
        );
    }

    #[test]
    fn buckets_of_users_are_spread_evenly() {
        let mut counts = vec![0_u32; usize::from(BUCKETS)];
        for user in 0..100 * u32::from(BUCKETS) {
            counts[usize::from(Bucket::of(&UserId::from(user)).number())] += 1;
        }
        assert!(counts.iter().all(|count| (50..150).contains(count)));
    }
}
