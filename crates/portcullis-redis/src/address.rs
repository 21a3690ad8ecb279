//! The addresses of the servers, parsed from a URL.

use std::{fmt, net::IpAddr};

use crate::{ConnectError, endpoint::Endpoint};

/// A validated URL. `Debug` and `Display` show only hosts and ports, and the service of Sentinels.
#[derive(Clone)]
pub(crate) struct Address {
    /// User, password, host, port and database with the scheme `redis://`, for the client library.
    plain_url: String,
    #[cfg(feature = "tls")]
    tls: bool,
    layout: Layout,
    /// One server of several. If it is set, it replaces the host and port in `plain_url`.
    endpoint: Option<Endpoint>,
    shown: String,
}

/// How the servers work together.
#[derive(Clone)]
pub(crate) enum Layout {
    Single,
    /// Some nodes of a Redis Cluster. They know the other nodes.
    Cluster(Vec<Endpoint>),
    Sentinel(Sentinels),
}

/// The Sentinels that know the primary.
#[derive(Clone)]
pub(crate) struct Sentinels {
    pub(crate) service: String,
    pub(crate) endpoints: Vec<Endpoint>,
    /// As `Address::plain_url`, with the user and password of the Sentinels, which may have none.
    plain_url: String,
}

/// The parts of a URL.
struct Parts<'u> {
    user: &'u str,
    host: &'u str,
    path: &'u str,
    query: &'u str,
}

const UNENCODED: ConnectError = ConnectError::Address(
    "the user or the password contains a character that must be percent-encoded",
);

impl Address {
    pub(crate) fn parse(url: &str) -> Result<Self, ConnectError> {
        let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
        let (tls, layout) = match scheme {
            "redis" => (false, ""),
            "rediss" => (true, ""),
            "redis-cluster" => (false, "cluster"),
            "rediss-cluster" => (true, "cluster"),
            "redis-sentinel" => (false, "sentinel"),
            "rediss-sentinel" => (true, "sentinel"),
            // Without "://" the text may be anything, even a password.
            other => {
                return Err(ConnectError::Scheme {
                    scheme: other.chars().take(32).collect(),
                });
            }
        };
        if tls && cfg!(not(feature = "tls")) {
            return Err(ConnectError::TlsNotBuilt);
        }
        let parts = Parts::of(rest)?;
        let (layout, plain_url, shown) = match layout {
            "cluster" => cluster(&parts)?,
            "sentinel" => sentinel(&parts)?,
            _ => single(&parts)?,
        };
        Ok(Self {
            plain_url,
            #[cfg(feature = "tls")]
            tls,
            layout,
            endpoint: None,
            shown,
        })
    }

    /// The address of one of the servers.
    pub(crate) fn at(&self, endpoint: &Endpoint) -> Self {
        Self {
            layout: Layout::Single,
            endpoint: Some(endpoint.clone()),
            shown: endpoint.to_string(),
            ..self.clone()
        }
    }

    /// The address of one of the Sentinels.
    pub(crate) fn of_sentinel(&self, sentinels: &Sentinels, endpoint: &Endpoint) -> Self {
        Self {
            plain_url: sentinels.plain_url.clone(),
            ..self.at(endpoint)
        }
    }

    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    pub(crate) fn plain_url(&self) -> &str {
        &self.plain_url
    }

    pub(crate) fn endpoint(&self) -> Option<&Endpoint> {
        self.endpoint.as_ref()
    }

    pub(crate) fn tls(&self) -> bool {
        #[cfg(feature = "tls")]
        let tls = self.tls;
        // Without the feature, `parse` refuses such an address.
        #[cfg(not(feature = "tls"))]
        let tls = false;
        tls
    }

    /// Whether the host is this machine.
    pub(crate) fn is_local(&self) -> bool {
        let host = match (&self.endpoint, self.shown.strip_prefix('[')) {
            (Some(endpoint), _) => Some(endpoint.host()),
            (None, Some(bracketed)) => bracketed.split(']').next(),
            (None, None) => self.shown.split(':').next(),
        };
        let host = host.unwrap_or_default();
        host.eq_ignore_ascii_case("localhost")
            || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }
}

