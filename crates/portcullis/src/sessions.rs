//! Sessions of users, seen and ended from outside of them.

use std::{cmp::Reverse, collections::HashSet, fmt, num::NonZeroUsize, sync::Arc, time::Duration};

use futures_util::{StreamExt, stream};
use http::Extensions;
use portcullis_core::{
    Actor, Bucket, Client, ClientChange, EndReason, Event, EventKind, Handle, Note, Realm,
    SessionEntry, SessionKey, UserId,
    store::{
        Interrupted, Loaded, LogQuery, Logged, Receipt, RegisteredRealm, Revocation, SessionCount,
        Store, StoreError, StoreErrorKind, Which,
    },
};

use crate::{
    Audit, SessionError,
    house::{House, Setup},
    state::State,
    sweeper, task,
};

/// Lists, ends and accounts for sessions from outside of them: for pages of operators, jobs, and the commands of a
/// program. Clones are the same.
///
/// It may do everything to everybody's sessions, so guard what hands it out, with
/// [`Elevated`](crate::Elevated) for a start. What people may do to their own sessions is on the guards:
/// [`Authenticated::list_sessions`](crate::Authenticated::list_sessions),
/// [`Elevated::revoke_session`](crate::Elevated::revoke_session) and their like.
///
/// It is an extractor as well, so that an operator's page needs no state of the application:
///
/// ```
/// use portcullis::{Elevated, Scope, SessionError, Sessions};
///
/// struct Operators;
/// impl Scope for Operators {
///     const NAME: &'static str = "operators";
/// }
///
/// async fn block(operator: Elevated<Operators>, sessions: Sessions, user: String) -> Result<String, SessionError> {
///     // … once `operator.user()` is known to be one, and `user` cannot sign in any more:
///     let sessions = sessions.as_operator(operator.user().to_string());
///     let receipt = sessions.revoke_all(user).await?;
///     Ok(format!("{} sessions were ended.", receipt.ended.len()))
/// }
/// ```
///
/// Outside of requests it is made from the layer, or from a store alone:
///
/// ```
/// # use portcullis::{MemoryStore, SessionLayer, Sessions};
/// # let store = MemoryStore::new();
/// let layer = SessionLayer::new(store.clone());
/// let sessions = layer.sessions();
/// let elsewhere = Sessions::new(store).as_operator("nightly job");
/// ```
///
/// What ends a session is finished, and told to the [`Audit`], also when the caller goes away meanwhile.
///
/// Nobody is signed in under an empty name, or one of more than [`UserId::MAX_BYTES`]: of such a user there is nothing to
/// list or to end, and the store is not asked. [`UserId::check`] tells.
#[derive(Clone)]
pub struct Sessions {
    house: Arc<House>,
    actor: Actor,
    client: Option<Client>,
}

/// How long the name of an operator may be, in bytes: as that of a user, which it may be.
const LONGEST_NAME: usize = UserId::MAX_BYTES;

/// The name of whoever does not give one.
const APPLICATION: &str = "application";

/// How far back, and how many changes of device, a look for flagged sessions goes.
const REVIEWED: (Duration, usize) = (Duration::from_secs(24 * 60 * 60), 1000);

/// How many buckets are dealt with at a time where it is all of them.
const AT_ONCE: usize = 16;

const CHANGE: &str = EventKind::DeviceChanged(ClientChange::Name).as_str();

impl Sessions {
    /// The sessions kept in `store`, in the realm of this handle to it (by default `id`, see
    /// [`in_realm`](Self::in_realm)), for a program that serves no requests. It starts nothing in the background.
    pub fn new(store: impl Store) -> Self {
        Self::of_house(&Arc::new(House::new(Setup::new(store, false))))
    }

    /// The sessions of the layer around the service that got a request with these extensions, for services without
    /// extractors.
    ///
    /// # Errors
    ///
    /// [`SessionError::MissingLayer`] without a [`SessionLayer`](crate::SessionLayer).
    pub fn of_request(extensions: &Extensions) -> Result<Self, SessionError> {
        let state = State::of(extensions).ok_or(SessionError::MissingLayer)?;
        Ok(Self {
            client: Some(state.client().clone()),
            ..Self::of_house(state.house())
        })
    }

    pub(crate) fn of_house(house: &Arc<House>) -> Self {
        Self {
            house: Arc::clone(house),
            actor: Actor::Operator(APPLICATION.to_owned()),
            client: None,
        }
    }

    /// As the person who sent the request sees and ends theirs.
    pub(crate) fn of_client(state: &State) -> Self {
        Self {
            house: Arc::clone(state.house()),
            actor: Actor::Client,
            client: Some(state.client().clone()),
        }
    }

