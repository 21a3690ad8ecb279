//! What the layer knows of one request's session.

use std::{
    cell::Cell,
    ops::{Deref, DerefMut},
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use http::{Extensions, Request, Uri, header::HOST};
use portcullis_core::{
    Actor, Client, EndReason, Event, EventKind, Handle, Label, Note, SessionId, SessionKey,
    Timestamp, UserId,
    draft::{Draft, SessionView, Unusable},
    store::{Activity, Expiry, Loaded, Observation, StoreError},
};
use tokio::sync::{Notify, OnceCell};

use crate::{
    DeviceBinding, SessionError, activity,
    client::Caller,
    cookie::{Cookies, Presented},
    fields::Fields,
    house::House,
    layer::Config,
    refusal::{Asked, Audience, Reasons},
};

/// Shared by the layer, the guards and every clone of the request's `Session`.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) config: Arc<Config>,
    pub(crate) audience: Audience,
    cookies: Cookies,
    caller: Caller,
    client: OnceLock<Client>,
    /// The request is for the page on which people prove again who they are.
    confirms: bool,
    activity: Activity,
    passive: AtomicBool,
    /// The cookie may not be used for this request at all.
    barred: bool,
    /// The response is decided: nothing can be granted any more.
    sealed: AtomicBool,
    /// Somebody wanted to look at the session, whether or not that succeeded.
    asked_for: AtomicBool,
    /// The handler signed the person out, whether or not there was a session any more.
    terminated: AtomicBool,
    used: OnceCell<Shared>,
    turn_over: Notify,
    /// Nothing of the session is changed by the request any more.
    is_over: AtomicBool,
    over: Notify,
    /// Why the session that the request came with had ended before.
    ended: OnceLock<EndReason>,
    /// Why there is no session any more that the request wanted to change.
    lost: OnceLock<EndReason>,
}

/// Readers have a lock of their own, so that a function that changes a value may look at the session.
#[derive(Debug)]
struct Shared {
    used: Mutex<Used>,
    view: Mutex<SessionView>,
}

/// Access to what the request did. Shows the result to readers when it is dropped.
pub(crate) struct UsedGuard<'a> {
    used: MutexGuard<'a, Used>,
    view: &'a Mutex<SessionView>,
    changed: bool,
    _held: Held,
}

thread_local! {
    /// This thread holds the lock of a session. What runs meanwhile and is not ours (a function given to
    /// `update`, the encoding of a value) must not wait for it.
    static HELD: Cell<bool> = const { Cell::new(false) };
}

pub(crate) fn is_held_by_this_thread() -> bool {
    HELD.get()
}

struct Held;

impl Held {
    fn begin() -> Self {
        HELD.set(true);
        Self
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        HELD.set(false);
    }
}

impl Deref for UsedGuard<'_> {
    type Target = Used;

    fn deref(&self) -> &Used {
        &self.used
    }
}

impl DerefMut for UsedGuard<'_> {
    fn deref_mut(&mut self) -> &mut Used {
        self.changed = true;
        &mut self.used
    }
}

impl Drop for UsedGuard<'_> {
    fn drop(&mut self) {
        if self.changed {
            *lock(self.view) = self.used.draft.view().clone();
        }
    }
}

// A panic inside leaves a draft as it was before or after an operation, never half-way.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A request that has come to its end, one way or another, when this is dropped.
pub(crate) struct Ending(pub(crate) Arc<State>);

impl Deref for Ending {
    type Target = Arc<State>;

    fn deref(&self) -> &Arc<State> {
        &self.0
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.is_over.store(true, Ordering::SeqCst);
        self.0.over.notify_waiters();
    }
}

/// A session that the request has looked at.
#[derive(Debug)]
pub(crate) struct Used {
    pub(crate) draft: Draft,
    /// What the response must tell the browser, so far.
    pub(crate) cookie: CookieAction,
    /// The draft's wishes are being carried out; until that is done nobody changes it.
    pub(crate) committing: bool,
    pub(crate) doubt: Doubt,
    /// The handler wanted to change something, and not only the layer.
    pub(crate) wished: bool,
}

/// Why the request may ask for nothing more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Doubt {
    None,
    /// A write was refused because the session had ended.
    Ended,
    /// A write was refused because the session goes on under another identifier.
    Replaced,
    /// A sign-in was refused because of the limit of sessions. The session is as it was, and may be changed.
    AtLimit,
    /// It is not known whether a write was carried out.
    Unknown,
}

