//! What the layer knows of one request's session.

mod lookup;

use std::{
    ops::Deref,
    pin::pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use http::{Extensions, Request, Response, Uri};
use portcullis_core::{
    Actor, Client, EndReason, Event, EventKind, Note, SessionHandle, SessionId, SessionIdHash,
    SessionMeta, Timestamp, UserId,
    store::{Activity, Observation, StoreError},
    unit_of_work::{SessionView, UnitOfWork},
};
use tokio::sync::{Notify, OnceCell};

use crate::{
    activity,
    client::{RequestClient, device_binding::DeviceBinding},
    config::Config,
    headers::{
        cookie::{Cookies, Presented},
        fetch_metadata::FetchMetadata,
        fields::Fields,
        host::Host,
    },
    reject::{audience::Audience, response::RefusalContext, retry_page, withheld},
    request::annotations::RouteAnnotations,
    runtime::shared::Shared,
    writing::{
        member::HasWorkingCopy,
        working_copy::{CommitFailure, CookieAction, SharedCopy, WorkingCopyGuard},
    },
};

/// Shared by the layer, the guards and every clone of the request's `Session`.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) config: Arc<Config>,
    audience: Audience,
    cookies: Cookies,
    request_client: RequestClient,
    client: OnceLock<Client>,
    /// The route is one of an API.
    is_api: AtomicBool,
    /// The route is one on which people prove again who they are.
    confirms: AtomicBool,
    activity: Activity,
    fetch_metadata: FetchMetadata,
    /// The route signs people in at the request of other sites.
    admits_cross_site: AtomicBool,
    /// A write was refused because the cookie was withheld.
    refused_write: AtomicBool,
    /// The earliest that the store's clock may have shown when the request arrived.
    arrived: Timestamp,
    passive: AtomicBool,
    /// Why the cookie may not be used for this request at all.
    barred: Option<Barred>,
    /// There is a session layer around that of this state.
    is_nested: bool,
    /// The response is decided: nothing can be granted any more.
    sealed: AtomicBool,
    /// Somebody wanted to look at the session, whether or not that succeeded.
    requested: AtomicBool,
    /// The handler signed the person out, whether or not there was a session any more.
    terminated: AtomicBool,
    working_copy: OnceCell<SharedCopy>,
    committed: Notify,
    /// Nothing of the session is changed by the request any more.
    is_done: AtomicBool,
    over: Notify,
    /// Why the session that the request came with had ended before.
    ended: OnceLock<EndReason>,
    /// Why there is no session any more that the request wanted to change.
    lost: OnceLock<EndReason>,
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
        self.0.is_done.store(true, Ordering::SeqCst);
        self.0.over.notify_waiters();
        if let Some(mut copy) = self.0.working_copy()
            && !copy.committing
        {
            copy.forget();
        }
    }
}

/// Why no session can be used.
#[derive(Debug)]
enum Barred {
    /// The cookie is that for local development, and this is what the request says against it.
    NotLocal(String),
    Nested,
}

impl HasWorkingCopy for State {
    fn working_copy(&self) -> Option<WorkingCopyGuard<'_>> {
        self.working_copy()
    }
}

/// How the state travels with the request.
#[derive(Clone)]
struct InRequest {
    /// Of the innermost layer.
    innermost: Arc<State>,
    /// Of the other layers around it.
    others: Vec<Arc<State>>,
}

impl InRequest {
    fn states(&self) -> impl Iterator<Item = &Arc<State>> {
        std::iter::once(&self.innermost).chain(&self.others)
    }
}