    /// Adds an [`Audit`], which is notified beside those of the layer. Without a layer, the first takes the place of
    /// [`TracingAudit`](crate::TracingAudit).
    #[must_use]
    pub fn audit(self, audit: impl Audit) -> Self {
        let changed = self
            .house
            .changed(|setup| setup.audits = std::mem::take(&mut setup.audits).and(audit));
        Self {
            house: Arc::new(changed),
            ..self
        }
    }

    /// In whose name sessions are ended, for events to tell; `application` without it. What is longer than 1024 bytes
    /// is cut: it must not be in the way of an end.
    #[must_use]
    pub fn as_operator(self, name: impl Into<String>) -> Self {
        let mut name = name.into();
        let ends = name
            .char_indices()
            .map(|(at, letter)| at + letter.len_utf8());
        name.truncate(
            ends.take_while(|end| *end <= LONGEST_NAME)
                .last()
                .unwrap_or(0),
        );
        Self {
            actor: Actor::Operator(name),
            ..self
        }
    }

    /// The same for the sessions of another realm of the store.
    ///
    /// ```
    /// # use portcullis::{MemoryStore, Realm, Sessions};
    /// let admin = Sessions::new(MemoryStore::new()).in_realm(&Realm::new("admin")?);
    /// # Ok::<(), portcullis::ConfigError>(())
    /// ```
    #[must_use]
    pub fn in_realm(&self, realm: &Realm) -> Self {
        let changed = self.house.changed(|setup| {
            setup.enter(realm);
            setup.registration = None;
        });
        Self {
            house: Arc::new(changed),
            ..self.clone()
        }
    }

    /// The realms of the store that layers have registered, in the order of their names. A layer registers its realm when
    /// it is first put in front of a service, and every hour from then on.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot answer.
    pub async fn realms(&self) -> Result<Vec<RegisteredRealm>, StoreError> {
        self.house.store().realms().await
    }

    /// The live sessions of `user`, the most recently active first. What cannot be read is left out;
    /// [`revoke_all`](Self::revoke_all) ends it as well.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot answer.
    pub async fn list(&self, user: impl Into<UserId>) -> Result<Vec<SessionEntry>, StoreError> {
        self.list_of(&user.into()).await
    }

