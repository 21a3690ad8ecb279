//! The session layer and its settings, which are checked when they are set.

use std::{fmt, sync::Arc, time::Duration};

use http::response::Parts;
use portcullis_core::{
    Class, ConfigError, CorrelationKey, Demand, Environment, Realm, RememberMe, Timeouts,
    VisitorLimits, demand_name,
    store::{SessionLimit, Store, StoreError},
    unit_of_work::SessionSettings,
};
#[cfg(feature = "policy")]
use portcullis_policy::PolicyBounds;

#[cfg(feature = "policy")]
use crate::runtime::live_policy::FRESH_FOR;
use tower_layer::Layer;

#[cfg(feature = "axum")]
use crate::routes::SessionRoutes;
use crate::{
    admin::sessions::Sessions,
    client::{ClientAddresses, device_binding::DeviceBinding},
    config::{Config, OwnLimits},
    headers::{clear_site_data::ClearSiteData, cookie::CookieConfig},
    layer::service::SessionService,
    outcome::{Classifier, Outcome},
    reject::{
        redirect::Pages,
        return_to::{base_path, page},
    },
    runtime::{
        audit::Audit,
        poll_schedule::PollSchedule,
        registration::Registration,
        shared::{Shared, SharedSettings},
    },
};

/// Adds sessions to a service: any Tower service, with any body.
///
/// `SessionLayer::new(store)` is secure without further settings, and needs no key or secret.
///
/// | setting | default |
/// |---|---|
/// | [`timeouts`](Self::timeouts) | idle 30 min, absolute 24 h, elevation 15 min, privileged idle 15 min |
/// | [`remember_me`](Self::remember_me) | off |
/// | [`cookie`](Self::cookie) | `__Host-Http-id`, `Secure`, `HttpOnly`, `SameSite=Lax`, `Path=/` |
/// | [`realm`](Self::realm) | the base name of the cookie: `id` |
/// | [`environment`](Self::environment), [`classes`](Self::classes), [`class_timeouts`](Self::class_timeouts) | none |
#[cfg_attr(
    feature = "policy",
    doc = "| [`policy`](Self::policy) | none: the limits are those of the other settings |"
)]
/// | [`payload_limit`](Self::payload_limit) | 64 KiB |
/// | [`visitors`](Self::visitors) | sessions without a user: 4 h, 8 KiB |
/// | [`session_limit`](Self::session_limit) | 10 per user and class; one more displaces the least recently used |
/// | [`device_binding`](Self::device_binding) | [`Observe`](DeviceBinding::Observe): another device is reported, no session ends |
/// | [`client_addresses`](Self::client_addresses) | not used |
/// | [`classify_responses`](Self::classify_responses) | by status: from 400 on nothing is granted, from 500 on nothing is written |
/// | [`sign_in_page`](Self::sign_in_page), [`reauthentication_page`](Self::reauthentication_page) | none: a refused request gets a 401 |
/// | [`public_base_path`](Self::public_base_path) | none: the application sees paths as browsers do |
/// | [`clear_site_data`](Self::clear_site_data) | what scripts stored, with a sign-out |
/// | [`session_timeout_header`](Self::session_timeout_header) | off |
/// | [`trusted_origins`](Self::trusted_origins) | none: only pages of the requested host |
/// | [`audit`](Self::audit) | [`TracingAudit`](crate::audit::TracingAudit) |
/// | [`correlation_key`](Self::correlation_key) | a new one for each process |
/// | [`revalidation_interval`](Self::revalidation_interval) | live connections notice an end on another server within 5 s at the latest |
/// | [`sweeping`](Self::sweeping) | on: a task sweeps about every 30 s |
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
/// The layer starts three tasks when it is added to a service inside of a Tokio runtime, or else at
/// the first request:
///
/// * One has the store [remove](Store::sweep) expired sessions and reports each expiry to the
///   [`Audit`], even without another request. [`sweeping`](Self::sweeping) turns it off.
/// * One writes [observations](Store::observe) to the store's log, such as refused operations. It
///   drops those that exceed its queue.
/// * One [registers](Self::register) the realm in the store, and again every hour.
///
/// All services of a layer share the tasks. They end with the last of those services and of the
/// [`Sessions`] made from the layer.
///
/// # Among other layers
///
/// With axum the layer that is added last is the outermost. "Outside" is closer to the client.
///
/// | layer | where | because |
/// |---|---|---|
/// | [`GuardLayer`](crate::GuardLayer), [`PassiveLayer`](crate::route::PassiveLayer), any layer that uses the session | inside | they use what this layer provides |
/// | timeouts, caught panics (`TimeoutLayer`, `CatchPanicLayer`) | inside | this layer sees their 408, 500 or 503 and [grants nothing](crate::reject::Outcome); if they are outside, it sees no response, and carries out only ends |
/// | layers that set `Cache-Control` or a field of a CDN | inside | outside they would override even `no-store` |
/// | CSRF (`CsrfLayer`) | outside | it refuses before the session is loaded |
/// | CORS (`CorsLayer`) | outside | it answers preflights, and lets a page of the other origin read every refusal |
/// | security headers (`SetResponseHeaderLayer`) | outside | every response has them, refusals included |
/// | compression (`CompressionLayer`) | outside | refusals are compressed too; it passes on the failure of a [guarded body](crate::live::Lifeline::guard_body) |
/// | tracing, request identifiers (`TraceLayer`, `SetRequestIdLayer`) | outside | the logs of this layer are in the span of their request, and the logged status is the one that is sent |
/// | a middleware that [rewords](crate::reject::Refusal::reword) refusals | outside | it sees all of them |
///
/// If the changes of a request cannot be written, for example because the session ended, this layer
/// replaces the response of the handler. A response that already reports a failure stays. The new
/// response keeps `Vary`, and the headers that CORS, security, tracing and rate-limit layers inside
/// of this one have set. It drops the body and all other headers, because they report a success
/// that did not happen. A refusal of a guard has the headers of layers outside of the guard.
///
/// # Caches
///
/// A response that sets or removes a session cookie carries `Cache-Control: no-store`. A response
/// to a request that asked for the session carries `no-store`, or `private` with the handler's own
/// `Cache-Control`, if it set one. Both vary by `Cookie`. Some caches obey other fields instead of
/// `Cache-Control`. Those fields are removed from such responses, unless they forbid storing:
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
/// A value that revokes such a word (`!no-store`, `must-understand`) does not count.
///
/// A cache may store such responses all the same, by its own settings: a minimum time to live
/// (CloudFront), "cache everything" (Cloudflare), `proxy_ignore_headers` (nginx). Exclude the
/// routes that use the session there.
///
/// Fastly applies `no-store` to browsers only. It stores no response with a `Set-Cookie` or with
/// `Cache-Control: private`. Behind Fastly, let handlers set `private, no-store`, which this layer
/// keeps.
///
/// # Several layers
///
/// A part of an application may have its own sessions, with another cookie: its routes then have a
/// second layer. [`Session`](crate::Session), the guards, `SessionRoutes` and [`Sessions`] use the
/// innermost layer around the route. The layers do not share sessions: a sign-out ends only one of
/// them.
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
/// Code between two layers sees the outer session. To use that session further inside, take it
/// there with [`Session::load`](crate::Session::load), and pass it on in your own request
/// extension.
///
/// Layers with the same cookie cannot be nested: the inner one does nothing, and code inside of it
/// uses the session of the outer one. If the inner layer has another realm, that code gets a 500
/// ([`SessionError::NestedLayer`](crate::SessionError::NestedLayer)). A warning is logged once in
/// these cases:
///
/// * nested layers with the same cookie;
/// * a layer that accepts, or formerly had, the cookie of the other;
/// * cookies that differ only in their prefix, because their realm is the same.
#[doc(alias = "SessionManagerLayer")]
#[derive(Clone)]
pub struct SessionLayer {
    config: Arc<Config>,
}

