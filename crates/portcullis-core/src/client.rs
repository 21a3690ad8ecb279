//! What is known of the client of a request.
//!
//! It lets users recognise their devices in a list. It lets the layer notice that a session is
//! suddenly used from another client. It is too little to track a user (NIST SP 800-63B-4, 5.3).

mod name;
mod network;

use std::{fmt, net::IpAddr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_bytes::ByteBuf;

pub use self::{
    name::{ClientFamily, ClientName, ClientSystem},
    network::Network,
};
use crate::record::{
    Unencodable,
    msgpack::{Append, Damaged, Reader},
};

/// What is known of a client: its name, and its address or network where the application uses
/// addresses.
///
/// ```
/// # use portcullis_core::{Client, ClientName};
/// let name = ClientName::of_user_agent(b"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0");
/// let client = Client::new(name).with_address("203.0.113.7".parse()?);
/// assert_eq!(client.to_string(), "Firefox on Linux, 203.0.113.7");
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Client {
    name: ClientName,
    #[serde(rename = "place")]
    location: Option<Location>,
}

/// An address includes its network, so only one of the two is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Location {
    Network(Network),
    Address(IpAddr),
}

impl Client {
    /// A client with this name and no known address.
    pub fn new(name: ClientName) -> Self {
        Self {
            name,
            location: None,
        }
    }

    /// A client with the name in this `User-Agent` field and no known address.
    pub fn of_user_agent(user_agent: &[u8]) -> Self {
        Self::new(ClientName::of_user_agent(user_agent))
    }

    /// The same client in this network.
    #[must_use]
    pub fn with_network(self, network: Network) -> Self {
        Self {
            location: Some(Location::Network(network)),
            ..self
        }
    }

    /// The same client at this address. An IPv4 address mapped into IPv6 becomes the IPv4 address.
    #[must_use]
    pub fn with_address(self, address: IpAddr) -> Self {
        Self {
            location: Some(Location::Address(address.to_canonical())),
            ..self
        }
    }

    /// The name of the browser or program, and of its system.
    pub fn name(&self) -> ClientName {
        self.name
    }

    /// The network, if addresses are used at all.
    pub fn network(&self) -> Option<Network> {
        self.location.map(|location| match location {
            Location::Network(network) => network,
            Location::Address(address) => Network::of(address),
        })
    }

    /// The whole address, if whole addresses are kept.
    pub fn address(&self) -> Option<IpAddr> {
        match self.location {
            Some(Location::Address(address)) => Some(address),
            _ => None,
        }
    }

    /// The difference from `baseline`, an earlier client of the same session. `None` if there is
    /// none.
    ///
    /// * Names are compared as they are: an unknown name differs from Firefox on Linux.
    /// * Networks are compared, never whole addresses. A change from IPv4 to IPv6 is a change.
    /// * If one of the two has no network, networks are not compared. The application then used no
    ///   addresses, or could not see its peer's. A client cannot hide its own network.
    pub fn differs_from(&self, baseline: &Self) -> Option<ClientChange> {
        let networks = self.network().zip(baseline.network());
        let network = networks.is_some_and(|(here, there)| here != there);
        match (network, self.name != baseline.name) {
            (false, false) => None,
            (true, false) => Some(ClientChange::Network),
            (false, true) => Some(ClientChange::Name),
            (true, true) => Some(ClientChange::Both),
        }
    }
}

