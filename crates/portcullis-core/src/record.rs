//! What is remembered of a session, and how it is written down.
//!
//! The stored form is one format byte and a MessagePack array. A store keeps it as opaque bytes beside
//! the three numbers it needs itself ([`Timing`](crate::store::Timing)). All moments are told relative
//! to the absolute deadline, which the store alone knows.

use std::{collections::BTreeMap, ops::RangeInclusive, time::Duration};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::{Handle, UserId, elevation::Elevation};

/// The format written today. A reader refuses what it does not know.
const FORMAT: u8 = 1;

/// Formats to come. Any other first byte is none of ours.
const NEWER: RangeInclusive<u8> = FORMAT + 1..=15;

/// Values by name, each in MessagePack.
pub(crate) type Data = BTreeMap<String, ByteBuf>;

/// A session apart from its deadlines.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) handle: Handle,
    pub(crate) user: Option<UserId>,
    /// The absolute deadline was set this many milliseconds before it strikes.
    lifetime: u64,
    /// The session's age in milliseconds when the absolute deadline was last set.
    age: u64,
    pub(crate) elevations: Vec<Elevation>,
    pub(crate) data: Data,
}

impl Record {
    pub(crate) fn new(handle: Handle, lifetime: Duration) -> Self {
        Self {
            handle,
            user: None,
            lifetime: crate::time::millis(lifetime),
            age: 0,
            elevations: Vec::new(),
            data: Data::new(),
        }
    }

    /// The absolute deadline is set anew: `lifetime` from now, at the session's age of `age`.
    pub(crate) fn restart(&mut self, lifetime: Duration, age: Duration) {
        self.lifetime = crate::time::millis(lifetime);
        self.age = crate::time::millis(age);
    }

    /// From the moment the absolute deadline was set to the deadline itself.
    pub(crate) fn lifetime(&self) -> Duration {
        Duration::from_millis(self.lifetime)
    }

    /// From the creation of the session to its absolute deadline.
    pub(crate) fn lifetime_since_creation(&self) -> Duration {
        Duration::from_millis(self.lifetime.saturating_add(self.age))
    }

    /// The bytes the application put in: names and encoded values.
    pub(crate) fn size(&self) -> usize {
        self.data
            .iter()
            .map(|(name, value)| name.len() + value.len())
            .sum()
    }

    pub(crate) fn encode(&self) -> Result<Bytes, Unencodable> {
        let mut bytes = Vec::with_capacity(64 + self.size());
        bytes.push(FORMAT);
        rmp_serde::encode::write(&mut bytes, self).map_err(|_| Unencodable)?;
        Ok(bytes.into())
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Unreadable> {
        match bytes.split_first() {
            Some((&FORMAT, rest)) => rmp_serde::from_slice(rest).map_err(|_| Unreadable::Damaged),
            Some((format, _)) if NEWER.contains(format) => Err(Unreadable::Newer),
            _ => Err(Unreadable::Damaged),
        }
    }
}

impl std::fmt::Debug for Record {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Record")
            .field("handle", &self.handle)
            .finish_non_exhaustive()
    }
}

/// A record could not be written down. No value that a [`Record`] can hold leads here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unencodable;

/// Why stored bytes are not a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// A newer version of Portcullis wrote it.
    Newer,
    /// It is cut short or was never one.
    Damaged,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn record() -> Record {
        let mut record = Record::new(Handle::generate().unwrap(), Duration::from_secs(86_400));
        record.user = Some(UserId::from("alice"));
        record.restart(Duration::from_secs(86_400), Duration::from_secs(7));
        record
            .elevations
            .push(Elevation::new("payments".into(), Duration::from_secs(60)));
        record
            .data
            .insert("cart".into(), ByteBuf::from(vec![0xc0; 300]));
        record
    }

    #[test]
    fn a_record_is_read_back_as_it_was_written() {
        let record = record();
        assert_eq!(Record::decode(&record.encode().unwrap()), Ok(record));
    }

    #[test]
    fn a_record_cut_short_anywhere_is_damaged() {
        let bytes = record().encode().unwrap();
        for end in 0..bytes.len() {
            assert_eq!(Record::decode(&bytes[..end]), Err(Unreadable::Damaged));
        }
    }

    #[test]
    fn s138_a_record_of_a_newer_format_is_told_from_a_damaged_one() {
        let mut bytes = record().encode().unwrap().to_vec();
        bytes[0] = FORMAT + 1;
        assert_eq!(Record::decode(&bytes), Err(Unreadable::Newer));
        for first in [0, b'1', b'{', 0xff] {
            bytes[0] = first;
            assert_eq!(Record::decode(&bytes), Err(Unreadable::Damaged));
        }
    }

    #[test]
    fn an_anonymous_record_costs_few_bytes_beside_its_data() {
        let record = Record::new(Handle::generate().unwrap(), Duration::from_secs(86_400));
        assert!(record.encode().unwrap().len() <= 26);
    }

    proptest! {
        #[test]
        fn s135_no_bytes_make_the_decoder_panic(bytes: Vec<u8>) {
            let _ = Record::decode(&bytes);
        }

        #[test]
        fn s135_no_changed_byte_makes_the_decoder_panic(at in 0_usize..300, to: u8) {
            let mut bytes = record().encode().unwrap().to_vec();
            if let Some(byte) = bytes.get_mut(at) {
                *byte = to;
            }
            let _ = Record::decode(&bytes);
        }
    }
}