impl Doubt {
    pub(crate) fn as_error(self) -> Option<SessionError> {
        match self {
            Self::None => None,
            Self::Ended => Some(SessionError::Ended),
            Self::Replaced => Some(SessionError::Replaced),
            Self::AtLimit => Some(SessionError::AtLimit),
            Self::Unknown => Some(SessionError::InDoubt),
        }
    }
}

#[derive(Debug, Clone, Default)]
pub(crate) enum CookieAction {
    #[default]
    Keep,
    /// The identifier, and when the session ends whatever happens.
    Set(Arc<(SessionId, Timestamp)>),
    Remove,
}

/// The mark of a [`PassiveLayer`](crate::PassiveLayer) that stands outside of the session layer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MarkedPassive;

/// How the state travels with the request.
#[derive(Clone)]
struct InRequest(Arc<State>);

impl State {
    pub(crate) fn new<B>(config: &Arc<Config>, request: &Request<B>) -> Self {
        let (method, headers, uri) = (request.method(), request.headers(), target_of(request));
        let fields = Fields::of(headers);
        Self {
            config: Arc::clone(config),
            audience: Audience::of(method, uri, &fields),
            caller: Caller::of(
                &config.addresses,
                fields.user_agent,
                headers,
                request.extensions(),
            ),
            client: OnceLock::new(),
            confirms: config.pages.are_confirmed_at(uri.path()),
            activity: activity::of_request(method, &fields),
            cookies: fields.cookies,
            passive: AtomicBool::new(request.extensions().get::<MarkedPassive>().is_some()),
            barred: !config.cookie.is_secure() && !is_for_localhost(request),
            sealed: AtomicBool::new(false),
            asked_for: AtomicBool::new(false),
            terminated: AtomicBool::new(false),
            used: OnceCell::new(),
            turn_over: Notify::new(),
            is_over: AtomicBool::new(false),
            over: Notify::new(),
            ended: OnceLock::new(),
            lost: OnceLock::new(),
        }
    }

    pub(crate) fn of(extensions: &Extensions) -> Option<&Arc<Self>> {
        extensions.get::<InRequest>().map(|InRequest(state)| state)
    }

    pub(crate) fn put_into(self: &Arc<Self>, extensions: &mut Extensions) {
        extensions.insert(InRequest(Arc::clone(self)));
    }

    pub(crate) fn mark_passive(&self) {
        self.passive.store(true, Ordering::Relaxed);
    }

    pub(crate) fn activity(&self) -> Activity {
        if self.passive.load(Ordering::Relaxed) {
            return Activity::Passive;
        }
        self.activity
    }

    /// Whether the request came with a session cookie, whatever is in it.
    pub(crate) fn has_cookie(&self) -> bool {
        self.cookies.has(self.config.cookie.name())
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.house().now()
    }

    pub(crate) fn house(&self) -> &Arc<House> {
        &self.config.house
    }

    /// Who sent the request.
    pub(crate) fn client(&self) -> &Client {
        self.client.get_or_init(|| self.caller.client())
    }

    /// Why the session that the request came with is none any more, if that is known.
    pub(crate) fn end_reason(&self) -> Option<EndReason> {
        self.ended.get().or_else(|| self.lost.get()).copied()
    }

    /// What a refusal of this request may tell of why.
    pub(crate) fn reasons(&self) -> Reasons {
        Reasons {
            ended: self.end_reason(),
            lost: self.lost.get().copied(),
        }
    }

