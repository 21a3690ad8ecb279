//! What is remembered of a session, and how it is written down.
//!
//! The stored form is one format byte and two values in MessagePack: an array of what the rules need, and the
//! map of what the application put in. A store keeps it as opaque bytes beside the three numbers it needs itself ([`Timing`](crate::store::Timing)). All moments are told relative
//! to the absolute deadline, which the store alone knows.

mod data;

use std::{ops::RangeInclusive, time::Duration};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

pub(crate) use self::data::Data;
use self::data::Written;
use crate::{Client, ClientChange, Handle, Label, Owner, Timestamp, UserId, elevation::Elevation};

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

/// What the rules need of a session.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Head {
    pub(crate) handle: Handle,
    pub(crate) user: Option<UserId>,
    /// The absolute deadline was set this many milliseconds before it strikes.
    lifetime: u64,
    /// The session's age in milliseconds when the absolute deadline was last set.
    age: u64,
    pub(crate) elevations: Vec<Elevation>,
    pub(crate) device: Option<Device>,
}

/// What is remembered of the device.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Device {
    /// As it was at the last proof of who it is, or else when the session began.
    pub(crate) client: Client,
    /// Other clients that used the session since.
    others: Vec<Client>,
    /// What was different about the last of them.
    pub(crate) change: Option<ClientChange>,
}

/// How many other clients are remembered. After so many the session is flagged, and more are not told: whoever
/// changes clients with every request must not fill the log.
const OTHERS: usize = 4;

impl Device {
    pub(crate) fn new(client: Client) -> Self {
        Self {
            client,
            others: Vec::new(),
            change: None,
        }
    }

    /// What is different about `client`, unless it was seen before.
    pub(crate) fn change_to(&self, client: &Client) -> Option<ClientChange> {
        let change = client.differs_from(&self.client)?;
        let known = |other: &Client| client.differs_from(other).is_none();
        let news = self.others.len() < OTHERS && !self.others.iter().any(known);
        news.then_some(change)
    }

    /// Takes note of it.
    pub(crate) fn observe(&mut self, client: &Client) {
        if let Some(change) = self.change_to(client) {
            self.change = Some(change);
            self.others.push(client.clone());
        }
    }
}

impl Record {
    pub(crate) fn new(handle: Handle, lifetime: Duration, client: Option<Client>) -> Self {
        Self {
            head: Head {
                handle,
                user: None,
                lifetime: crate::time::millis(lifetime),
                age: 0,
                elevations: Vec::new(),
                device: client.map(Device::new),
            },
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
        let mut bytes = Vec::with_capacity(64 + self.size());
        bytes.push(FORMAT);
        rmp_serde::encode::write(&mut bytes, &self.head).map_err(|_| Unencodable)?;
        rmp_serde::encode::write(&mut bytes, &Written(&self.data)).map_err(|_| Unencodable)?;
        Ok(bytes.into())
    }

    pub(crate) fn decode(bytes: &Bytes) -> Result<Self, Unreadable> {
        let mut decoder = values(bytes)?;
        let head = Head::deserialize(&mut decoder).map_err(|_| Unreadable::Damaged)?;
        let data = data::read(&mut decoder, bytes).map_err(|_| Unreadable::Damaged)?;
        Ok(Self { head, data })
    }
}

type Values<'b> = rmp_serde::Deserializer<rmp_serde::decode::ReadRefReader<'b, [u8]>>;

fn values(bytes: &[u8]) -> Result<Values<'_>, Unreadable> {
    match bytes.split_first() {
        Some((&FORMAT, rest)) => Ok(rmp_serde::Deserializer::from_read_ref(rest)),
        Some((format, _)) if NEWER.contains(format) => Err(Unreadable::Newer),
        _ => Err(Unreadable::Damaged),
    }
}

impl Head {
    /// Without what the application put in.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Unreadable> {
        Self::deserialize(&mut values(bytes)?).map_err(|_| Unreadable::Damaged)
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