const PAYLOAD_LIMIT: usize = 64 * 1024;
const LARGEST_PAYLOAD_LIMIT: usize = 1024 * 1024;
const MOST_CLASSES: usize = 16;

impl SessionLayer {
    /// Sessions kept in `store`, with the defaults.
    pub fn new(store: impl Store) -> Self {
        Self {
            config: Arc::new(Config {
                shared: Arc::new(Shared::new(SharedSettings::new(store, true))),
                realm: None,
                environment: None,
                classes: Arc::default(),
                optional_classes: Arc::default(),
                sessions: SessionSettings {
                    policy: Arc::default(),
                    payload_limit: PAYLOAD_LIMIT,
                    visitors: VisitorLimits::default(),
                },
                own: OwnLimits::default(),
                document: None,
                demands: Vec::new(),
                #[cfg(feature = "policy")]
                bounds: PolicyBounds::new(),
                #[cfg(feature = "policy")]
                policy_fresh_for: FRESH_FOR,
                unknown_classes: Arc::default(),
                cookie: CookieConfig::default(),
                pages: Pages::default(),
                addresses: None,
                binding: Some(DeviceBinding::default()),
                clear_site_data: Some(ClearSiteData::default()),
                sends_session_timeout: false,
                classifier: Classifier::default(),
                #[cfg(feature = "axum")]
                trusted_origins: Vec::new(),
                nesting: Arc::default(),
            }),
        }
        .with_derived_settings()
    }

