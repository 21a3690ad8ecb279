//! The timeouts of sessions and elevations.

mod notice;

use std::time::Duration;

use crate::ConfigError;

/// The timeouts of a session and of its elevations. Both limits of a session always exist: no value
/// means "unlimited".
///
/// | limit | default | bounds |
/// |---|---|---|
/// | idle | 30 min | 1 s to 24 h, and not above absolute |
/// | absolute | 24 h | 1 s to 400 days |
/// | elevation | 15 min | 1 s to 1 h, and not above absolute |
/// | privileged idle | 15 min | 1 s to 1 h, and not above absolute |
///
/// An elevation lasts until its own timeout, and at most until the *privileged idle* timeout after
/// the last privileged activity: a sign-in, an elevation, or use of a route that demands one. Use of
/// other routes does not extend it.
///
/// Sources: OWASP ASVS 5.0, 7.3.1 and 7.3.2. NIST SP 800-63B-4, 2.2.3 (overall timeout of at most
/// 24 h at AAL2) and 5.2. RFC 6265bis, 5.5 (a cookie lasts at most 400 days).
///
/// ```
/// # use std::time::Duration;
/// # use portcullis_core::Timeouts;
/// const MINUTE: Duration = Duration::from_secs(60);
/// let timeouts = Timeouts::new(10 * MINUTE, 8 * 60 * MINUTE)?.with_elevation(5 * MINUTE)?;
/// assert_eq!(timeouts.idle(), 10 * MINUTE);
/// assert!(Timeouts::new(Duration::ZERO, MINUTE).is_err());
/// # Ok::<(), portcullis_core::ConfigError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    idle: Duration,
    absolute: Duration,
    elevation: Duration,
    privileged_idle: Duration,
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST_IDLE: Duration = DAY;
const LONGEST_ABSOLUTE: Duration = Duration::from_secs(400 * 24 * 60 * 60);
const LONGEST_ELEVATION: Duration = Duration::from_secs(60 * 60);
const LONGEST_PRIVILEGED_IDLE: Duration = Duration::from_secs(60 * 60);

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            idle: Duration::from_secs(30 * 60),
            absolute: DAY,
            elevation: Duration::from_secs(15 * 60),
            privileged_idle: Duration::from_secs(15 * 60),
        }
    }
}

impl Timeouts {
    /// The limits after which a session ends: `idle` without activity, `absolute` in every case.
    /// Fractions of a millisecond are dropped. The elevation and the privileged idle timeout are 15
    /// minutes, or `absolute` if that is shorter.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when a limit is out of its bounds or idle exceeds absolute.
    pub fn new(idle: Duration, absolute: Duration) -> Result<Self, ConfigError> {
        within("idle timeout", idle, LONGEST_IDLE)?;
        within("absolute timeout", absolute, LONGEST_ABSOLUTE)?;
        if idle > absolute {
            return Err(ConfigError::new(format!(
                "the idle timeout ({idle:?}) exceeds the absolute timeout ({absolute:?}) and would never apply; shorten it"
            )));
        }
        Ok(Self {
            idle: whole_millis(idle),
            absolute: whole_millis(absolute),
            elevation: Self::default().elevation.min(whole_millis(absolute)),
            privileged_idle: Self::default().privileged_idle.min(whole_millis(absolute)),
        })
    }

    /// The same limits with another elevation timeout. Each elevation ends that long after it was
    /// granted.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when it is out of its bounds or exceeds the absolute timeout.
    pub fn with_elevation(self, elevation: Duration) -> Result<Self, ConfigError> {
        within(
            "elevation timeout",
            elevation,
            LONGEST_ELEVATION.min(self.absolute),
        )?;
        Ok(Self {
            elevation: whole_millis(elevation),
            ..self
        })
    }

