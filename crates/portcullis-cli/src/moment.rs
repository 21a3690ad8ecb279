//! Moments, as operators write and read them. All are on the server's clock.

use std::time::Duration;

use portcullis::session::Timestamp;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// A moment on a command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    Ago(Duration),
    At(Timestamp),
}

const UNITS: [(char, u64); 5] = [
    ('s', 1),
    ('m', 60),
    ('h', 60 * 60),
    ('d', 24 * 60 * 60),
    ('w', 7 * 24 * 60 * 60),
];

impl Moment {
    /// `90s`, `15m`, `1h`, `2d`, `1w` ago, or a moment in RFC 3339.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        const HELP: &str =
            "write how long ago (90s, 15m, 1h, 2d, 1w), or a moment such as 2026-01-31T12:00:00Z";
        let length = || {
            let (unit, seconds) = UNITS.into_iter().find(|(unit, _)| text.ends_with(*unit))?;
            let number = text.strip_suffix(unit)?;
            if !number.bytes().all(|byte| byte.is_ascii_digit()) {
                return None;
            }
            let seconds = number.parse::<u64>().ok()?.checked_mul(seconds)?;
            Some(Self::Ago(Duration::from_secs(seconds)))
        };
        let moment = || {
            let moment = OffsetDateTime::parse(text, &Rfc3339).ok()?;
            let millis = moment.unix_timestamp_nanos().div_euclid(1_000_000);
            Some(Self::At(Timestamp::from_millis(millis.try_into().ok()?)))
        };
        length().or_else(moment).ok_or(HELP)
    }

    pub(crate) fn on(self, now: Timestamp) -> Timestamp {
        match self {
            Self::Ago(length) => now.before(length),
            Self::At(moment) => moment,
        }
    }
}

/// RFC 3339 in UTC with milliseconds.
pub(crate) fn rfc3339(at: Timestamp) -> String {
    let moment = OffsetDateTime::from(at);
    let (hour, minute, second) = moment.to_hms();
    let milli = moment.millisecond();
    format!(
        "{}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z",
        day(moment)
    )
}

/// For headings: `2026-01-31 12:00:00 UTC`.
pub(crate) fn clock(at: Timestamp) -> String {
    let moment = OffsetDateTime::from(at);
    let (hour, minute, second) = moment.to_hms();
    format!("{} {hour:02}:{minute:02}:{second:02} UTC", day(moment))
}

fn day(moment: OffsetDateTime) -> String {
    let (year, month, day) = moment.to_calendar_date();
    format!("{year:04}-{:02}-{day:02}", u8::from(month))
}

/// Formats moments for tables.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    pub(crate) now: Timestamp,
    /// In full, and nothing relative.
    pub(crate) utc: bool,
}

impl Clock {
    /// `3m ago 12:00`, `in 2d 01-31 12:00`.
    pub(crate) fn format(self, at: Timestamp) -> String {
        if self.utc {
            return rfc3339(at);
        }
        let relative = if at > self.now {
            format!("in {}", length(at.since(self.now)))
        } else {
            format!("{} ago", length(self.now.since(at)))
        };
        let (now, moment) = (OffsetDateTime::from(self.now), OffsetDateTime::from(at));
        let (hour, minute, _) = moment.to_hms();
        let (year, month, day) = moment.to_calendar_date();
        let month = u8::from(month);
        let date = if now.date() == moment.date() {
            String::new()
        } else if now.year() == year {
            format!(" {month:02}-{day:02}")
        } else {
            format!(" {year:04}-{month:02}-{day:02}")
        };
        format!("{relative}{date} {hour:02}:{minute:02}")
    }

    pub(crate) fn format_if_any(self, at: Option<Timestamp>) -> String {
        at.map_or_else(|| "-".to_owned(), |at| self.format(at))
    }
}

/// In the largest unit of which there are two, rounded down.
fn length(length: Duration) -> String {
    let seconds = length.as_secs();
    let mut units = UNITS.into_iter().filter(|(unit, _)| *unit != 'w').rev();
    match units.find(|(unit, size)| seconds >= size * if *unit == 'd' { 2 } else { 1 }) {
        Some((unit, size)) => format!("{}{unit}", seconds / size),
        None => "0s".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-01-31T12:34:56.789Z.
    const NOON: Timestamp = Timestamp::from_millis(1_769_862_896_789);

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_moment_is_read_as_a_length_or_as_rfc_3339() {
        for (text, moment) in [
            ("90s", Moment::Ago(seconds(90))),
            ("1h", Moment::Ago(seconds(3600))),
            ("2w", Moment::Ago(seconds(14 * 86_400))),
            ("2026-01-31T12:34:56.789Z", Moment::At(NOON)),
            ("2026-01-31T13:34:56.789+01:00", Moment::At(NOON)),
        ] {
            assert_eq!(Moment::parse(text), Ok(moment));
        }
        for text in [
            "",
            "h",
            "-1h",
            "+1h",
            "1.5h",
            "1y",
            "99999999999999999999w",
            "18446744073709551615w",
            "yesterday",
            "2026-01-31",
            "1969-12-31T23:59:59Z",
        ] {
            assert!(Moment::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_length_is_counted_from_the_clock_of_the_server() {
        assert_eq!(Moment::Ago(seconds(1)).on(NOON), NOON.before(seconds(1)));
        assert_eq!(Moment::At(NOON).on(Timestamp::from_millis(0)), NOON);
    }

    #[test]
    fn in_json_moments_have_milliseconds_and_utc() {
        assert_eq!(rfc3339(NOON), "2026-01-31T12:34:56.789Z");
        assert_eq!(
            rfc3339(Timestamp::from_millis(0)),
            "1970-01-01T00:00:00.000Z"
        );
        assert_eq!(
            rfc3339(Timestamp::from_millis(u64::MAX)),
            "9999-12-31T23:59:59.999Z"
        );
    }

    #[test]
    fn in_tables_a_moment_is_relative_with_the_clock_beside_it() {
        let clock = Clock {
            now: NOON,
            utc: false,
        };
        for (at, text) in [
            (NOON, "0s ago 12:34"),
            (NOON.before(seconds(59)), "59s ago 12:33"),
            (NOON.before(seconds(3599)), "59m ago 11:34"),
            (NOON.before(seconds(25 * 3600)), "25h ago 01-30 11:34"),
            (NOON.before(seconds(2 * 86_400)), "2d ago 01-29 12:34"),
            (
                NOON.before(seconds(40 * 86_400)),
                "40d ago 2025-12-22 12:34",
            ),
            (NOON.after(seconds(1800)), "in 30m 13:04"),
            (NOON.after(seconds(86_400)), "in 24h 02-01 12:34"),
        ] {
            assert_eq!(clock.format(at), text);
        }
        let utc = Clock {
            now: NOON,
            utc: true,
        };
        assert_eq!(utc.format(NOON), "2026-01-31T12:34:56.789Z");
        assert_eq!(utc.format_if_any(None), "-");
    }
}
