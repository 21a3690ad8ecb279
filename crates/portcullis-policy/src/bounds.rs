//! The widest values of each limit: those of the library, and narrower ones of an application.

use std::{collections::BTreeMap, time::Duration};

use portcullis_core::{
    ConfigError,
    policy::{LimitName, LimitValue},
};

const MINUTE: u64 = 60;
const DAY: u64 = 24 * 60 * MINUTE;

/// No length in a document is below this one.
pub(crate) const SHORTEST: Duration = Duration::from_secs(1);

/// The widest value that the library accepts. `Timeouts` and `RememberMe` have the same bounds.
pub(crate) fn library(limit: LimitName) -> LimitValue {
    let seconds = |seconds| LimitValue::Length(Duration::from_secs(seconds));
    match limit {
        LimitName::Idle => seconds(DAY),
        LimitName::PrivilegedIdle | LimitName::Elevation => seconds(60 * MINUTE),
        LimitName::RememberIdle => seconds(90 * DAY),
        LimitName::Absolute | LimitName::RememberAbsolute => seconds(400 * DAY),
        LimitName::Sessions => LimitValue::Count(1000),
    }
}

/// The widest values that an application accepts from a document. By default, they are those of
/// the library. Code can narrow them, and nothing can widen them.
///
/// ```
/// # use std::time::Duration;
/// # use portcullis_core::policy::LimitName;
/// # use portcullis_policy::PolicyBounds;
/// const HOUR: Duration = Duration::from_secs(60 * 60);
/// let bounds = PolicyBounds::new().at_most(LimitName::Absolute, 12 * HOUR)?;
/// assert!(bounds.at_most(LimitName::Idle, 25 * HOUR).is_err());
/// # Ok::<(), portcullis_core::ConfigError>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PolicyBounds {
    narrowed: BTreeMap<LimitName, LimitValue>,
}

impl PolicyBounds {
    /// The bounds of the library.
    pub fn new() -> Self {
        Self::default()
    }

    /// Refuses documents in which this limit is above `most`. Of two calls for one limit, the
    /// narrower holds.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if `most` is above the library's bound, below 1 s or 1 session, or of the
    /// wrong kind.
    pub fn at_most(
        mut self,
        limit: LimitName,
        most: impl Into<LimitValue>,
    ) -> Result<Self, ConfigError> {
        let (most, widest) = (most.into(), library(limit));
        let least = match (most, widest) {
            (LimitValue::Length(_), LimitValue::Length(_)) => LimitValue::Length(SHORTEST),
            (LimitValue::Count(_), LimitValue::Count(_)) => LimitValue::Count(1),
            _ => {
                return Err(ConfigError::new(format!(
                    "{most} is no value of {}; give one such as {widest}",
                    limit.as_str()
                )));
            }
        };
        if !(least.amount()..=widest.amount()).contains(&most.amount()) {
            return Err(ConfigError::new(format!(
                "the bound of {} is {most}; it must be between {least} and {widest}",
                limit.as_str()
            )));
        }
        let narrowed = self.narrowed.entry(limit).or_insert(most);
        if most.amount() < narrowed.amount() {
            *narrowed = most;
        }
        Ok(self)
    }

    /// The bound of the application, if it has one.
    pub(crate) fn application(&self, limit: LimitName) -> Option<LimitValue> {
        self.narrowed.get(&limit).copied()
    }
}

#[cfg(test)]
mod tests {
    use portcullis_core::{RememberMe, Timeouts};

    use super::*;

    const MILLISECOND: Duration = Duration::from_millis(1);

    fn length(limit: LimitName) -> Duration {
        let LimitValue::Length(length) = library(limit) else {
            panic!("{limit:?} is no length")
        };
        length
    }

    #[test]
    fn the_bounds_are_those_of_timeouts_and_remember_me() {
        let widest = Timeouts::new(length(LimitName::Idle), length(LimitName::Absolute)).unwrap();
        let (elevation, privileged) = (
            length(LimitName::Elevation),
            length(LimitName::PrivilegedIdle),
        );
        assert!(widest.with_elevation(elevation).is_ok());
        assert!(widest.with_elevation(elevation + MILLISECOND).is_err());
        assert!(widest.with_privileged_idle(privileged).is_ok());
        assert!(
            widest
                .with_privileged_idle(privileged + MILLISECOND)
                .is_err()
        );
        for (idle, absolute) in [(1, 0), (0, 1)].map(|(idle, absolute)| {
            let longer = |limit, by| length(limit) + MILLISECOND * by;
            (
                (
                    longer(LimitName::Idle, idle),
                    longer(LimitName::RememberIdle, idle),
                ),
                (
                    longer(LimitName::Absolute, absolute),
                    longer(LimitName::RememberAbsolute, absolute),
                ),
            )
        }) {
            assert!(Timeouts::new(idle.0, absolute.0).is_err());
            assert!(RememberMe::new(idle.1, absolute.1).is_err());
        }
        let remembered = (
            length(LimitName::RememberIdle),
            length(LimitName::RememberAbsolute),
        );
        assert!(RememberMe::new(remembered.0, remembered.1).is_ok());
        assert!(Timeouts::new(SHORTEST, SHORTEST).is_ok());
        assert!(Timeouts::new(SHORTEST - MILLISECOND, SHORTEST).is_err());
    }

    #[test]
    fn bounds_are_narrowed_and_never_widened() {
        let bounds = || PolicyBounds::new();
        for limit in LimitName::ALL {
            let (wider, kind) = match library(limit) {
                LimitValue::Length(most) => {
                    (LimitValue::Length(most + MILLISECOND), LimitValue::Count(1))
                }
                LimitValue::Count(most) => {
                    (LimitValue::Count(most + 1), LimitValue::Length(SHORTEST))
                }
            };
            assert!(bounds().at_most(limit, wider).is_err());
            assert!(bounds().at_most(limit, kind).is_err());
            assert!(bounds().at_most(limit, library(limit)).is_ok());
        }
        assert!(bounds().at_most(LimitName::Idle, Duration::ZERO).is_err());
        assert!(bounds().at_most(LimitName::Sessions, 0).is_err());
        let narrow = bounds().at_most(LimitName::Sessions, 5).unwrap();
        let twice = narrow.clone().at_most(LimitName::Sessions, 7).unwrap();
        assert_eq!(twice, narrow);
    }
}
