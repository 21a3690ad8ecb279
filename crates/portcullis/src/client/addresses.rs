//! Settings for client addresses.

use std::net::IpAddr;

use http::{Extensions, HeaderMap};
use ipnet::{IpNet, Ipv4Net};
use portcullis_core::ConfigError;

use crate::client::{forwarded, peer};

/// How client addresses are used. Without this setting they are neither stored nor compared.
///
/// Headers are used only if the application names the proxies that write them. Otherwise any client
/// could choose any address (OWASP ASVS 5.0, 4.1.3). Only the [network](portcullis_core::Network)
/// is kept, because stored addresses need a privacy risk assessment (NIST SP 800-63B-4, 5.3).
///
/// ```
/// # use portcullis::client::{ClientAddresses, ForwardedHeader};
/// let direct = ClientAddresses::peer();
/// let behind_nginx = ClientAddresses::behind(["10.0.0.0/8", "::1"])?;
/// let behind_another = ClientAddresses::behind(["192.0.2.1"])?.header(ForwardedHeader::Forwarded);
/// # Ok::<(), portcullis::ConfigError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientAddresses {
    source: Source,
    header: ForwardedHeader,
    whole: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Source {
    Peer,
    Behind(Proxies),
}

/// The header in which proxies report the client. Only the chosen one is read, because a proxy may
/// forward the other as the client wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ForwardedHeader {
    /// `X-Forwarded-For`. The default.
    XForwardedFor,
    /// `Forwarded` (RFC 7239), with its parameter `for`.
    Forwarded,
}

impl ClientAddresses {
    /// The client is the TCP peer. Use it without a proxy in front.
    pub fn peer() -> Self {
        Self::from(Source::Peer)
    }

    /// The client is the address that these proxies report. Each proxy is an address or a network
    /// (`10.0.0.0/8`).
    ///
    /// If the peer is not one of them, headers are ignored. Otherwise the hops are read backwards
    /// from the last one, which the peer reported. Each hop that is a proxy reported the one before
    /// it. The first hop that is no proxy is the client. Each proxy must append to the header, or
    /// replace it.
    ///
    /// A hop that cannot be read (garbage, a hidden name) ends the search. The client is then the
    /// last trusted address: that of a proxy, never one of the client's choice. The same holds if
    /// all hops are proxies, and after 32 of them.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] without a proxy, and for a text that is neither an address nor a network. It
    /// is also returned for a network of all addresses: every client could then choose any address.
    pub fn behind<P>(proxies: P) -> Result<Self, ConfigError>
    where
        P: IntoIterator,
        P::Item: AsRef<str>,
    {
        Proxies::parse(proxies).map(|proxies| Self::from(Source::Behind(proxies)))
    }

    /// The header in which the proxies report the client. It has no effect without
    /// [proxies](Self::behind).
    #[must_use]
    pub fn header(self, header: ForwardedHeader) -> Self {
        Self { header, ..self }
    }

    /// Keeps whole addresses instead of networks, for lists that show them. You must then protect
    /// them. They are still compared by network.
    #[must_use]
    pub fn whole(self) -> Self {
        Self {
            whole: true,
            ..self
        }
    }

    pub(super) fn are_whole(&self) -> bool {
        self.whole
    }

    /// The address of the client that sent a request with these headers and extensions.
    pub(super) fn address_of(
        &self,
        headers: &HeaderMap,
        extensions: &Extensions,
    ) -> Option<IpAddr> {
        match &self.source {
            Source::Peer => peer::of(extensions),
            Source::Behind(proxies) => {
                let is_proxy = |address| proxies.contain(address);
                let peer = peer::of(extensions)?;
                Some(match self.header {
                    ForwardedHeader::XForwardedFor => {
                        forwarded::client(peer, forwarded::x_forwarded_for(headers), is_proxy)
                    }
                    ForwardedHeader::Forwarded => {
                        forwarded::client(peer, forwarded::forwarded(headers), is_proxy)
                    }
                })
            }
        }
    }
}

impl From<Source> for ClientAddresses {
    fn from(source: Source) -> Self {
        Self {
            source,
            header: ForwardedHeader::XForwardedFor,
            whole: false,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Proxies(Box<[IpNet]>);

impl Proxies {
    fn parse<P>(proxies: P) -> Result<Self, ConfigError>
    where
        P: IntoIterator,
        P::Item: AsRef<str>,
    {
        let networks: Box<[IpNet]> = proxies
            .into_iter()
            .map(|proxy| network(proxy.as_ref().trim()))
            .collect::<Result<_, _>>()?;
        if networks.is_empty() {
            return Err(ConfigError::new(
                "no proxies are named; name them, or use `ClientAddresses::peer()`",
            ));
        }
        Ok(Self(networks))
    }

    fn contain(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }
}

fn network(text: &str) -> Result<IpNet, ConfigError> {
    let network = text
        .parse()
        .or_else(|_| text.parse().map(|address: IpAddr| address.into()));
    match network.map(unmapped) {
        Ok(network) if network.prefix_len() == 0 => Err(ConfigError::new(format!(
            "the proxies {text:?} are the network of all addresses, so that every client could name any address; name the networks of the proxies"
        ))),
        Ok(network) => Ok(network),
        Err(_) => Err(ConfigError::new(format!(
            "the proxy {text:?} is neither an address nor a network such as `10.0.0.0/8`"
        ))),
    }
}

/// Addresses are compared after IPv4 was extracted from IPv6, so networks must be converted, too.
fn unmapped(network: IpNet) -> IpNet {
    let mapped = |network: ipnet::Ipv6Net| {
        let length = network.prefix_len().checked_sub(96)?;
        Ipv4Net::new(network.network().to_ipv4_mapped()?, length).ok()
    };
    match network {
        IpNet::V6(inner) => mapped(inner).map_or(network, IpNet::V4),
        IpNet::V4(_) => network,
    }
}
