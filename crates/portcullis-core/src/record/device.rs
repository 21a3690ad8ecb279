//! What a record holds of the device that uses its session.

use super::{
    Unencodable,
    fields::{self, Field, Unknown},
    msgpack::{Append, Damaged, Reader},
};
use crate::{Client, ClientChange};

/// How many other clients are remembered. The session is flagged by then, and further clients are
/// not reported. A client that differs with every request must not fill the log.
const OTHERS: usize = 4;

/// What is known of the device. Each authentication or elevation starts it again.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Device {
    /// The client at the last authentication or elevation, or else when the session began.
    pub(crate) client: Client,
    /// Other clients that have used the session since.
    others: Vec<Client>,
    /// What differed about the last of them.
    pub(crate) change: Option<ClientChange>,
    unknown: Unknown,
}

/// The keys of its fields.
mod key {
    pub(super) const CLIENT: u8 = 0;
    pub(super) const OTHERS: u8 = 1;
    pub(super) const CHANGE: u8 = 2;
}

impl Device {
    pub(crate) fn new(client: Client) -> Self {
        Self {
            client,
            others: Vec::new(),
            change: None,
            unknown: Unknown::default(),
        }
    }

    /// The difference of `client`, unless it was seen before.
    pub(crate) fn change_to(&self, client: &Client) -> Option<ClientChange> {
        let change = client.differs_from(&self.client)?;
        let known = |other: &Client| client.differs_from(other).is_none();
        let is_new = self.others.len() < OTHERS && !self.others.iter().any(known);
        is_new.then_some(change)
    }

    /// Records the client.
    pub(crate) fn observe(&mut self, client: &Client) {
        if let Some(change) = self.change_to(client) {
            self.change = Some(change);
            self.others.push(client.clone());
        }
    }

    pub(super) fn unknown(&self) -> &Unknown {
        &self.unknown
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) -> Result<(), Unencodable> {
        let mut fields = fields::Writer::new(out);
        self.client.write(fields.field(key::CLIENT))?;
        if !self.others.is_empty() {
            let out = fields.field(key::OTHERS);
            out.append_array(self.others.len())?;
            self.others.iter().try_for_each(|other| other.write(out))?;
        }
        if let Some(change) = self.change {
            fields.field(key::CHANGE).append_str(change.code())?;
        }
        fields.finish(&self.unknown)
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, Damaged> {
        let (mut client, mut others, mut change) = (None, Vec::new(), None);
        let unknown = fields::read(reader, |key, value| {
            match key {
                key::CLIENT => client = Some(Client::read(value)?),
                key::OTHERS => {
                    for _ in 0..value.array()? {
                        others.push(Client::read(value)?);
                    }
                }
                key::CHANGE => {
                    change = Some(ClientChange::of_code(value.str()?).ok_or(Damaged)?);
                }
                _ => return Ok(Field::Unknown),
            }
            Ok(Field::Known)
        })?;
        Ok(Self {
            client: client.ok_or(Damaged)?,
            others,
            change,
            unknown,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn after_some_other_clients_further_ones_are_not_reported() {
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
        let reported = clients.iter().cycle().take(1000).filter(|client| {
            let is_new = device.change_to(client).is_some();
            device.observe(client);
            is_new
        });
        assert_eq!(reported.count(), OTHERS);
        assert!(device.change.is_some());
    }
}