    /// The same limits with another privileged idle timeout. After that long without privileged
    /// activity, elevations have ended, and privileged routes ask for another proof.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when it is out of its bounds or exceeds the absolute timeout.
    pub fn with_privileged_idle(self, privileged_idle: Duration) -> Result<Self, ConfigError> {
        within(
            "privileged idle timeout",
            privileged_idle,
            LONGEST_PRIVILEGED_IDLE.min(self.absolute),
        )?;
        Ok(Self {
            privileged_idle: whole_millis(privileged_idle),
            ..self
        })
    }

    /// The shorter of each limit.
    #[must_use]
    pub fn stricter(self, other: Self) -> Self {
        Self {
            idle: self.idle.min(other.idle),
            absolute: self.absolute.min(other.absolute),
            elevation: self.elevation.min(other.elevation),
            privileged_idle: self.privileged_idle.min(other.privileged_idle),
        }
    }

    /// After this long without activity, the session ends.
    pub fn idle(&self) -> Duration {
        self.idle
    }

    /// This long after authentication (or creation), the session ends in every case.
    pub fn absolute(&self) -> Duration {
        self.absolute
    }

    /// This long after it was granted, an elevation ends. Activity does not extend it.
    pub fn elevation(&self) -> Duration {
        self.elevation
    }

    /// After this long without privileged activity, privileged routes ask for another proof.
    pub fn privileged_idle(&self) -> Duration {
        self.privileged_idle
    }
}

pub(crate) fn within(name: &str, value: Duration, longest: Duration) -> Result<(), ConfigError> {
    if (SHORTEST..=longest).contains(&value) {
        return Ok(());
    }
    Err(ConfigError::new(format!(
        "the {name} is {value:?}; it must be between {SHORTEST:?} and {longest:?}"
    )))
}

pub(crate) fn whole_millis(length: Duration) -> Duration {
    Duration::from_millis(crate::time::millis(length))
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    #[test]
    fn the_defaults_are_30_minutes_24_hours_and_15_minutes() {
        let defaults = Timeouts::default();
        assert_eq!(defaults, Timeouts::new(secs(1800), secs(86_400)).unwrap());
        assert_eq!(defaults.elevation(), secs(900));
        assert_eq!(defaults.privileged_idle(), secs(900));
    }

    #[test]
    fn s038_no_configuration_means_unlimited() {
        assert!(Timeouts::new(Duration::MAX, Duration::MAX).is_err());
        assert!(Timeouts::new(Duration::ZERO, DAY).is_err());
        assert!(Timeouts::new(secs(60), LONGEST_ABSOLUTE + secs(1)).is_err());
        assert!(Timeouts::new(LONGEST_IDLE + secs(1), LONGEST_ABSOLUTE).is_err());
        let defaults = Timeouts::default();
        assert!(defaults.with_elevation(Duration::MAX).is_err());
        assert!(defaults.with_privileged_idle(Duration::MAX).is_err());
    }

    #[test]
    fn the_stricter_of_two_has_the_shorter_of_each_limit() {
        let (short, long) = (
            Timeouts::new(secs(60), secs(7200)).unwrap(),
            Timeouts::new(secs(600), secs(3600)).unwrap(),
        );
        let short = short.with_elevation(secs(600)).unwrap();
        let long = long.with_privileged_idle(secs(30)).unwrap();
        let both = short.stricter(long);
        assert_eq!(both, long.stricter(short));
        assert_eq!((both.idle(), both.absolute()), (secs(60), secs(3600)));
        assert_eq!(both.elevation(), secs(600));
        assert_eq!(both.privileged_idle(), secs(30));
    }

    #[test]
    fn t62_zero_is_refused_and_never_means_off() {
        let defaults = Timeouts::default();
        assert!(defaults.with_elevation(Duration::ZERO).is_err());
        assert!(defaults.with_privileged_idle(Duration::ZERO).is_err());
    }

    #[test]
    fn an_idle_timeout_that_would_never_apply_is_refused() {
        let error = Timeouts::new(secs(61), secs(60)).unwrap_err();
        assert!(error.to_string().contains("never apply"));
    }
}
