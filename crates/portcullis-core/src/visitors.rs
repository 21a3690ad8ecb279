//! The limits of sessions without a user.

use std::time::Duration;

use crate::{ConfigError, Timeouts};

/// The limits of sessions without a user. Any client can begin any number of them, so each is
/// shorter and smaller than a session with a user.
///
/// | limit | default | bounds |
/// |---|---|---|
/// | absolute timeout | 4 h | 1 s to 400 days |
/// | payload | 8 KiB | any; the limit of all sessions holds as well |
///
/// If the limits of all sessions are lower, they apply. After a sign-in the data is kept, and these
/// limits no longer apply.
///
/// ```
/// # use std::time::Duration;
/// # use portcullis_core::VisitorLimits;
/// let short_and_small = VisitorLimits::new(Duration::from_secs(60 * 60), 2048)?;
/// assert_eq!(short_and_small.payload(), 2048);
/// # Ok::<(), portcullis_core::ConfigError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VisitorLimits {
    absolute: Duration,
    payload: usize,
}

impl VisitorLimits {
    /// The limits of a session without a user. It ends `absolute` after its creation, and holds at
    /// most `payload` bytes of names and encoded values.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when the timeout is out of its bounds.
    pub fn new(absolute: Duration, payload: usize) -> Result<Self, ConfigError> {
        // The bounds are those of every absolute timeout.
        Timeouts::new(absolute.min(Duration::from_secs(1)), absolute)?;
        Ok(Self { absolute, payload })
    }

    /// How long after its creation the session ends.
    pub fn absolute(&self) -> Duration {
        self.absolute
    }

    /// How many bytes of names and encoded values the session may hold.
    pub fn payload(&self) -> usize {
        self.payload
    }
}

impl Default for VisitorLimits {
    fn default() -> Self {
        Self {
            absolute: Duration::from_secs(4 * 60 * 60),
            payload: 8 * 1024,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_4_hours_and_8_kib() {
        let limits = VisitorLimits::new(Duration::from_secs(14_400), 8192);
        assert_eq!(limits.unwrap(), VisitorLimits::default());
    }

    #[test]
    fn s038_no_configuration_means_unlimited() {
        for absolute in [Duration::ZERO, Duration::MAX] {
            assert!(VisitorLimits::new(absolute, 1).is_err());
        }
    }
}
