//! Random bytes for identifiers.

use rand::{TryRng, rngs::SysRng};

use crate::NoRandomness;

/// A source of the random bytes in new identifiers.
///
/// Applications use [`SystemRandom`]. With bytes of its own, a test can replay a
/// [plan](crate::unit_of_work::UnitOfWork::plan). Identifiers from any source but a
/// cryptographically secure generator can be guessed.
pub trait RandomSource {
    /// Fills all of `bytes`.
    ///
    /// # Errors
    ///
    /// [`NoRandomness`] when the source fails. What `bytes` holds then must not be used.
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), NoRandomness>;
}

/// The operating system's generator. There is no weaker fallback.
#[derive(Debug, Clone, Copy)]
#[allow(clippy::exhaustive_structs, reason = "it has no state")]
pub struct SystemRandom;

impl RandomSource for SystemRandom {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), NoRandomness> {
        SysRng.try_fill_bytes(bytes).map_err(|_| NoRandomness)
    }
}
