//! The address of the peer.

use std::{
    net::{IpAddr, SocketAddr},
    sync::atomic::{AtomicBool, Ordering},
};

use http::Extensions;

/// A request extension: the address of the TCP peer, for servers other than axum's.
///
/// ```
/// # use std::net::SocketAddr;
/// # use portcullis::client::PeerAddress;
/// # let peer = SocketAddr::from(([203, 0, 113, 7], 50_000));
/// # let mut request = http::Request::new(());
/// request.extensions_mut().insert(PeerAddress(peer)); // as accepted by the listener
/// ```
///
/// Under axum, no insertion is needed: serve the router with
/// `into_make_service_with_connect_info::<SocketAddr>()`. If both are present, this one counts: a
/// server that knows the address from elsewhere (the PROXY protocol) inserts it. A server on a Unix
/// socket inserts the loopback address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "servers make it")]
pub struct PeerAddress(pub SocketAddr);

/// The peer's address. An IPv4 address mapped into IPv6, from a listener for both, is the IPv4
/// address.
pub(super) fn of(extensions: &Extensions) -> Option<IpAddr> {
    let peer = extensions
        .get()
        .map(|PeerAddress(peer)| *peer)
        .or_else(|| of_axum(extensions));
    if peer.is_none() {
        warn_once();
    }
    peer.map(|peer| peer.ip().to_canonical())
}

#[cfg(feature = "axum")]
fn of_axum(extensions: &Extensions) -> Option<SocketAddr> {
    use axum::extract::connect_info::{ConnectInfo, MockConnectInfo};

    let real = extensions.get().map(|ConnectInfo(peer)| *peer);
    real.or_else(|| extensions.get().map(|MockConnectInfo(peer)| *peer))
}

#[cfg(not(feature = "axum"))]
fn of_axum(_: &Extensions) -> Option<SocketAddr> {
    None
}

/// Warns once: the mistake is in the setup of the server, and the same for each request.
fn warn_once() {
    static WARNED: AtomicBool = AtomicBool::new(false);
    if !WARNED.swap(true, Ordering::Relaxed) {
        tracing::warn!(
            "client addresses are used, but the address of the peer is unknown; serve the router with `into_make_service_with_connect_info::<SocketAddr>()`, or insert `PeerAddress` into the extensions of requests"
        );
    }
}
