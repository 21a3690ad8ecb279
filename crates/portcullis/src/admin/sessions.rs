//! Lists and ends the sessions of all users.

use std::{cmp::Reverse, collections::HashSet, fmt, num::NonZeroUsize, sync::Arc, time::Duration};

use futures_util::{StreamExt, stream};
use http::Extensions;
use portcullis_core::{
    Actor, Bucket, Client, ClientChange, EndReason, Environment, Event, EventKind, Note, Realm,
    SessionEntry, SessionHandle, SessionIdHash, UserId,
    store::{
        EnvironmentSet, Interrupted, Loaded, LogQuery, Logged, RegisteredRealm, ReplicaAcks,
        Revocation, RevocationReport, RevokeScope, SessionCount, Store, StoreError, StoreErrorKind,
        UsersAfter,
    },
};

#[cfg(feature = "axum")]
use crate::guard::session_guard::Rejection;
use crate::{
    reject::error::SessionError,
    request::state::State,
    runtime::{
        audit::Audit,
        shared::{Shared, SharedSettings},
        sweeper, task,
    },
};

/// Lists and ends sessions of any user, and reads their log. It is for pages of operators, for
/// jobs, and for commands of a program. Clones share all state.
///
/// It has full rights over the sessions of all users, so protect every route that uses it, for
/// example with [`Elevated`](crate::Elevated). The methods for a user's own sessions are on the
/// guards: [`Authenticated::list_sessions`](crate::Authenticated::list_sessions),
/// [`Elevated::revoke_session`](crate::Elevated::revoke_session) and others.
///
/// It is also an extractor, so a page for operators needs no state of the application:
///
/// ```
/// use portcullis::{Elevated, SessionError, Sessions};
///
/// portcullis::scope!(Operators = "operators");
///
/// async fn block(
///     operator: Elevated<Operators>,
///     sessions: Sessions,
///     user: String,
/// ) -> Result<String, SessionError> {
///     // … once `operator.user()` is known to be an operator:
///     let sessions = sessions.as_operator(operator.user().to_string());
///     let report = sessions.suspend(user, Some("reported as stolen")).await?;
///     Ok(format!("{} sessions were ended.", report.ended.len()))
/// }
/// ```
///
/// Outside of requests, make it from the layer, or from a store alone:
///
/// ```
/// # use portcullis::{MemoryStore, SessionLayer, Sessions};
/// # let store = MemoryStore::new();
/// let layer = SessionLayer::new(store.clone());
/// let sessions = layer.sessions();
/// let elsewhere = Sessions::new(store).as_operator("nightly job");
/// ```
///
/// An operation that ends sessions is finished, and reported to the [`Audit`], even if its caller
/// stops waiting.
///
/// No user has an empty name, or one of more than [`UserId::MAX_BYTES`]. For such a name, there is
/// no session to list or to end, and no store command is sent. [`UserId::check`] checks a name.
#[derive(Clone)]
pub struct Sessions {
    pub(super) shared: Arc<Shared>,
    pub(super) actor: Actor,
    pub(super) client: Option<Client>,
}

/// The longest name of an operator in bytes. It is that of a user, because operators may be users.
const LONGEST_NAME: usize = UserId::MAX_BYTES;

/// The default name of an operator.
const APPLICATION: &str = "application";

/// The time and the number of device changes that [`Sessions::flagged`] covers.
const REVIEWED: (Duration, usize) = (Duration::from_secs(24 * 60 * 60), 1000);

/// How many buckets are processed at a time in an operation on all of them.
const AT_ONCE: usize = 16;

const CHANGE: &str = EventKind::DeviceChanged(ClientChange::Name).as_str();

impl Sessions {
    /// The sessions in `store`, for a program that serves no requests. The realm is that of the
    /// store (by default `id`, see [`in_realm`](Self::in_realm)). It starts no background task.
    pub fn new(store: impl Store) -> Self {
        Self::of_shared(&Arc::new(Shared::new(SharedSettings::new(store, false))))
    }

