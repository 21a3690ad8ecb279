//! The record of a session, and its encoding.
//!
//! A stored record is one format byte and two values in MessagePack: the [`head`] with what the
//! rules need, and the application's [`data`]. A store keeps it as opaque bytes, beside three
//! numbers that it needs itself ([`Timing`](crate::store::Timing)). Times in a record are relative
//! to the absolute deadline, which only the store knows.
//!
//! Known fields are read strictly. A wrong type, a field that is missing or occurs twice, or a byte
//! after the end means damage.

mod data;
mod device;
pub(crate) mod fields;
mod head;
pub(crate) mod msgpack;

use std::{ops::RangeInclusive, time::Duration};

use bytes::Bytes;

use self::msgpack::{Damaged, Reader};
pub(crate) use self::{data::Data, device::Device, head::Head};
use crate::{Client, SessionHandle};

/// The format that is written. A reader refuses formats that it does not know.
const FORMAT: u8 = 1;

/// Formats of later versions. Any other first byte is damage.
const NEWER: RangeInclusive<u8> = FORMAT + 1..=15;

/// A session without its deadlines.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) head: Head,
    pub(crate) data: Data,
}

impl Record {
    pub(crate) fn new(handle: SessionHandle, lifetime: Duration, client: Option<Client>) -> Self {
        Self {
            head: Head::new(handle, lifetime, client.map(Device::new)),
            data: Data::new(),
        }
    }

    /// The size of the application's data, in bytes: names and encoded values.
    pub(crate) fn size(&self) -> usize {
        self.data
            .iter()
            .map(|(name, value)| name.len() + value.len())
            .sum()
    }

    pub(crate) fn encode(&self) -> Result<Bytes, Unencodable> {
        let mut bytes = Vec::with_capacity(64 + self.head.unknown_len() + self.size());
        bytes.push(FORMAT);
        self.head.write(&mut bytes)?;
        data::write(&self.data, &mut bytes)?;
        Ok(bytes.into())
    }

    pub(crate) fn decode(bytes: &Bytes) -> Result<Self, Unreadable> {
        let mut reader = values(bytes)?;
        let head = Head::read(&mut reader)?;
        let data = data::read(&mut reader, bytes)?;
        match reader.rest() {
            [] => Ok(Self { head, data }),
            _ => Err(Unreadable::Damaged),
        }
    }
}

fn values(bytes: &[u8]) -> Result<Reader<'_>, Unreadable> {
    match bytes.split_first() {
        Some((&FORMAT, rest)) => Ok(Reader::new(rest)),
        Some((format, _)) if NEWER.contains(format) => Err(Unreadable::Newer),
        _ => Err(Unreadable::Damaged),
    }
}

impl std::fmt::Debug for Record {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Record")
            .field("handle", &self.head.handle)
            .finish_non_exhaustive()
    }
}

/// A record could not be encoded. No value of a [`Record`] leads here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unencodable;

/// Why stored bytes are not a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// A newer version of Portcullis wrote it.
    Newer,
    /// It is cut short or was never a record.
    Damaged,
}

impl From<Damaged> for Unreadable {
    fn from(Damaged: Damaged) -> Self {
        Self::Damaged
    }
}

#[cfg(test)]
mod tests;
