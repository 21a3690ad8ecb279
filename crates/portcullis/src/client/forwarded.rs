//! The hops in front of the peer, as proxies report them.
//!
//! Fields are read from the right, where the nearest proxy writes, and only as far as proxies are
//! trusted. What a client put in front, however malformed, is not even split.

use std::{
    iter,
    net::{IpAddr, Ipv6Addr, SocketAddr},
};

use http::{HeaderMap, HeaderName, HeaderValue, header::FORWARDED};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// How many hops are read at most. No deployment has so many proxies.
const MOST_HOPS: usize = 32;

/// The nearest address that is no proxy's, or else the last trusted one. `hops` are ordered from
/// the nearest; an unreadable one is `None`.
pub(super) fn client(
    peer: IpAddr,
    hops: impl Iterator<Item = Option<IpAddr>>,
    is_proxy: impl Fn(IpAddr) -> bool,
) -> IpAddr {
    let mut trusted = peer;
    let mut hops = hops.take(MOST_HOPS);
    while is_proxy(trusted) {
        match hops.next() {
            Some(Some(hop)) => trusted = hop,
            Some(None) | None => break,
        }
    }
    trusted
}

/// The hops of all `X-Forwarded-For` fields, which are one list (RFC 9110, 5.3).
pub(super) fn x_forwarded_for(headers: &HeaderMap) -> impl Iterator<Item = Option<IpAddr>> {
    fields(headers, X_FORWARDED_FOR)
        .flat_map(|field| field.rsplit(|byte| *byte == b','))
        .map(address)
}

/// The hops of all `Forwarded` fields.
pub(super) fn forwarded(headers: &HeaderMap) -> impl Iterator<Item = Option<IpAddr>> {
    fields(headers, FORWARDED).flat_map(elements).map(node)
}

/// Last field first.
fn fields(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &[u8]> {
    headers
        .get_all(name)
        .iter()
        .rev()
        .map(HeaderValue::as_bytes)
}

/// The elements of a list, the last one first. A comma between quotes separates nothing. Quotes are
/// counted from the right, so an open quote of a client cannot hide what a proxy appended.
fn elements(field: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(field);
    iter::from_fn(move || {
        let mut quoted = false;
        let mut halves = rest?.rsplitn(2, move |byte| {
            quoted ^= *byte == b'"';
            *byte == b',' && !quoted
        });
        let element = halves.next();
        rest = halves.next();
        element
    })
}

/// The address under `for` in one element. A quote anywhere but around a value makes the element
/// unreadable. The client may control the value of another parameter, and an escaped quote in it
/// may have split the list at the client's comma.
fn node(element: &[u8]) -> Option<IpAddr> {
    let mut quoted = false;
    let pairs = element.split(move |byte| {
        quoted ^= *byte == b'"';
        *byte == b';' && !quoted
    });
    let mut node = None;
    for pair in pairs
        .map(<[u8]>::trim_ascii)
        .filter(|pair| !pair.is_empty())
    {
        let mut halves = pair.splitn(2, |byte| *byte == b'=');
        let (name, value) = (halves.next()?, halves.next()?);
        let value = match value {
            [b'"', value @ .., b'"'] => value,
            value => value,
        };
        if name.contains(&b'"') || value.contains(&b'"') {
            return None;
        }
        if name.eq_ignore_ascii_case(b"for") && node.replace(value).is_some() {
            return None;
        }
    }
    address(node?)
}

/// An address, also with a port, and IPv6 also in brackets.
fn address(text: &[u8]) -> Option<IpAddr> {
    let text = str::from_utf8(text.trim_ascii()).ok()?;
    let bare = || text.parse().ok();
    let with_port = || text.parse().ok().map(|socket: SocketAddr| socket.ip());
    let in_brackets = || {
        let inner = text.strip_prefix('[')?.strip_suffix(']')?;
        inner.parse().ok().map(|address: Ipv6Addr| address.into())
    };
    bare()
        .or_else(with_port)
        .or_else(in_brackets)
        .map(|address: IpAddr| address.to_canonical())
}