    /// The sessions of the layer that the request with these extensions has passed, for services
    /// without extractors.
    ///
    /// # Errors
    ///
    /// [`SessionError::MissingLayer`] without a [`SessionLayer`](crate::SessionLayer).
    pub fn of_request(extensions: &Extensions) -> Result<Self, SessionError> {
        let state = State::of(extensions).ok_or(SessionError::MissingLayer)?;
        Ok(Self {
            client: Some(state.client().clone()),
            ..Self::of_shared(state.shared())
        })
    }

    pub(crate) fn of_shared(shared: &Arc<Shared>) -> Self {
        Self {
            shared: Arc::clone(shared),
            actor: Actor::Operator(APPLICATION.to_owned()),
            client: None,
        }
    }

    /// The user's own sessions, from the user's own request.
    pub(crate) fn of_client(state: &State) -> Self {
        Self {
            shared: Arc::clone(state.shared()),
            actor: Actor::Client,
            client: Some(state.client().clone()),
        }
    }

    /// Adds an [`Audit`], which is notified in addition to those of the layer. Without a layer, the
    /// first one replaces [`TracingAudit`](crate::audit::TracingAudit).
    #[must_use]
    pub fn audit(self, audit: impl Audit) -> Self {
        let changed = self
            .shared
            .changed(|settings| settings.context().add_audit(audit));
        Self {
            shared: Arc::new(changed),
            ..self
        }
    }

    /// The name of the operator in events; `application` by default. A name of more than 1024 bytes
    /// is cut, so that it never prevents an end.
    #[must_use]
    pub fn as_operator(self, name: impl Into<String>) -> Self {
        let name = cut(&name.into(), LONGEST_NAME).to_owned();
        Self {
            actor: Actor::Operator(name),
            ..self
        }
    }

    /// Returns a handle to the sessions of another realm of the store.
    ///
    /// ```
    /// # use portcullis::{MemoryStore, Sessions, settings::Realm};
    /// let admin = Sessions::new(MemoryStore::new()).in_realm(&Realm::new("admin")?);
    /// # Ok::<(), portcullis::ConfigError>(())
    /// ```
    #[must_use]
    pub fn in_realm(&self, realm: &Realm) -> Self {
        let changed = self.shared.changed(|settings| {
            settings.context().enter(realm);
            settings.registration = None;
        });
        Self {
            shared: Arc::new(changed),
            ..self.clone()
        }
    }

    /// The realms of the store that layers have registered, in the order of their names. A layer
    /// registers its realm when it is first added to a service, and every hour after that.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot answer.
    pub async fn realms(&self) -> Result<Vec<RegisteredRealm>, StoreError> {
        self.shared.store().realms().await
    }

    /// Gives this realm another environment in the store's registry. Returns the former one.
    ///
    /// It is for an environment that was renamed, or a store that was copied. From then on, the
    /// limits of the new environment hold, and processes that declare another one are refused
    /// within the hour: see [`SessionLayer::environment`](crate::SessionLayer::environment). The
    /// command-line tool does the same with `portcullis realms --dangerous-set-environment`.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot answer.
    pub async fn dangerous_set_environment(
        &self,
        environment: &Environment,
    ) -> Result<EnvironmentSet, StoreError> {
        self.shared.store().set_environment(environment).await
    }

    /// The live sessions of `user`, the most recently active first. Unreadable ones are left out;
    /// [`revoke_all`](Self::revoke_all) ends them as well.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot answer.
    pub async fn list(&self, user: impl Into<UserId>) -> Result<Vec<SessionEntry>, StoreError> {
        self.list_of(&user.into()).await
    }

