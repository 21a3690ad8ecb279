//! The session cookie: its configuration and its header syntax.
//!
//! | attribute | value | source |
//! |---|---|---|
//! | name | `__Host-Http-id` | RFC 10017 (cookies of a backend for browser-based applications); RFC 6265bis, 4.1.3 |
//! | `Secure`, `HttpOnly` | always | OWASP ASVS 5.0, 3.3.1 and 3.3.4 |
//! | `Path` | `/` | required by the name's prefix |
//! | `Domain` | none | required by the name's prefix |
//! | `SameSite` | `Lax` | OWASP ASVS 5.0, 3.3.2 |
//! | `Max-Age` | none: ends with the browser | NIST SP 800-63B-4, 5.1 |
//!
//! `read.rs` decides what counts if a request has several cookies of one name.

mod read;

use std::{borrow::Cow, time::Duration};

use cookie::Cookie;
use http::HeaderValue;
use portcullis_core::{ConfigError, ID_CHARS, SessionId};

pub(crate) use self::read::{Cookies, Presented};

/// Which requests from other sites carry the cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SameSite {
    /// None. A link from another site to a page that needs the session, or writes to it, is
    /// requested twice. The second request carries the cookie. Other pages see no session. See
    /// [`Session`](crate::Session#requests-that-another-site-causes).
    Strict,
    /// Navigations to the site, such as a link. The default.
    Lax,
}

/// The attributes of the session cookie. The default needs no change:
/// `__Host-Http-id=…; HttpOnly; SameSite=Lax; Secure; Path=/`.
///
/// ```
/// # use portcullis::{CookieConfig, cookie::SameSite};
/// let cookie = CookieConfig::builder()
///     .name("__Host-Http-session")
///     .same_site(SameSite::Strict)
///     .build()?;
///
/// // A browser would drop this cookie, so it cannot be built:
/// assert!(CookieConfig::builder().domain("example.com").build().is_err());
/// # Ok::<(), portcullis::ConfigError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CookieConfig {
    name: Cow<'static, str>,
    /// Further names, under which the cookie is read if it is missing under its own.
    accepted: Vec<Cow<'static, str>>,
    /// Former configurations. Their cookies are expired in each response that sets this one.
    former: Vec<Self>,
    path: Cow<'static, str>,
    domain: Option<Cow<'static, str>>,
    same_site: cookie::SameSite,
    secure: bool,
    partitioned: bool,
    persistent: bool,
}

impl Default for CookieConfig {
    fn default() -> Self {
        CookieBuilder::new().config
    }
}

impl CookieConfig {
    /// Starts from the defaults.
    pub fn builder() -> CookieBuilder {
        CookieBuilder::new()
    }

    /// A cookie named `id` without `Secure`, for browsers that refuse `Secure` cookies over plain
    /// http on localhost. Safari does; Chromium and Firefox do not, and need none of this.
    ///
    /// It works for requests to this machine only: `localhost`, names below it, `127.0.0.0/8` and
    /// `[::1]`. A request for any other host, or through a proxy, gets a 500 when it uses a
    /// session. The log names the cause.
    pub fn insecure_for_local_development() -> Self {
        Self {
            name: Cow::Borrowed("id"),
            secure: false,
            ..Self::default()
        }
    }

    /// The cookie's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The further names under which the cookie is read.
    pub(crate) fn accepted(&self) -> impl Iterator<Item = &str> {
        self.accepted.iter().map(Cow::as_ref)
    }

    pub(crate) fn same_site_attribute(&self) -> cookie::SameSite {
        self.same_site
    }

    pub(crate) fn domain_attribute(&self) -> Option<&str> {
        self.domain.as_deref()
    }

    pub(crate) fn is_secure(&self) -> bool {
        self.secure
    }

    /// The `Set-Cookie` that sets `id`. `remaining` is the rest of the absolute lifetime of its
    /// session, whose user may have asked to be remembered.
    pub(crate) fn set(
        &self,
        id: &SessionId,
        remaining: Duration,
        remembered: bool,
    ) -> Option<HeaderValue> {
        let mut cookie = self.cookie(&self.name, id.expose());
        if self.persistent || remembered {
            let seconds = i64::try_from(remaining.as_secs()).unwrap_or(i64::MAX);
            let seconds = seconds.min(LONGEST_LIFE);
            cookie.set_max_age(time::Duration::seconds(seconds));
        }
        header(&cookie)
    }

    /// The `Set-Cookie` that removes the cookie. It has the same attributes, so that the browser
    /// takes it for the same cookie (RFC 6265bis, 5.7).
    pub(crate) fn remove(&self) -> Option<HeaderValue> {
        self.remove_named(&self.name)
    }