impl<'u> Parts<'u> {
    fn of(rest: &'u str) -> Result<Self, ConnectError> {
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let (user, host) = match authority.rsplit_once('@') {
            Some((user, host)) => (user, host),
            None => ("", authority),
        };
        if host.is_empty() || host.starts_with(':') {
            return Err(ConnectError::Address("it names no host"));
        }
        if rest.matches('@').count() > 1 || (rest.contains('@') && !authority.contains('@')) {
            return Err(UNENCODED);
        }
        let behind = rest.get(authority.len()..).unwrap_or_default();
        if behind.contains('#') {
            return Err(ConnectError::Address(
                "it must not have a fragment (the part after #)",
            ));
        }
        let (path, query) = behind.split_once('?').unwrap_or((behind, ""));
        Ok(Self {
            user,
            host,
            path,
            query,
        })
    }

    /// The values of each of these names in the query. Other names are an error.
    fn query<const N: usize>(&self, names: [&str; N]) -> Result<[Vec<&'u str>; N], ConnectError> {
        let mut values = [const { Vec::new() }; N];
        for pair in self.query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let place = names.iter().position(|known| *known == name);
            match place.and_then(|place| values.get_mut(place)) {
                Some(values) => values.push(value),
                None => {
                    return Err(ConnectError::Address(
                        "after the question mark, a cluster and Sentinels may have node=HOST:PORT, and \
                         Sentinels also sentinelServiceName, sentinelUsername and sentinelPassword; \
                         no other parameters are supported",
                    ));
                }
            }
        }
        Ok(values)
    }

    /// The database as a path. An empty path is the default database.
    fn database(&self) -> Result<&'u str, ConnectError> {
        let number = self.path.strip_prefix('/').unwrap_or(self.path);
        let is_number = number.bytes().all(|byte| byte.is_ascii_digit());
        if number.is_empty() || (is_number && number.parse::<u8>().is_ok()) {
            return Ok(self.path);
        }
        Err(ConnectError::Address(
            "the database must be a number from 0 to 255",
        ))
    }

    /// The host of the authority, and these others.
    fn endpoints(&self, port: u16, others: &[&str]) -> Result<Vec<Endpoint>, ConnectError> {
        let mut endpoints = Vec::new();
        // The others need a port: without one, a forgotten port would mean the default.
        let hosts = [(self.host, Some(port))].into_iter();
        for (host, port) in hosts.chain(others.iter().map(|host| (*host, None))) {
            let endpoint = Endpoint::parse(host, port)
                .ok_or(ConnectError::Address("it has an invalid host or port"))?;
            if !endpoints.contains(&endpoint) {
                endpoints.push(endpoint);
            }
        }
        Ok(endpoints)
    }
}

fn single(parts: &Parts<'_>) -> Result<(Layout, String, String), ConnectError> {
    let [] = parts.query([])?;
    let (host, database) = (parts.host, parts.database()?);
    let url = match parts.user {
        "" => format!("redis://{host}{database}"),
        user => format!("redis://{user}@{host}{database}"),
    };
    Ok((Layout::Single, url, host.to_owned()))
}

fn cluster(parts: &Parts<'_>) -> Result<(Layout, String, String), ConnectError> {
    if !matches!(parts.path, "" | "/" | "/0") {
        return Err(ConnectError::Address("a Redis Cluster has only database 0"));
    }
    let [nodes] = parts.query(["node"])?;
    let endpoints = parts.endpoints(6379, &nodes)?;
    let shown = list(&endpoints);
    let url = plain_url(parts.user, &endpoints, "");
    Ok((Layout::Cluster(endpoints), url, shown))
}

fn sentinel(parts: &Parts<'_>) -> Result<(Layout, String, String), ConnectError> {
    let [nodes, services, users, passwords] = parts.query([
        "node",
        "sentinelServiceName",
        "sentinelUsername",
        "sentinelPassword",
    ])?;
    let endpoints = parts.endpoints(26379, &nodes)?;
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    let [service] = services[..] else {
        return Err(ConnectError::Address(
            "it must name the service that the Sentinels monitor, exactly once: \
             ?sentinelServiceName=mymaster",
        ));
    };
    if service.is_empty() || !service.bytes().all(fits) {
        return Err(ConnectError::Address(
            "the name of a Sentinel service may have only letters, digits, dots, dashes and underscores",
        ));
    }
    let only = |values: &[&str]| match values {
        [] => Ok(String::new()),
        [value] if !value.contains(['/', ':']) => Ok((*value).to_owned()),
        _ => Err(UNENCODED),
    };
    let (user, password) = (only(&users)?, only(&passwords)?);
    let user = match (user.is_empty(), password.is_empty()) {
        (true, true) => String::new(),
        _ => format!("{user}:{password}"),
    };
    let sentinels = Sentinels {
        service: service.to_owned(),
        plain_url: plain_url(&user, &endpoints, ""),
        endpoints,
    };
    let shown = format!("{service} (known to {})", list(&sentinels.endpoints));
    let url = plain_url(parts.user, &sentinels.endpoints, parts.database()?);
    Ok((Layout::Sentinel(sentinels), url, shown))
}

