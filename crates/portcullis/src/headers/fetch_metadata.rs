//! The cause of a request, by its method, `Origin`, `Sec-Fetch-Site`, `Sec-Fetch-Mode` and
//! `Sec-Fetch-Dest`.
//!
//! Pure decisions on the fetch metadata of a request (W3C Fetch Metadata Request Headers; `Origin`:
//! Fetch, 3.1). They decide whether the browser [withholds](FetchMetadata::withholds) a session
//! cookie, and whether the request can be [activity](crate::activity).

use cookie::SameSite;
use http::{HeaderMap, HeaderValue, Method, Uri, header::ORIGIN};

use crate::headers::{
    fields::{Fields, only},
    host::Host,
};

/// What is known of the site itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OwnSite<'a> {
    /// The origins that the application trusts.
    pub(crate) trusted: &'a [String],
    /// The domain of the session cookie, if it has one.
    pub(crate) domain: Option<&'a str>,
}

/// The source and the purpose of a request, as far as the browser reports them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FetchMetadata {
    method: MethodKind,
    initiator: Initiator,
    purpose: Purpose,
    /// A page of an origin that the application trusts sends the request, and not the site's own
    /// page.
    from_trusted_origin: bool,
    /// `Sec-Fetch-User` reports that a user caused it, or `Referer` names a page.
    has_user_or_referrer: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum MethodKind {
    Get,
    Head,
    Options,
    /// In front of an application, this is extended `CONNECT`: a WebSocket over HTTP/2 (RFC 8441)
    /// or HTTP/3 (RFC 9220).
    Connect,
    /// May change something.
    Unsafe,
}

/// The site whose page causes the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Initiator {
    /// The site itself, or no page: the user typed the address or used a bookmark.
    Own,
    /// Another origin of the same site.
    SameSite,
    /// Another site, by `Sec-Fetch-Site`.
    CrossSite,
    /// Another site, by `Origin` alone.
    OtherOrigin,
    /// Neither field is present.
    Unknown,
}

/// The purpose of the response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// A page of its own: in a tab or a window.
    TopLevel,
    /// A page within another one: `iframe`, `frame`, `embed`, `object`.
    Frame,
    /// A page; the browser does not report where.
    Page,
    /// Anything else, or unknown.
    Other,
}

impl FetchMetadata {
    pub(crate) fn of(
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
        fields: &Fields<'_>,
        own: OwnSite<'_>,
    ) -> Self {
        let origin = fields.origin.map(|_| only(headers, ORIGIN));
        let is_trusted = |origin| own.trusted.iter().any(|trusted| origin == trusted);
        let trusted = origin.flatten().is_some_and(is_trusted);
        let initiator = Initiator::of(fields.sec_fetch_site).unwrap_or_else(|| match origin {
            None => Initiator::Unknown,
            Some(None) => Initiator::OtherOrigin,
            Some(Some(origin)) => {
                let host = Host::of_request(uri, headers);
                Initiator::of_origin(origin, trusted, host.as_ref(), own.domain)
            }
        });
        Self {
            method: MethodKind::of(method),
            initiator,
            purpose: Purpose::of(fields),
            from_trusted_origin: trusted && initiator != Initiator::Own,
            has_user_or_referrer: is(fields.sec_fetch_user, "?1") || fields.referer.is_some(),
        }
    }

    /// Whether a browser withholds a cookie with this attribute because another site causes the
    /// request (RFC 6265bis, 5.2 and 5.8.3).
    pub(crate) fn withholds(self, same_site: SameSite) -> bool {
        let from_another_site = match self.initiator {
            Initiator::CrossSite => true,
            Initiator::OtherOrigin => self.method == MethodKind::Unsafe,
            Initiator::Own | Initiator::SameSite | Initiator::Unknown => false,
        };
        from_another_site
            && match same_site {
                SameSite::None => false,
                SameSite::Lax => {
                    let safe = matches!(self.method, MethodKind::Get | MethodKind::Head);
                    !(safe && self.purpose == Purpose::TopLevel)
                }
                SameSite::Strict => true,
            }
    }