    /// The same for the cookie of an [accepted](Self::accepted) name.
    pub(crate) fn remove_named(&self, name: &str) -> Option<HeaderValue> {
        let mut cookie = self.cookie(name, String::new());
        cookie.set_max_age(time::Duration::ZERO);
        cookie.set_expires(time::OffsetDateTime::UNIX_EPOCH);
        header(&cookie)
    }

    /// The `Set-Cookie` of a marker that is not secret, sent wherever the session's cookie is.
    pub(crate) fn marker(&self, name: &str, lifetime: Duration) -> Option<HeaderValue> {
        let mut cookie = self.cookie(name, "1".to_owned());
        cookie.set_max_age(time::Duration::try_from(lifetime).ok()?);
        header(&cookie)
    }

    /// The `Set-Cookie`s that remove the cookies of [former](CookieBuilder::formerly)
    /// configurations. They belong in front of the one that sets the cookie. A browser without
    /// support for `Partitioned` takes both for the same cookie.
    pub(crate) fn remove_former(&self) -> impl Iterator<Item = HeaderValue> {
        self.former.iter().filter_map(Self::remove)
    }

    /// The `Set-Cookie` that removes the other one of two cookies with this `__Host-` name. The two
    /// differ only in `Partitioned`. It belongs in front, too.
    pub(crate) fn remove_other_named(&self, name: &str) -> Option<HeaderValue> {
        let other = Self {
            partitioned: !self.partitioned,
            // Without it, browsers accept no cookie from a page embedded in another site.
            same_site: cookie::SameSite::None,
            ..self.clone()
        };
        other.remove_named(name)
    }

    /// Whether responses that set this cookie remove the other one, which has another name.
    pub(crate) fn takes_away(&self, other: &Self) -> bool {
        self.accepted.contains(&other.name)
            || self
                .former
                .iter()
                .any(|former| former.is_replaced_by(other))
    }

    /// Whether browsers take the two for one cookie (RFC 6265bis, 5.7).
    fn is_replaced_by(&self, other: &Self) -> bool {
        let scope = |it: &Self| {
            let domain = it.domain.as_ref().map(|domain| domain.to_ascii_lowercase());
            (it.name.clone(), domain, it.path.clone(), it.partitioned)
        };
        scope(self) == scope(other)
    }

    fn cookie<'c>(&'c self, name: &'c str, value: String) -> Cookie<'c> {
        let mut cookie = Cookie::new(name, value);
        cookie.set_http_only(true);
        cookie.set_same_site(self.same_site);
        cookie.set_secure(self.secure);
        cookie.set_partitioned(self.partitioned);
        cookie.set_path(self.path.as_ref());
        if let Some(domain) = &self.domain {
            cookie.set_domain(domain.as_ref());
        }
        cookie
    }
}

