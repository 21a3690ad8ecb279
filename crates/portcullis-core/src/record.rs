//! What is remembered of a session, and how it is written down.
//!
//! The stored form is one format byte and two values in MessagePack: what the rules need ([`head`]), and what the
//! application put in ([`data`]). A store keeps it as opaque bytes beside the three numbers it needs itself
//! ([`Timing`](crate::store::Timing)). All moments are told relative to the absolute deadline, which the store alone
//! knows.
//!
//! What is known is read strictly: a wrong type, a field that is missing or comes twice, or a byte behind the end is damage.

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

/// The format written today. A reader refuses what it does not know.
const FORMAT: u8 = 1;

/// Formats to come. Any other first byte is none of ours.
const NEWER: RangeInclusive<u8> = FORMAT + 1..=15;

/// A session apart from its deadlines.
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

    /// The bytes the application put in: names and encoded values.
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

impl From<Damaged> for Unreadable {
    fn from(Damaged: Damaged) -> Self {
        Self::Damaged
    }
}

#[cfg(test)]
mod tests;