    /// What a refusal of this request depends on.
    pub(crate) fn asked(&self) -> Asked<'_> {
        Asked {
            by: &self.audience,
            pages: &self.config.pages,
            now: Some(self.now()),
        }
    }

    /// Whether the session must not be trusted until its user has proved again who they are.
    pub(crate) fn is_distrusted(&self) -> bool {
        self.distrusts() && self.view().flagged().is_some()
    }

    /// Whether it would not be trusted if it were used from another device.
    pub(crate) fn distrusts(&self) -> bool {
        self.config.binding == DeviceBinding::StepUp && !self.confirms
    }

    /// Loads the session unless that was done before.
    pub(crate) async fn load(&self) -> Result<(), SessionError> {
        self.asked_for.store(true, Ordering::Relaxed);
        self.used.get_or_try_init(|| self.first_look()).await?;
        Ok(())
    }

    async fn first_look(&self) -> Result<Shared, SessionError> {
        if self.barred {
            return Err(SessionError::InsecureCookie);
        }
        let draft = match self.cookies.read(self.config.cookie.name()) {
            Presented::Id(id) => self.look_up(id.key()).await?,
            Presented::Nothing => self.without_session(None),
            Presented::Malformed => {
                self.observe(EventKind::MalformedIdentifier, (None, None));
                self.without_session(None)
            }
            Presented::Ambiguous => {
                self.observe(EventKind::AmbiguousIdentifier, (None, None));
                self.without_session(None)
            }
        };
        Ok(Shared {
            view: Mutex::new(draft.view().clone()),
            used: Mutex::new(Used {
                draft,
                cookie: CookieAction::Keep,
                committing: false,
                doubt: Doubt::None,
                wished: false,
            }),
        })
    }

    async fn look_up(&self, key: SessionKey) -> Result<Draft, SessionError> {
        let began = self.now();
        let loaded = self
            .look_at(&key, &self.ended)
            .await
            .inspect_err(|error| self.failed(error, (None, None)))?;
        let kind = match loaded {
            Loaded::Live(stored) => match Draft::of_session(self.config.policy, key, &stored) {
                Ok(draft) => {
                    return self.compare(draft.from_client(self.client().clone()).began(began));
                }
                Err(Unusable::Newer(error)) => return Err(error.into()),
                Err(Unusable::Damaged) => EventKind::RecordDamaged,
            },
            Loaded::Ended { reason, handle, .. } => {
                self.observe(EventKind::UsedAfterEnd(reason), (Some(handle), None));
                return Ok(self.without_session(Some(reason)));
            }
            Loaded::Expired(expired) => {
                return Ok(self.without_session(match expired.what {
                    Expiry::Session(reason) => Some(reason),
                    Expiry::Elevation => None,
                }));
            }
            Loaded::Damaged => EventKind::RecordDamaged,
            Loaded::Absent => EventKind::UnknownIdentifier,
        };
        let event = self.event(kind, None, None);
        self.house().tell_of_identifier(event, &key);
        Ok(self.without_session(None))
    }

    /// Does what is to be done when a session is used from another device than before. It can only take rights
    /// away: to note it changes nothing for the request.
    fn compare(&self, mut draft: Draft) -> Result<Draft, SessionError> {
        let binding = self.config.binding;
        if binding == DeviceBinding::Off || draft.change_of_client().is_none() {
            return Ok(draft);
        }
        match binding {
            DeviceBinding::End => {
                draft.terminate_for(EndReason::DeviceChanged);
                let _ = self.ended.set(EndReason::DeviceChanged);
            }
            binding => draft.flag(binding == DeviceBinding::StepUp, self.now())?,
        }
        Ok(draft)
    }

    /// Asks the store for a session, tells of it if it is found to be over, and remembers in `why` for what
    /// reason it ended.
    async fn look_at(
        &self,
        key: &SessionKey,
        why: &OnceLock<EndReason>,
    ) -> Result<Loaded, StoreError> {
        let loaded = self.house().store().load(key).await?;
        match &loaded {
            Loaded::Ended { reason, .. } => {
                let _ = why.set(*reason);
            }
            Loaded::Expired(expired) => {
                if let Expiry::Session(reason) = expired.what {
                    let _ = why.set(reason);
                }
                self.house().tell_expired(expired.clone());
            }
            _ => {}
        }
        Ok(loaded)
    }

    /// Why there is no session under `key` any more, if there is none and that is known.
    pub(crate) async fn why_gone(&self, key: &SessionKey) -> Result<Option<EndReason>, StoreError> {
        Ok(match self.look_at(key, &self.lost).await? {
            Loaded::Ended { reason, .. } => Some(reason),
            _ => None,
        })
    }

    /// Whether the session that the request works with is still there: a look, not an answer that lasts.
    pub(crate) async fn is_live(&self) -> Result<bool, StoreError> {
        let key = self.used().and_then(|used| used.draft.key());
        let Some(key) = key else {
            return Ok(false);
        };
        let loaded = self.look_at(&key, &self.lost).await?;
        Ok(matches!(loaded, Loaded::Live(_)))
    }

    fn without_session(&self, ended: Option<EndReason>) -> Draft {
        Draft::without_session(self.config.policy, ended)
            .from_client(self.client().clone())
            .began(self.now())
    }

    /// What the request did with its session, if it has looked at it.
    pub(crate) fn used(&self) -> Option<UsedGuard<'_>> {
        let shared = self.used.get()?;
        Some(UsedGuard {
            used: lock(&shared.used),
            view: &shared.view,
            changed: false,
            _held: Held::begin(),
        })
    }

    /// From here on the handler's session refuses changes.
    pub(crate) fn seal(&self) {
        self.sealed.store(true, Ordering::SeqCst);
    }

    pub(crate) fn was_asked_for(&self) -> bool {
        self.asked_for.load(Ordering::Relaxed)
    }

    pub(crate) fn note_termination(&self) {
        self.terminated.store(true, Ordering::Relaxed);
    }

    pub(crate) fn was_terminated(&self) -> bool {
        self.terminated.load(Ordering::Relaxed)
    }

    pub(crate) fn is_sealed(&self) -> bool {
        self.sealed.load(Ordering::SeqCst)
    }

    pub(crate) fn end_turn(&self) {
        if let Some(mut used) = self.used() {
            used.committing = false;
        }
        self.turn_over.notify_waiters();
    }

    /// Waits until nothing is being committed.
    pub(crate) async fn turn_is_over(&self) {
        loop {
            let mut over = pin!(self.turn_over.notified());
            over.as_mut().enable();
            if !self.used().is_some_and(|used| used.committing) {
                return;
            }
            over.await;
        }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::SeqCst)
    }

    /// Waits until the request is answered, or given up, with all that it changed.
    pub(crate) async fn over(&self) {
        let mut over = pin!(self.over.notified());
        over.as_mut().enable();
        if !self.is_over() {
            over.await;
        }
    }

    /// Where the request's session is stored, and its name and owner there, as far as is committed.
    pub(crate) fn stored(&self) -> Option<(SessionKey, Label)> {
        self.used()?.draft.stored()
    }

    /// Why the request has no session.
    pub(crate) fn reason_of_no_session(&self) -> Option<EndReason> {
        let signed_out = || {
            let removed = |used: UsedGuard<'_>| matches!(used.cookie, CookieAction::Remove);
            self.used().is_some_and(removed)
        };
        self.end_reason()
            .or_else(|| signed_out().then_some(EndReason::SignedOut))
    }

    /// What the handler sees of the session now.
    pub(crate) fn view(&self) -> SessionView {
        self.used
            .get()
            .map(|shared| lock(&shared.view).clone())
            .unwrap_or_default()
    }

    /// Tells the audit of a change, as the store's log does.
    pub(crate) fn tell(&self, note: Note, of: &Label) {
        let event = Event::new(note, self.now(), Some(of.handle), of.user().cloned());
        self.house().tell(event);
    }

    /// Tells of what the client wanted, or came with, where that changed nothing.
    pub(crate) fn observe(&self, kind: EventKind, (session, user): Subject) {
        let note = Note::new(kind, Actor::Client, Some(self.client().clone()));
        self.house().observe(Observation {
            session,
            user,
            note,
        });
    }

    /// The store could not be used for this request.
    pub(crate) fn failed(&self, error: &StoreError, (session, user): Subject) {
        tracing::error!(error = %error, "the session store cannot be used");
        self.house()
            .tell(self.event(EventKind::StoreFailed, session, user));
    }

    /// Name and user of the session that is stored, if it was looked at.
    pub(crate) fn subject(&self) -> Subject {
        self.used()
            .map_or((None, None), |used| subject(&used.draft))
    }

    fn event(&self, kind: EventKind, session: Option<Handle>, user: Option<UserId>) -> Event {
        let note = Note::new(kind, Actor::Client, Some(self.client().clone()));
        Event::new(note, self.now(), session, user)
    }
}

