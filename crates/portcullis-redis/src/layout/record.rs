//! The value under a session's key.
//!
//! A live session is a header of 54 ASCII bytes and then the payload, which is opaque:
//!
//! ```text
//! 1  aaaaaaaaaaa  iiiiiiiii  lllllllllll  ppppppppppp  c  g  f  rrrrrrrr
//! │  │            │          │            │            │  │  │  └ revision, drawn anew for every write
//! │  │            │          │            │            │  │  └ 1 if it is flagged for review, else 0
//! │  │            │          │            │            │  └ largest gap between activities, by its bin; 0 unknown
//! │  │            │          │            │            └ class
//! │  │            │          │            └ last privileged activity, ms since the epoch by the server's clock
//! │  │            │          └ last activity, likewise
//! │  │            └ idle timeout, ms
//! │  └ absolute deadline, ms since the epoch by the server's clock
//! └ version of the format
//! ```
//!
//! All numbers are lower-case hexadecimal; class and bin are one of `0-9` and `a-z`.
//!
//! An ended session is a tombstone: `-`, the code of its reason, the 12 bytes of its public name,
//! and then fields, each with a tag in front:
//!
//! * `>` and the key under which the session continues, for an end to find: the bucket as three
//!   hexadecimal digits, and the digest as 22 characters of base64url. That key is a hash and
//!   grants nothing.
//! * `=` and the revision of the write that replaced it.
//! * `!` if the marker of a revocation ended the session and the revocation has not reported it
//!   yet.
//! * `@` and its last activity, 11 digits.
//!
//! Reading stops at a field of a later version.

use std::time::Duration;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use bytes::Bytes;
use portcullis_core::{
    Bucket, ClassCode, EndReason, SessionHandle, SessionIdHash, Timestamp, millis,
    store::{Limits, Loaded, Revision, Stored, Timing},
};

const HEADER: usize = 54;
const NAME: usize = 12;
const SUCCESSOR: usize = 25;

/// A stored value, parsed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Record {
    /// A session, live or past its deadlines.
    Session(Stored),
    /// A session that was ended.
    Ended(Tombstone),
    /// Written by a later version of Portcullis.
    Newer,
    /// Not a record.
    Damaged,
}

/// What is remembered of an ended session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tombstone {
    /// `None` for a reason that this version does not know.
    pub(crate) reason: Option<EndReason>,
    pub(crate) name: SessionHandle,
    /// The key that the session was moved to.
    pub(crate) successor: Option<SessionIdHash>,
}

impl Tombstone {
    /// The answer to a load. An end for an unknown reason is answered as absence.
    pub(crate) fn loaded(self) -> Loaded {
        match self.reason {
            None => Loaded::Absent,
            Some(reason) => Loaded::Ended {
                reason,
                handle: self.name,
                successor: self.successor,
            },
        }
    }
}

/// The length of a record with a payload of this length.
pub(crate) fn length_with(payload: usize) -> u64 {
    (HEADER + payload) as u64
}

impl Record {
    pub(crate) fn parse(value: &Bytes) -> Self {
        match **value {
            [b'-', code @ b'a'..=b'z', ref rest @ ..] => match tombstone(code, rest) {
                Some(tombstone) => Self::Ended(tombstone),
                None => Self::Damaged,
            },
            [b'2'..=b'9', ..] => Self::Newer,
            [b'1', ref rest @ ..] => match header(rest) {
                Some((timing, revision)) => Self::Session(Stored {
                    timing,
                    revision,
                    payload: value.slice(HEADER..),
                }),
                None => Self::Damaged,
            },
            _ => Self::Damaged,
        }
    }
}

fn tombstone(code: u8, rest: &[u8]) -> Option<Tombstone> {
    let (name, fields) = rest.split_at_checked(NAME)?;
    let (name, reason) = (name_of(name)?, EndReason::from_code(char::from(code)));
    Some(Tombstone {
        reason,
        name,
        successor: match field(fields, b'>') {
            Some(text) if reason == Some(EndReason::Replaced) => Some(successor(text)?),
            _ => None,
        },
    })
}

/// The value of a field of a tombstone, if it has the field. Reading stops at a field of a later
/// version.
fn field(mut fields: &[u8], wanted: u8) -> Option<&[u8]> {
    while let Some((tag, rest)) = fields.split_first() {
        let length = match tag {
            b'>' => SUCCESSOR,
            b'=' => 8,
            b'!' => 0,
            b'@' => 11,
            _ => return None,
        };
        // A value that is cut short is returned as it is.
        let (value, rest) = rest.split_at_checked(length).unwrap_or((rest, b""));
        if *tag == wanted {
            return Some(value);
        }
        fields = rest;
    }
    None
}

