//! What the layer knows of one request's session.

use std::{
    cell::Cell,
    ops::{Deref, DerefMut},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use http::{Extensions, Request, Uri, header::HOST};
use portcullis_core::{
    EndReason, Handle, SessionId, Timestamp, UserId,
    draft::{Draft, SessionView, Unusable},
    store::{Activity, Loaded},
};
use tokio::sync::{Notify, OnceCell};

use crate::{
    Event, EventKind, SessionError, activity,
    cookie::{self, Presented},
    layer::Config,
    refusal::Audience,
};

/// Shared by the layer, the guards and every clone of the request's `Session`.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) config: Arc<Config>,
    pub(crate) audience: Audience,
    presented: Presented,
    activity: Activity,
    passive: AtomicBool,
    /// The cookie may not be used for this request at all.
    barred: bool,
    /// The response is decided: nothing can be granted any more.
    sealed: AtomicBool,
    /// Somebody wanted to look at the session, whether or not that succeeded.
    asked_for: AtomicBool,
    used: OnceCell<Shared>,
    turn_over: Notify,
    ended: OnceLock<EndReason>,
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

/// A session that the request has looked at.
#[derive(Debug)]
pub(crate) struct Used {
    pub(crate) draft: Draft,
    /// What the response must tell the browser, so far.
    pub(crate) cookie: CookieAction,
    /// The draft's wishes are being carried out; until that is done nobody changes it.
    pub(crate) committing: bool,
    pub(crate) doubt: Doubt,
}

/// Why the request may ask for nothing more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Doubt {
    None,
    /// A write was refused because the session had ended.
    Ended,
    /// A write was refused because the session goes on under another identifier.
    Replaced,
    /// It is not known whether a write was carried out.
    Unknown,
}

impl Doubt {
    pub(crate) fn as_error(self) -> Option<SessionError> {
        match self {
            Self::None => None,
            Self::Ended => Some(SessionError::Ended),
            Self::Replaced => Some(SessionError::Replaced),
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
        let headers = request.headers();
        Self {
            config: Arc::clone(config),
            audience: Audience::of(request.method(), request.uri(), headers),
            presented: cookie::read(headers, config.cookie.name()),
            activity: activity::of_request(request.method(), headers),
            passive: AtomicBool::new(request.extensions().get::<MarkedPassive>().is_some()),
            barred: !config.cookie.is_secure() && !is_for_localhost(request),
            sealed: AtomicBool::new(false),
            asked_for: AtomicBool::new(false),
            used: OnceCell::new(),
            turn_over: Notify::new(),
            ended: OnceLock::new(),
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

    pub(crate) fn now(&self) -> Timestamp {
        self.config.store.now()
    }

    /// Why the session that the request came with had ended before, if that is known.
    pub(crate) fn ended(&self) -> Option<EndReason> {
        self.ended.get().copied()
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
        let draft = match &self.presented {
            Presented::Id(id) => self.look_up(id).await?,
            Presented::Nothing => self.without_session(None),
            Presented::Malformed => {
                self.note(EventKind::MalformedIdentifier, None);
                self.without_session(None)
            }
            Presented::Ambiguous => {
                self.note(EventKind::AmbiguousIdentifier, None);
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
            }),
        })
    }

    async fn look_up(&self, id: &SessionId) -> Result<Draft, SessionError> {
        let key = id.key();
        let loaded = self.config.store.load(&key).await.inspect_err(|error| {
            tracing::error!(error = %error, "a session could not be read");
            self.note(EventKind::StoreFailed, None);
        })?;
        let damaged = match loaded {
            Loaded::Live(stored) => match Draft::of_session(self.config.policy, key, &stored) {
                Ok(draft) => return Ok(draft),
                Err(Unusable::Newer(error)) => return Err(error.into()),
                Err(Unusable::Damaged) => true,
            },
            Loaded::Ended(reason) => {
                self.note(EventKind::UsedAfterEnd(reason), None);
                let _ = self.ended.set(reason);
                return Ok(self.without_session(Some(reason)));
            }
            Loaded::Damaged => true,
            Loaded::Absent => false,
        };
        let kind = if damaged {
            EventKind::RecordDamaged
        } else {
            EventKind::UnknownIdentifier
        };
        self.note(kind, None);
        Ok(self.without_session(None))
    }

    fn without_session(&self, ended: Option<EndReason>) -> Draft {
        Draft::without_session(self.config.policy, ended)
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

    /// What the handler sees of the session now.
    pub(crate) fn view(&self) -> SessionView {
        self.used
            .get()
            .map(|shared| lock(&shared.view).clone())
            .unwrap_or_default()
    }

    /// Tells the audit. `of` names the session and its user. Never under a lock: what an audit does must
    /// neither stop nor undo what is under way.
    pub(crate) fn note(&self, kind: EventKind, of: Option<(Handle, Option<&UserId>)>) {
        let event = Event {
            kind,
            at: self.now(),
            session: of.map(|(handle, _)| handle),
            user: of.and_then(|(_, user)| user.cloned()),
        };
        let record = || self.config.audit.record(&event);
        if catch_unwind(AssertUnwindSafe(record)).is_err() {
            tracing::error!(
                event = event.kind.as_str(),
                "the audit panicked; the event may be lost"
            );
        }
    }
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