    /// Users with live sessions, at most `most` at a time (zero counts as one). The page holds the
    /// users after `after`, in an order of the store. A page with fewer than `most` users is the
    /// last. The next page begins after the last user of this one.
    ///
    /// ```
    /// # use portcullis::{MemoryStore, Sessions, store::StoreError};
    /// # async fn everybody(sessions: Sessions) -> Result<(), StoreError> {
    /// let mut page = sessions.users(None, 100).await?;
    /// while let Some(last) = page.last().cloned() {
    ///     for user in &page {
    ///         println!("{user}");
    ///     }
    ///     page = sessions.users(Some(&last), 100).await?;
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// A user with a live session for the whole time is on exactly one page. A user who signs in or
    /// out in the meantime may be missed. It is for operators, not for requests of visitors: a page
    /// in Redis reads the user lists of at least sixteen of the 1024 buckets.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot answer.
    pub async fn users(
        &self,
        after: Option<&UserId>,
        most: usize,
    ) -> Result<Vec<UserId>, StoreError> {
        let most = NonZeroUsize::new(most).unwrap_or(NonZeroUsize::MIN);
        self.shared
            .store()
            .users_after(UsersAfter::new(after, most))
            .await
    }

    /// How many sessions are live by the store's clock, with users and without. Expired sessions
    /// are not counted, even before they are swept.
    ///
    /// ```
    /// # use portcullis::{MemoryStore, Sessions, store::StoreError};
    /// # async fn report(sessions: Sessions) -> Result<(), StoreError> {
    /// let count = sessions.count().await?;
    /// println!("{} of users, {} of visitors", count.of_users, count.of_visitors);
    /// # Ok(()) }
    /// ```
    ///
    /// In Redis it takes a script for each of the 1024 buckets, eight at a time. A bucket takes one
    /// more for each further thousand sessions. So use it for a gauge that is read once a minute,
    /// not for each request. Sessions that begin, end or are used during the count may be counted
    /// or not.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot answer.
    pub async fn count(&self) -> Result<SessionCount, StoreError> {
        self.shared.store().count().await
    }

    /// Ends the session with this handle, if it belongs to `user`. The session has ended when this
    /// returns. The receipt shows whether this call ended it. It is empty for a session of another
    /// user, and for none.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when it is unknown whether the session was ended. Call it again then.
    pub async fn revoke(
        &self,
        user: impl Into<UserId>,
        handle: SessionHandle,
    ) -> Result<RevocationReport, StoreError> {
        self.end(user.into(), RevokeScope::One(handle)).await
    }

    /// Ends all sessions of `user` but one.
    ///
    /// The revocation takes effect at one moment. When this returns, every other session whose user
    /// authenticated before that moment has ended. Sign-ins that began before it are refused.
    /// Sign-ins that begin after it succeed.
    ///
    /// # Errors
    ///
    /// [`StoreError`]: some sessions may have ended and others not. Call it again then.
    pub async fn revoke_others(
        &self,
        user: impl Into<UserId>,
        keep: SessionHandle,
    ) -> Result<RevocationReport, StoreError> {
        self.end(user.into(), RevokeScope::AllBut(keep)).await
    }

    /// Ends all sessions of `user`, at one moment as [`revoke_others`](Self::revoke_others) does.
    /// The user can sign in again at once; [`suspend`](Self::suspend) locks a user out. It acts in
    /// one realm; [`revoke_all_in_every_realm`](Self::revoke_all_in_every_realm) acts in all.
    ///
    /// A sign-in is refused if its request arrived before this moment. So a request cannot call
    /// this and then sign the user in. It calls
    /// [`Session::authenticate_and_end_others`](crate::Session::authenticate_and_end_others)
    /// instead.
    ///
    /// The store's clock decides. If that clock was ahead during the call and is then set back,
    /// sign-ins of the user are refused until it reaches that moment again.
    ///
    /// # Errors
    ///
    /// [`StoreError`]: some sessions may have ended and others not. Call it again then.
    pub async fn revoke_all(
        &self,
        user: impl Into<UserId>,
    ) -> Result<RevocationReport, StoreError> {
        self.end(user.into(), RevokeScope::All).await
    }

