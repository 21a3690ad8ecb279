//! The client of a request: its address, browser and system, and how a session is bound to it.
//!
//! ```
//! # use portcullis::{ConfigError, MemoryStore, SessionLayer};
//! # use portcullis::client::{ClientAddresses, DeviceBinding};
//! let sessions = SessionLayer::new(MemoryStore::new())
//!     .client_addresses(ClientAddresses::behind(["10.0.0.0/8"])?)
//!     .device_binding(DeviceBinding::End);
//! # Ok::<(), ConfigError>(())
//! ```

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

/// The client data of a request, kept until it is needed.
#[derive(Debug)]
pub(crate) struct RequestClient {
    user_agent: Option<HeaderValue>,
    address: Option<IpAddr>,
    whole: bool,
}

impl RequestClient {
    /// The client of a request with this `User-Agent`, these headers and extensions.
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

    /// The client. It reads the `User-Agent`, so do not call it for requests that ignore their
    /// session.
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
