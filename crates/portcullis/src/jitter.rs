//! Random pauses, so that several servers do not act at the same moment.

use std::hash::{BuildHasher, Hasher, RandomState};

/// A random number from 0 to 1. It is the standard library's only randomness and not for secrets.
pub(crate) fn jitter() -> f64 {
    RandomState::new().build_hasher().finish() as f64 / u64::MAX as f64
}