    /// Ends all sessions of `user` in every [registered realm](Self::realms) of the store and in
    /// this one. It is for the reset of a password that signs in to all of them. Each realm has its
    /// own moment. As with [`revoke_all`](Self::revoke_all), the same request cannot then sign the
    /// user in.
    ///
    /// ```
    /// # use portcullis::{MemoryStore, Sessions, store::StoreError};
    /// # async fn reset(sessions: Sessions) -> Result<(), StoreError> {
    /// // … once the new password is stored:
    /// let receipt = sessions.revoke_all_in_every_realm("ada").await?;
    /// println!("{} sessions were ended.", receipt.ended.len());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// [`StoreError`]: some sessions may have ended and others not, in each realm. Call it again
    /// then.
    pub async fn revoke_all_in_every_realm(
        &self,
        user: impl Into<UserId>,
    ) -> Result<RevocationReport, StoreError> {
        let user = user.into();
        let ours = self.shared.store().realm();
        let registered = self.realms().await?.into_iter();
        let others = registered.map(|registered| registered.realm);
        let mut receipt = self.revoke_all(user.clone()).await;
        for realm in others.filter(|realm| *realm != ours) {
            let there = self.in_realm(&realm).revoke_all(user.clone()).await;
            // All realms, even if one fails, so that as many sessions as possible are ended.
            receipt = match (receipt, there) {
                (Ok(mut receipt), Ok(more)) => {
                    add(&mut receipt, more);
                    Ok(receipt)
                }
                (Err(error), _) | (_, Err(error)) => Err(error),
            };
        }
        receipt
    }

    /// Ends all sessions of all users, for example after a theft of data. Visitors without a user
    /// keep theirs.
    ///
    /// When this returns, every session has ended whose user was signed in when it was called. That
    /// includes the caller's own session. The sessions of each user end at a moment of their own, as
    /// with [`revoke_all`](Self::revoke_all). A user who signs in during the call may be signed out
    /// again or not. If that matters, first make sure that no user can sign in. (OWASP ASVS 5.0,
    /// 7.4.5)
    ///
    /// In Redis, it works on sixteen of the 1024 buckets at a time. It takes two round trips for
    /// each user, and one for each bucket or thousand sessions in it. If replicas must confirm it,
    /// they do so for each user, over a connection made for that.
    ///
    /// For each user it leaves a marker of about 170 bytes, for the longest absolute timeout and an
    /// hour more. That is the longest of the layer and of the registered realm, or 400 days if
    /// neither is known.
    ///
    /// A session that is missing from its user's list ends at its next write, or when its activity
    /// is written.
    ///
    /// # Errors
    ///
    /// [`StoreError`]: some sessions may have ended and others not. Call it again then. If only
    /// sessions of a newer version remain, the error is
    /// [`NewerFormat`](StoreErrorKind::NewerFormat).
    pub async fn revoke_everybody(&self) -> Result<RevocationReport, StoreError> {
        let sessions = self.clone();
        task::run_detached(async move { sessions.end_everybody().await }).await?
    }

    /// The store's log, newest first, with correlators. Each change is an entry. Equal refusals in
    /// a row are one entry, with their [`count`](Logged::count) and the time of the
    /// [first](Logged::first_at).
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot answer.
    pub async fn history(&self, query: LogQuery) -> Result<Vec<Logged>, StoreError> {
        if query
            .user
            .as_ref()
            .is_some_and(|user| user.check().is_err())
        {
            return Ok(Vec::new());
        }
        let mut logged = self.shared.store().read_log(&query).await?;
        for line in &mut logged {
            line.event = line.event.take().map(|event| self.shared.correlated(event));
        }
        Ok(logged)
    }