/// A URL for the client library. It needs a host, which `Address::endpoint` replaces.
fn plain_url(user: &str, endpoints: &[Endpoint], path: &str) -> String {
    let host = endpoints.first().map(Endpoint::to_string);
    let host = host.unwrap_or_default();
    if user.is_empty() {
        format!("redis://{host}{path}")
    } else {
        format!("redis://{user}@{host}{path}")
    }
}

fn list(endpoints: &[Endpoint]) -> String {
    let shown: Vec<_> = endpoints.iter().map(Endpoint::to_string).collect();
    shown.join(", ")
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

    use super::*;

    #[test]
    fn only_host_and_port_are_shown() {
        let address = Address::parse("redis://app:secret@db.internal:6380/3").unwrap();
        assert_eq!(
            format!("{address} {address:?}"),
            "db.internal:6380 db.internal:6380"
        );
    }

    fn nodes(url: &str) -> Vec<String> {
        let address = Address::parse(url).unwrap();
        let endpoints = match address.layout() {
            Layout::Single => panic!("{url} is a single server"),
            Layout::Cluster(endpoints) => endpoints,
            Layout::Sentinel(sentinels) => &sentinels.endpoints,
        };
        endpoints.iter().map(Endpoint::to_string).collect()
    }

    #[test]
    fn all_nodes_in_the_url_of_a_cluster_are_shown() {
        let url = "redis-cluster://app:secret@one.internal?node=two.internal:7001&node=[::1]:7002";
        assert_eq!(
            nodes(url),
            ["one.internal:6379", "two.internal:7001", "[::1]:7002"]
        );
        let address = Address::parse(url).unwrap();
        assert_eq!(
            format!("{address} {address:?}"),
            "one.internal:6379, two.internal:7001, [::1]:7002 "
                .repeat(2)
                .trim_end()
        );
        assert_eq!(address.plain_url(), "redis://app:secret@one.internal:6379");
        assert_eq!(nodes("redis-cluster://a:1/?node=a:1"), ["a:1"]);
    }

    #[test]
    fn sentinels_have_a_user_of_their_own_or_none() {
        let url = "redis-sentinel://app:secret@a:1/3?node=b:2&sentinelServiceName=my.master-1";
        let both = format!("{url}&sentinelUsername=watch&sentinelPassword=s%40cret");
        let asked_as = |url: &str| {
            let address = Address::parse(url).unwrap();
            let Layout::Sentinel(sentinels) = address.layout() else {
                panic!("no Sentinel")
            };
            assert_eq!(sentinels.service, "my.master-1");
            assert_eq!(address.plain_url(), "redis://app:secret@a:1/3");
            let shown = format!("{address} {address:?}");
            assert!(!shown.contains("cret"), "{shown}");
            let asked = address.of_sentinel(sentinels, &sentinels.endpoints[1]);
            assert_eq!(asked.to_string(), "b:2");
            asked.plain_url().to_owned()
        };
        assert_eq!(nodes(url), ["a:1", "b:2"]);
        assert_eq!(asked_as(url), "redis://a:1");
        assert_eq!(asked_as(&both), "redis://watch:s%40cret@a:1");
    }

    #[test]
    fn one_server_of_a_cluster_has_an_address_of_its_own() {
        let address = Address::parse("redis-cluster://app:secret@10.0.0.1:7000").unwrap();
        let one = address.at(&Endpoint::parse("[::1]:7001", None).unwrap());
        assert_eq!(one.to_string(), "[::1]:7001");
        assert!(one.is_local());
        assert!(matches!(one.layout(), Layout::Single));
    }

    #[test]
    fn an_invalid_address_is_refused_without_repeating_it() {
        for url in [
            "",
            "secret",
            "http://app:secret@host",
            "redis+unix:///secret",
            "redis-cluster://app:secret@host?node=secret:host",
            "redis-cluster://app:secret@host?secret=1",
            "redis-cluster://app:secret@host/1",
            "redis-cluster://app:secret@host:99999",
            "redis-sentinel://app:secret@host",
            "redis-sentinel://app:secret@host?sentinelServiceName=",
            "redis-sentinel://app:secret@host?sentinelServiceName=a%20secret",
            "redis-sentinel://host?sentinelServiceName=a&sentinelPassword=sec@ret@",
            "redis-sentinel://host?sentinelServiceName=a&sentinelPassword=sec/ret",
            "redis-sentinel://host?sentinelServiceName=a&sentinelServiceName=secret",
            "valkey://app:secret@host",
            "redis:app:secret@host",
            "redis://",
            "redis://app:secret@",
            "redis://app:sec@ret@host",
            "redis://app:/secret@host",
            "redis://host#secret",
            "redis://app:secret@host/0?db=3",
            "redis://host?sentinelServiceName=secret",
            "redis://host?node=secret:1",
            "redis://host?=secret",
            "redis://host?secret",
            "redis://host/secret",
            "redis://host/256",
            "redis://host/-1",
            "redis://host/+1",
            "redis://host/1/2",
            "redis://host//1",
            "redis-cluster://host#secret",
            "redis-cluster://host?node=a:1#secret",
            "redis-cluster://host/0?db=0",
            "redis-cluster://host?sentinelServiceName=secret",
            "redis-sentinel://host/secret?sentinelServiceName=a",
            "redis-sentinel://host/1/2?sentinelServiceName=a",
            "redis-sentinel://host?sentinelServiceName=a&db=3",
            "redis-sentinel://host?sentinelServiceName=a#secret",
            "redis://:6379",
        ] {
            let error = Address::parse(url).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("secret"), "{error}");
        }
    }

    #[test]
    #[cfg(feature = "tls")]
    fn with_tls_the_same_addresses_are_refused() {
        for rest in [
            "://host?secret=1",
            "://host#secret",
            "://host/x",
            "-cluster://host?ssl=secret",
            "-cluster://host/1",
            "-sentinel://host?sentinelServiceName=a&insecure=true",
            "-sentinel://host/x?sentinelServiceName=a",
        ] {
            for scheme in ["redis", "rediss"] {
                let error = Address::parse(&format!("{scheme}{rest}")).unwrap_err();
                assert!(matches!(error, ConnectError::Address(_)), "{error}");
                assert!(!error.to_string().contains("secret"), "{error}");
            }
        }
    }

    #[test]
    fn a_database_is_part_of_the_address() {
        for (url, plain) in [
            ("redis://app:secret@host:1/3", "redis://app:secret@host:1/3"),
            ("redis://host", "redis://host"),
            ("redis://host/", "redis://host/"),
            ("redis://host/255?", "redis://host/255"),
        ] {
            assert_eq!(Address::parse(url).unwrap().plain_url(), plain);
        }
    }

    #[test]
    fn only_a_loopback_address_is_this_machine() {
        for (url, local) in [
            ("redis://localhost", true),
            ("redis://app:secret@LOCALHOST:6380/1", true),
            ("redis://127.0.0.1:6379", true),
            ("redis://127.1.2.3", true),
            ("redis://[::1]:6379", true),
            ("redis://db.internal", false),
            ("redis://localhost.example.com", false),
            ("redis://localhost@db.internal", false),
            ("redis://10.0.0.1", false),
            ("redis://[2001:db8::1]:6379", false),
        ] {
            assert_eq!(Address::parse(url).unwrap().is_local(), local, "{url}");
        }
    }

    #[test]
    #[cfg(feature = "tls")]
    fn an_s_in_the_scheme_means_tls() {
        for url in [
            "rediss://host",
            "rediss-cluster://host",
            "rediss-sentinel://host?sentinelServiceName=a",
        ] {
            assert!(Address::parse(url).unwrap().tls());
        }
        assert!(!Address::parse("redis://host").unwrap().tls());
    }

    #[test]
    #[cfg(not(feature = "tls"))]
    fn an_s_in_the_scheme_without_the_tls_feature_is_refused() {
        let refused = Address::parse("rediss://host");
        assert!(matches!(refused, Err(ConnectError::TlsNotBuilt)));
    }
}