    /// What a store must know, given the absolute deadline.
    pub(crate) fn label(&self, absolute_deadline: Timestamp) -> Label {
        let owner = self.user.as_ref().map(|user| Owner {
            user: user.clone(),
            authenticated_at: absolute_deadline.before(self.lifetime()),
        });
        Label::new(self.handle, owner)
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn record() -> Record {
        let mut record = anonymous();
        let head = &mut record.head;
        head.user = Some(UserId::from("alice"));
        head.restart(Duration::from_secs(86_400), Duration::from_secs(7));
        head.elevations
            .push(Elevation::new("payments".into(), Duration::from_secs(60)));
        record.data.insert("cart".into(), vec![0xc0; 300].into());
        record
    }

    fn anonymous() -> Record {
        let client = Client::of_user_agent(b"curl/8.5.0");
        let lifetime = Duration::from_secs(86_400);
        Record::new(Handle::generate().unwrap(), lifetime, Some(client))
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
            assert_eq!(
                Record::decode(&bytes.slice(..end)),
                Err(Unreadable::Damaged)
            );
        }
    }

    #[test]
    fn what_the_rules_need_is_read_without_the_rest() {
        let record = record();
        let head = Head::decode(&record.encode().unwrap()).unwrap();
        assert!(head == record.head);
    }

    #[test]
    fn s079_a_client_that_was_seen_before_is_no_change() {
        let [phone, desk, other] = ["iPhone Safari/1", "Windows NT Firefox/1", "curl/8"]
            .map(|agent| Client::of_user_agent(agent.as_bytes()));
        let mut device = Device::new(phone.clone());
        assert_eq!(device.change_to(&phone), None);
        assert!(device.change_to(&desk).is_some());
        device.observe(&desk);
        assert_eq!(device.change_to(&desk), None);
        assert_eq!(device.change_to(&phone), None);
        assert!(device.change_to(&other).is_some());
        for _ in 0..100 {
            device.observe(&other);
        }
        assert_eq!(device.others.len(), 2);
    }

    #[test]
    fn after_some_other_clients_more_are_no_news() {
        let agents = [
            "curl",
            "Wget",
            "Go-http-client",
            "okhttp",
            "Postman",
            "node",
        ];
        let clients = agents.map(|agent| Client::of_user_agent(format!("{agent}/1").as_bytes()));
        let mut device = Device::new(Client::of_user_agent(b"iPhone Safari/1"));
        let told = clients.iter().cycle().take(1000).filter(|client| {
            let news = device.change_to(client).is_some();
            device.observe(client);
            news
        });
        assert_eq!(told.count(), OTHERS);
        assert!(device.change.is_some());
    }

    #[test]
    fn s138_a_record_of_a_newer_format_is_told_from_a_damaged_one() {
        let mut bytes = record().encode().unwrap().to_vec();
        bytes[0] = FORMAT + 1;
        let decode = |bytes: &[u8]| Record::decode(&Bytes::copy_from_slice(bytes));
        assert_eq!(decode(&bytes), Err(Unreadable::Newer));
        for first in [0, b'1', b'{', 0xff] {
            bytes[0] = first;
            assert_eq!(decode(&bytes), Err(Unreadable::Damaged));
        }
    }

    #[test]
    fn an_anonymous_record_costs_few_bytes_beside_its_data() {
        assert!(anonymous().encode().unwrap().len() <= 36);
    }

    proptest! {
        #[test]
        fn s135_no_bytes_make_the_decoder_panic(bytes: Vec<u8>) {
            let _ = Record::decode(&bytes.into());
        }

        #[test]
        fn s135_no_changed_byte_makes_the_decoder_panic(at in 0_usize..300, to: u8) {
            let mut bytes = record().encode().unwrap().to_vec();
            if let Some(byte) = bytes.get_mut(at) {
                *byte = to;
            }
            let _ = Record::decode(&bytes.into());
        }
    }
}
