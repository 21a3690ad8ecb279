//! Limits that are shortened for a time.

use std::time::Duration;

use portcullis_core::{ConfigError, Timeouts, Timestamp, millis};
use serde::{Deserialize, Serialize};

/// The limits to which a policy is tightened for a time. A limit that is not set stays as it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "any of them may be set")]
pub struct Tightening {
    /// The longest idle timeout.
    pub idle: Option<Duration>,
    /// The longest absolute timeout.
    pub absolute: Option<Duration>,
    /// The longest privileged idle timeout.
    pub privileged_idle: Option<Duration>,
    /// The longest elevation.
    pub elevation: Option<Duration>,
}

/// A tightening, and when it ends. The document alone holds from then on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Overlay {
    /// No limit is longer than these.
    pub limits: Timeouts,
    /// When it ends, on the store's clock.
    pub until: Timestamp,
}

const HOUR: Duration = Duration::from_secs(60 * 60);

/// The shortest and the longest time for which a policy may be tightened.
const LASTS: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(30 * 24 * 3600));

impl Overlay {
    /// Tightens to these limits from `now` on, for this long: 1 minute to 30 days.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] for a limit or a time out of its bounds, and if no limit is set.
    pub fn new(
        tightening: Tightening,
        lasts: Duration,
        now: Timestamp,
    ) -> Result<Self, ConfigError> {
        if !(LASTS.0..=LASTS.1).contains(&lasts) {
            return Err(ConfigError::new(format!(
                "a policy can be tightened for 1 minute to 30 days, not for {lasts:?}"
            )));
        }
        if tightening == Tightening::default() {
            return Err(ConfigError::new(
                "name at least one limit to which the policy is tightened",
            ));
        }
        let Tightening {
            idle,
            absolute,
            privileged_idle,
            elevation,
        } = tightening;
        // What is not set is as long as any policy allows.
        let absolute = absolute.unwrap_or(400 * 24 * HOUR);
        let limits = Timeouts::new(idle.unwrap_or(absolute.min(24 * HOUR)), absolute)?
            .with_privileged_idle(privileged_idle.unwrap_or(absolute.min(HOUR)))?
            .with_elevation(elevation.unwrap_or(absolute.min(HOUR)))?;
        Ok(Self {
            limits,
            until: now.after(lasts),
        })
    }

    /// The limits that it sets: those that are shorter than any policy allows.
    pub fn tightening(&self) -> Tightening {
        let set = |limit, longest| (limit < longest).then_some(limit);
        Tightening {
            idle: set(self.limits.idle(), 24 * HOUR),
            absolute: set(self.limits.absolute(), 400 * 24 * HOUR),
            privileged_idle: set(self.limits.privileged_idle(), HOUR),
            elevation: set(self.limits.elevation(), HOUR),
        }
    }

    /// Whether it holds at this moment.
    pub fn is_in_force(&self, now: Timestamp) -> bool {
        now < self.until
    }
}

/// An overlay in a stored policy. All lengths are in milliseconds.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StoredOverlay {
    until: u64,
    idle: u64,
    absolute: u64,
    privileged_idle: u64,
    elevation: u64,
}

impl From<&Overlay> for StoredOverlay {
    fn from(overlay: &Overlay) -> Self {
        let Overlay { limits, until } = overlay;
        Self {
            until: until.as_millis(),
            idle: millis(limits.idle()),
            absolute: millis(limits.absolute()),
            privileged_idle: millis(limits.privileged_idle()),
            elevation: millis(limits.elevation()),
        }
    }
}

impl StoredOverlay {
    /// `None` if its limits are out of their bounds.
    pub(crate) fn read(&self) -> Option<Overlay> {
        let ms = Duration::from_millis;
        let limits = Timeouts::new(ms(self.idle), ms(self.absolute)).ok()?;
        let limits = limits.with_privileged_idle(ms(self.privileged_idle)).ok()?;
        Some(Overlay {
            limits: limits.with_elevation(ms(self.elevation)).ok()?,
            until: Timestamp::from_millis(self.until),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tightened(tightening: Tightening, lasts: u64) -> Result<Overlay, ConfigError> {
        let lasts = Duration::from_secs(lasts);
        Overlay::new(tightening, lasts, Timestamp::from_millis(1000))
    }

    const IDLE: Tightening = Tightening {
        idle: Some(Duration::from_secs(300)),
        absolute: None,
        privileged_idle: None,
        elevation: None,
    };

    #[test]
    fn what_is_not_set_is_as_long_as_any_policy_allows() {
        let overlay = tightened(IDLE, 60).unwrap();
        assert_eq!(overlay.limits.idle(), Duration::from_secs(300));
        assert_eq!(overlay.limits.absolute(), 400 * 24 * HOUR);
        assert_eq!(overlay.tightening(), IDLE);
        assert_eq!(overlay.until, Timestamp::from_millis(61_000));
        assert_eq!(StoredOverlay::from(&overlay).read(), Some(overlay));
    }

    #[test]
    fn a_tightening_has_a_limit_and_an_end_within_bounds() {
        for (tightening, lasts) in [
            (Tightening::default(), 60),
            (IDLE, 59),
            (IDLE, 31 * 24 * 3600),
            (
                Tightening {
                    idle: Some(Duration::ZERO),
                    ..IDLE
                },
                60,
            ),
        ] {
            assert!(tightened(tightening, lasts).is_err(), "{tightening:?}");
        }
    }

    #[test]
    fn an_absolute_timeout_alone_bounds_every_other_limit() {
        let absolute = Tightening {
            absolute: Some(Duration::from_secs(600)),
            ..Tightening::default()
        };
        let limits = tightened(absolute, 60).unwrap().limits;
        assert_eq!(limits.idle(), Duration::from_secs(600));
        assert_eq!(limits.elevation(), Duration::from_secs(600));
    }
}