    /// The limits of sessions that start, or whose user authenticates, from now on. Existing
    /// sessions keep theirs.
    #[doc(alias = "with_expiry")]
    #[must_use]
    pub fn timeouts(self, timeouts: Timeouts) -> Self {
        self.with(|config| config.own.timeouts = timeouts)
    }

    /// Lets handlers call [`Session::remember`](crate::Session::remember), and sets the limits of
    /// remembered sessions. With [`RememberMe::default`] these are 14 days without activity and 90
    /// days in all. Existing sessions keep theirs. The store then remembers revocations for as long
    /// as those sessions may last.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use portcullis::{MemoryStore, SessionLayer, settings::RememberMe};
    /// const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    /// let sessions = SessionLayer::new(MemoryStore::new()).remember_me(RememberMe::new(7 * DAY, 30 * DAY)?);
    /// # Ok::<(), portcullis::ConfigError>(())
    /// ```
    #[must_use]
    pub fn remember_me(self, limits: RememberMe) -> Self {
        self.with(|config| config.own.remember_me = Some(limits))
    }

    /// The realm of the sessions. An identifier opens only sessions of the realm it was made in.
    /// Lists, limits, logs and revocations are kept by realm. The default is the base name of the
    /// [cookie](Self::cookie), `id` by default; it replaces the realm of the store. So two layers
    /// with different cookies on one store do not share sessions.
    ///
    /// Set a realm for one of these reasons:
    ///
    /// * Layers share sessions on purpose.
    /// * The cookie is renamed and the sessions are kept; see
    ///   [`CookieBuilder::also_accept`](crate::cookie::CookieBuilder::also_accept).
    /// * Two applications have the same cookie name and one store. Without different realms or key
    ///   prefixes, the store takes them for two servers of one application.
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

    /// Where the application runs, such as `production`: the environment that a policy is resolved
    /// for. The default is none.
    ///
    /// All processes that share sessions have the same one. If no process has named one yet, the
    /// first that does records it in the store, for the [realm](Self::realm). From then on,
    /// processes with another name, or without one, are refused: see [`register`](Self::register).
    /// So a typo never selects other limits.
    ///
    /// To rename it, an operator [changes](Sessions::dangerous_set_environment) the recorded one.
    /// Processes with the former name are refused within the hour.
    ///
    /// ```
    /// # use portcullis::{MemoryStore, SessionLayer};
    /// let sessions = SessionLayer::new(MemoryStore::new()).environment("production")?;
    /// # Ok::<(), portcullis::ConfigError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ConfigError`] for a name that [`Environment::new`] refuses, and after `policy`.
    pub fn environment(self, name: impl Into<String>) -> Result<Self, ConfigError> {
        let environment = Environment::new(name.into())?;
        self.check_before_policy("environment")?;
        Ok(self.with(|config| config.environment = Some(environment)))
    }

