//! What ties events together without naming anything.

use std::fmt;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::{NoRandomness, RandomSource, SessionHandle, SessionIdHash, SystemRandom};

/// Turns names of sessions into [`Correlator`]s.
///
/// The same session has the same correlator under the same key, also after its identifier changed; without the
/// key nothing can be concluded from it, and under another key it is another one (OWASP Session Management,
/// "Logging Sessions Life Cycle", asks for a salted hash).
#[derive(Clone)]
pub struct CorrelationKey(Zeroizing<[u8; 32]>);

impl CorrelationKey {
    /// The key with these bytes: 32 random ones that all servers share, changed as often as logs may be tied
    /// together.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// A key of one's own, for as long as the process runs.
    ///
    /// # Errors
    ///
    /// [`NoRandomness`] when the operating system's generator fails.
    pub fn generate() -> Result<Self, NoRandomness> {
        let mut bytes = Zeroizing::new([0; 32]);
        SystemRandom.fill(&mut *bytes)?;
        Ok(Self(bytes))
    }

    /// The correlator of a session.
    pub fn of_session(&self, session: SessionHandle) -> Correlator {
        self.of(b"session", session.as_bytes())
    }

    /// The correlator of an identifier under which there is no session.
    pub fn of_identifier(&self, key: &SessionIdHash) -> Correlator {
        self.of(b"identifier", key.digest())
    }

    fn of(&self, kind: &[u8], name: &[u8]) -> Correlator {
        // A key of any length will do; there is no other way to fail.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&*self.0) else {
            return Correlator([0; 12]);
        };
        mac.update(kind);
        mac.update(b"\0");
        mac.update(name);
        let mut short = [0; 12];
        for (to, from) in short.iter_mut().zip(mac.finalize().into_bytes()) {
            *to = from;
        }
        Correlator(short)
    }
}

impl fmt::Debug for CorrelationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CorrelationKey(secret)")
    }
}

/// See [`CorrelationKey`]. Its text is 16 characters of base64url.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Correlator([u8; 12]);

impl fmt::Display for Correlator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64_URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for Correlator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Correlator({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s100_a_correlator_is_the_same_under_one_key_and_another_under_another() {
        let [one, other] = [[1; 32], [2; 32]].map(CorrelationKey::new);
        let [session, another] = [0, 1].map(|_| SessionHandle::generate().unwrap());
        assert_eq!(one.of_session(session), one.of_session(session));
        assert_ne!(one.of_session(session), one.of_session(another));
        assert_ne!(one.of_session(session), other.of_session(session));
        assert_ne!(one.of_session(session).to_string(), session.to_string());
    }

    #[test]
    fn the_key_is_not_shown() {
        assert_eq!(
            format!("{:?}", CorrelationKey::new([7; 32])),
            "CorrelationKey(secret)"
        );
    }
}