fn header(bytes: &[u8]) -> Option<(Timing, Revision)> {
    let (absolute, bytes) = hex(bytes, 11)?;
    let (idle, bytes) = hex(bytes, 9)?;
    let (last, bytes) = hex(bytes, 11)?;
    let (privileged, bytes) = hex(bytes, 11)?;
    let (&[class, gap, flag], bytes) = bytes.split_first_chunk()?;
    if [class, gap]
        .iter()
        .any(|byte| ClassCode::from_char(char::from(*byte)).is_none())
        || !b"01".contains(&flag)
    {
        return None;
    }
    let (revision, _) = hex(bytes, 8)?;
    let timing = Timing {
        absolute_deadline: Timestamp::from_millis(absolute),
        idle_timeout: Duration::from_millis(idle),
        last_active_at: Timestamp::from_millis(last),
        privileged_at: Timestamp::from_millis(privileged),
    };
    Some((timing, Revision(u32::try_from(revision).ok()?)))
}

fn hex(bytes: &[u8], digits: usize) -> Option<(u64, &[u8])> {
    let (number, rest) = bytes.split_at_checked(digits)?;
    let number = number.iter().try_fold(0_u64, |number, byte| {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u64::from(digit))
    })?;
    Some((number, rest))
}

/// A key as the tombstone of a replaced session has it.
pub(crate) fn as_successor(key: &SessionIdHash) -> String {
    let mut text = format!("{:03x}", key.bucket().number());
    BASE64_URL_SAFE_NO_PAD.encode_string(key.digest(), &mut text);
    text
}

/// Parses the form of [`as_successor`], and no other form of the same key.
pub(crate) fn successor(text: &[u8]) -> Option<SessionIdHash> {
    let (bucket, text) = hex(text, 3)?;
    let bucket = Bucket::from_number(u16::try_from(bucket).ok()?)?;
    let mut digest = [0; 16];
    match BASE64_URL_SAFE_NO_PAD.decode_slice(text, &mut digest) {
        Ok(16) => Some(SessionIdHash::from_parts(bucket, digest)),
        _ => None,
    }
}

/// A revision as the header has it.
pub(crate) fn revision(revision: Revision) -> String {
    format!("{:08x}", revision.0)
}

/// Idle and absolute timeout in whole milliseconds, limited to what the header can hold.
pub(crate) fn limits(limits: Limits) -> (u64, u64) {
    // Now plus the longest absolute timeout fits into eleven digits (until the year 2527).
    const LONGEST: u64 = 1 << 43;
    (idle(limits.idle), millis(limits.absolute).min(LONGEST))
}

/// An idle timeout in whole milliseconds, limited to the nine digits of the header.
pub(crate) fn idle(idle: Duration) -> u64 {
    millis(idle).min((1 << 36) - 1)
}