// The form in a record is that of `Serialize`, written without serde. Elements that a later version
// appends are skipped, and are lost when the record is rewritten. What must not be lost belongs in
// the device.
impl Client {
    pub(crate) fn write(&self, out: &mut Vec<u8>) -> Result<(), Unencodable> {
        out.append_array(2)?;
        let (family, system) = self.name.numbers();
        out.append_array(2)?;
        out.append_uint(family);
        out.append_uint(system);
        match &self.location {
            None => out.append_nil(),
            Some(location) => location.with_bytes(|bytes| out.append_bin(bytes))?,
        }
        Ok(())
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, Damaged> {
        let more = reader.array()?.checked_sub(2).ok_or(Damaged)?;
        let more_of_name = reader.array()?.checked_sub(2).ok_or(Damaged)?;
        let name = ClientName::of_numbers(reader.uint()?, reader.uint()?);
        reader.skip_all(more_of_name)?;
        let location = match reader.nil() {
            true => None,
            false => Some(Location::from_bytes(reader.bin()?).ok_or(Damaged)?),
        };
        reader.skip_all(more)?;
        Ok(Self { name, location })
    }
}

/// `Firefox on Windows, 203.0.113.0/24`: the name, and the address or the network. It holds only
/// fixed words, digits and punctuation.
impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.location {
            None => write!(f, "{}", self.name),
            Some(Location::Network(network)) => write!(f, "{}, {network}", self.name),
            Some(Location::Address(address)) => write!(f, "{}, {address}", self.name),
        }
    }
}

/// The stored bytes. Their number says whether they are a network or an address.
impl Location {
    fn with_bytes<T>(&self, use_bytes: impl FnOnce(&[u8]) -> T) -> T {
        match self {
            Self::Network(network) => use_bytes(network.as_bytes()),
            Self::Address(IpAddr::V4(address)) => use_bytes(&address.octets()),
            Self::Address(IpAddr::V6(address)) => use_bytes(&address.octets()),
        }
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        if let Ok(octets) = <[u8; 4]>::try_from(bytes) {
            return Some(Self::Address(octets.into()));
        }
        if let Ok(octets) = <[u8; 16]>::try_from(bytes) {
            return Some(Self::Address(IpAddr::from(octets).to_canonical()));
        }
        Network::from_bytes(bytes).map(Self::Network)
    }
}

impl Serialize for Location {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.with_bytes(|bytes| serializer.serialize_bytes(bytes))
    }
}

impl<'de> Deserialize<'de> for Location {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = ByteBuf::deserialize(deserializer)?;
        Self::from_bytes(&bytes)
            .ok_or_else(|| de::Error::invalid_length(bytes.len(), &"an address or a network"))
    }
}

/// What differs about a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ClientChange {
    /// The network.
    #[serde(rename = "w")]
    Network,
    /// The name.
    #[serde(rename = "n")]
    Name,
    /// The name and the network.
    #[serde(rename = "b")]
    Both,
}

impl ClientChange {
    /// The change with this [word](Self::as_str).
    pub fn from_word(word: &str) -> Option<Self> {
        let all = [Self::Network, Self::Name, Self::Both];
        all.into_iter().find(|change| change.as_str() == word)
    }