    /// Live sessions to review, because they were used from what appears to be another device. The
    /// most recently active is first. The search covers the latest 1000 changes of device in the
    /// last 24 hours, and only sessions with a user. An [`Audit`] is notified of every change.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot answer.
    pub async fn flagged(&self) -> Result<Vec<SessionEntry>, StoreError> {
        let (age, most) = REVIEWED;
        let query = LogQuery {
            names: vec![CHANGE.to_owned()],
            from: Some(self.shared.now().before(age)),
            most,
            ..LogQuery::default()
        };
        let logged = self.shared.store().read_log(&query).await?;
        let users: HashSet<UserId> = logged
            .into_iter()
            .filter_map(|line| line.event?.user)
            .collect();
        let mut flagged = Vec::new();
        for user in users {
            let entries = self.list_of(&user).await?;
            flagged.extend(entries.into_iter().filter(|entry| entry.flagged.is_some()));
        }
        sort(&mut flagged);
        Ok(flagged)
    }

    /// Removes expired sessions until none is left, reports each expiry to the audit, and returns
    /// their number. It is for programs in which no [layer](crate::SessionLayer) does it.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot answer. Earlier expiries stay reported.
    pub async fn sweep(&self) -> Result<usize, StoreError> {
        let shared = Arc::clone(&self.shared);
        task::run_detached(async move { sweeper::sweep(&Arc::downgrade(shared.context())).await })
            .await?
    }

    async fn list_of(&self, user: &UserId) -> Result<Vec<SessionEntry>, StoreError> {
        if user.check().is_err() {
            return Ok(Vec::new());
        }
        let listed = self.shared.store().list(user).await?;
        let now = self.shared.now();
        let policy = &self.shared.policy.get_or_default(now);
        let mut entries = Vec::with_capacity(listed.len());
        for listed in listed {
            let entry = match SessionEntry::read(&listed.stored, policy, now) {
                None if listed.may_be_cut() => self.entry_at(&listed.key).await?,
                entry => entry,
            };
            entries.extend(entry.filter(|entry| entry.user.as_ref() == Some(user)));
        }
        sort(&mut entries);
        Ok(entries)
    }

    /// Reads an entry from the whole record, if the list has only a part of it.
    async fn entry_at(&self, key: &SessionIdHash) -> Result<Option<SessionEntry>, StoreError> {
        Ok(match self.shared.load(key).await? {
            Loaded::Live(stored) => {
                let now = self.shared.now();
                let policy = self.shared.policy.get_or_default(now);
                SessionEntry::read(&stored, &policy, now)
            }
            _ => None,
        })
    }

    async fn end(&self, user: UserId, which: RevokeScope) -> Result<RevocationReport, StoreError> {
        // No user can sign in under such a name, so there is no session to end and no marker to
        // write.
        if user.check().is_err() {
            return Ok(RevocationReport::default());
        }
        let (shared, revocation) = (Arc::clone(&self.shared), self.revocation(user, which));
        task::run_detached(async move { revoke(&shared, revocation).await }).await?
    }

    async fn end_everybody(&self) -> Result<RevocationReport, StoreError> {
        // Another layer of the realm may have created sessions that last longer than this one's.
        let (ours, registered) = (self.shared.store().realm(), self.realms().await?);
        let registered = registered.into_iter().filter(|known| known.realm == ours);
        let longest = registered.map(|known| known.longest).max();
        let longest = longest.max(self.shared.longest());
        let buckets = Bucket::all().map(|bucket| self.end_bucket(bucket, longest));
        let buckets = stream::iter(buckets).buffer_unordered(AT_ONCE);
        // All buckets, even if one fails, so that as many sessions as possible are ended.
        let ended: Vec<_> = buckets.collect().await;
        let (mut receipt, mut failures) = (RevocationReport::default(), Vec::new());
        for ended in ended {
            match ended {
                Ok(more) => add(&mut receipt, more),
                Err(error) => failures.push(error),
            }
        }
        // An error that a retry can resolve takes precedence over one that stays.
        let failures = failures.into_iter();
        failures
            .min_by_key(|error| error.kind() == StoreErrorKind::NewerFormat)
            .map_or(Ok(receipt), Err)
    }

