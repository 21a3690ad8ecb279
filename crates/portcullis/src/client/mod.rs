//! The client of a request: its address, browser and system, and what binds a session to it.

mod addresses;
pub(crate) mod device_binding;
mod forwarded;
mod peer;

use std::net::IpAddr;

use http::{Extensions, HeaderMap, HeaderValue};

pub use self::{
    addresses::{ClientAddresses, ForwardedHeader},
    device_binding::DeviceBinding,
    peer::PeerAddress,
};
#[doc(inline)]
pub use portcullis_core::{Client, ClientChange, ClientFamily, ClientName, ClientSystem, Network};

/// What a request reveals of its client, kept until it is needed.
#[derive(Debug)]
pub(crate) struct RequestClient {
    user_agent: Option<HeaderValue>,
    address: Option<IpAddr>,
    whole: bool,
}

impl RequestClient {
    /// Of a request with this `User-Agent`, these headers and extensions.
    pub(crate) fn of(
        addresses: Option<&ClientAddresses>,
        user_agent: Option<&HeaderValue>,
        headers: &HeaderMap,
        extensions: &Extensions,
    ) -> Self {
        Self {
            user_agent: user_agent.cloned(),
            address: addresses.and_then(|addresses| addresses.address_of(headers, extensions)),
            whole: addresses.is_some_and(ClientAddresses::are_whole),
        }
    }

    /// The client. It reads the `User-Agent`, so it is not for requests that ignore their session.
    pub(crate) fn client(&self) -> Client {
        let user_agent = self.user_agent.as_ref().map(HeaderValue::as_bytes);
        let client = Client::new(ClientName::of_user_agent(user_agent.unwrap_or_default()));
        match self.address {
            None => client,
            Some(address) if self.whole => client.with_address(address),
            Some(address) => client.with_network(Network::of(address)),
        }
    }
}

#[cfg(test)]
mod tests;