    /// The code of the change in a record, as `Serialize` writes it.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::Network => "w",
            Self::Name => "n",
            Self::Both => "b",
        }
    }

    pub(crate) fn of_code(code: &str) -> Option<Self> {
        let all = [Self::Network, Self::Name, Self::Both];
        all.into_iter().find(|change| change.code() == code)
    }

    /// A stable word for events and programs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Network => "network",
            Self::Name => "name",
            Self::Both => "name_and_network",
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FIREFOX: &[u8] =
        b"Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0";

    fn firefox() -> Client {
        Client::new(ClientName::of_user_agent(FIREFOX))
    }

    fn curl() -> Client {
        Client::new(ClientName::of_user_agent(b"curl/8.5.0"))
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn network(text: &str) -> Network {
        Network::of(ip(text))
    }

    #[test]
    fn a_client_is_shown_with_the_most_precise_place_that_is_known() {
        for (client, words) in [
            (Client::default(), "Unknown client"),
            (firefox(), "Firefox on Windows"),
            (
                firefox().with_network(network("203.0.113.7")),
                "Firefox on Windows, 203.0.113.0/24",
            ),
            (
                curl().with_address(ip("2001:db8:1:2::3")),
                "curl, 2001:db8:1:2::3",
            ),
            (
                curl().with_address(ip("::ffff:203.0.113.7")),
                "curl, 203.0.113.7",
            ),
        ] {
            assert_eq!(client.to_string(), words);
        }
    }

    #[test]
    fn a_whole_address_includes_its_network() {
        let client = firefox().with_address(ip("203.0.113.7"));
        assert_eq!(client.network(), Some(network("203.0.113.200")));
        assert_eq!(
            firefox().with_network(network("203.0.113.7")).address(),
            None
        );
    }

    #[test]
    fn s077_each_difference_is_reported() {
        let baseline = firefox().with_network(network("203.0.113.7"));
        for (client, change) in [
            (firefox().with_network(network("203.0.113.99")), None),
            (firefox().with_address(ip("203.0.113.99")), None),
            (
                firefox().with_network(network("198.51.100.7")),
                Some("network"),
            ),
            (
                firefox().with_network(network("2001:db8::1")),
                Some("network"),
            ),
            (curl().with_network(network("203.0.113.7")), Some("name")),
            (
                curl().with_network(network("198.51.100.7")),
                Some("name_and_network"),
            ),
            (
                Client::default().with_network(network("203.0.113.7")),
                Some("name"),
            ),
        ] {
            let found = client.differs_from(&baseline);
            assert_eq!(found.map(ClientChange::as_str), change, "{client}");
        }
    }

    #[test]
    fn s079_networks_are_compared_where_both_are_known() {
        let somewhere = firefox().with_network(network("203.0.113.7"));
        assert_eq!(firefox().differs_from(&somewhere), None);
        assert_eq!(somewhere.differs_from(&firefox()), None);
        assert_eq!(curl().differs_from(&somewhere), Some(ClientChange::Name));
    }

    #[test]
    fn s083_a_client_takes_few_bytes_and_no_address_unless_asked_for() {
        let client = firefox().with_network(network("203.0.113.7"));
        let bytes = rmp_serde::to_vec(&client).unwrap();
        assert_eq!(bytes, [0x92, 0x92, 1, 1, 0xc4, 3, 203, 0, 113]);
    }

    #[test]
    fn s138_a_place_of_an_unknown_length_is_refused() {
        for length in [0, 1, 2, 5, 15, 17] {
            let bytes = rmp_serde::to_vec(&(ClientName::default(), ByteBuf::from(vec![1; length])));
            let client: Result<Client, _> = rmp_serde::from_slice(&bytes.unwrap());
            assert!(client.is_err(), "{length}");
        }
    }

    #[test]
    fn a_change_is_stored_as_one_character() {
        for change in [
            ClientChange::Network,
            ClientChange::Name,
            ClientChange::Both,
        ] {
            let code = change.code();
            assert_eq!(ClientChange::of_code(code), Some(change));
            let [binary, expected] = [rmp_serde::to_vec(&change), rmp_serde::to_vec(code)];
            assert_eq!(binary.unwrap(), expected.unwrap());
        }
        assert_eq!(ClientChange::of_code("x"), None);
    }

    proptest! {
        #[test]
        fn a_client_is_read_back_as_it_was_written(header: Vec<u8>, address: IpAddr, kept in 0..3) {
            let client = Client::new(ClientName::of_user_agent(&header));
            let client = match kept {
                0 => client,
                1 => client.with_network(Network::of(address)),
                _ => client.with_address(address),
            };
            let binary = rmp_serde::to_vec(&client).unwrap();
            prop_assert_eq!(&rmp_serde::from_slice::<Client>(&binary).unwrap(), &client);

            let mut in_record = Vec::new();
            client.write(&mut in_record).unwrap();
            prop_assert_eq!(&in_record, &binary);
            prop_assert_eq!(Client::read(&mut Reader::new(&binary)), Ok(client));
        }
    }
}
