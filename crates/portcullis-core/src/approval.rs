//! Approvals: a proof of identity for one operation.

use std::time::Duration;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};

/// How long an approval may be used.
pub(crate) const LASTS: Duration = Duration::from_secs(5 * 60);

/// How many approvals a session holds. A further one takes the place of the oldest.
pub(crate) const MOST: usize = 8;

/// One operation of a demand, such as one transfer: the name of the demand, and a digest of the
/// parameters.
///
/// ```
/// # use portcullis_core::Operation;
/// let one = Operation::of("transfer", b"to=bob&amount=10");
/// assert_eq!(one, Operation::of("transfer", b"to=bob&amount=10"));
/// assert_ne!(one, Operation::of("transfer", b"to=bob&amount=1000"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    demand: String,
    digest: [u8; 16],
}

impl Operation {
    /// The operation of this demand with these parameters, as bytes that are the same at the
    /// approval and at the use.
    pub fn of(demand: &str, parameters: &[u8]) -> Self {
        let hash = Sha256::digest(parameters);
        let mut digest = [0; 16];
        for (to, from) in digest.iter_mut().zip(hash) {
            *to = from;
        }
        Self {
            demand: demand.to_owned(),
            digest,
        }
    }

    /// The name of the demand.
    pub fn demand(&self) -> &str {
        &self.demand
    }

    /// The name under which the approval is stored.
    pub(crate) fn stored_name(&self) -> String {
        format!(
            "{}#{}",
            self.demand,
            BASE64_URL_SAFE_NO_PAD.encode(self.digest)
        )
    }
}