impl State {
    pub(crate) fn new<B>(config: &Arc<Config>, request: &Request<B>) -> Self {
        let (method, headers, uri) = (request.method(), request.headers(), target_of(request));
        let fields = Fields::of(headers);
        let annotations = RouteAnnotations::of(request.extensions());
        let fetch_metadata =
            FetchMetadata::of(method, request.uri(), headers, &fields, config.own_site());
        Self {
            config: Arc::clone(config),
            audience: Audience::of(method, uri, headers, &fields),
            request_client: RequestClient::of(
                config.addresses.as_ref(),
                fields.user_agent,
                headers,
                request.extensions(),
            ),
            client: OnceLock::new(),
            is_api: AtomicBool::new(annotations.api),
            confirms: AtomicBool::new(
                annotations.reauthentication_page || config.pages.are_confirmed_at(uri.path()),
            ),
            activity: activity::of_request(fetch_metadata, &fields),
            fetch_metadata,
            admits_cross_site: AtomicBool::new(annotations.cross_site_sign_in),
            refused_write: AtomicBool::new(false),
            arrived: config.shared.clock().earliest,
            cookies: fields.cookies,
            passive: AtomicBool::new(annotations.passive),
            barred: match config.cookie.is_secure() {
                true => None,
                false => why_not_local(request).map(Barred::NotLocal),
            },
            is_nested: Self::of(request.extensions()).is_some(),
            sealed: AtomicBool::new(false),
            requested: AtomicBool::new(false),
            terminated: AtomicBool::new(false),
            working_copy: OnceCell::new(),
            committed: Notify::new(),
            is_done: AtomicBool::new(false),
            over: Notify::new(),
            ended: OnceLock::new(),
            lost: OnceLock::new(),
        }
    }

    pub(crate) fn is_nested(&self) -> bool {
        self.is_nested
    }

    /// The sessions of an outer layer with the same cookie are not those that its routes are for.
    pub(crate) fn bar_nested(&mut self) {
        self.barred = Some(Barred::Nested);
    }

    /// That of the innermost layer around the caller.
    pub(crate) fn of(extensions: &Extensions) -> Option<&Arc<Self>> {
        extensions.get::<InRequest>().map(|it| &it.innermost)
    }

    /// Those of all layers around the caller, the innermost first.
    pub(crate) fn all(extensions: &Extensions) -> impl Iterator<Item = &Arc<Self>> {
        let states = extensions.get::<InRequest>().map(InRequest::states);
        states.into_iter().flatten()
    }

    /// From here on, the innermost layer is that of this state. It alone signs in at the request of other sites.
    pub(crate) fn put_into(self: &Arc<Self>, extensions: &mut Extensions) {
        let mut others = Vec::new();
        if let Some(before) = extensions.remove::<InRequest>() {
            others = before.others;
            others.push(before.innermost);
            others.retain(|other| !Arc::ptr_eq(other, self));
        }
        for other in &others {
            other.admits_cross_site.store(false, Ordering::Relaxed);
        }
        let admits = RouteAnnotations::of(extensions).cross_site_sign_in;
        self.admits_cross_site.store(admits, Ordering::Relaxed);
        extensions.insert(InRequest {
            innermost: Arc::clone(self),
            others,
        });
    }

    pub(crate) fn annotate(&self, annotations: RouteAnnotations) {
        for (mark, is_set) in [
            (&self.is_api, annotations.api),
            (&self.confirms, annotations.reauthentication_page),
            (&self.passive, annotations.passive),
            (&self.admits_cross_site, annotations.cross_site_sign_in),
        ] {
            mark.fetch_or(is_set, Ordering::Relaxed);
        }
    }

    /// Who sent the request, as far as refusals are concerned.
    pub(crate) fn audience(&self) -> &Audience {
        static PROGRAM: Audience = Audience::Program;
        match self.is_api.load(Ordering::Relaxed) {
            true => &PROGRAM,
            false => &self.audience,
        }
    }

    /// Whether the browser can be asked for the same address once more.
    pub(crate) fn can_retry(&self) -> bool {
        matches!(self.audience(), Audience::Browser(navigation) if navigation.is_get())
            && !retry_page::was_asked(&self.cookies, &self.config.cookie)
    }

    fn confirms(&self) -> bool {
        self.confirms.load(Ordering::Relaxed)
    }

    pub(crate) fn activity(&self) -> Activity {
        if self.passive.load(Ordering::Relaxed) {
            return Activity::Passive;
        }
        self.activity
    }

    /// Whether the browser may have a session cookie that it did not send because another site caused the request.
    pub(crate) fn is_withheld(&self) -> bool {
        let same_site = self.config.cookie.same_site_attribute();
        self.fetch_metadata.withholds(same_site) && !self.has_identifier()
    }

    /// Whether an identifier came. A value that is none may be of another host, and says nothing of the cookie.
    fn has_identifier(&self) -> bool {
        let presented = self.cookies.session(&self.config.cookie);
        !matches!(presented, Presented::Nothing | Presented::Malformed)
    }

