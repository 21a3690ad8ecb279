//! The state of one request: what the layer knows of the request and of its session.

mod lookup;

use std::{
    ops::Deref,
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Extensions, Request, Response, Uri};
use portcullis_core::{
    Actor, Client, EndReason, Event, EventKind, Note, Operation, Policy, SessionHandle, SessionId,
    SessionIdHash, SessionInfo, SessionMeta, Timeouts, Timestamp, UserId, millis,
    policy::DemandLimits,
    store::{Activity, Observation, StoreError},
    unit_of_work::{SessionSettings, SessionView, UnitOfWork},
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

/// The state of one request. The layer, the guards and every clone of the request's `Session` share
/// it. It is allocated for each request, and allocators take a slower path beyond 1016 bytes.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) config: Arc<Config>,
    audience: Audience,
    cookies: Cookies,
    request_client: RequestClient,
    client: OnceLock<Client>,
    /// The route belongs to an API.
    is_api: AtomicBool,
    /// The route is where users prove their identity again.
    is_reauthentication_page: AtomicBool,
    activity: Activity,
    fetch_metadata: FetchMetadata,
    /// The route signs users in at the request of other sites.
    allows_cross_site_sign_in: AtomicBool,
    /// A write was refused because the cookie was withheld.
    refused_write: AtomicBool,
    /// The earliest time that the store's clock may have shown when the request arrived.
    arrived: Timestamp,
    /// Requests to the route are no activity.
    passive: AtomicBool,
    /// The approvals that the request has used, and when each would have ended.
    used_approvals: Mutex<Option<Box<UsedApprovals>>>,
    /// The privileged idle timeout in ms, if a guard of the route demanded privilege. Zero if not.
    privileged_idle: AtomicU64,
    /// Why this request can use no session, if so.
    blocked: Option<Box<Blocked>>,
    /// Another session layer surrounds that of this state.
    is_nested: bool,
    /// The response is decided, so the handler can no longer change the session.
    sealed: AtomicBool,
    /// A handler or a guard asked for the session, whether or not it could be loaded.
    requested: AtomicBool,
    /// The handler signed the user out, whether or not there still was a session.
    terminated: AtomicBool,
    working_copy: OnceCell<SharedCopy>,
    /// The policy by which the request is judged, from its first use on.
    policy: OnceLock<Arc<Policy>>,
    /// Notified after each commit.
    committed: Notify,
    /// The request makes no more changes.
    is_done: AtomicBool,
    /// Notified once `is_done` is set.
    done: Notify,
    /// Why the session of the request's cookie had ended before the request, if known.
    ended: OnceLock<EndReason>,
    /// Why the session ended during the request, if known.
    lost: OnceLock<EndReason>,
}

#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<State>() <= 1016, "see `State`");

/// Operations, the session in which each was approved, and when its approval would have ended. Boxed in the state, which is
/// allocated for each request: few requests use an approval.
type UsedApprovals = Vec<(Operation, SessionIdHash, Timestamp)>;

/// Ends the request when it is dropped: the state is done, and uncommitted changes are dropped.
pub(crate) struct DoneOnDrop(pub(crate) Arc<State>);

impl Deref for DoneOnDrop {
    type Target = Arc<State>;

    fn deref(&self) -> &Arc<State> {
        &self.0
    }
}

impl Drop for DoneOnDrop {
    fn drop(&mut self) {
        self.0.is_done.store(true, Ordering::SeqCst);
        self.0.done.notify_waiters();
        if let Some(mut copy) = self.0.working_copy()
            && !copy.committing
        {
            copy.discard_changes();
        }
    }
}

/// Why a request can use no session.
#[derive(Debug)]
enum Blocked {
    /// The cookie is for local development, and the request is not local, for this reason.
    NotLocal(String),
    /// A layer around this one has the same cookie and another realm.
    Nested,
}

impl HasWorkingCopy for State {
    fn working_copy(&self) -> Option<WorkingCopyGuard<'_>> {
        self.working_copy()
    }
}