    /// The classes of sessions, at most 16. The default is none.
    ///
    /// The character of a class is stored with each of its sessions. The store remembers which
    /// class each character has belonged to, for the [realm](Self::realm). A process that declares
    /// a character for another class, or a class with another character, is refused: see
    /// [`register`](Self::register).
    ///
    /// ```
    /// # use portcullis::{MemoryStore, SessionLayer, settings::Class};
    /// const ADMIN: Class = Class::new("admin", 'a');
    /// const DEVELOPER: Class = Class::new("developer", 'd');
    ///
    /// let sessions = SessionLayer::new(MemoryStore::new()).classes([ADMIN, DEVELOPER])?;
    /// # Ok::<(), portcullis::ConfigError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if two classes have the same name or the same character, if there are more
    /// than 16, and after `policy`.
    pub fn classes(self, classes: impl IntoIterator<Item = Class>) -> Result<Self, ConfigError> {
        let classes = declared(classes)?;
        self.check_before_policy("classes")?;
        Ok(self.with(|config| {
            config.classes = classes;
            config.optional_classes = Arc::default();
        }))
    }

    /// Declares further classes, which a policy document need not name. They have the limits of
    /// sessions without a class until it does. So an application can be deployed before the document
    /// that names its new class.
    ///
    /// ```
    /// # use portcullis::{MemoryStore, SessionLayer, settings::Class};
    /// const ADMIN: Class = Class::new("admin", 'a');
    /// const AUDITOR: Class = Class::new("auditor", 'u');
    ///
    /// let sessions = SessionLayer::new(MemoryStore::new())
    ///     .classes([ADMIN])?
    ///     .optional_classes([AUDITOR])?; // new in this version
    /// # Ok::<(), portcullis::ConfigError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`classes`](Self::classes), which comes first.
    pub fn optional_classes(
        self,
        classes: impl IntoIterator<Item = Class>,
    ) -> Result<Self, ConfigError> {
        let optional: Vec<Class> = classes.into_iter().collect();
        let all = declared(self.config.classes.iter().copied().chain(optional.clone()))?;
        self.check_before_policy("optional_classes")?;
        Ok(self.with(|config| {
            config.classes = all;
            config.optional_classes = optional.into();
        }))
    }

    /// The timeouts of sessions of one class. A handler chooses the class of a sign-in with
    /// [`Session::set_class`](crate::Session::set_class). A class without its own timeouts has
    /// those of the [layer](Self::timeouts). With its own, it remembers no sign-in.
    ///
    /// The [session limit](Self::session_limit) counts the sessions of each class.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use portcullis::{MemoryStore, SessionLayer, Timeouts, settings::Class};
    /// const ADMIN: Class = Class::new("admin", 'a');
    /// const MINUTE: Duration = Duration::from_secs(60);
    ///
    /// let sessions = SessionLayer::new(MemoryStore::new())
    ///     .classes([ADMIN])?
    ///     .class_timeouts(ADMIN, Timeouts::new(15 * MINUTE, 8 * 60 * MINUTE)?)?;
    /// # Ok::<(), portcullis::ConfigError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if the class is not [declared](Self::classes).
    pub fn class_timeouts(self, class: Class, timeouts: Timeouts) -> Result<Self, ConfigError> {
        if !self.config.classes.contains(&class) {
            return Err(ConfigError::new(format!(
                "the class `{}` is not declared; name it in `SessionLayer::classes` first",
                class.name()
            )));
        }
        Ok(self.with(|config| {
            let own = &mut config.own.classes;
            own.retain(|(other, _)| *other != class);
            own.push((class, timeouts));
        }))
    }