    /// Whether nothing may be begun for that reason.
    pub(crate) fn refuses_writes(&self) -> bool {
        self.is_withheld() && !self.admits_cross_site.load(Ordering::Relaxed)
    }

    /// Whether the browser would send the cookie if it were asked for the same page by the site itself.
    pub(crate) fn can_ask_again(&self) -> bool {
        self.fetch_metadata.is_page_visit() && self.refuses_writes()
    }

    /// The page that does.
    pub(crate) fn ask_again(&self) -> Response<Bytes> {
        withheld::ask_again(self.fetch_metadata.has_user_or_referrer())
    }

    pub(crate) fn note_refused_write(&self) {
        self.refused_write.store(true, Ordering::Relaxed);
    }

    /// Whether the answer must tell of one. Where the route turned out to be marked, whoever wrote before was told alone.
    pub(crate) fn has_refused_write(&self) -> bool {
        self.refused_write.load(Ordering::Relaxed) && self.refuses_writes()
    }

    /// Whether the request came with a session cookie, whatever is in it.
    pub(crate) fn has_cookie(&self) -> bool {
        let cookie = &self.config.cookie;
        self.cookies.has(cookie.name()) || self.accepted_cookies().next().is_some()
    }

    /// The names that the layer accepts beside its own and under which a cookie came.
    pub(crate) fn accepted_cookies(&self) -> impl Iterator<Item = &str> {
        self.cookies.accepted(&self.config.cookie)
    }

    /// The identifier that came under such a name only, and when its session ends whatever happens, where that is what
    /// the request works with still.
    pub(crate) fn renamed(&self) -> Option<(SessionId, Timestamp)> {
        let renamed = self.cookies.renamed(&self.config.cookie);
        let [_, ..] = renamed.candidates() else {
            return None;
        };
        let (key, _) = self.stored()?;
        let info = self.view().info()?;
        let mut candidates = renamed.candidates().iter();
        let id = candidates.find(|id| key == id.key())?;
        Some((id.clone(), info.absolute_deadline))
    }

    /// The name under which two live sessions came, where the request ended both.
    pub(crate) fn name_of_ended_two(&self) -> Option<&str> {
        match self.working_copy() {
            Some(copy) if copy.ended_two => self.cookies.name_of_two(&self.config.cookie),
            _ => None,
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.shared().now()
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.config.shared
    }

    /// Who sent the request.
    pub(crate) fn client(&self) -> &Client {
        self.client.get_or_init(|| self.request_client.client())
    }

    /// Why the session that the request came with is none any more, if that is known.
    pub(crate) fn end_reason(&self) -> Option<EndReason> {
        self.ended.get().or_else(|| self.lost.get()).copied()
    }

    /// What a refusal of this request depends on.
    pub(crate) fn refusal_context(&self) -> RefusalContext<'_> {
        RefusalContext {
            by: self.audience(),
            pages: &self.config.pages,
            confirms: self.confirms(),
            can_retry: self.can_retry(),
            now: self.now(),
            ended: self.end_reason(),
            lost: self.lost.get().copied(),
        }
    }

    /// Whether the session must not be trusted until its user has proved again who they are.
    pub(crate) fn is_distrusted(&self) -> bool {
        self.distrusts() && self.view().flagged().is_some()
    }

    /// Whether it would not be trusted if it were used from another device.
    pub(crate) fn distrusts(&self) -> bool {
        self.config.binding == Some(DeviceBinding::StepUp) && !self.confirms()
    }