/// The public name of a session, from its bytes.
pub(crate) fn name_of(bytes: &[u8]) -> Option<SessionHandle> {
    Some(SessionHandle::from_bytes(bytes.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

    use super::*;

    const SAMPLE: &[u8] = b"1019a00000000001b7740019a0000abc019a0000abca010000002apayload\xff\0";

    fn parse(value: &[u8]) -> Record {
        Record::parse(&Bytes::copy_from_slice(value))
    }

    #[test]
    fn a_header_is_read_as_it_is_documented() {
        let Record::Session(stored) = parse(SAMPLE) else {
            panic!("not a session")
        };
        assert_eq!(
            stored.timing.absolute_deadline.as_millis(),
            0x0019_a000_0000
        );
        assert_eq!(stored.timing.idle_timeout, Duration::from_secs(30 * 60));
        assert_eq!(stored.timing.last_active_at.as_millis(), 0x0019_a000_0abc);
        assert_eq!(stored.timing.privileged_at.as_millis(), 0x0019_a000_0abc);
        assert_eq!(stored.revision, Revision(42));
        assert_eq!(&stored.payload[..], b"payload\xff\0");
    }

    #[test]
    fn a_header_cut_short_is_damaged_at_every_length() {
        assert!(matches!(parse(&SAMPLE[..HEADER]), Record::Session(_)));
        for length in 0..HEADER {
            assert_eq!(parse(&SAMPLE[..length]), Record::Damaged, "{length}");
        }
    }

    #[test]
    fn every_byte_that_does_not_fit_damages_every_place_of_the_header() {
        for place in 1..HEADER {
            for byte in 0..=u8::MAX {
                let mut value = SAMPLE.to_vec();
                value[place] = byte;
                let fits = match place {
                    43 | 44 => matches!(byte, b'0'..=b'9' | b'a'..=b'z'),
                    45 => matches!(byte, b'0' | b'1'),
                    _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
                };
                assert_eq!(
                    matches!(parse(&value), Record::Session(_)),
                    fits,
                    "{place}: {byte}"
                );
            }
        }
    }

    #[test]
    fn the_first_byte_tells_formats_apart() {
        for first in 0..=u8::MAX {
            let mut value = SAMPLE.to_vec();
            value[0] = first;
            match parse(&value) {
                Record::Session(_) => assert_eq!(first, b'1'),
                Record::Newer => assert!(first > b'1' && first.is_ascii_digit()),
                Record::Damaged => assert!(!(b'1'..=b'9').contains(&first)),
                Record::Ended(..) => panic!("{first}"),
            }
        }
        assert_eq!(parse(b"2"), Record::Newer);
    }

    fn ended(reason: Option<EndReason>, successor: Option<SessionIdHash>) -> Record {
        Record::Ended(Tombstone {
            reason,
            name: SessionHandle::from_bytes(*b"twelve bytes"),
            successor,
        })
    }

    #[test]
    fn the_reason_of_an_end_is_read_back() {
        for reason in EndReason::ALL {
            let value = format!("-{}twelve bytes", reason.code());
            assert_eq!(parse(value.as_bytes()), ended(Some(reason), None));
        }
        assert_eq!(parse(b"-ztwelve bytes"), ended(None, None));
        let fields = "!=0123abcd@019a0000abc?of a later version";
        let later = format!("-otwelve bytes{fields}");
        assert_eq!(
            parse(later.as_bytes()),
            ended(Some(EndReason::SignedOut), None)
        );
        for hostile in [
            &b"-"[..],
            b"-o",
            b"-otwelve byte",
            b"-Otwelve bytes",
            b"--twelve bytes",
            b"-\xfftwelve bytes",
        ] {
            assert_eq!(parse(hostile), Record::Damaged);
        }
    }

    #[test]
    fn the_key_that_follows_a_replacement_is_read_back() {
        for number in [0, 1, 0x1ff, 0x3ff] {
            let bucket = Bucket::from_number(number).unwrap();
            let key = SessionIdHash::from_parts(bucket, [0xfb; 16]);
            let text = as_successor(&key);
            assert_eq!(text, format!("{number:03x}-_v7-_v7-_v7-_v7-_v7-w"));
            assert_eq!(successor(text.as_bytes()), Some(key));
            assert_eq!(
                parse(format!("-rtwelve bytes=0123abcd>{text}").as_bytes()),
                ended(Some(EndReason::Replaced), Some(key))
            );
            let other = format!("-otwelve bytes>{text}");
            assert_eq!(
                parse(other.as_bytes()),
                ended(Some(EndReason::SignedOut), None)
            );
        }
    }

    #[test]
    fn a_key_in_any_other_spelling_is_none() {
        let good = "1ff-_v7-_v7-_v7-_v7-_v7-w";
        assert!(successor(good.as_bytes()).is_some());
        let mut hostile: Vec<_> = (0..good.len()).map(|end| good[..end].to_owned()).collect();
        hostile.extend([
            format!("{good}A"),
            format!("{good}=="),
            good.replace("1ff", "1FF"),
            good.replace("1ff", "400"),
            good.replace("1ff", "fff"),
            good.replace("1ff", " ff"),
            // The four spare bits of the last character must be zero.
            good.replace("-w", "-x"),
            good.replace("-w", "+w"),
            good.replace("-w", "\0w"),
        ]);
        for text in hostile {
            assert_eq!(successor(text.as_bytes()), None, "{text}");
            let tombstone = format!("-rtwelve bytes>{text}");
            // What is too long is a field and the beginning of another.
            let is_damaged = parse(tombstone.as_bytes()) == Record::Damaged;
            assert_eq!(is_damaged, text.len() <= SUCCESSOR, "{tombstone}");
        }
    }

    #[test]
    fn limits_that_do_not_fit_are_cut_short() {
        let (idle, absolute) = limits(Limits {
            idle: Duration::MAX,
            absolute: Duration::MAX,
        });
        assert_eq!(format!("{idle:09x}").len(), 9);
        let year_2100 = 4_102_444_800_000;
        assert_eq!(format!("{:011x}", year_2100 + absolute).len(), 11);
    }
}
