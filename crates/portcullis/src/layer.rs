//! The layer: settings, checked when they are made.

use std::{fmt, sync::Arc, time::Duration};

use http::response::Parts;
use portcullis_core::{
    ConfigError, CorrelationKey, Realm, RememberMe, Timeouts, VisitorLimits,
    draft::DraftPolicy,
    store::{SessionLimit, Store},
};
use tower_layer::Layer;

#[cfg(feature = "axum")]
use crate::SessionRoutes;
use crate::{
    Audit, ClearSiteData, ClientAddresses, CookieConfig, DeviceBinding, Outcome, ReturnTo,
    SessionService, Sessions,
    fetch_metadata::OwnSite,
    house::{House, Setup},
    live::Pace,
    nesting::Nesting,
    outcome::Classifier,
    refusal::Pages,
    registration::Registration,
};

/// Puts sessions in front of a service: any Tower service, any body.
///
/// `SessionLayer::new(store)` is secure; nothing else needs to be set, and no key or secret is needed.
///
/// | setting | default |
/// |---|---|
/// | [`timeouts`](Self::timeouts) | idle 30 min, absolute 24 h, elevation 15 min |
/// | [`remember_me`](Self::remember_me) | off |
/// | [`cookie`](Self::cookie) | `__Host-Http-id`, `Secure`, `HttpOnly`, `SameSite=Lax`, `Path=/` |
/// | [`realm`](Self::realm) | the base name of the cookie: `id` |
/// | [`payload_limit`](Self::payload_limit) | 64 KiB |
/// | [`visitors`](Self::visitors) | sessions without a user: 4 h, 8 KiB |
/// | [`session_limit`](Self::session_limit) | 10 per user; one more displaces the least recently used |
/// | [`device_binding`](Self::device_binding) | [`Observe`](DeviceBinding::Observe): another device is told of, nobody is signed out |
/// | [`client_addresses`](Self::client_addresses) | [not used](ClientAddresses::none) |
/// | [`classify_responses`](Self::classify_responses) | by status: from 400 on nothing is granted, from 500 on nothing is written |
/// | [`sign_in_page`](Self::sign_in_page), [`reauthentication_page`](Self::reauthentication_page) | none: a refused person gets a 401 |
/// | [`public_base_path`](Self::public_base_path) | none: the application sees paths as browsers do |
/// | [`clear_site_data`](Self::clear_site_data) | what scripts stored, with a sign-out |
/// | [`tell_deadlines`](Self::tell_deadlines) | not told |
/// | [`audit`](Self::audit) | [`TracingAudit`](crate::TracingAudit) |
/// | [`correlation_key`](Self::correlation_key) | a new one for each process |
/// | [`live_within`](Self::live_within) | live connections notice an end on another server within 5 s at the latest |
/// | [`without_sweeping`](Self::without_sweeping) | a task sweeps about every 30 s |
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
/// # In the background
///
/// Where it is put in front of a service inside of a Tokio runtime, or else at the first request, it starts two tasks: one
/// has the store [clear away](Store::sweep) what is over and tells the [`Audit`] of it, also of sessions that nobody
/// ever asked for again; the other writes what was refused into the store's log, as far as there is room. All services
/// of a layer share them, and they end with the last of those and of the [`Sessions`] made from it.
///
/// # Among other layers
///
/// With axum the layer that is added last is the outermost. "Outside" is closer to the client.
///
/// | layer | where | because |
/// |---|---|---|
/// | [`GuardLayer`](crate::GuardLayer), [`PassiveLayer`](crate::PassiveLayer), whatever looks at the session | inside | they look at what this one provides |
/// | timeouts, caught panics (`TimeoutLayer`, `CatchPanicLayer`) | inside | their 408, 500 or 503 is then the answer by which this layer [grants nothing](crate::Outcome); outside it sees no answer at all, and carries out ends alone |
/// | whatever sets `Cache-Control` or a field of a CDN | inside | outside it has the last word, over `no-store` too |
/// | CSRF (`CsrfLayer`) | outside | it refuses before the session is looked at |
/// | CORS (`CorsLayer`) | outside | preflights end there, and a page of the other origin can read every refusal |
/// | security headers (`SetResponseHeaderLayer`) | outside | every response has them, refusals included |
/// | compression (`CompressionLayer`) | outside | refusals are compressed too; a body that [fails](crate::Lifeline::guard_body) fails through it |
/// | tracing, request identifiers (`TraceLayer`, `SetRequestIdLayer`) | outside | what this layer logs is in the span of its request, and the status is the one that is sent |
/// | what [rewords](crate::Refusal::reword) refusals | outside | it sees all of them |
///
/// Where a session ended under a handler's hands, this layer answers in its place. Of the handler's response it keeps what
/// CORS, security, tracing and rate-limit layers inside of it have set, and `Vary`; everything else goes with the
/// body: fields of the application say that something was done which was not. A refusal of a guard has what layers outside of
/// the guard set.
///
/// # Caches
///
/// A response that sets or removes a session cookie carries `Cache-Control: no-store`. One for which the session was looked at
/// carries `no-store`, or `private` with what the handler said, where it said something. Both vary by `Cookie`. Some
/// caches obey other fields rather than `Cache-Control`, so those are removed from such responses unless they forbid storing:
///
/// | field | obeyed by | stays with |
/// |---|---|---|
/// | `CDN-Cache-Control` (RFC 9213) | Cloudflare, Netlify, Vercel, Akamai and others | `no-store`, `private` |
/// | `Cloudflare-CDN-Cache-Control`, `Netlify-CDN-Cache-Control`, `Vercel-CDN-Cache-Control`, any other `…-Cache-Control` | the vendor that it names | `no-store`, `private` |
/// | `Surrogate-Control` | Varnish, Fastly | `no-store` |
/// | `Edge-Control` | Akamai | `no-store`, `bypass-cache` |
/// | `X-Accel-Expires` | nginx | `0` |
/// | `X-LiteSpeed-Cache-Control` | LiteSpeed | `no-store`, `no-cache` |
///
/// What takes such a word back (`!no-store`, `must-understand`) counts as if it were not there.
///
/// A cache can be told to store all the same, by its own settings: a minimum time to live (CloudFront), "cache everything"
/// (Cloudflare), `proxy_ignore_headers` (nginx). And Fastly reads `no-store` as a word for browsers: it keeps
/// responses out for a `Set-Cookie` or for `Cache-Control: private`, so have handlers say `private, no-store` behind it, which
/// stands. Exclude the routes that look at the session there.
///
/// # Several layers
///
/// A part of an application may have sessions of its own, with another cookie: its routes have a layer more.
/// [`Session`](crate::Session), the guards, `SessionRoutes` and [`Sessions`] then mean the innermost layer that they
/// stand in. The layers know nothing of each other's sessions: a sign-out
/// ends one of them.
///
/// ```
/// # use axum::{Router, routing::{get, post}};
/// # use portcullis::{ConfigError, CookieConfig, GuardLayer, MemoryStore, Session, SessionLayer};
/// # async fn account() {}
/// # async fn sign_in_as_operator(session: Session) {}
/// # async fn users() {}
/// # let store = MemoryStore::new();
/// let shop = SessionLayer::new(store.clone());
/// let cookie = CookieConfig::builder().name("__Host-Http-admin").build()?;
/// let admin = SessionLayer::new(store).cookie(cookie);
///
/// let operators: Router = Router::new()
///     .route("/users", get(users))
///     .route_layer(GuardLayer::authenticated())   // an operator
///     .route("/sign-in", post(sign_in_as_operator))
///     .layer(admin);
/// let app: Router = Router::new()
///     .route("/account", get(account))
///     .nest("/admin", operators)
///     .layer(shop);
/// # Ok::<(), ConfigError>(())
/// ```
///
/// What stands between two layers sees the outer session. To use it further in as well, take it there with
/// [`Session::load`](crate::Session::load) and pass it on in an extension of your own.
///
/// Layers with one cookie cannot be nested: the inner one does nothing, and what stands in it means the session of the outer one.
/// That is logged as a warning, once, and so is an inner or outer layer that accepts or formerly had the other's cookie, and
/// cookies that differ in their prefix only, whose realm is the same.
#[derive(Clone)]
pub struct SessionLayer {
    config: Arc<Config>,
}