    /// Users with live sessions, at most `most` at a time (zero counts as one): those that follow `after`, in an order of the
    /// store's own. Fewer than `most` are the last. The next page begins after the last user of this one.
    ///
    /// ```
    /// # use portcullis::{MemoryStore, Sessions, StoreError};
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
    /// A user who has a session all the time is on one page and no other. One who signs in or out meanwhile may be missed.
    /// It is for operators, not for requests of visitors: a page in Redis reads the lists of the buckets that its users are
    /// in, of sixteen buckets or more; there are 1024.
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
        self.house.store().users_after(after, most).await
    }

    /// How many sessions are live by the store's clock: those of users, and those of visitors. Expired ones are not
    /// counted, even if they have not been swept yet.
    ///
    /// ```
    /// # use portcullis::{MemoryStore, Sessions, StoreError};
    /// # async fn report(sessions: Sessions) -> Result<(), StoreError> {
    /// let count = sessions.count().await?;
    /// println!("{} of users, {} of visitors", count.of_users, count.of_visitors);
    /// # Ok(()) }
    /// ```
    ///
    /// In Redis it takes a script for each of the 1024 buckets, and one more for each further thousand sessions in a
    /// bucket, eight at a time. So it is for a gauge that is read once a minute, not for each request. Sessions that begin,
    /// end or are used while it counts may be counted or not.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot answer.
    pub async fn count(&self) -> Result<SessionCount, StoreError> {
        self.house.store().count().await
    }

    /// Ends the session of this name, if it is one of `user`: when this answers, it is dead. The receipt says
    /// whether it was ended by this; somebody else's session, or none, is an empty receipt.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when it is not known whether it was ended. It can be asked for again.
    pub async fn revoke(
        &self,
        user: impl Into<UserId>,
        handle: Handle,
    ) -> Result<Receipt, StoreError> {
        self.end(user.into(), Which::One(handle)).await
    }

    /// Ends all sessions of `user` but one.
    ///
    /// There is one moment at which it takes effect: every other session whose user authenticated before it is dead
    /// when this answers, and no sign-in that was under way then comes to its end. Who authenticates after that moment
    /// is signed in.
    ///
    /// # Errors
    ///
    /// [`StoreError`]: some may be ended and others not. It can be asked for again.
    pub async fn revoke_others(
        &self,
        user: impl Into<UserId>,
        keep: Handle,
    ) -> Result<Receipt, StoreError> {
        self.end(user.into(), Which::AllBut(keep)).await
    }

    /// Ends all sessions of `user`, at one moment as [`revoke_others`](Self::revoke_others) does. To lock somebody
    /// out, see first that they cannot sign in any more. It acts in one realm:
    /// [`revoke_all_in_every_realm`](Self::revoke_all_in_every_realm) acts in all.
    ///
    /// A sign-in of a request that arrived before this moment is refused. So a request that calls this and then signs the
    /// user in signs nobody in: it uses
    /// [`Session::authenticate_and_end_others`](crate::Session::authenticate_and_end_others) instead.
    ///
    /// The store's clock decides. If the server's clock was ahead when this was called and is set back, sign-ins of the user
    /// are refused until it shows that moment again.
    ///
    /// # Errors
    ///
    /// [`StoreError`]: some may be ended and others not. It can be asked for again.
    pub async fn revoke_all(&self, user: impl Into<UserId>) -> Result<Receipt, StoreError> {
        self.end(user.into(), Which::All).await
    }

    /// The same in every [registered realm](Self::realms) of the store and in this one: for a reset of a password that signs
    /// in to all of them. Each realm has a moment of its own. As with [`revoke_all`](Self::revoke_all), a request that calls this
    /// cannot then sign the user in.
    ///
    /// ```
    /// # use portcullis::{MemoryStore, Sessions, StoreError};
    /// # async fn reset(sessions: Sessions) -> Result<(), StoreError> {
    /// // … once the new password is stored:
    /// let receipt = sessions.revoke_all_in_every_realm("ada").await?;
    /// println!("{} sessions were ended.", receipt.ended.len());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// [`StoreError`]: some may be ended and others not, in each realm. It can be asked for again.
    pub async fn revoke_all_in_every_realm(
        &self,
        user: impl Into<UserId>,
    ) -> Result<Receipt, StoreError> {
        let user = user.into();
        let ours = self.house.store().realm();
        let registered = self.realms().await?.into_iter();
        let others = registered.map(|registered| registered.realm);
        let mut receipt = self.revoke_all(user.clone()).await;
        for realm in others.filter(|realm| *realm != ours) {
            let there = self.in_realm(&realm).revoke_all(user.clone()).await;
            // All of them, also when one fails: what can be ended is.
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

    /// Ends all sessions of all users: after a theft of data, say. Visitors without a user keep theirs.
    ///
    /// Whoever was signed in when this was called is not any more when it answers. It goes from user to user, each at a moment of
    /// their own as with [`revoke_all`](Self::revoke_all), so who signs in meanwhile may be signed out again or stay; see first that
    /// nobody can where that matters. Who calls it is signed out as well. (ASVS 7.4.5)
    ///
    /// In Redis it takes two round trips for each user and one for each bucket (there are 1024) or thousand sessions in it, of sixteen buckets at a
    /// time; for each user it leaves a marker of about 170 bytes. The marker lives for an
    /// hour more than the longest absolute timeout: that of the layer, or else the one that is registered for the realm, or else 400 days. Where replicas have to confirm it, they do so for each user, over a
    /// connection made for that. A session that its user's list has lost ends when it is next written to, or its activity written down.
    ///
    /// # Errors
    ///
    /// [`StoreError`]: some may be ended and others not. It can be asked for again. Where sessions of a newer version are all that is left,
    /// it is [`NewerFormat`](StoreErrorKind::NewerFormat).
    pub async fn revoke_everybody(&self) -> Result<Receipt, StoreError> {
        let sessions = self.clone();
        task::finished(async move { sessions.end_everybody().await }).await?
    }

    /// What the store's log says, newest first, with correlators. A change is a line of its own; equal refusals in a row
    /// are one line, with their [`count`](Logged::count) and the moment of the [first](Logged::first_at).
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
        let mut logged = self.house.store().read_log(&query).await?;
        for line in &mut logged {
            line.event = line.event.take().map(|event| self.house.correlated(event));
        }
        Ok(logged)
    }

    /// Live sessions that were used from what looks like another device, to be reviewed; the most recently active
    /// first. They are looked for among the latest 1000 changes of device of the last 24 hours; what must not be
    /// missed is heard with an [`Audit`]. Sessions without a user are not among them.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot answer.
    pub async fn flagged(&self) -> Result<Vec<SessionEntry>, StoreError> {
        let (age, most) = REVIEWED;
        let query = LogQuery {
            names: vec![CHANGE.to_owned()],
            from: Some(self.house.now().before(age)),
            most,
            ..LogQuery::default()
        };
        let logged = self.house.store().read_log(&query).await?;
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

    /// Has the store clear away what is over until nothing is left, tells the audit, and says of how much. For
    /// programs in which no [layer](crate::SessionLayer) does it.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot answer. What was told before stays told.
    pub async fn sweep(&self) -> Result<usize, StoreError> {
        let house = Arc::clone(&self.house);
        task::finished(async move { sweeper::sweep(&Arc::downgrade(&house)).await }).await?
    }

    async fn list_of(&self, user: &UserId) -> Result<Vec<SessionEntry>, StoreError> {
        if user.check().is_err() {
            return Ok(Vec::new());
        }
        let listed = self.house.store().list(user).await?;
        let now = self.house.now();
        let mut entries = Vec::with_capacity(listed.len());
        for listed in listed {
            let entry = match SessionEntry::read(&listed.stored, now) {
                None if listed.may_be_cut() => self.entry_at(&listed.key).await?,
                entry => entry,
            };
            entries.extend(entry.filter(|entry| entry.user.as_ref() == Some(user)));
        }
        sort(&mut entries);
        Ok(entries)
    }

    /// From all that is stored, where a list has too little of it.
    async fn entry_at(&self, key: &SessionKey) -> Result<Option<SessionEntry>, StoreError> {
        Ok(match self.house.store().load(key).await? {
            Loaded::Live(stored) => SessionEntry::read(&stored, self.house.now()),
            Loaded::Expired(expired) => {
                self.house.tell_expired(expired);
                None
            }
            _ => None,
        })
    }

    async fn end(&self, user: UserId, which: Which) -> Result<Receipt, StoreError> {
        // Nobody can sign in under such a name, so there is nothing to end, and no mark to be left.
        if user.check().is_err() {
            return Ok(Receipt::default());
        }
        let (house, revocation) = (Arc::clone(&self.house), self.revocation(user, which));
        task::finished(async move { revoke(&house, revocation).await }).await?
    }

    async fn end_everybody(&self) -> Result<Receipt, StoreError> {
        // Another layer of the realm may have made sessions that live longer than this one's.
        let (ours, registered) = (self.house.store().realm(), self.realms().await?);
        let registered = registered.into_iter().filter(|known| known.realm == ours);
        let longest = registered.map(|known| known.longest).max();
        let longest = longest.max(self.house.longest());
        let buckets = Bucket::all().map(|bucket| self.end_bucket(bucket, longest));
        let buckets = stream::iter(buckets).buffer_unordered(AT_ONCE);
        // All of them, also when one fails: what can be ended is.
        let ended: Vec<_> = buckets.collect().await;
        let (mut receipt, mut failures) = (Receipt::default(), Vec::new());
        for ended in ended {
            match ended {
                Ok(more) => add(&mut receipt, more),
                Err(error) => failures.push(error),
            }
        }
        // What to ask for again comes before what will be as it is.
        let failures = failures.into_iter();
        failures
            .min_by_key(|error| error.kind() == StoreErrorKind::NewerFormat)
            .map_or(Ok(receipt), Err)
    }

    async fn end_bucket(
        &self,
        bucket: Bucket,
        longest: Option<Duration>,
    ) -> Result<Receipt, StoreError> {
        let mut receipt = Receipt::default();
        let mut newer = None;
        for user in self.house.store().users(bucket).await? {
            let revocation = Revocation {
                longest,
                ..self.revocation(user, Which::Listed)
            };
            match revoke(&self.house, revocation).await {
                Ok(more) => add(&mut receipt, more),
                // It is in the way of nobody else.
                Err(error) if error.kind() == StoreErrorKind::NewerFormat => newer = Some(error),
                Err(error) => return Err(error),
            }
        }
        newer.map_or(Ok(receipt), Err)
    }

    fn revocation(&self, user: UserId, which: Which) -> Revocation {
        let reason = match self.actor {
            Actor::Client => EndReason::RevokedByUser,
            _ => EndReason::RevokedByOperator,
        };
        Revocation {
            user,
            which,
            reason,
            note: Note::new(
                EventKind::Ended(reason),
                self.actor.clone(),
                self.client.clone(),
            ),
            longest: self.house.longest(),
        }
    }
}

async fn revoke(house: &House, revocation: Revocation) -> Result<Receipt, StoreError> {
    let revoked = house.store().revoke(&revocation).await;
    let (Ok(Receipt { ended, .. }) | Err(Interrupted { ended, .. })) = &revoked;
    let now = house.now();
    for handle in ended {
        let (note, user) = (revocation.note.clone(), revocation.user.clone());
        house.tell(Event::new(note, now, Some(*handle), Some(user)));
    }
    let receipt = revoked.map_err(|interrupted| interrupted.error)?;
    if let Some(copies) = receipt.copies.filter(|copies| !copies.are_enough()) {
        tracing::warn!(
            asked = copies.asked,
            confirmed = copies.confirmed,
            "not enough copies of the store confirmed an end of sessions; a failover may undo it"
        );
    }
    Ok(receipt)
}

/// All of it is confirmed by as many copies as confirmed each.
fn add(receipt: &mut Receipt, more: Receipt) {
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