    /// Whether a page shown in place of the response can request it again, with the cookies.
    pub(crate) fn is_page_visit(self) -> bool {
        self.method == MethodKind::Get && self.purpose == Purpose::TopLevel
    }

    /// Whether a user caused it, or a page that sends a referrer.
    pub(crate) fn has_user_or_referrer(self) -> bool {
        self.has_user_or_referrer
    }

    /// Whether a page of another site or of a trusted origin loads it, other than by opening it in
    /// a tab or window.
    pub(crate) fn is_loaded_by_others(self) -> bool {
        let visits = matches!(self.purpose, Purpose::TopLevel | Purpose::Page);
        match self.initiator {
            Initiator::CrossSite | Initiator::OtherOrigin => !visits,
            Initiator::SameSite | Initiator::Unknown => self.from_trusted_origin && !visits,
            Initiator::Own => false,
        }
    }

    /// Whether the response has no content for a user: `HEAD`, and preflights.
    pub(crate) fn is_without_content(self) -> bool {
        matches!(self.method, MethodKind::Head | MethodKind::Options)
    }

    /// Whether it opens a connection that outlives the response.
    pub(crate) fn is_connect(self) -> bool {
        self.method == MethodKind::Connect
    }
}

impl MethodKind {
    fn of(method: &Method) -> Self {
        match *method {
            Method::GET => Self::Get,
            Method::HEAD => Self::Head,
            Method::OPTIONS => Self::Options,
            Method::CONNECT => Self::Connect,
            _ => Self::Unsafe,
        }
    }
}

impl Initiator {
    /// As the browser reports it. An undefined value reports nothing.
    fn of(field: Option<&HeaderValue>) -> Option<Self> {
        let values = [
            ("same-origin", Self::Own),
            ("none", Self::Own),
            ("same-site", Self::SameSite),
            ("cross-site", Self::CrossSite),
        ];
        let mut values = values.into_iter();
        let (_, site) = values.find(|(value, _)| is(field, value))?;
        Some(site)
    }

    /// As the origin of the page implies it. Schemes and ports are ignored. Browsers without
    /// `Sec-Fetch-Site` send cookies across them, and behind a proxy they are not known.
    fn of_origin(
        origin: &HeaderValue,
        trusted: bool,
        host: Option<&Host>,
        domain: Option<&str>,
    ) -> Self {
        let Some(origin) = host_of_origin(origin) else {
            return Self::OtherOrigin;
        };
        let (origin, host) = (origin.name(), host.map(Host::name));
        let below = |domain: &str| origin == domain || is_below(origin, domain);
        match host {
            Some(host) if host == origin => Self::Own,
            _ if trusted => Self::SameSite,
            Some(host) if is_below(origin, host) || is_below(host, origin) => Self::SameSite,
            _ if domain.is_some_and(|domain| below(domain.trim_start_matches('.'))) => {
                Self::SameSite
            }
            _ => Self::OtherOrigin,
        }
    }
}

impl Purpose {
    fn of(fields: &Fields<'_>) -> Self {
        if !is(fields.sec_fetch_mode, "navigate") {
            return Self::Other;
        }
        match fields.sec_fetch_dest {
            None => Self::Page,
            dest if is(dest, "document") => Self::TopLevel,
            Some(_) => Self::Frame,
        }
    }
}

/// Whether a structured field is this token, with any parameters (RFC 9651, 3.3).
fn is(field: Option<&HeaderValue>, token: &str) -> bool {
    let value = field.and_then(|value| value.as_bytes().split(|byte| *byte == b';').next());
    value.is_some_and(|value| value.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
}

/// The host of an origin that has one. `null` has none.
fn host_of_origin(origin: &HeaderValue) -> Option<Host> {
    let (_, authority) = origin.to_str().ok()?.split_once("://")?;
    Host::parse(authority.as_bytes())
}

/// Whether a host belongs to a domain. No host belongs to a domain of one label.
fn is_below(host: &str, domain: &str) -> bool {
    let prefix = host.strip_suffix(domain);
    domain.contains('.') && prefix.is_some_and(|prefix| prefix.ends_with('.'))
}

#[cfg(test)]
mod tests;
