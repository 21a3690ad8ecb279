//! The limits of remembered sessions.

use std::time::Duration;

use crate::{ConfigError, store::Limits, timeouts::Timeouts};

/// The limits of a session whose user asked to be remembered on this device ("remember me").
///
/// | limit | default | bounds |
/// |---|---|---|
/// | idle | 14 days | 1 s to 90 days, and not above absolute |
/// | absolute | 90 days | 1 s to 400 days |
///
/// If an ordinary [timeout](Timeouts) is longer, it applies instead. RFC 6265bis, 5.5, limits the
/// lifetime of cookies to 400 days.
///
/// ```
/// # use std::time::Duration;
/// # use portcullis_core::RememberMe;
/// const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// let a_month = RememberMe::new(7 * DAY, 30 * DAY)?;
/// assert!(RememberMe::new(91 * DAY, 400 * DAY).is_err());
/// # Ok::<(), portcullis_core::ConfigError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RememberMe {
    idle: Duration,
    absolute: Duration,
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const LONGEST_IDLE: Duration = Duration::from_secs(90 * 24 * 60 * 60);
const LONGEST_ABSOLUTE: Duration = Duration::from_secs(400 * 24 * 60 * 60);

impl Default for RememberMe {
    fn default() -> Self {
        Self {
            idle: DAY * 14,
            absolute: DAY * 90,
        }
    }
}

impl RememberMe {
    /// The limits after which a remembered session ends: `idle` without activity, `absolute` in
    /// every case. Fractions of a millisecond are dropped.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when a limit is out of its bounds or idle exceeds absolute.
    pub fn new(idle: Duration, absolute: Duration) -> Result<Self, ConfigError> {
        let within = |name, value, longest| {
            crate::timeouts::within(name, value, longest)?;
            Ok(crate::timeouts::whole_millis(value))
        };
        if idle > absolute {
            return Err(ConfigError::new(format!(
                "the idle timeout of remembered sessions ({idle:?}) exceeds their absolute timeout ({absolute:?}) and would never apply; shorten it"
            )));
        }
        Ok(Self {
            idle: within("idle timeout of remembered sessions", idle, LONGEST_IDLE)?,
            absolute: within(
                "absolute timeout of remembered sessions",
                absolute,
                LONGEST_ABSOLUTE,
            )?,
        })
    }

    /// After this long without activity, a remembered session ends.
    pub fn idle(&self) -> Duration {
        self.idle
    }

    /// This long after the sign-in, a remembered session ends in every case.
    pub fn absolute(&self) -> Duration {
        self.absolute
    }

    /// The same with no limit longer than the ordinary ones of `by`.
    pub(crate) fn stricter(self, by: &Timeouts) -> Self {
        Self {
            idle: self.idle.min(by.idle()),
            absolute: self.absolute.min(by.absolute()),
        }
    }

    /// The limits with which a remembered session is stored.
    pub(crate) fn limits(&self, ordinary: &Timeouts) -> Limits {
        Limits {
            idle: self.idle.max(ordinary.idle()),
            absolute: self.absolute.max(ordinary.absolute()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_14_and_90_days() {
        let defaults = RememberMe::default();
        assert_eq!(defaults, RememberMe::new(DAY * 14, DAY * 90).unwrap());
    }

    #[test]
    fn s038_no_configuration_means_unlimited() {
        let most = RememberMe::new(DAY * 90, DAY * 400);
        assert!(most.is_ok());
        for (idle, absolute) in [
            (Duration::ZERO, DAY),
            (DAY * 90 + Duration::from_secs(1), DAY * 400),
            (DAY, DAY * 400 + Duration::from_secs(1)),
            (DAY * 2, DAY),
            (Duration::MAX, Duration::MAX),
        ] {
            assert!(RememberMe::new(idle, absolute).is_err(), "{idle:?}");
        }
    }

    #[test]
    fn remember_me_never_shortens_a_session() {
        let short = RememberMe::new(Duration::from_secs(1), Duration::from_secs(1)).unwrap();
        let ordinary = Timeouts::default();
        let limits = short.limits(&ordinary);
        assert_eq!(limits.idle, ordinary.idle());
        assert_eq!(limits.absolute, ordinary.absolute());
        let limits = RememberMe::default().limits(&ordinary);
        assert_eq!((limits.idle, limits.absolute), (DAY * 14, DAY * 90));
    }
}