#[derive(Clone)]
pub(crate) struct Config {
    pub(crate) house: Arc<House>,
    /// Where the application has named one.
    pub(crate) realm: Option<Realm>,
    pub(crate) policy: DraftPolicy,
    pub(crate) cookie: CookieConfig,
    pub(crate) pages: Pages,
    pub(crate) addresses: ClientAddresses,
    pub(crate) binding: DeviceBinding,
    pub(crate) clear_site_data: ClearSiteData,
    pub(crate) tells_deadlines: bool,
    pub(crate) classifier: Classifier,
    #[cfg(feature = "axum")]
    pub(crate) trusted_origins: Vec<String>,
    pub(crate) nesting: Arc<Nesting>,
}

impl Config {
    /// Starts what runs in the background, where it does not run yet.
    pub(crate) fn wake(&self) {
        if self.house.wake() && self.realm.is_none() {
            self.warn_of_cookies_from_elsewhere();
        }
    }

    /// What tells the site's own pages from those of others.
    pub(crate) fn own_site(&self) -> OwnSite<'_> {
        OwnSite {
            #[cfg(feature = "axum")]
            trusted: &self.trusted_origins,
            #[cfg(not(feature = "axum"))]
            trusted: &[],
            domain: self.cookie.domain_attribute(),
        }
    }

    fn warn_of_cookies_from_elsewhere(&self) {
        let own = Realm::of_cookie(self.cookie.name());
        let mut accepted = self.cookie.accepted().map(Realm::of_cookie);
        if accepted.any(|realm| realm != own) {
            tracing::warn!(
                realm = own.as_str(),
                "a session layer accepts a cookie under another name but names no realm, so sessions do not outlast the renaming; name the realm they are in"
            );
        }
    }
}