/// The name and value are ASCII by construction, so the header is always valid.
fn header(cookie: &Cookie<'_>) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(&cookie.to_string()).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Makes a [`CookieConfig`]. Obtained from [`CookieConfig::builder`].
#[derive(Debug, Clone)]
#[must_use = "call `build` to obtain the configuration"]
pub struct CookieBuilder {
    config: CookieConfig,
}

/// Names and values stay below this many bytes together (OWASP ASVS 5.0, 3.3.5, allows 4096).
const LONGEST_NAME: usize = 128 - ID_CHARS;

/// No browser keeps a cookie for longer than 400 days (RFC 6265bis, 5.5). In seconds.
const LONGEST_LIFE: i64 = 400 * 24 * 60 * 60;

/// The number of further names that may be accepted.
const MOST_ACCEPTED: usize = 4;

/// The number of former configurations that may be named.
const MOST_FORMER: usize = 4;

impl CookieBuilder {
    fn new() -> Self {
        Self {
            config: CookieConfig {
                name: Cow::Borrowed("__Host-Http-id"),
                accepted: Vec::new(),
                former: Vec::new(),
                path: Cow::Borrowed("/"),
                domain: None,
                same_site: cookie::SameSite::Lax,
                secure: true,
                partitioned: false,
                persistent: false,
            },
        }
    }

    /// Sets the name. Two applications on one host need two names. Keep the prefix `__Host-Http-`
    /// if possible: browsers then let only this host set the cookie.
    pub fn name(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.config.name = name.into();
        self
    }

    /// Also reads the cookie under this name, if it is missing under its [own](Self::name). This
    /// renames the cookie without signing users out. Up to four names are possible.
    ///
    /// If a live session has such a name, the response sets the cookie under its own name. A
    /// response that sets or removes the cookie also removes those under accepted names.
    ///
    /// While servers are replaced one by one, both configurations are in use, and each must
    /// understand the cookie of the other. So a cookie is renamed in two steps. Both set the
    /// [realm](crate::SessionLayer::realm) of the existing sessions, which would otherwise change
    /// with the name.
    ///
    /// ```
    /// # use portcullis::{ConfigError, CookieConfig, MemoryStore, SessionLayer};
    /// # let store = MemoryStore::new();
    /// // Before: the cookie is `__Host-Http-id`, and the realm therefore `id`.
    ///
    /// // 1. On all servers: set the old name, and understand the new one.
    /// let cookie = CookieConfig::builder().also_accept("__Host-Http-shop").build()?;
    /// let first = SessionLayer::new(store.clone()).cookie(cookie).realm("id")?;
    ///
    /// // 2. Once the first step runs everywhere: set the new name, and understand the old one.
    /// let cookie = CookieConfig::builder()
    ///     .name("__Host-Http-shop")
    ///     .also_accept("__Host-Http-id")
    ///     .build()?;
    /// let second = SessionLayer::new(store).cookie(cookie).realm("id")?;
    /// # Ok::<(), ConfigError>(())
    /// ```
    ///
    /// What happens to requests during the change:
    ///
    /// * During the first step nothing changes: every server sets the old name.
    /// * During the second, servers with both configurations answer. A browser that reaches both
    ///   gets the cookie under one name and then under the other. The identifier stays the same,
    ///   and the browser has one cookie at a time.
    /// * Two responses to one browser may arrive in either order. One may set a new identifier, and
    ///   the other only the new name; the later one wins. If that is the response with only the new
    ///   name, the user must sign in again.
    /// * Remove the old name once the [absolute timeout](crate::Timeouts::absolute) has passed
    ///   since the second step ran everywhere. Keep the realm.
    ///
    /// Accept no name that another layer on the same host uses: this layer would remove its cookie.
    /// Every host of the domain can set a cookie without `__Host-`. While such a name is accepted,
    /// a sibling host can put a browser into a session of its choice.
    pub fn also_accept(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.config.accepted.push(name.into());
        self
    }

    /// Expires the cookie of a former configuration in every response that sets or removes this
    /// one.
    ///
    /// A browser replaces a cookie only if name, `Domain`, `Path` and `Partitioned` are the same.
    /// After a change of one of the last three, it has and sends both cookies. Under a name with
    /// `__Host-`, the live one counts. Under any other name neither counts, because a sibling host
    /// could have set one of them. All users are then signed out, and the next sign-in removes the
    /// old cookie.
    ///
    /// So change the name as well, and [accept](Self::also_accept) the old one: then no user is
    /// signed out. Follow the steps of a renaming.
    ///
    /// ```
    /// # use portcullis::{ConfigError, CookieConfig};
    /// // Until now, the cookie was shared with every host below `shop.example`.
    /// let old = CookieConfig::builder().name("shop").domain("shop.example").build()?;
    ///
    /// let cookie = CookieConfig::builder()
    ///     .name("__Host-Http-shop")
    ///     .also_accept("shop")
    ///     .formerly(old)
    ///     .build()?;
    /// # Ok::<(), ConfigError>(())
    /// ```
    ///
    /// Only name, domain, path and `Partitioned` of `old` matter; its accepted names and former
    /// configurations do not. Up to four configurations are possible. Remove one once the [absolute
    /// timeout](crate::Timeouts::absolute) has passed since this one ran everywhere. A cookie that
    /// is not persistent may stay in a browser for longer, but then it opens no session.
    pub fn formerly(mut self, old: CookieConfig) -> Self {
        self.config.former.push(CookieConfig {
            accepted: Vec::new(),
            former: Vec::new(),
            ..old
        });
        self
    }

    /// `Strict` or `Lax`.
    pub fn same_site(mut self, same_site: SameSite) -> Self {
        self.config.same_site = match same_site {
            SameSite::Strict => cookie::SameSite::Strict,
            SameSite::Lax => cookie::SameSite::Lax,
        };
        self
    }

    /// Sends the cookie with requests from every site (`SameSite=None`), as a page embedded
    /// elsewhere needs. The application must then refuse forged cross-site requests itself.
    /// `reason` is logged.
    pub fn dangerous_same_site_none(mut self, reason: &str) -> Self {
        tracing::warn!(
            reason,
            "the session cookie is sent with cross-site requests (SameSite=None)"
        );
        self.config.same_site = cookie::SameSite::None;
        self
    }

    /// Keeps one cookie per top-level site, for a page embedded elsewhere (`Partitioned`, CHIPS).
    /// It needs [`dangerous_same_site_none`](Self::dangerous_same_site_none) and a `__Host-` name.
    /// If the application had another cookie before, see [`formerly`](Self::formerly).
    pub fn partitioned(mut self) -> Self {
        self.config.partitioned = true;
        self
    }

    /// Shares the cookie with every host below `domain`, each of which can then read and overwrite
    /// it. It needs a name without `__Host-`. If the application had another cookie before, see
    /// [`formerly`](Self::formerly).
    pub fn domain(mut self, domain: impl Into<Cow<'static, str>>) -> Self {
        self.config.domain = Some(domain.into());
        self
    }

    /// Sends the cookie below `path` only. It needs a name without `__Host-`. It does not protect
    /// from other applications on the host (RFC 6265bis, 8.6). If the application had another
    /// cookie before, see [`formerly`](Self::formerly).
    pub fn path(mut self, path: impl Into<Cow<'static, str>>) -> Self {
        self.config.path = path.into();
        self
    }

    /// Keeps the cookie when the browser closes, for the rest of the absolute timeout (`Max-Age`).
    /// The server's deadlines still apply. To keep it only for users who ask for it, see
    /// [`Session::remember`](crate::Session::remember).
    pub fn persistent(mut self) -> Self {
        self.config.persistent = true;
        self
    }

    /// Checks the attributes against each other.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] in these cases:
    ///
    /// * A browser would silently drop or weaken the cookie: its attributes contradict its prefix,
    ///   `Partitioned` lacks a requirement, or a character is not allowed.
    /// * The same holds for an [accepted](Self::also_accept) name, a name is accepted twice, or
    ///   there are more than four.
    /// * There are more than four [former](Self::formerly) configurations, or this cookie already
    ///   replaces the cookie of one.
    pub fn build(self) -> Result<CookieConfig, ConfigError> {
        let config = self.config;
        check_path(&config.path)?;
        if let Some(domain) = &config.domain {
            check_domain(domain)?;
        }
        config.check(&config.name)?;
        if config.accepted.len() > MOST_ACCEPTED {
            return Err(ConfigError::new(format!(
                "{} further cookie names are accepted; at most {MOST_ACCEPTED} are allowed",
                config.accepted.len()
            )));
        }
        for (number, name) in config.accepted.iter().enumerate() {
            config.check(name)?;
            if *name == config.name || config.accepted.iter().skip(number + 1).any(|it| it == name)
            {
                return Err(ConfigError::new(format!(
                    "the cookie name {name:?} is given twice; accept other names than the cookie's own, each once"
                )));
            }
        }
        if config.former.len() > MOST_FORMER {
            return Err(ConfigError::new(format!(
                "{} former cookies are named; at most {MOST_FORMER} are allowed",
                config.former.len()
            )));
        }
        if config.former.iter().any(|old| old.is_replaced_by(&config)) {
            return Err(ConfigError::new(
                "a former cookie has the name, domain and path of the cookie, and is as partitioned; browsers already replace it, so leave it out",
            ));
        }
        Ok(config)
    }
}

impl CookieConfig {
    /// Whether a browser would accept a cookie of this name with these attributes.
    fn check(&self, name: &str) -> Result<(), ConfigError> {
        check_name(name)?;
        // Browsers compare prefixes without regard to case (RFC 6265bis, 5.7).
        let host_only = name.to_ascii_lowercase().starts_with("__host-");
        if host_only && self.domain.is_some() {
            return Err(ConfigError::new(
                "a cookie named `__Host-…` has no Domain; browsers would drop it. Rename it (`__Secure-…`) or leave the domain out",
            ));
        }
        if host_only && self.path != "/" {
            return Err(ConfigError::new(
                "a cookie named `__Host-…` has the path `/`; browsers would drop it. Rename it (`__Secure-…`) or leave the path out",
            ));
        }
        if self.partitioned && (self.same_site != cookie::SameSite::None || !host_only) {
            return Err(ConfigError::new(
                "a partitioned cookie needs SameSite=None and a name that starts with `__Host-`",
            ));
        }
        Ok(())
    }
}

fn check_name(name: &str) -> Result<(), ConfigError> {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(is_token) {
        return Err(ConfigError::new(format!(
            "the cookie name {name:?} is not a token; use letters, digits, `-` and `_`"
        )));
    }
    if name.len() > LONGEST_NAME {
        return Err(ConfigError::new(format!(
            "the cookie name has {} characters; at most {LONGEST_NAME} are allowed",
            name.len()
        )));
    }
    Ok(())
}

fn check_path(path: &str) -> Result<(), ConfigError> {
    let fits = |byte: u8| byte.is_ascii_graphic() && byte != b';';
    if path.starts_with('/') && path.bytes().all(fits) && path.len() <= 1024 {
        return Ok(());
    }
    Err(ConfigError::new(format!(
        "the cookie path {path:?} must start with `/` and hold no space, control character or `;`"
    )))
}

fn check_domain(domain: &str) -> Result<(), ConfigError> {
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    if domain.len() <= 253 && domain.contains('.') && domain.split('.').all(label) {
        return Ok(());
    }
    Err(ConfigError::new(format!(
        "the cookie domain {domain:?} is not a host name such as `example.com`, without a dot in front"
    )))
}

#[cfg(test)]
mod tests;