    /// Declares a demand, so that a policy document may tighten it by its name. A demand that is
    /// not declared has the limits of its type alone.
    ///
    /// ```
    /// # use portcullis::{Demand, MemoryStore, SessionLayer};
    /// struct Deploy;
    /// impl Demand for Deploy {
    ///     const NAME: &'static str = "deploy"; // `[demand.deploy]` in the document
    /// }
    ///
    /// let sessions = SessionLayer::new(MemoryStore::new()).demand::<Deploy>();
    /// ```
    #[must_use]
    pub fn demand<D: Demand>(self) -> Self {
        let name = demand_name::<D>();
        self.with(|config| {
            config.demands.retain(|(other, _)| *other != name);
            config.demands.push((name, D::SCOPE));
        })
    }

    fn check_before_policy(&self, setting: &str) -> Result<(), ConfigError> {
        match self.config.document {
            None => Ok(()),
            Some(_) => Err(ConfigError::new(format!(
                "`SessionLayer::{setting}` was called after `SessionLayer::policy`; call it before"
            ))),
        }
    }

    /// Registers the realm in the store now, for a `main` that ends if the store cannot be used or
    /// refuses the realm.
    ///
    /// The layer registers its realm [in the background](Self#in-the-background) too. The store
    /// refuses a realm whose [environment](Self::environment) or [classes](Self::classes)
    /// contradict those of another process. Then each request that uses its session gets a 503, and
    /// the log says what to correct. Other requests are served. The layer repeats the registration
    /// every 5 seconds, and uses sessions again once it is accepted. Open streams are not closed.
    ///
    /// A layer with an environment or classes uses no session before the first answer of the store.
    ///
    /// ```
    /// # use portcullis::{MemoryStore, SessionLayer};
    /// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
    /// let sessions = SessionLayer::new(MemoryStore::new()).environment("production")?;
    /// sessions.register().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the store cannot be used or refuses the realm. Its text says what to
    /// correct.
    pub async fn register(&self) -> Result<(), StoreError> {
        match self.config.shared.registrar() {
            Some(registrar) => registrar.register().await,
            None => Ok(()),
        }
    }

    /// The cookie's attributes.
    #[must_use]
    pub fn cookie(self, cookie: CookieConfig) -> Self {
        self.with(|config| config.cookie = cookie)
    }

    /// The maximum size of a session's data, in bytes of names and encoded values.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] above 1 MiB, because every request that uses a session reads it whole.
    pub fn payload_limit(self, bytes: usize) -> Result<Self, ConfigError> {
        if bytes > LARGEST_PAYLOAD_LIMIT {
            return Err(ConfigError::new(format!(
                "a payload limit of {bytes} bytes exceeds {LARGEST_PAYLOAD_LIMIT}; keep large data elsewhere and its key in the session"
            )));
        }
        Ok(self.with(|config| config.sessions.payload_limit = bytes))
    }

    /// The limits of a session without a user: 4 hours and 8 KiB by default. Any client can begin
    /// such sessions, so these limits decide what a flood of them costs. Lower
    /// [timeouts](Self::timeouts) and a lower [`payload_limit`](Self::payload_limit) apply as well.
    #[must_use]
    pub fn visitors(self, limits: VisitorLimits) -> Self {
        self.with(|config| config.sessions.visitors = limits)
    }

    /// The sign-in page, to which browsers are redirected: a path of this site, in any script. The
    /// page gets the requested address as `?return_to=…`, or for a submitted form the page that
    /// contained it. Read it with the extractor [`ReturnTo`](crate::ReturnTo).
    ///
    /// With axum, the path is complete even if the layer is in a nested router. Without axum, it is
    /// the part of the address that this layer sees. The guide [`refused`](crate::refused) says
    /// which requests are redirected and which get a 401.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when it is not a path of this site.
    pub fn sign_in_page(self, path: &str) -> Result<Self, ConfigError> {
        let page = page(path)?;
        Ok(self.with(|config| config.pages.sign_in = Some(page)))
    }

