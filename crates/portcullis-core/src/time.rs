//! Times, always on the store's clock.

use std::{fmt, time::Duration};

use time::OffsetDateTime;

/// A time on the store's clock, in milliseconds since the Unix epoch.
///
/// Only a [`Store`](crate::store::Store) reads the clock, and no other clock decides about a
/// session. Arithmetic saturates.
///
/// ```
/// # use std::time::Duration;
/// # use portcullis_core::Timestamp;
/// let now = Timestamp::from_millis(1_000);
/// assert_eq!(now.after(Duration::from_secs(2)).as_millis(), 3_000);
/// assert_eq!(now.since(Timestamp::from_millis(400)), Duration::from_millis(600));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The time `millis` milliseconds after the Unix epoch.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the Unix epoch.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// The time `length` later.
    #[must_use]
    pub fn after(self, length: Duration) -> Self {
        Self(self.0.saturating_add(millis(length)))
    }

    /// The time `length` earlier.
    #[must_use]
    pub fn before(self, length: Duration) -> Self {
        Self(self.0.saturating_sub(millis(length)))
    }

    /// How long `earlier` was before this time. Zero if it was not before.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// RFC 3339 in UTC, with milliseconds: `2026-12-01T09:14:03.250Z`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = OffsetDateTime::from(*self);
        let (year, month, day) = (at.year(), u8::from(at.month()), at.day());
        let (hour, minute, second, milli) = at.to_hms_milli();
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z"
        )
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Timestamp({} ms)", self.0)
    }
}

/// Times after the year 9999 become the last moment of that year.
impl From<Timestamp> for OffsetDateTime {
    fn from(moment: Timestamp) -> Self {
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(moment.0) * 1_000_000)
            .unwrap_or(time::PrimitiveDateTime::MAX.assume_utc())
    }
}

/// Whole milliseconds of `length`, rounded down: a limit may end early, never late.
#[doc(hidden)]
pub fn millis(length: Duration) -> u64 {
    u64::try_from(length.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_shown_in_utc() {
        let at = Timestamp::from_millis(1_796_116_443_250);
        assert_eq!(at.to_string(), "2026-12-01T09:14:03.250Z");
        let last = Timestamp::from_millis(u64::MAX).to_string();
        assert_eq!(last, "9999-12-31T23:59:59.999Z");
    }

    #[test]
    fn arithmetic_saturates_instead_of_wrapping() {
        let end = Timestamp::from_millis(u64::MAX);
        assert_eq!(end.after(Duration::MAX), end);
        assert_eq!(
            Timestamp::from_millis(5).before(Duration::MAX),
            Timestamp::from_millis(0)
        );
        assert_eq!(Timestamp::from_millis(5).since(end), Duration::ZERO);
        assert_eq!(OffsetDateTime::from(end).year(), 9999);
    }

    #[test]
    fn fractions_of_a_millisecond_are_dropped() {
        let moment = Timestamp::from_millis(1).after(Duration::from_micros(1999));
        assert_eq!(moment.as_millis(), 2);
    }
}