/// Of which session and user something is told.
pub(crate) type Subject = (Option<Handle>, Option<UserId>);

/// Name and user of the session a draft builds on.
pub(crate) fn subject(draft: &Draft) -> Subject {
    draft
        .subject()
        .map_or((None, None), |(handle, user)| (Some(handle), user.cloned()))
}

/// What was asked for, before a router that the layer is nested in took its own part of the path away.
fn target_of<B>(request: &Request<B>) -> &Uri {
    #[cfg(feature = "axum")]
    if let Some(axum::extract::OriginalUri(uri)) = request.extensions().get() {
        return uri;
    }
    request.uri()
}

/// Behind a proxy the host says nothing, so a request that was forwarded is not for localhost.
fn is_for_localhost<B>(request: &Request<B>) -> bool {
    let forwarded = [
        "forwarded",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-proto",
    ];
    if forwarded
        .iter()
        .any(|name| request.headers().contains_key(*name))
    {
        return false;
    }
    let from_uri = request.uri().host();
    let from_header = request
        .headers()
        .get(HOST)
        .and_then(|host| host.to_str().ok()?.parse::<Uri>().ok());
    let host = from_uri.or_else(|| from_header.as_ref().and_then(Uri::host));
    matches!(host, Some("localhost" | "127.0.0.1" | "[::1]"))
}

impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config").finish_non_exhaustive()
    }
}