    /// The request's copy of its session, if it has loaded it.
    pub(crate) fn working_copy(&self) -> Option<WorkingCopyGuard<'_>> {
        self.working_copy.get().map(SharedCopy::working_copy)
    }

    /// From here on the handler's session refuses changes.
    pub(crate) fn seal(&self) {
        self.sealed.store(true, Ordering::SeqCst);
    }

    pub(crate) fn was_requested(&self) -> bool {
        self.requested.load(Ordering::Relaxed)
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

    /// Nothing is being committed any more. Where that was `cut_off`, it is not known what is stored.
    pub(crate) fn end_turn(&self, cut_off: bool) {
        if let Some(mut copy) = self.working_copy() {
            copy.committing = false;
            if cut_off {
                copy.commit_failure = CommitFailure::Unknown;
            }
            if cut_off || self.is_done() {
                copy.forget();
            }
        }
        self.committed.notify_waiters();
    }

    /// Waits until nothing is being committed.
    pub(crate) async fn until_committed(&self) {
        loop {
            let mut over = pin!(self.committed.notified());
            over.as_mut().enable();
            if !self.working_copy().is_some_and(|copy| copy.committing) {
                return;
            }
            over.await;
        }
    }

    pub(crate) fn is_done(&self) -> bool {
        self.is_done.load(Ordering::SeqCst)
    }

    /// Waits until the request is answered, or given up, with all that it changed.
    pub(crate) async fn until_done(&self) {
        let mut over = pin!(self.over.notified());
        over.as_mut().enable();
        if !self.is_done() {
            over.await;
        }
    }

    /// Where the request's session is stored, and its name and owner there, as far as is committed.
    pub(crate) fn stored(&self) -> Option<(SessionIdHash, SessionMeta)> {
        self.working_copy()?.unit.stored()
    }

    /// Why the request has no session.
    pub(crate) fn reason_of_no_session(&self) -> Option<EndReason> {
        let signed_out = || {
            let removed = |copy: WorkingCopyGuard<'_>| matches!(copy.cookie, CookieAction::Remove);
            self.working_copy().is_some_and(removed)
        };
        self.end_reason()
            .or_else(|| signed_out().then_some(EndReason::SignedOut))
    }

    /// What the handler sees of the session now.
    pub(crate) fn view(&self) -> SessionView {
        self.working_copy
            .get()
            .map(SharedCopy::view)
            .unwrap_or_default()
    }

    /// Tells the audit of a change, as the store's log does.
    pub(crate) fn emit(&self, note: Note, of: &SessionMeta) {
        let event = Event::new(note, self.now(), Some(of.handle), of.user().cloned());
        self.shared().emit(event);
    }

    /// Tells of what the client wanted, or came with, where that changed nothing.
    pub(crate) fn observe(&self, kind: EventKind, (session, user): Subject) {
        let note = Note::new(kind, Actor::Client, Some(self.client().clone()));
        self.shared().observe(Observation {
            session,
            user,
            note,
        });
    }

    /// The session that the request came with has ended.
    pub(crate) fn used_after_end(&self, session: SessionHandle, reason: EndReason) {
        let kind = EventKind::UsedAfterEnd(reason);
        let observation = Observation {
            session: Some(session),
            user: None,
            note: Note::new(kind, Actor::Client, Some(self.client().clone())),
        };
        let is_passive = self.activity() == Activity::Passive;
        self.shared()
            .observe_use_after_end(observation, (session, reason), is_passive);
    }

    /// The store could not be used for this request.
    pub(crate) fn failed(&self, error: &StoreError, (session, user): Subject) {
        tracing::error!(error = %error, "the session store cannot be used");
        self.shared()
            .emit(self.event(EventKind::StoreFailed, session, user));
    }

    /// Name and user of the session that is stored, if it was looked at.
    pub(crate) fn subject(&self) -> Subject {
        self.working_copy()
            .map_or((None, None), |copy| subject(&copy.unit))
    }

    fn event(
        &self,
        kind: EventKind,
        session: Option<SessionHandle>,
        user: Option<UserId>,
    ) -> Event {
        let note = Note::new(kind, Actor::Client, Some(self.client().clone()));
        Event::new(note, self.now(), session, user)
    }
}

/// Of which session and user something is told.
pub(crate) type Subject = (Option<SessionHandle>, Option<UserId>);

/// Name and user of the session a unit of work builds on.
pub(crate) fn subject(unit: &UnitOfWork) -> Subject {
    unit.subject()
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

/// Why a request is not for localhost, in words for the log; `None` if it is. Behind a proxy the host says nothing, so
/// one that was forwarded is not.
fn why_not_local<B>(request: &Request<B>) -> Option<String> {
    let forwarded = [
        "forwarded",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-proto",
    ];
    let (uri, headers) = (request.uri(), request.headers());
    if let Some(field) = forwarded.iter().find(|name| headers.contains_key(**name)) {
        return Some(format!("it came through a proxy (`{field}`)"));
    }
    match Host::of_request(uri, headers) {
        Some(host) if host.is_loopback() => None,
        Some(host) => Some(format!("it is for the host {host}")),
        None => Some("it names no host, or more than one".to_owned()),
    }
}

impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config").finish_non_exhaustive()
    }
}
