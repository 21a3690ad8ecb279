//! How the policy of a realm and the reports on it are stored. `lua/read_policy.lua` and
//! `lua/report_policy.lua` describe both.

use std::time::Duration;

use bytes::Bytes;
use portcullis_core::{
    ClassCode, Timestamp,
    store::{PolicyReport, ReceivedReport, StoredPolicy},
};

/// In place of the number of a version, where there is none.
pub(crate) const NONE: &str = "-";

/// The length of the number of a version.
const NUMBER: usize = 16;

/// Where the content begins: after the format, the number and the moment.
const CONTENT: usize = 1 + NUMBER + 11;

/// The number of a version.
pub(crate) fn number(number: u64) -> Bytes {
    format!("{number:016x}").into()
}

/// Reads the number of a version.
pub(crate) fn read_number(text: &[u8]) -> Option<u64> {
    u64::from_str_radix(std::str::from_utf8(text).ok()?, 16).ok()
}

/// The class of the sessions that a field counts, if it counts those that this version has ended:
/// the number of the version and the character of the class.
pub(crate) fn class_ended_by(field: &[u8], version: &[u8]) -> Option<ClassCode> {
    match field.strip_prefix(version)? {
        [class] => ClassCode::from_char(char::from(*class)),
        _ => None,
    }
}

/// Reads a policy. `None` if a later version wrote it.
pub(crate) fn read(stored: &Bytes) -> Option<StoredPolicy> {
    let head = stored.get(..CONTENT)?;
    let (number, since) = head.strip_prefix(b"1")?.split_at(NUMBER);
    Some(StoredPolicy {
        number: read_number(number)?,
        since: Timestamp::from_millis(read_number(since)?),
        content: stored.slice(CONTENT..),
    })
}

/// Reads a report. `None` if it cannot be read.
pub(crate) fn read_report(process: &[u8], report: &[u8]) -> Option<ReceivedReport> {
    let report = String::from_utf8_lossy(report);
    let mut words = report.splitn(4, ' ');
    let at = Timestamp::from_millis(words.next()?.parse().ok()?);
    let number = match words.next()? {
        NONE => None,
        number => Some(read_number(number.as_bytes())?),
    };
    let after = match words.next()? {
        NONE => None,
        millis => Some(Duration::from_millis(millis.parse().ok()?)),
    };
    Some(ReceivedReport {
        report: PolicyReport {
            process: String::from_utf8_lossy(process).into_owned(),
            number,
            after,
            problem: words.next()?.to_owned(),
        },
        at,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_that_is_cut_or_of_a_later_format_is_not_read() {
        let whole = Bytes::from_static(b"1000000000000000c0000000012cbody");
        let read_it = read(&whole).unwrap();
        assert_eq!((read_it.number, read_it.since.as_millis()), (12, 300));
        assert_eq!(read_it.content, "body");
        for end in 0..CONTENT {
            assert_eq!(read(&whole.slice(..end)), None);
        }
        assert_eq!(
            read(&Bytes::from_static(b"2000000000000000c0000000012c")),
            None
        );
    }

    #[test]
    fn a_report_has_a_version_or_none_and_any_text() {
        let report = |text: &str| read_report(b"web-1", text.as_bytes());
        let read = report("300 000000000000000c 38 limits.idle: it is 2h").unwrap();
        assert_eq!((read.report.number, read.at.as_millis()), (Some(12), 300));
        assert_eq!(read.report.problem, "limits.idle: it is 2h");
        assert_eq!(read.report.after, Some(Duration::from_millis(38)));
        assert_eq!(report("300 - - ").unwrap().report.number, None);
        for damaged in ["", "300", "x - - ", "300 zz - ", "300 - x ", "300 -"] {
            assert_eq!(report(damaged), None, "{damaged}");
        }
    }
}