const PAYLOAD_LIMIT: usize = 64 * 1024;
const LARGEST_PAYLOAD_LIMIT: usize = 1024 * 1024;

impl SessionLayer {
    /// Sessions kept in `store`, with the defaults.
    pub fn new(store: impl Store) -> Self {
        Self {
            config: Arc::new(Config {
                house: Arc::new(House::new(Setup::new(store, true))),
                realm: None,
                policy: DraftPolicy {
                    timeouts: Timeouts::default(),
                    remember_me: None,
                    payload_limit: PAYLOAD_LIMIT,
                    visitors: VisitorLimits::default(),
                    session_limit: Some(SessionLimit::default()),
                },
                cookie: CookieConfig::default(),
                pages: Pages::default(),
                addresses: ClientAddresses::default(),
                binding: DeviceBinding::default(),
                clear_site_data: ClearSiteData::default(),
                tells_deadlines: false,
                classifier: Classifier::default(),
                #[cfg(feature = "axum")]
                trusted_origins: Vec::new(),
                nesting: Arc::default(),
            }),
        }
        .settled()
    }

    /// The limits of sessions that start, or whose user authenticates, from now on. Sessions that exist keep
    /// theirs.
    #[must_use]
    pub fn timeouts(self, timeouts: Timeouts) -> Self {
        self.with(|config| config.policy.timeouts = timeouts)
    }