/// The states of the layers around the caller, as an extension of the request.
#[derive(Clone)]
struct InRequest {
    /// The state of the innermost layer.
    innermost: Arc<State>,
    /// The states of the layers around it.
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
            is_reauthentication_page: AtomicBool::new(
                annotations.reauthentication_page || config.pages.are_confirmed_at(uri.path()),
            ),
            activity: activity::of_request(fetch_metadata, &fields),
            fetch_metadata,
            allows_cross_site_sign_in: AtomicBool::new(annotations.cross_site_sign_in),
            refused_write: AtomicBool::new(false),
            arrived: config.shared.clock().earliest,
            cookies: fields.cookies,
            passive: AtomicBool::new(annotations.passive),
            used_approvals: Mutex::default(),
            privileged_idle: AtomicU64::new(0),
            blocked: match config.cookie.is_secure() {
                true => None,
                false => why_not_local(request).map(|why| Box::new(Blocked::NotLocal(why))),
            },
            is_nested: Self::of(request.extensions()).is_some(),
            sealed: AtomicBool::new(false),
            requested: AtomicBool::new(false),
            terminated: AtomicBool::new(false),
            working_copy: OnceCell::new(),
            policy: OnceLock::new(),
            committed: Notify::new(),
            is_done: AtomicBool::new(false),
            done: Notify::new(),
            ended: OnceLock::new(),
            lost: OnceLock::new(),
        }
    }

    pub(crate) fn is_nested(&self) -> bool {
        self.is_nested
    }

    /// Refuses all use of the session, because an outer layer has the same cookie and another
    /// realm.
    pub(crate) fn block_nested(&mut self) {
        self.blocked = Some(Box::new(Blocked::Nested));
    }

    /// The state of the innermost layer around the caller.
    pub(crate) fn of(extensions: &Extensions) -> Option<&Arc<Self>> {
        extensions.get::<InRequest>().map(|it| &it.innermost)
    }

    /// The states of all layers around the caller, the innermost first.
    pub(crate) fn all(extensions: &Extensions) -> impl Iterator<Item = &Arc<Self>> {
        let states = extensions.get::<InRequest>().map(InRequest::states);
        states.into_iter().flatten()
    }

    /// Makes this state the innermost one. Only the innermost layer signs in at the request of
    /// other sites.
    pub(crate) fn put_into(self: &Arc<Self>, extensions: &mut Extensions) {
        let mut others = Vec::new();
        if let Some(before) = extensions.remove::<InRequest>() {
            others = before.others;
            others.push(before.innermost);
            others.retain(|other| !Arc::ptr_eq(other, self));
        }
        for other in &others {
            other
                .allows_cross_site_sign_in
                .store(false, Ordering::Relaxed);
        }
        let allowed = RouteAnnotations::of(extensions).cross_site_sign_in;
        self.allows_cross_site_sign_in
            .store(allowed, Ordering::Relaxed);
        extensions.insert(InRequest {
            innermost: Arc::clone(self),
            others,
        });
    }

    pub(crate) fn annotate(&self, annotations: RouteAnnotations) {
        for (flag, is_set) in [
            (&self.is_api, annotations.api),
            (
                &self.is_reauthentication_page,
                annotations.reauthentication_page,
            ),
            (&self.passive, annotations.passive),
            (
                &self.allows_cross_site_sign_in,
                annotations.cross_site_sign_in,
            ),
        ] {
            flag.fetch_or(is_set, Ordering::Relaxed);
        }
    }

    /// Whether refusals are written for a browser or for a program.
    pub(crate) fn audience(&self) -> &Audience {
        static PROGRAM: Audience = Audience::Program;
        match self.is_api.load(Ordering::Relaxed) {
            true => &PROGRAM,
            false => &self.audience,
        }
    }

    /// Whether the browser can be made to request the same address again.
    pub(crate) fn can_retry(&self) -> bool {
        matches!(self.audience(), Audience::Browser(navigation) if navigation.is_get())
            && !retry_page::was_asked(&self.cookies, &self.config.cookie)
    }

    fn is_reauthentication_page(&self) -> bool {
        self.is_reauthentication_page.load(Ordering::Relaxed)
    }

    /// Whether the request counts as activity, if its response allows that.
    pub(crate) fn activity(&self) -> Activity {
        if self.passive.load(Ordering::Relaxed) {
            return Activity::Passive;
        }
        self.activity
    }

    /// Records that a guard admitted the request to a route that demands privilege.
    pub(crate) fn note_privileged(&self, demand: &DemandLimits) {
        let elevations = self.view().elevations_idle(self.now());
        let idle = demand
            .idle
            .map(|idle| elevations.map_or(idle, |other| other.min(idle)));
        let idle = idle.map_or(0, millis);
        self.privileged_idle.store(idle, Ordering::Relaxed);
    }

    /// Records that the request used an approval, which its failure restores.
    pub(crate) fn note_used_approval(&self, operation: Operation, ends_at: Timestamp) {
        let Some((key, _)) = self.stored() else {
            return;
        };
        let mut used = self.used_approvals();
        used.get_or_insert_default().push((operation, key, ends_at));
    }

    /// The approvals that the request has used. They are returned once.
    pub(crate) fn take_used_approvals(&self) -> UsedApprovals {
        let used = self.used_approvals().take();
        used.map(|used| *used).unwrap_or_default()
    }

    fn used_approvals(&self) -> MutexGuard<'_, Option<Box<UsedApprovals>>> {
        let used = self.used_approvals.lock();
        used.unwrap_or_else(PoisonError::into_inner)
    }

    /// The activity of a request whose response reports success.
    pub(crate) fn activity_of_success(&self) -> Activity {
        let idle = self.privileged_idle.load(Ordering::Relaxed);
        match self.activity() {
            Activity::Active if idle != 0 => Activity::Privileged {
                idle: Duration::from_millis(idle),
            },
            activity => activity,
        }
    }

    /// The policy by which the request is judged.
    pub(crate) fn policy(&self) -> &Arc<Policy> {
        self.policy.get_or_init(|| {
            let activated = self.shared().policy.get(self.now());
            activated.unwrap_or_else(|| Arc::clone(&self.config.sessions.policy))
        })
    }

    /// The settings of the request's unit of work.
    fn sessions(&self) -> SessionSettings {
        SessionSettings {
            policy: Arc::clone(self.policy()),
            ..self.config.sessions
        }
    }

    /// The timeouts of the session's class.
    pub(crate) fn timeouts(&self) -> Timeouts {
        self.policy().timeouts(self.view().class())
    }

    /// A demand of the route, with the privileged idle timeout of the session's class.
    pub(crate) fn demand(&self, of_route: DemandLimits) -> DemandLimits {
        let idle = self.timeouts().privileged_idle();
        DemandLimits {
            idle: Some(of_route.idle.map_or(idle, |own| own.min(idle))),
            ..of_route
        }
    }

    /// What the policy adds to the demand of this name.
    pub(crate) fn demand_of_policy(&self, name: &str) -> Option<&DemandLimits> {
        self.policy().demand(name)
    }

    /// Until when the session meets this [demand](Self::demand), if it does now. A session that is
    /// not trusted meets none.
    pub(crate) fn meets_until(&self, demand: &DemandLimits) -> Option<Timestamp> {
        if self.is_distrusted() {
            return None;
        }
        self.view().meets_until(demand, self.policy(), self.now())
    }

    /// Until when privileged routes may be used without another proof, if they may be now.
    pub(crate) fn privileged_until(&self) -> Option<Timestamp> {
        self.meets_until(&self.demand(DemandLimits::default()))
    }

    /// When the elevation for `scope` ends, if there is one.
    pub(crate) fn elevated_until(&self, scope: &'static str) -> Option<Timestamp> {
        self.meets_until(&self.demand(DemandLimits::of_scope(scope)))
    }

    /// Whether the browser may have a session cookie that it did not send because another site
    /// caused the request.
    pub(crate) fn is_withheld(&self) -> bool {
        let same_site = self.config.cookie.same_site_attribute();
        self.fetch_metadata.withholds(same_site) && !self.has_identifier()
    }

    /// Whether the request has an identifier. A malformed value may come from another host, so it
    /// does not count.
    fn has_identifier(&self) -> bool {
        let presented = self.cookies.session(&self.config.cookie);
        !matches!(presented, Presented::Nothing | Presented::Malformed)
    }

    /// Whether writes are refused because the cookie is withheld.
    pub(crate) fn refuses_writes(&self) -> bool {
        self.is_withheld() && !self.allows_cross_site_sign_in.load(Ordering::Relaxed)
    }

    /// Whether the browser would send the cookie if this site requested the same page.
    pub(crate) fn can_ask_again(&self) -> bool {
        self.fetch_metadata.is_page_visit() && self.refuses_writes()
    }

    /// The page that requests the same address again, from this site.
    pub(crate) fn ask_again(&self) -> Response<Bytes> {
        withheld::ask_again(self.fetch_metadata.has_user_or_referrer())
    }

    pub(crate) fn note_refused_write(&self) {
        self.refused_write.store(true, Ordering::Relaxed);
    }

    /// Whether the response must report a refused write. If the route was found later to allow
    /// cross-site sign-ins, only the caller of the earlier write gets the error.
    pub(crate) fn has_refused_write(&self) -> bool {
        self.refused_write.load(Ordering::Relaxed) && self.refuses_writes()
    }

    /// Whether the request has a session cookie, with any value.
    pub(crate) fn has_cookie(&self) -> bool {
        let cookie = &self.config.cookie;
        self.cookies.has(cookie.name()) || self.accepted_cookies().next().is_some()
    }

    /// The additional cookie names that the layer accepts and the request has.
    pub(crate) fn accepted_cookies(&self) -> impl Iterator<Item = &str> {
        self.cookies.accepted(&self.config.cookie)
    }

    /// The identifier that the request has only under an additional name, and the absolute deadline
    /// of its session. `None` unless the request still uses that session.
    pub(crate) fn renamed(&self) -> Option<(SessionId, Timestamp)> {
        let renamed = self.cookies.renamed(&self.config.cookie);
        let [_, ..] = renamed.candidates() else {
            return None;
        };
        let (key, _) = self.stored()?;
        let info = self.info()?;
        let mut candidates = renamed.candidates().iter();
        let id = candidates.find(|id| key == id.key())?;
        Some((id.clone(), info.absolute_deadline))
    }

    /// The cookie name that occurred twice with live sessions, if the request ended both.
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

    /// The client that sent the request.
    pub(crate) fn client(&self) -> &Client {
        self.client.get_or_init(|| self.request_client.client())
    }

    /// Why the session of the request's cookie has ended, if known.
    pub(crate) fn end_reason(&self) -> Option<EndReason> {
        self.ended.get().or_else(|| self.lost.get()).copied()
    }

    /// What a refusal of this request depends on.
    pub(crate) fn refusal_context(&self) -> RefusalContext<'_> {
        RefusalContext {
            by: self.audience(),
            pages: &self.config.pages,
            confirms: self.is_reauthentication_page(),
            can_retry: self.can_retry(),
            now: self.now(),
            ended: self.end_reason(),
            lost: self.lost.get().copied(),
        }
    }

    /// Whether the session is not trusted until its user has proved their identity again.
    pub(crate) fn is_distrusted(&self) -> bool {
        self.distrusts() && self.view().flagged().is_some()
    }

    /// Whether use from another device makes the session untrusted on this route.
    pub(crate) fn distrusts(&self) -> bool {
        self.config.binding == Some(DeviceBinding::StepUp) && !self.is_reauthentication_page()
    }

    /// The request's copy of its session, if it has loaded it.
    pub(crate) fn working_copy(&self) -> Option<WorkingCopyGuard<'_>> {
        self.working_copy.get().map(SharedCopy::working_copy)
    }

    /// Makes the handler's session refuse changes from now on.
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

    /// Ends the commit. If it was `cut_off`, it is unknown what is stored.
    pub(crate) fn end_turn(&self, cut_off: bool) {
        if let Some(mut copy) = self.working_copy() {
            copy.committing = false;
            if cut_off {
                copy.commit_failure = CommitFailure::Unknown;
            }
            if cut_off || self.is_done() {
                copy.discard_changes();
            }
        }
        self.committed.notify_waiters();
    }

    /// Waits until no commit is under way.
    pub(crate) async fn until_committed(&self) {
        loop {
            let mut committed = pin!(self.committed.notified());
            committed.as_mut().enable();
            if !self.working_copy().is_some_and(|copy| copy.committing) {
                return;
            }
            committed.await;
        }
    }

    pub(crate) fn is_done(&self) -> bool {
        self.is_done.load(Ordering::SeqCst)
    }

    /// Waits until the request is answered or dropped, and its changes are committed.
    pub(crate) async fn until_done(&self) {
        let mut done = pin!(self.done.notified());
        done.as_mut().enable();
        if !self.is_done() {
            done.await;
        }
    }

    /// The key and the metadata of the request's session, as far as it is committed.
    pub(crate) fn stored(&self) -> Option<(SessionIdHash, SessionMeta)> {
        self.working_copy()?.unit.stored()
    }

    /// Why the request has no session, if known.
    pub(crate) fn reason_of_no_session(&self) -> Option<EndReason> {
        let signed_out = || {
            let removed = |copy: WorkingCopyGuard<'_>| matches!(copy.cookie, CookieAction::Remove);
            self.working_copy().is_some_and(removed)
        };
        self.end_reason()
            .or_else(|| signed_out().then_some(EndReason::SignedOut))
    }

    /// The session as the handler sees it now.
    pub(crate) fn view(&self) -> SessionView {
        self.working_copy
            .get()
            .map(SharedCopy::view)
            .unwrap_or_default()
    }

    /// The public name, times and limits of the session, if there is one.
    pub(crate) fn info(&self) -> Option<SessionInfo> {
        self.view().info(self.policy())
    }

    /// Emits the event of a change, as it is in the store's log.
    pub(crate) fn emit(&self, note: Note, of: &SessionMeta) {
        let event = Event::new(note, self.now(), Some(of.handle), of.user().cloned());
        self.shared().emit(event);
    }

    /// Emits an event about the request that changed nothing: a refused operation, or an identifier
    /// that opens no session.
    pub(crate) fn observe(&self, kind: EventKind, (session, user): Subject) {
        let note = Note::new(kind, Actor::Client, Some(self.client().clone()));
        self.shared().observe(Observation {
            session,
            user,
            note,
        });
    }

    /// Emits that the session of the request's cookie was used after its end.
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

    /// Logs and emits that the store failed for this request.
    pub(crate) fn failed(&self, error: &StoreError, (session, user): Subject) {
        tracing::error!(error = %error, "the session store cannot be used");
        self.shared()
            .emit(self.event(EventKind::StoreFailed, session, user));
    }

    /// The handle and the user of the stored session, if the request has loaded it.
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

/// The session and the user that an event is about.
pub(crate) type Subject = (Option<SessionHandle>, Option<UserId>);

/// The handle and the user of the session that a unit of work builds on.
pub(crate) fn subject(unit: &UnitOfWork) -> Subject {
    unit.subject()
        .map_or((None, None), |(handle, user)| (Some(handle), user.cloned()))
}

/// The requested address, before a router around the layer removed its prefix from the path.
fn target_of<B>(request: &Request<B>) -> &Uri {
    #[cfg(feature = "axum")]
    if let Some(axum::extract::OriginalUri(uri)) = request.extensions().get() {
        return uri;
    }
    request.uri()
}

/// Why a request is not for localhost, as a text for the log; `None` if it is. A forwarded request
/// is not, because its host may be that of the proxy.
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