    /// The page on which users prove their identity again, used in the same way. It also gets the
    /// scope to elevate for: `?scope=payments&return_to=…`, or `general` if the route names no
    /// other.
    ///
    /// The page itself must need no elevation. The layer recognizes it by its path, if the
    /// application sees the path as it is written here. Otherwise add
    /// [`ReauthenticationPageLayer`](crate::route::ReauthenticationPageLayer) to its routes.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when it is not a path of this site.
    pub fn reauthentication_page(self, path: &str) -> Result<Self, ConfigError> {
        let page = page(path)?;
        Ok(self.with(|config| config.pages.reauthentication = Some(page)))
    }

    /// The prefix that a proxy removes from the path. Browsers are redirected to pages below it:
    /// with `/shop`, `/sign-in` becomes `/shop/sign-in?return_to=/shop/cart`. All other settings
    /// name paths as the application sees them. The cookie's
    /// [path](crate::cookie::CookieBuilder::path) is as the browser sees it.
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

    /// How many sessions of one class a user may have at once, and what happens to a sign-in beyond
    /// that (OWASP ASVS 5.0, 7.1.2). It counts sessions on all servers. `None` is no limit. The step
    /// that begins the session enforces it, so it holds for simultaneous sign-ins too. Sessions
    /// above the limit, for example after it was lowered, are kept until the user's next sign-in in
    /// the class.
    ///
    /// ```
    /// # use portcullis::{MemoryStore, SessionLayer, settings::SessionLimit};
    /// let three = SessionLayer::new(MemoryStore::new()).session_limit(SessionLimit::refuse(3)?);
    /// let unlimited = SessionLayer::new(MemoryStore::new()).session_limit(None);
    /// # Ok::<(), portcullis::ConfigError>(())
    /// ```
    #[must_use]
    pub fn session_limit(self, limit: impl Into<Option<SessionLimit>>) -> Self {
        self.with(|config| config.own.session_limit = limit.into())
    }

    /// What happens when a session is used from what looks like another device; `None` compares
    /// nothing.
    #[must_use]
    pub fn device_binding(self, binding: impl Into<Option<DeviceBinding>>) -> Self {
        self.with(|config| config.binding = binding.into())
    }

    /// Whether and how client addresses are used: compared with a
    /// [`device_binding`](Self::device_binding), and shown in lists and events. `None`, the
    /// default, neither stores nor compares them.
    #[must_use]
    pub fn client_addresses(self, addresses: impl Into<Option<ClientAddresses>>) -> Self {
        self.with(|config| config.addresses = addresses.into())
    }

    /// What the browser is asked to clear at a sign-out, besides the session's cookie. With `None`,
    /// the application sends the field itself.
    #[must_use]
    pub fn clear_site_data(self, what: impl Into<Option<ClearSiteData>>) -> Self {
        self.with(|config| config.clear_site_data = what.into())
    }

    /// Adds the remaining seconds to each response to a request that used a live session:
    /// `Session-Timeout: idle=1799, absolute=86399`, and `elevated=899` during an elevation.
    /// Clients that read it need not ask `SessionRoutes` for the status.
    #[must_use]
    pub fn session_timeout_header(self) -> Self {
        self.with(|config| config.sends_session_timeout = true)
    }

    /// Decides the [`Outcome`] of a request from the head of its response, for protocols that do
    /// not use the status. gRPC answers with 200 and a field `grpc-status`, GraphQL with 200 and a
    /// list of errors in the body. [`Outcome`] says what is carried out.
    ///
    /// The stricter of this and [`Outcome::of_status`] holds. So a layer in between that answers
    /// with 503 grants nothing either. To grant something with a status of 400 or above, see
    /// [`KeepGrants`](crate::reject::KeepGrants).
    ///
    /// The function is called once for each response to a request that loaded its session. It must
    /// not block. It sees only the head: the body and its trailers come too late. A service that
    /// knows more puts that into the head, for example as an extension. Writes of an earlier
    /// [`Session::commit`](crate::Session::commit) stay.
    ///
    /// ```
    /// # use portcullis::{MemoryStore, SessionLayer};
    /// use portcullis::reject::Outcome;
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

