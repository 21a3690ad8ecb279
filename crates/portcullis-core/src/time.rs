//! Moments, always on the store's clock.

use std::{fmt, time::Duration};

use time::OffsetDateTime;

/// A moment on the store's clock, in milliseconds since the Unix epoch.
///
/// Only a [`Store`](crate::store::Store) makes them: no other clock decides about a session. Arithmetic saturates.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The moment `millis` milliseconds after the Unix epoch.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the Unix epoch.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// This moment moved later by `length`.
    #[must_use]
    pub fn after(self, length: Duration) -> Self {
        Self(self.0.saturating_add(millis(length)))
    }

    /// This moment moved earlier by `length`.
    #[must_use]
    pub fn before(self, length: Duration) -> Self {
        Self(self.0.saturating_sub(millis(length)))
    }

    /// The time from `earlier` to this moment; zero if `earlier` is not earlier.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Timestamp({} ms)", self.0)
    }
}

/// Moments beyond the year 9999 become the last one that can be told.
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
    fn parts_of_a_millisecond_are_dropped() {
        let moment = Timestamp::from_millis(1).after(Duration::from_micros(1999));
        assert_eq!(moment.as_millis(), 2);
    }
}
