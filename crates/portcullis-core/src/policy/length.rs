//! Lengths of time as text: one number and one unit.

use std::time::Duration;

const UNITS: [(&str, u64); 5] = [
    ("d", 24 * 60 * 60 * 1000),
    ("h", 60 * 60 * 1000),
    ("m", 60 * 1000),
    ("s", 1000),
    ("ms", 1),
];

/// Why a text is not a length of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "it must be a whole number from 1, and a unit of `ms`, `s`, `m`, `h` or `d`, such as `15m`"
)]
#[non_exhaustive]
pub struct InvalidLength;

/// Reads a length of time: a number without leading zeros, and a unit of `ms`, `s`, `m`, `h` or
/// `d`, with nothing between them.
///
/// ```
/// # use std::time::Duration;
/// # use portcullis_core::policy::parse_length;
/// assert_eq!(parse_length("15m"), Ok(Duration::from_secs(15 * 60)));
/// assert!(parse_length("0m").is_err());
/// assert!(parse_length("never").is_err());
/// ```
///
/// # Errors
///
/// [`InvalidLength`] for any other text, and for more than 9,999,999 of a unit.
pub fn parse_length(text: &str) -> Result<Duration, InvalidLength> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    if !(1..=7).contains(&digits) || number.starts_with('0') {
        return Err(InvalidLength);
    }
    let number: u64 = number.parse().map_err(|_| InvalidLength)?;
    let unit = UNITS.into_iter().find(|(name, _)| *name == unit);
    let (_, millis) = unit.ok_or(InvalidLength)?;
    Ok(Duration::from_millis(number * millis))
}

/// Writes a length of time in its largest whole unit. [`parse_length`] reads it.
///
/// ```
/// # use std::time::Duration;
/// # use portcullis_core::policy::length_text;
/// assert_eq!(length_text(Duration::from_secs(90 * 60)), "90m");
/// assert_eq!(length_text(Duration::from_secs(24 * 60 * 60)), "24h");
/// assert_eq!(length_text(Duration::from_secs(30 * 24 * 60 * 60)), "30d");
/// ```
pub fn length_text(length: Duration) -> String {
    let millis = crate::time::millis(length);
    let fits = |(unit, size): &&(&str, u64)| {
        // As elsewhere, a single day is 24 hours.
        millis != 0 && millis.is_multiple_of(*size) && (*unit != "d" || millis / size > 1)
    };
    let (unit, size) = UNITS.iter().find(fits).unwrap_or(&("ms", 1));
    format!("{}{unit}", millis / size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p05_zero_and_words_are_no_length() {
        for text in [
            "",
            "0",
            "0s",
            "00s",
            "01s",
            "15",
            "m",
            "never",
            "off",
            "unlimited",
            "-1s",
            "+1s",
            "1.5h",
            "1h30m",
            "1 h",
            " 1h",
            "1h ",
            "1H",
            "1month",
            "1w",
            "10000000s",
            "１h",
        ] {
            assert_eq!(parse_length(text), Err(InvalidLength), "{text:?}");
        }
    }

    #[test]
    fn a_length_is_written_as_it_is_read() {
        for text in [
            "1ms",
            "1s",
            "90s",
            "15m",
            "90m",
            "24h",
            "36h",
            "2d",
            "400d",
            "9999999ms",
        ] {
            let length = parse_length(text).unwrap();
            assert_eq!(length_text(length), text);
        }
        assert_eq!(length_text(parse_length("60s").unwrap()), "1m");
        assert_eq!(length_text(parse_length("1d").unwrap()), "24h");
    }
}