    /// Adds an [`Audit`], which is notified of events of sessions. The first replaces
    /// [`TracingAudit`](crate::audit::TracingAudit). With several, each is notified of every event.
    #[must_use]
    pub fn audit(self, audit: impl Audit) -> Self {
        self.with_shared(|settings| settings.context().add_audit(audit))
    }

    /// The key of the [correlators](crate::audit::Correlator) in events: 32 random bytes that all
    /// servers share. With it, events of one session from different servers and processes have the
    /// same correlator.
    #[must_use]
    pub fn correlation_key(self, bytes: [u8; 32]) -> Self {
        self.with_shared(|settings| settings.context().key = Some(CorrelationKey::new(bytes)))
    }

    /// Maximum delay until a live connection notices that another server ended its session: 5
    /// seconds by default (OWASP ASVS 5.0, 7.4.1). It holds as long as the store answers within a
    /// tenth of it. Each server loads each session with live connections that often. After three
    /// times as long without an answer from the store, the connections are closed.
    ///
    /// Usually, connections notice at once: Redis notifies every server with live connections of
    /// ends by others, unless its rights [forbid](https://crates.io/crates/portcullis-redis) that.
    /// Another [`Store`] may do the same ([`Store::listen`]). After a lost connection to Redis, the
    /// sessions are loaded again. Ends by this server, and deadlines, are noticed at once; see
    /// [`Lifeline`](crate::live::Lifeline).
    ///
    /// # Errors
    ///
    /// [`ConfigError`] below 1 and above 15 seconds, because a session with a new identifier can be
    /// followed for a minute only.
    pub fn revalidation_interval(self, period: Duration) -> Result<Self, ConfigError> {
        let schedule = PollSchedule::new(period)?;
        Ok(self.with_shared(|settings| settings.context().schedule = schedule))
    }

    /// Other origins whose pages may open a `SessionSocket` and use the [`routes`](Self::routes) of
    /// this layer. Write them as browsers do: `https://app.example`, `capacitor://localhost`,
    /// `tauri://localhost`, `chrome-extension://` with the identifier. By default, only pages of
    /// the requested host may.
    ///
    /// Requests from within such a page are no activity. The session stays alive only if the page
    /// calls `POST /session/extend`, for example when the user types.
    ///
    /// A [`CsrfLayer`](https://docs.rs/tower-http/latest/tower_http/csrf/struct.CsrfLayer.html)
    /// around the whole application needs the origins too, or it refuses first. It accepts only
    /// `http` and `https`. For pages of other schemes, exempt the session routes with
    /// `with_insecure_bypass`: they check the origin themselves.
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
    /// [`ConfigError`] for an origin that no browser sends: with a path, a slash at the end, a
    /// user, capitals or a standard port. A wildcard and `null` are refused too. The error says
    /// what to write instead.
    #[cfg(feature = "axum")]
    pub fn trusted_origins<O: AsRef<str>>(
        self,
        origins: impl IntoIterator<Item = O>,
    ) -> Result<Self, ConfigError> {
        let origins = origins.into_iter();
        let origins = origins.map(|origin| crate::headers::origin::parse(origin.as_ref()));
        let origins = origins.collect::<Result<_, _>>()?;
        Ok(self.with(|config| config.trusted_origins = origins))
    }

    /// Whether a background task removes expired sessions and reports each expiry. With `false`,
    /// another program that shares the store must call [`Sessions::sweep`]. Otherwise, sessions
    /// that expire without another request are never reported.
    #[must_use]
    pub fn sweeping(self, sweeps: bool) -> Self {
        self.with_shared(|settings| settings.sweeps = sweeps)
    }

