//! The network of a client, as its approximate place.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_bytes::ByteBuf;

/// An address cut to a network: the first 24 bits of an IPv4 address, the first 48 of an IPv6
/// address.
///
/// That does not identify a household. Providers move their customers within such a network, so a
/// change within it says nothing.
///
/// ```
/// # use portcullis_core::Network;
/// assert_eq!(Network::of([203, 0, 113, 7].into()).to_string(), "203.0.113.0/24");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Network(Prefix);

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Prefix {
    V4([u8; 3]),
    V6([u8; 6]),
}

impl Network {
    /// The network of `address`. An IPv4 address mapped into IPv6 counts as an IPv4 address.
    pub fn of(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V4(address) => {
                let [a, b, c, _] = address.octets();
                Prefix::V4([a, b, c])
            }
            IpAddr::V6(address) => {
                let [a, b, c, d, e, f, ..] = address.octets();
                Prefix::V6([a, b, c, d, e, f])
            }
        })
    }

    /// The bytes of the prefix: three or six.
    pub(super) fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Prefix::V4(bytes) => bytes,
            Prefix::V6(bytes) => bytes,
        }
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        if let Ok(prefix) = bytes.try_into() {
            return Some(Self(Prefix::V4(prefix)));
        }
        bytes.try_into().ok().map(Prefix::V6).map(Self)
    }
}

/// Written as `203.0.113.0/24` or `2001:db8:1::/48`.
impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Prefix::V4([a, b, c]) => write!(f, "{}/24", Ipv4Addr::new(a, b, c, 0)),
            Prefix::V6([a, b, c, d, e, g]) => {
                let pair = |high, low| u16::from_be_bytes([high, low]);
                let first = Ipv6Addr::new(pair(a, b), pair(c, d), pair(e, g), 0, 0, 0, 0, 0);
                write!(f, "{first}/48")
            }
        }
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Network({self})")
    }
}

/// The bytes of the prefix: three or six.
impl Serialize for Network {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.as_bytes())
    }
}

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = ByteBuf::deserialize(deserializer)?;
        Self::from_bytes(&bytes)
            .ok_or_else(|| de::Error::invalid_length(bytes.len(), &"three bytes or six"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Network {
        Network::of(text.parse().unwrap())
    }

    #[test]
    fn s079_only_near_addresses_share_a_network() {
        for (one, other) in [
            ("203.0.113.0", "203.0.113.255"),
            ("2001:db8:1::", "2001:db8:1:ffff:ffff:ffff:ffff:ffff"),
            ("::ffff:203.0.113.7", "203.0.113.8"),
        ] {
            assert_eq!(of(one), of(other));
        }
        for (one, other) in [
            ("203.0.113.0", "203.0.112.255"),
            ("2001:db8:1::", "2001:db8:2::"),
            ("::203.0.113.7", "203.0.113.7"),
        ] {
            assert_ne!(of(one), of(other));
        }
    }

    #[test]
    fn a_network_is_written_as_address_and_prefix_length() {
        for (address, network) in [
            ("203.0.113.7", "203.0.113.0/24"),
            ("::ffff:203.0.113.7", "203.0.113.0/24"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1::/48"),
            ("2001:db8::1", "2001:db8::/48"),
            ("::1", "::/48"),
        ] {
            assert_eq!(of(address).to_string(), network);
        }
    }

    #[test]
    fn a_network_is_read_back_as_it_was_written() {
        for address in ["203.0.113.7", "2001:db8:1::1"] {
            let network = of(address);
            let bytes = rmp_serde::to_vec(&network).unwrap();
            assert!(bytes.len() <= 8);
            assert_eq!(rmp_serde::from_slice::<Network>(&bytes).unwrap(), network);
        }
    }
}