    /// Lets handlers remember a person who asks for it at the sign-in, see [`Session::remember`](crate::Session::remember), and
    /// sets the limits of such sessions: with [`RememberMe::default`], 14 days without activity and 90 days in all. Sessions
    /// that exist keep theirs. The store then remembers revocations for as long as those sessions may last.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use portcullis::{MemoryStore, RememberMe, SessionLayer};
    /// const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    /// let sessions = SessionLayer::new(MemoryStore::new()).remember_me(RememberMe::new(7 * DAY, 30 * DAY)?);
    /// # Ok::<(), portcullis::ConfigError>(())
    /// ```
    #[must_use]
    pub fn remember_me(self, limits: RememberMe) -> Self {
        self.with(|config| config.policy.remember_me = Some(limits))
    }

    /// Whose sessions these are: an identifier opens only sessions of the realm it was made in, and lists, limits, logs
    /// and revocations are kept by realm. Without this it is the base name of the [cookie](Self::cookie), `id` by default,
    /// whatever realm the store was in. So two layers with different cookies on one store do not share sessions.
    ///
    /// Name it to let layers share sessions on purpose, to keep the sessions when the cookie is renamed (see
    /// [`CookieBuilder::also_accept`](crate::CookieBuilder::also_accept)), or to tell apart two applications that have
    /// the same cookie and one store: without a realm or a key prefix of their own, the store cannot tell them from two
    /// servers of one application.
    ///
    /// ```
    /// # use portcullis::{MemoryStore, SessionLayer};
    /// let store = MemoryStore::new();
    /// let shop = SessionLayer::new(store.clone());
    /// let admin = SessionLayer::new(store).realm("admin")?;
    /// # Ok::<(), portcullis::ConfigError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ConfigError`] for a name that [`Realm::new`] refuses.
    pub fn realm(self, name: &str) -> Result<Self, ConfigError> {
        let realm = Realm::new(name)?;
        Ok(self.with(|config| config.realm = Some(realm)))
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

    /// What a session without a user may take: 4 hours and 8 KiB by default. Anybody can begin such sessions, so what each
    /// takes decides what a flood of them costs. The [timeouts](Self::timeouts) and the
    /// [`payload_limit`](Self::payload_limit) hold as well where they are lower.
    #[must_use]
    pub fn visitors(self, limits: VisitorLimits) -> Self {
        self.with(|config| config.policy.visitors = limits)
    }

    /// Where to send a person who must sign in: a path of this site, in any script. It gets the place they wanted as
    /// `?return_to=…`; read it with [`ReturnTo::parse`]. For a form that was submitted, that is the page it was on. With
    /// axum the path is whole also where the layer is in a router that is nested below one; without, it is what this
    /// layer sees of the address. Who is sent there, and who gets a 401, is a table in the guide
    /// [`refused`](crate::refused).
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when it is not a path of this site.
    pub fn sign_in_page(self, path: &str) -> Result<Self, ConfigError> {
        let page = page(path)?;
        Ok(self.with(|config| config.pages.sign_in = Some(page)))
    }

    /// Where to send a person who must prove again who they are, in the same way. The page gets the scope to elevate for
    /// as well: `?scope=payments&return_to=…`, and `general` where the route asks for no other.
    ///
    /// The page itself must be reachable without an elevation. Its path is known to be that page as long as the
    /// application sees it as it is written here. Otherwise mark its routes with
    /// [`ReauthenticationPageLayer`](crate::ReauthenticationPageLayer).
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when it is not a path of this site.
    pub fn reauthentication_page(self, path: &str) -> Result<Self, ConfigError> {
        let page = page(path)?;
        Ok(self.with(|config| config.pages.reauthentication = Some(page)))
    }

    /// The prefix that a proxy takes off the path before the application sees it. Browsers are sent to pages below it:
    /// with `/shop`, `/sign-in` becomes `/shop/sign-in?return_to=/shop/cart`. All other settings name paths as the
    /// application sees them; the cookie's [path](crate::CookieBuilder::path) is as the browser sees it.
    ///
    /// ```
    /// # use portcullis::{MemoryStore, SessionLayer};
    /// let sessions = SessionLayer::new(MemoryStore::new())
    ///     .public_base_path("/shop")?
    ///     .sign_in_page("/sign-in")?;
    /// # Ok::<(), portcullis::ConfigError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when it is not a path of this site, or has a query.
    pub fn public_base_path(self, path: &str) -> Result<Self, ConfigError> {
        let base = base_path(path)?;
        Ok(self.with(|config| config.pages.base = base))
    }

    /// How many sessions a user may have at once, on all servers together, and what becomes of a sign-in over it
    /// (OWASP ASVS 5.0, 7.1.2). `None` is no limit. It is enforced in the step that begins the session, so it also holds
    /// when many sign in at the same moment. A user who has more already keeps them until the next sign-in.
    ///
    /// ```
    /// # use portcullis::{MemoryStore, SessionLayer, SessionLimit};
    /// let three = SessionLayer::new(MemoryStore::new()).session_limit(SessionLimit::refuse(3)?);
    /// let unlimited = SessionLayer::new(MemoryStore::new()).session_limit(None);
    /// # Ok::<(), portcullis::ConfigError>(())
    /// ```
    #[must_use]
    pub fn session_limit(self, limit: impl Into<Option<SessionLimit>>) -> Self {
        self.with(|config| config.policy.session_limit = limit.into())
    }

    /// What happens when a session is used from what looks like another device.
    #[must_use]
    pub fn device_binding(self, binding: DeviceBinding) -> Self {
        self.with(|config| config.binding = binding)
    }

    /// Whether and how addresses of clients are used: compared with a [`device_binding`](Self::device_binding), and
    /// told in lists and events.
    #[must_use]
    pub fn client_addresses(self, addresses: ClientAddresses) -> Self {
        self.with(|config| config.addresses = addresses)
    }

    /// What the browser is asked to clear away with a sign-out, beside the session's cookie.
    #[must_use]
    pub fn clear_site_data(self, what: ClearSiteData) -> Self {
        self.with(|config| config.clear_site_data = what)
    }

    /// Tells with each response for which a live session was looked at how many seconds it has left:
    /// `Session-Timeout: idle=1799, absolute=86399`, and `elevated=899` while it is elevated. Clients that see it need not
    /// ask `SessionRoutes` for the status.
    #[must_use]
    pub fn tell_deadlines(self) -> Self {
        self.with(|config| config.tells_deadlines = true)
    }

    /// Tells from the head of a response what became of its request, where its status alone does not say: gRPC answers
    /// with 200 and a field `grpc-status`, GraphQL with 200 and a list of errors in the body. What is carried out then
    /// says [`Outcome`].
    ///
    /// The stricter of this and [`Outcome::of_status`] holds, so that a layer in between which answers with 503 grants
    /// nothing either. To grant something with a status from 400 on, see [`KeepGrants`](crate::KeepGrants).
    ///
    /// The function is called once for each response to a request that looked at its session, and must not wait. Only
    /// the head counts: what is decided by the body or its trailers comes too late, and so must be put into the head, say
    /// as an extension, by whoever makes the response. What [`Session::commit`](crate::Session::commit) wrote before stays.
    ///
    /// ```
    /// # use portcullis::{MemoryStore, SessionLayer};
    /// use portcullis::Outcome;
    ///
    /// let sessions = SessionLayer::new(MemoryStore::new()).classify_responses(|head| {
    ///     let grpc_status = head.headers.get("grpc-status").map(|status| status.as_bytes());
    ///     match grpc_status {
    ///         // OK, or it comes in the trailers: the call was accepted.
    ///         None | Some(b"0") => Outcome::Succeeded,
    ///         // UNKNOWN, DEADLINE_EXCEEDED, INTERNAL, UNAVAILABLE, DATA_LOSS
    ///         Some(b"2" | b"4" | b"13" | b"14" | b"15") => Outcome::Failed,
    ///         Some(_) => Outcome::Refused,
    ///     }
    /// });
    /// ```
    #[must_use]
    pub fn classify_responses(
        self,
        classify: impl Fn(&Parts) -> Outcome + Send + Sync + 'static,
    ) -> Self {
        self.with(|config| config.classifier = Classifier::new(classify))
    }

    /// Adds an [`Audit`], which is notified of what happens to sessions. The first takes the place of
    /// [`TracingAudit`](crate::TracingAudit). With several, each is notified of every event.
    #[must_use]
    pub fn audit(self, audit: impl Audit) -> Self {
        self.with_house(|setup| setup.audits = std::mem::take(&mut setup.audits).and(audit))
    }

    /// The key of the [correlators](crate::Correlator) in events: 32 random bytes that all servers share, so that what
    /// different servers and processes tell of one session can be tied together.
    #[must_use]
    pub fn correlation_key(self, bytes: [u8; 32]) -> Self {
        self.with_house(|setup| setup.key = Some(CorrelationKey::new(bytes)))
    }

    /// Within which time a live connection notices that its session was ended by another server, as long as the store
    /// answers within a tenth of it: 5 seconds by default (OWASP ASVS 5.0, 7.4.1). Each session that has any is looked at that
    /// often, by each server. When the store has not answered for three times as long, they are ended as well.
    ///
    /// That is the bound. As a rule they notice at once: Redis tells every server that has live connections what others end,
    /// unless it [forbids](https://crates.io/crates/portcullis-redis) that, and another [`Store`] may do the same
    /// ([`Store::listen`]). What was told while nobody could hear is looked up as soon as somebody can. Ends by this server
    /// and deadlines need no time, see [`Lifeline`](crate::Lifeline).
    ///
    /// # Errors
    ///
    /// [`ConfigError`] below 1 and above 15 seconds: a session that gets a new identifier can be followed for a minute only.
    pub fn live_within(self, period: Duration) -> Result<Self, ConfigError> {
        let pace = Pace::new(period)?;
        Ok(self.with_house(|setup| setup.pace = pace))
    }

    /// Other sites whose pages may open a `SessionSocket`, and use the [`routes`](Self::routes) of this layer, as
    /// browsers spell them: `https://app.example`, `capacitor://localhost`, `tauri://localhost`,
    /// `chrome-extension://` with the identifier. Without this, only pages of the host that is asked may.
    ///
    /// What such a page asks for is no activity, as with any other site that loads something into a page of its own: the
    /// session stays alive only if the page calls `POST /session/extend`, say when somebody types. And a
    /// [`CsrfLayer`](https://docs.rs/tower-http/latest/tower_http/csrf/struct.CsrfLayer.html) around the whole
    /// application must be told of the origins too, else it refuses first. It knows `http` and `https` only. For pages of
    /// other schemes, let the session routes past it with `with_insecure_bypass`: they check for themselves.
    ///
    /// ```
    /// # use axum::Router;
    /// # use portcullis::{MemoryStore, SessionLayer};
    /// # use tower_http::csrf::CsrfLayer;
    /// const OTHER: &str = "https://app.example";
    /// let sessions = SessionLayer::new(MemoryStore::new()).trusted_origins([OTHER])?;
    /// let app: Router = Router::new()
    ///     .nest("/session", sessions.routes().into_router())
    ///     .layer(sessions)
    ///     .layer(CsrfLayer::new().add_trusted_origin(OTHER)?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ConfigError`] for what no browser would send: a path or a slash at the end, a user, capitals, a standard port,
    /// a wildcard, `null`. It says what to write instead.
    #[cfg(feature = "axum")]
    pub fn trusted_origins<O: AsRef<str>>(
        self,
        origins: impl IntoIterator<Item = O>,
    ) -> Result<Self, ConfigError> {
        let origins = origins.into_iter();
        let origins = origins.map(|origin| crate::origin::parse(origin.as_ref()));
        let origins = origins.collect::<Result<_, _>>()?;
        Ok(self.with(|config| config.trusted_origins = origins))
    }

    /// Leaves the clearing away of what is over to others who share the store, such as a program that calls
    /// [`Sessions::sweep`]. If nobody does it, ends that nobody asks for are never told.
    #[must_use]
    pub fn without_sweeping(self) -> Self {
        self.with_house(|setup| setup.sweeps = false)
    }

    /// Routes to ask how long the session lasts, to stay, and to sign out, for the pages of this host and of the
    /// [trusted origins](Self::trusted_origins) set so far. They belong inside of the layer. With
    /// [timeouts](Self::timeouts) that leave no room for ten extensions they say so in the log, see [`SessionRoutes`].
    ///
    /// ```
    /// # use axum::Router;
    /// # use portcullis::{MemoryStore, SessionLayer};
    /// let sessions = SessionLayer::new(MemoryStore::new());
    /// let app: Router = Router::new()
    ///     .nest("/session", sessions.routes().into_router())
    ///     .layer(sessions);
    /// ```
    #[cfg(feature = "axum")]
    pub fn routes(&self) -> SessionRoutes {
        SessionRoutes::of_layer(&self.config.trusted_origins, self.config.policy.timeouts)
    }

    /// The sessions of this layer's store and realm, to list and end them from outside of a request. Events go to the
    /// [`audit`](Self::audit) that is set now.
    pub fn sessions(&self) -> Sessions {
        Sessions::of_house(&self.config.house)
    }

    #[cfg(feature = "testing")]
    pub(crate) fn cookie_name(&self) -> &str {
        self.config.cookie.name()
    }

    fn with(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(Arc::make_mut(&mut self.config));
        self.settled()
    }

    /// The same, with all that follows from its settings.
    fn settled(mut self) -> Self {
        let config = Arc::make_mut(&mut self.config);
        // What was said of the layer that this one was made from is not said of this one.
        config.nesting = Arc::default();
        let realm = match &config.realm {
            Some(realm) => realm.clone(),
            None => Realm::of_cookie(config.cookie.name()),
        };
        let registration = Registration {
            cookie: config.cookie.name().to_owned(),
            longest: config.policy.longest(),
        };
        if !config.house.is_of(&realm, &registration) {
            config.house = Arc::new(config.house.changed(|setup| {
                setup.enter(&realm);
                setup.registration = Some(registration);
            }));
        }
        self
    }

    fn with_house(self, change: impl FnOnce(&mut Setup)) -> Self {
        self.with(|config| config.house = Arc::new(config.house.changed(change)))
    }
}

pub(crate) fn page(path: &str) -> Result<ReturnTo, ConfigError> {
    ReturnTo::of_setting(path).ok_or_else(|| {
        ConfigError::new(format!(
            "{path:?} is not a path of this site, such as `/sign-in`"
        ))
    })
}

/// Without a slash at its end, so that paths can follow.
fn base_path(path: &str) -> Result<String, ConfigError> {
    let base = ReturnTo::of_setting(path).filter(|base| base.path() == base.as_str());
    let base = base.ok_or_else(|| {
        ConfigError::new(format!(
            "{path:?} is not a base path, such as `/shop`: a path of this site without a query"
        ))
    })?;
    Ok(base.as_str().trim_end_matches('/').to_owned())
}

impl<S> Layer<S> for SessionLayer {
    type Service = SessionService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        self.config.wake();
        SessionService::new(inner, Arc::clone(&self.config))
    }
}

impl fmt::Debug for SessionLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionLayer")
            .field("policy", &self.config.policy)
            .field("cookie", &self.config.cookie)
            .field("pages", &self.config.pages)
            .field("addresses", &self.config.addresses)
            .field("binding", &self.config.binding)
            .field("clear_site_data", &self.config.clear_site_data)
            .field("classifier", &self.config.classifier)
            .field("tells_deadlines", &self.config.tells_deadlines)
            .finish_non_exhaustive()
    }
}
