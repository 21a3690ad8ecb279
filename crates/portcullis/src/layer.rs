//! The layer: settings, checked when they are made.

use std::{fmt, sync::Arc};

use portcullis_core::{ConfigError, Timeouts, draft::DraftPolicy, store::Store};
use tower_layer::Layer;

use crate::{
    Audit, CookieConfig, ReturnTo, SessionService, TracingAudit, erased::ErasedStore,
    refusal::Pages,
};

/// Puts sessions in front of a service: any Tower service, any body.
///
/// `SessionLayer::new(store)` is secure; nothing else needs to be set, and no key or secret is needed.
///
/// | setting | default |
/// |---|---|
/// | [`timeouts`](Self::timeouts) | idle 30 min, absolute 24 h, elevation 15 min |
/// | [`cookie`](Self::cookie) | `__Host-Http-id`, `Secure`, `HttpOnly`, `SameSite=Lax`, `Path=/` |
/// | [`payload_limit`](Self::payload_limit) | 64 KiB |
/// | [`sign_in_page`](Self::sign_in_page), [`reauthentication_page`](Self::reauthentication_page) | none: a refused person gets a 401 |
/// | [`audit`](Self::audit) | [`TracingAudit`] |
///
/// ```
/// use std::time::Duration;
/// # use axum::Router;
/// use portcullis::{MemoryStore, SessionLayer, Timeouts};
///
/// let timeouts = Timeouts::new(Duration::from_secs(15 * 60), Duration::from_secs(8 * 60 * 60))?;
/// let sessions = SessionLayer::new(MemoryStore::new())
///     .timeouts(timeouts)
///     .sign_in_page("/sign-in")?;
/// let app: Router = Router::new().layer(sessions);
/// # Ok::<(), portcullis::ConfigError>(())
/// ```
///
/// Place it outside of every layer and guard that looks at the session, and inside of compression and
/// tracing layers.
#[derive(Clone)]
pub struct SessionLayer {
    config: Arc<Config>,
}

#[derive(Clone)]
pub(crate) struct Config {
    pub(crate) store: Arc<dyn ErasedStore>,
    pub(crate) policy: DraftPolicy,
    pub(crate) cookie: CookieConfig,
    pub(crate) pages: Pages,
    pub(crate) audit: Arc<dyn Audit>,
}

const PAYLOAD_LIMIT: usize = 64 * 1024;
const LARGEST_PAYLOAD_LIMIT: usize = 1024 * 1024;

impl SessionLayer {
    /// Sessions kept in `store`, with the defaults.
    pub fn new(store: impl Store) -> Self {
        Self {
            config: Arc::new(Config {
                store: Arc::new(store),
                policy: DraftPolicy {
                    timeouts: Timeouts::default(),
                    payload_limit: PAYLOAD_LIMIT,
                },
                cookie: CookieConfig::default(),
                pages: Pages::default(),
                audit: Arc::new(TracingAudit),
            }),
        }
    }

    /// The limits of sessions that start, or whose user authenticates, from now on. Sessions that exist keep
    /// theirs.
    #[must_use]
    pub fn timeouts(self, timeouts: Timeouts) -> Self {
        self.with(|config| config.policy.timeouts = timeouts)
    }

    /// The cookie's attributes.
    #[must_use]
    pub fn cookie(self, cookie: CookieConfig) -> Self {
        self.with(|config| config.cookie = cookie)
    }

    /// How many bytes of names and encoded values a session may hold.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] above 1 MiB: every request that uses a session reads it whole.
    pub fn payload_limit(self, bytes: usize) -> Result<Self, ConfigError> {
        if bytes > LARGEST_PAYLOAD_LIMIT {
            return Err(ConfigError::new(format!(
                "a payload limit of {bytes} bytes exceeds {LARGEST_PAYLOAD_LIMIT}; keep large data elsewhere and its key in the session"
            )));
        }
        Ok(self.with(|config| config.policy.payload_limit = bytes))
    }

    /// Where to send a person who must sign in: a path of this site. It gets the place they wanted as
    /// `?return_to=…`; read it with [`ReturnTo::parse`]. The place is what this layer sees of the address: put
    /// the layer around the whole router rather than into one that is nested below a path.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when it is not a path of this site.
    pub fn sign_in_page(self, path: &str) -> Result<Self, ConfigError> {
        let page = page(path)?;
        Ok(self.with(|config| config.pages.sign_in = Some(page)))
    }

    /// Where to send a person who must prove again who they are, in the same way.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when it is not a path of this site.
    pub fn reauthentication_page(self, path: &str) -> Result<Self, ConfigError> {
        let page = page(path)?;
        Ok(self.with(|config| config.pages.reauthentication = Some(page)))
    }

    /// Who is told what happens to sessions.
    #[must_use]
    pub fn audit(self, audit: impl Audit) -> Self {
        self.with(|config| config.audit = Arc::new(audit))
    }

    fn with(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(Arc::make_mut(&mut self.config));
        self
    }
}

fn page(path: &str) -> Result<ReturnTo, ConfigError> {
    ReturnTo::parse(path).ok_or_else(|| {
        ConfigError::new(format!(
            "{path:?} is not a path of this site, such as `/sign-in`"
        ))
    })
}

impl<S> Layer<S> for SessionLayer {
    type Service = SessionService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        SessionService::new(inner, Arc::clone(&self.config))
    }
}

impl fmt::Debug for SessionLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionLayer")
            .field("policy", &self.config.policy)
            .field("cookie", &self.config.cookie)
            .field("pages", &self.config.pages)
            .finish_non_exhaustive()
    }
}