    async fn end_bucket(
        &self,
        bucket: Bucket,
        longest: Option<Duration>,
    ) -> Result<RevocationReport, StoreError> {
        let mut receipt = RevocationReport::default();
        let mut newer = None;
        for user in self.shared.store().users(bucket).await? {
            let revocation = Revocation {
                longest,
                ..self.revocation(user, RevokeScope::Listed)
            };
            match revoke(&self.shared, revocation).await {
                Ok(more) => add(&mut receipt, more),
                // It does not prevent the end of other users' sessions.
                Err(error) if error.kind() == StoreErrorKind::NewerFormat => newer = Some(error),
                Err(error) => return Err(error),
            }
        }
        newer.map_or(Ok(receipt), Err)
    }

    fn revocation(&self, user: UserId, which: RevokeScope) -> Revocation {
        let reason = match self.actor {
            Actor::Client => EndReason::RevokedByUser,
            _ => EndReason::RevokedByOperator,
        };
        Revocation {
            user,
            which,
            reason,
            note: self.note(EventKind::Ended(reason)),
            longest: self.shared.longest(),
        }
    }

    /// A note of what this operator or client did.
    pub(super) fn note(&self, kind: EventKind) -> Note {
        Note::new(kind, self.actor.clone(), self.client.clone())
    }
}

async fn revoke(shared: &Shared, revocation: Revocation) -> Result<RevocationReport, StoreError> {
    let revoked = shared.store().revoke(&revocation).await;
    let (Ok(RevocationReport { ended, .. }) | Err(Interrupted { ended, .. })) = &revoked;
    emit_ends(shared, &revocation.user, &revocation.note, ended);
    let receipt = revoked.map_err(|interrupted| interrupted.error)?;
    warn_unless_confirmed(receipt.copies);
    Ok(receipt)
}

/// Reports that these sessions of the user have ended.
pub(super) fn emit_ends(shared: &Shared, user: &UserId, note: &Note, ended: &[SessionHandle]) {
    let now = shared.now();
    for handle in ended {
        let (note, user) = (note.clone(), user.clone());
        shared.emit(Event::new(note, now, Some(*handle), Some(user)));
    }
}

pub(super) fn warn_unless_confirmed(copies: Option<ReplicaAcks>) {
    if let Some(copies) = copies.filter(|copies| !copies.are_enough()) {
        tracing::warn!(
            asked = copies.asked,
            confirmed = copies.confirmed,
            "not enough replicas of the store confirmed an end of sessions; a failover may undo it"
        );
    }
}

/// The beginning of a text, of whole characters and at most this many bytes.
pub(super) fn cut(text: &str, most: usize) -> &str {
    let characters = text.char_indices();
    let ends = characters.map(|(at, character)| at + character.len_utf8());
    let end = ends.take_while(|end| *end <= most).last().unwrap_or(0);
    text.get(..end).unwrap_or(text)
}

/// The sum is confirmed by as many replicas as the least confirmed part.
fn add(receipt: &mut RevocationReport, more: RevocationReport) {
    receipt.ended.extend(more.ended);
    let copies = receipt.copies.into_iter().chain(more.copies);
    receipt.copies = copies.min_by_key(|copies| copies.confirmed);
}

/// The most recently active first.
fn sort(entries: &mut [SessionEntry]) {
    entries.sort_by_key(|entry| Reverse((entry.info.last_active_at, entry.info.created_at)));
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions")
            .field("actor", &self.actor)
            .finish_non_exhaustive()
    }
}
#[cfg(feature = "axum")]
impl<S: Sync> axum_core::extract::FromRequestParts<S> for Sessions {
    type Rejection = Rejection;

    async fn from_request_parts(
        parts: &mut http::request::Parts,
        _: &S,
    ) -> Result<Self, Rejection> {
        Self::of_request(&parts.extensions).map_err(|error| Rejection::error(error, None))
    }
}