    /// Routes to ask how long the session lasts, to extend it, and to sign out. They are for pages
    /// of this host and of the [trusted origins](Self::trusted_origins) set so far. They belong
    /// inside of the layer. If the [timeouts](Self::timeouts) leave no room for ten extensions, the
    /// routes log a warning, see [`SessionRoutes`].
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
        SessionRoutes::of_layer(
            &self.config.trusted_origins,
            self.config.ordinary_timeouts(),
        )
    }

    /// The sessions of this layer's store and realm, to list and end them from outside of a
    /// request. Events go to the present [`audit`](Self::audit).
    pub fn sessions(&self) -> Sessions {
        Sessions::of_shared(&self.config.shared)
    }

    #[cfg(feature = "testing")]
    pub(crate) fn cookie_name(&self) -> &str {
        self.config.cookie.name()
    }

    #[cfg(feature = "policy")]
    pub(super) fn config(&self) -> &Config {
        &self.config
    }

    #[cfg(feature = "policy")]
    pub(super) fn with_document(self, policy: Arc<portcullis_core::Policy>) -> Self {
        self.with(|config| config.document = Some(policy))
    }

    pub(super) fn with(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(Arc::make_mut(&mut self.config));
        self.with_derived_settings()
    }

    /// The layer, after the settings that depend on others were derived.
    fn with_derived_settings(mut self) -> Self {
        let config = Arc::make_mut(&mut self.config);
        config.sessions.policy = match &config.document {
            Some(policy) => Arc::clone(policy),
            None => Arc::new(config.own.policy(&config.classes)),
        };
        // Warnings about the layer that this one was made from do not count for this one.
        config.nesting = Arc::default();
        let realm = match &config.realm {
            Some(realm) => realm.clone(),
            None => Realm::of_cookie(config.cookie.name()),
        };
        let registration = Registration {
            cookie: config.cookie.name().to_owned(),
            longest: config.sessions.policy.longest(),
            environment: config.environment.clone(),
            classes: Arc::clone(&config.classes),
        };
        if !config.shared.has(&realm, &registration) {
            config.shared = Arc::new(config.shared.changed(|settings| {
                settings.context().enter(&realm);
                settings.registration = Some(registration);
            }));
        }
        #[cfg(feature = "policy")]
        {
            let names = Some((config.policy_names(), config.policy_fresh_for));
            if config.shared.live_policy_settings() != names.as_ref() {
                config.shared = Arc::new(config.shared.changed(|settings| {
                    settings.live_policy = names;
                }));
            }
        }
        self
    }

    fn with_shared(self, change: impl FnOnce(&mut SharedSettings)) -> Self {
        self.with(|config| config.shared = Arc::new(config.shared.changed(change)))
    }
}

/// These classes, if an application may declare them together.
fn declared(classes: impl IntoIterator<Item = Class>) -> Result<Arc<[Class]>, ConfigError> {
    let mut declared: Vec<Class> = Vec::new();
    for class in classes {
        let is_same = |other: &&Class| other.name() == class.name() || other.code() == class.code();
        if let Some(other) = declared.iter().find(is_same) {
            return Err(ConfigError::new(format!(
                "the classes `{}` (character `{}`) and `{}` (character `{}`) cannot be declared together; give each class a name and a character of its own",
                other.name(),
                other.code(),
                class.name(),
                class.code()
            )));
        }
        declared.push(class);
    }
    if declared.len() > MOST_CLASSES {
        return Err(ConfigError::new(format!(
            "{} classes are more than {MOST_CLASSES}; declare one class for each set of limits, not for each role",
            declared.len()
        )));
    }
    Ok(declared.into())
}

impl<S> Layer<S> for SessionLayer {
    type Service = SessionService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        self.config.start_background();
        SessionService::new(inner, Arc::clone(&self.config))
    }
}

impl fmt::Debug for SessionLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionLayer")
            .field("sessions", &self.config.sessions)
            .field("cookie", &self.config.cookie)
            .field("pages", &self.config.pages)
            .field("addresses", &self.config.addresses)
            .field("binding", &self.config.binding)
            .field("clear_site_data", &self.config.clear_site_data)
            .field("classifier", &self.config.classifier)
            .field("sends_session_timeout", &self.config.sends_session_timeout)
            .finish_non_exhaustive()
    }
}
