//! The session in a handler's hands.

use std::{fmt, sync::Arc};

use http::Extensions;
use portcullis_core::{
    AsKey, ClientChange, DraftError, EndReason, General, Scope, SessionInfo, Timeouts, Timestamp,
    UserId, draft::Draft, scope_name, store::Activity,
};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    Lifeline, SessionError, commit,
    live::Need,
    state::{self, Doubt, State, UsedGuard},
};

/// The session of one request.
///
/// It is loaded when it is extracted, in one round trip; reading and changing it needs no `.await`. What is
/// changed is written in one step when the handler has answered and before the head of the response leaves.
/// Nothing is stored and no cookie is set until something is written.
///
/// Clones are the same session.
///
/// # What happens at the end of a request
///
/// * Changes of different values by concurrent requests all survive. [`update`](Self::update) is applied
///   again when another request was faster.
/// * Requests of one server that change one session at once are written together, in the order in which they
///   come: each whole or not at all. Sign-ins, elevations, new identifiers and ends have a turn of their own. Up
///   to 256 requests may wait for one session; then the response is a 503 with `Retry-After`
///   ([`SessionError::Contended`]), and nothing of what the request asked for is written. So it is when other
///   servers change the session again and again. An end is never refused for that.
/// * If the session ended meanwhile, nothing is written and the response becomes a 401. One that only read passes.
/// * If a sign-in would exceed the [limit of sessions](crate::SessionLayer::session_limit) and that is to be refused,
///   the response becomes a 409.
/// * If the handler answered with a status of 400 or above, sign-ins and elevations are dropped, and so is every
///   change after the first of them. Changes before it are written: a count of failed attempts, say.
/// * If the handler answered with a status of 500 or above, or 408, all changes of data are dropped as well. An answer
///   of 408 comes from a layer that limits the time of handlers, and cut this one off.
/// * [`terminate`](Self::terminate), [`regenerate`](Self::regenerate) and [`drop_elevation`](Self::drop_elevation)
///   are carried out whatever the status. They are about the session that there was: `regenerate` after a sign-in that
///   is dropped gives a new identifier to the session as it was before.
/// * If the store cannot write, the response becomes a 503 and the cookie is kept. What was asked for may have
///   been carried out all the same when only the answer was lost; it is not asked for twice.
///
/// [`Outcome`](crate::Outcome) says more about statuses, [`KeepGrants`](crate::KeepGrants) lets a response refuse and
/// grant, and [`SessionLayer::classify_responses`](crate::SessionLayer::classify_responses) is for protocols that say in
/// another way that they refuse.
///
/// # Requests that another site causes
///
/// Browsers do not send a cookie with every request that another site causes; its [`SameSite`](crate::SameSite)
/// attribute decides. A session that began with such a request would replace the one that the browser has, and sign
/// the person out. So without a session cookie, these requests count as *withheld*:
///
/// | request | `Strict` | `Lax` | `None` |
/// |---|---|---|---|
/// | `Sec-Fetch-Site: cross-site`, a link: `GET` or `HEAD`, `Sec-Fetch-Mode: navigate`, `Sec-Fetch-Dest: document` | withheld | – | – |
/// | `Sec-Fetch-Site: cross-site`, anything else: a form, a frame, an image, a script | withheld | withheld | – |
/// | `Sec-Fetch-Site: same-origin`, `same-site` or `none` | – | – | – |
/// | no `Sec-Fetch-Site`, `Origin` of another site, a method other than `GET`, `HEAD`, `OPTIONS` and `CONNECT` | withheld | withheld | – |
/// | any other request without `Sec-Fetch-Site` | – | – | – |
///
/// An `Origin` belongs to this site if its host is that of the request, a parent or child domain of it, or within
/// the cookie's `Domain`. A [trusted origin](crate::SessionLayer::trusted_origins) does, too; `null` does not.
///
/// Where the cookie is withheld:
///
/// * Reads see nobody, [`cookie_withheld`](Self::cookie_withheld) returns `true`, and no cookie is set.
/// * [`insert`](Self::insert), [`update`](Self::update), [`authenticate`](Self::authenticate) and
///   [`elevate`](Self::elevate) fail with [`SessionError::CookieWithheld`]. The response becomes a 403, unless the
///   handler answers with an error of its own.
/// * A link (`GET`) is answered with a small page instead, if a write or a guard needs the session. The page requests
///   the same address again. That request is same-origin, so a `Strict` cookie comes along. The handler of such an
///   address runs twice, so its first write must come before anything that must not happen twice.
///
/// The page cannot loop. It refreshes by itself only in answer to a request with `Referer` or `Sec-Fetch-User: ?1`, and
/// the refresh sends neither. Without both, the page shows a link to follow.
///
/// Mark routes that sign in at the request of another site, such as `form_post`, with
/// [`CrossSiteSignInLayer`](crate::CrossSiteSignInLayer).
///
/// # Errors of the methods
///
/// Every method that changes the session can also fail with [`SessionError::ResponseSent`] when the response is
/// decided, [`SessionError::Committing`] while a [`commit`](Self::commit) is under way,
/// [`SessionError::InsideUpdate`] in a function given to `update`, and, after a commit that failed, with that
/// failure. What is wrong with a wish itself is a [`DraftError`] inside [`SessionError::Draft`].
///
/// As `Option<Session>` it is `None` where there is no live session, so such a handler cannot start one.
///
/// ```
/// use axum::{Json, http::StatusCode};
/// use portcullis::{Key, Session, SessionError};
///
/// const CART: Key<Vec<u64>> = Key::new("cart");
///
/// async fn add_to_cart(session: Session, Json(item): Json<u64>) -> Result<StatusCode, SessionError> {
///     session.update(CART, move |cart| cart.push(item))?;
///     Ok(StatusCode::NO_CONTENT)
/// }
/// ```
#[derive(Clone)]
pub struct Session {
    state: Arc<State>,
}

impl Session {
    /// The session of the request with these extensions, for services without extractors.
    ///
    /// ```
    /// # use http::Request;
    /// # use portcullis::{Session, SessionError};
    /// async fn visits<B>(request: Request<B>) -> Result<u32, SessionError> {
    ///     let session = Session::load(request.extensions()).await?;
    ///     session.update("visits", |visits: &mut u32| *visits += 1)?;
    ///     Ok(session.get("visits")?.unwrap_or_default())
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// [`SessionError::MissingLayer`] without a [`SessionLayer`](crate::SessionLayer) around the service,
    /// [`SessionError::Store`] when the store cannot answer.
    pub async fn load(extensions: &Extensions) -> Result<Self, SessionError> {
        let state = State::of(extensions).ok_or(SessionError::MissingLayer)?;
        Self::of_state(state).await
    }

    pub(crate) async fn of_state(state: &Arc<State>) -> Result<Self, SessionError> {
        state.load().await?;
        Ok(Self {
            state: Arc::clone(state),
        })
    }

    /// The value under `key`, if there is one.
    ///
    /// # Errors
    ///
    /// [`DraftError::Decode`] when what is stored is not a `T`. See [`get_or_remove`](Self::get_or_remove).
    pub fn get<T: DeserializeOwned>(&self, key: impl AsKey<T>) -> Result<Option<T>, SessionError> {
        Ok(self.state.view().get(&key)?)
    }

    /// The value under `key`, as [`get`](Self::get), but removes one that is not a `T` and returns `None` for it: for
    /// a key whose type has changed. A removal is logged as a warning with the key.
    ///
    /// Without it, everyone who has a value of the old type gets an error until their session ends. Call it
    /// before [`update`](Self::update) too. [`Key`](crate::Key#when-the-type-of-a-key-changes) says how to change a type
    /// and lose nothing.
    ///
    /// ```
    /// # use portcullis::{Key, Session, SessionError};
    /// // Before the last release this was one number.
    /// const CART: Key<Vec<u64>> = Key::new("cart");
    ///
    /// async fn add_to_cart(session: Session, item: u64) -> Result<(), SessionError> {
    ///     session.get_or_remove(CART)?;
    ///     session.update(CART, move |cart| cart.push(item))
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// With a value that is not a `T`, those of every change, see [`Session`]. Otherwise none.
    pub fn get_or_remove<T: DeserializeOwned>(
        &self,
        key: impl AsKey<T>,
    ) -> Result<Option<T>, SessionError> {
        match self.state.view().get(&key) {
            Err(error @ DraftError::Decode { .. }) => {
                self.change(|draft, now| draft.remove_unreadable(&key, now))?;
                tracing::warn!(%error, "a session value was removed");
                Ok(None)
            }
            read => Ok(read?),
        }
    }

    /// Whether there is a value under `name`.
    pub fn contains(&self, name: impl AsRef<str>) -> bool {
        self.state.view().contains(name.as_ref())
    }

    /// Puts `value` under `key`, whatever was there.
    ///
    /// What is accepted can be read back, also where serde reads it from a buffer: in tagged, untagged and
    /// flattened types. The rest is refused: integers of 128 bits, which serde's buffer cannot hold; a key that
    /// comes twice in a map or struct; more than 128 levels of nesting, where each sequence, map, struct, variant
    /// with content, newtype and `Some` is one.
    ///
    /// What a type itself makes ambiguous stays so. Of an untagged enum the first variant that fits is read. A
    /// flattened `None` of a map comes back as an empty map.
    ///
    /// # Errors
    ///
    /// [`DraftError::TooLarge`] when the session would exceed its limit (64 KiB by default), [`DraftError::Encode`] when
    /// the value could not be read back, or its `Serialize` fails. Nothing is changed then.
    pub fn insert<T: Serialize>(&self, key: impl AsKey<T>, value: T) -> Result<(), SessionError> {
        self.begin(|draft, now| draft.insert(&key, &value, now))
    }

    /// Changes the value under `key`, starting from the default if there is none. No concurrent change is
    /// lost: `change` is called again, on the newer value, if another request was faster. It must therefore
    /// do nothing but change the value, quickly, and it cannot change the session itself. It may be called on the
    /// task of another request, which writes for both; if it panics there, only its own request breaks.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get) and [`insert`](Self::insert). Nothing is changed then.
    pub fn update<T>(
        &self,
        key: impl AsKey<T>,
        change: impl FnMut(&mut T) + Send + 'static,
    ) -> Result<(), SessionError>
    where
        T: Serialize + DeserializeOwned + Default,
    {
        self.begin(|draft, now| draft.update(&key, change, now))
    }

    /// Removes the value under `name` and says whether there was one.
    ///
    /// # Errors
    ///
    /// Those of every change, see [`Session`].
    pub fn remove(&self, name: impl AsRef<str>) -> Result<bool, SessionError> {
        self.change(|draft, now| draft.remove(name.as_ref(), now))
    }

    /// Removes the value under `key` and returns it: for messages that are shown once.
    ///
    /// This is no claim: two requests at the same moment may both take it. What must be spent only once,
    /// such as a one-time token, belongs into a database.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get). A value that is not a `T` stays.
    pub fn take<T: DeserializeOwned>(&self, key: impl AsKey<T>) -> Result<Option<T>, SessionError> {
        let value = self.state.view().get(&key)?;
        if value.is_some() {
            self.remove(key.name())?;
        }
        Ok(value)
    }

    /// Removes every value. The user, the deadlines and the identifier stay.
    ///
    /// # Errors
    ///
    /// Those of every change, see [`Session`].
    pub fn clear(&self) -> Result<(), SessionError> {
        self.change(Draft::clear)
    }

    /// Whether the browser may have a session cookie that it did not send, because another site caused the request.
    /// Reads then see nobody, and writes are refused; see [above](Session#requests-that-another-site-causes).
    ///
    /// ```
    /// # use portcullis::Session;
    /// async fn greet(session: Session) -> &'static str {
    ///     match session.user() {
    ///         Some(_) => "Welcome back.",
    ///         None if session.cookie_withheld() => "Open this page from our own site to see your account.",
    ///         None => "Sign in to see your account.",
    ///     }
    /// }
    /// ```
    pub fn cookie_withheld(&self) -> bool {
        self.state.is_withheld()
    }

    /// The user the session is bound to.
    pub fn user(&self) -> Option<UserId> {
        self.state.view().user().cloned()
    }

    /// Whether the session was used from what looks like another device since its user last proved who they are:
    /// what was different. See [`DeviceBinding`](crate::DeviceBinding).
    pub fn flagged(&self) -> Option<ClientChange> {
        self.state.view().flagged()
    }

    /// Binds the session to `user`, who has just proved who they are: the only way to bind a user.
    ///
    /// The session gets a new identifier and the old one is dead in the same step; both timeouts start anew
    /// (NIST SP 800-63B-4, 5.2); elevations end. Data moves along, unless the session belonged to somebody
    /// else: then nothing does. Call [`clear`](Self::clear) first to carry nothing over from an anonymous
    /// visitor either.
    ///
    /// It takes effect when the response is decided, and not at all with a status of 400 or above. See
    /// [`KeepGrants`](crate::KeepGrants) for a response that refuses all the same.
    ///
    /// # Errors
    ///
    /// [`DraftError::EmptyUser`], [`DraftError::UserTooLong`] with a name of more than 1024 bytes,
    /// [`DraftError::NoRandomness`]. Nothing is changed then.
    pub fn authenticate(&self, user: impl Into<UserId>) -> Result<(), SessionError> {
        let user = user.into();
        self.begin(|draft, now| draft.authenticate(user, now))
    }

    /// The same, and ends every other session of `user` at the moment at which this one begins: for the end of a password
    /// reset, or of the recovery of an account (OWASP ASVS 5.0, 7.4.3). No sign-in of this user that began before comes to
    /// its end. It follows the [limit](crate::SessionLayer::session_limit) and is refused like `authenticate`; refused, it
    /// ends nothing. Only if the session that came with the request ends at that very moment, the others may have ended
    /// although this sign-in is refused.
    ///
    /// Use it in place of [`Sessions::revoke_all`](crate::Sessions::revoke_all) followed by `authenticate` in one request:
    /// such a sign-in began before the revocation, which therefore refuses it. It acts in the
    /// [realm](crate::SessionLayer::realm) of this layer. If one password signs in to several,
    /// [`Sessions::revoke_all_in_every_realm`](crate::Sessions::revoke_all_in_every_realm) ends the sessions of all of
    /// them, in a request of its own.
    ///
    /// A sign-in of the same user later in the request does not undo it; one of another user does.
    ///
    /// ```
    /// # use portcullis::{Session, SessionError};
    /// # async fn store_new_password(token: &str, password: &str) -> Result<String, SessionError> { Ok(token.to_owned()) }
    /// async fn reset_password(session: Session, token: String, password: String) -> Result<(), SessionError> {
    ///     let user = store_new_password(&token, &password).await?;
    ///     session.authenticate_and_end_others(user)
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`authenticate`](Self::authenticate).
    pub fn authenticate_and_end_others(&self, user: impl Into<UserId>) -> Result<(), SessionError> {
        let user = user.into();
        self.begin(|draft, now| draft.authenticate_and_end_others(user, now))
    }

    /// Remembers the person who signs in with this request on this device ("remember me"): the session gets the longer
    /// limits that [`SessionLayer::remember_me`](crate::SessionLayer::remember_me) sets, and a cookie that outlives the browser. Call it
    /// after [`authenticate`](Self::authenticate) or
    /// [`authenticate_and_end_others`](Self::authenticate_and_end_others), when the person has asked for it.
    ///
    /// ```
    /// # use portcullis::{Session, SessionError};
    /// # async fn sign_in(session: Session, user: String, remember_me: bool) -> Result<(), SessionError> {
    /// session.authenticate(user)?;
    /// if remember_me {
    ///     session.remember()?;
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// New identifiers keep it. It ends with the session, and with the next sign-in, which asks for it again or not. It grants
    /// nothing else: what needs a recent proof still needs an [elevation](Self::elevate).
    ///
    /// # Errors
    ///
    /// [`DraftError::NoSignIn`] when nobody signs in with this request, or when that was [committed](Self::commit) before.
    /// [`DraftError::RememberMeOff`] where the layer does not allow it. Nothing is changed then.
    pub fn remember(&self) -> Result<(), SessionError> {
        self.change(Draft::remember)
    }

    /// Gives the session a new identifier; the old one is dead in the same step. Call it whenever what the
    /// session may do changes (OWASP Session Management, "Renew the Session ID After Any Privilege Level
    /// Change"). Data and deadlines move along, elevations end. Without a session it does nothing.
    ///
    /// # Errors
    ///
    /// Those of every change, see [`Session`].
    #[doc(alias = "cycle_id")]
    #[doc(alias = "renew")]
    pub fn regenerate(&self) -> Result<(), SessionError> {
        self.change(Draft::regenerate)
    }

    /// Elevates the session after its user has just proved again who they are: for the elevation timeout
    /// (15 minutes by default) from now, whatever the activity. New identifier, as with
    /// [`regenerate`](Self::regenerate). With a status of 400 or above it does not take effect.
    ///
    /// # Errors
    ///
    /// [`DraftError::NotAuthenticated`] when the session has no user.
    #[doc(alias = "sudo")]
    #[doc(alias = "step_up")]
    pub fn elevate(&self) -> Result<(), SessionError> {
        self.elevate_for::<General>()
    }

    /// The same for one scope. Elevations for other scopes stay as they are. It does not compile for one whose name is longer
    /// than 128 bytes:
    ///
    /// ```compile_fail
    /// # use portcullis::{Scope, Session, SessionError};
    /// struct Long;
    /// impl Scope for Long {
    ///     const NAME: &'static str = match str::from_utf8(&[b'a'; 129]) {
    ///         Ok(name) => name,
    ///         Err(_) => "",
    ///     };
    /// }
    /// let elevate: fn(&Session) -> Result<(), SessionError> = Session::elevate_for::<Long>;
    /// ```
    ///
    /// # Errors
    ///
    /// [`DraftError::NotAuthenticated`] when the session has no user.
    pub fn elevate_for<S: Scope>(&self) -> Result<(), SessionError> {
        self.begin(|draft, now| draft.elevate(scope_name::<S>(), now))
    }

    /// Until when the session is elevated, if it is.
    pub fn elevated_until(&self) -> Option<Timestamp> {
        self.elevated_until_for::<General>()
    }

    /// The same for one scope.
    pub fn elevated_until_for<S: Scope>(&self) -> Option<Timestamp> {
        self.state.view().elevated_until(S::NAME, self.state.now())
    }

    /// Ends every elevation before its time and says whether there was one. New identifier, as with
    /// [`regenerate`](Self::regenerate).
    ///
    /// # Errors
    ///
    /// Those of every change, see [`Session`].
    pub fn drop_elevation(&self) -> Result<bool, SessionError> {
        self.change(Draft::drop_elevation)
    }

    /// Ends the session: its identifier is dead for everybody and the browser is told to forget it. What is
    /// written after this in the same request starts a new session.
    ///
    /// # Errors
    ///
    /// Those of every change, see [`Session`].
    #[doc(alias = "logout")]
    #[doc(alias = "sign_out")]
    #[doc(alias = "destroy")]
    pub fn terminate(&self) -> Result<(), SessionError> {
        let mut used = self.open()?;
        match &used.doubt {
            Doubt::Ended | Doubt::Replaced => return used.doubt.as_error().map_or(Ok(()), Err),
            Doubt::Refused(_) => used.doubt = Doubt::None,
            // To end it is safe whatever became of earlier wishes.
            Doubt::None | Doubt::Unknown => {}
        }
        used.draft.terminate();
        used.wished = true;
        self.state.note_termination();
        Ok(())
    }

    /// Keeps the session from ending for inactivity, from now for another idle timeout: the answer to a person who was
    /// warned and wishes to stay (WCAG 2.2, 2.2.1 "Extend"). It moves nothing but the idle deadline. Says whether there is a
    /// session.
    ///
    /// There is no need to call it for ordinary requests, which count as activity by themselves. Unlike those it is
    /// written at once, on passive routes too, and the response fails if it cannot be written.
    ///
    /// # Errors
    ///
    /// Those of every change, see [`Session`].
    pub fn extend(&self) -> Result<bool, SessionError> {
        self.change(Draft::extend)
    }

    /// Writes now what was changed so far, for who must know before going on: before a body is streamed, or
    /// before something happens that cannot be undone. Otherwise there is no need to call it.
    ///
    /// What it has written stays written whatever the response becomes, a sign-in or an elevation too. A commit that nobody waits for any longer
    /// is finished all the same. With nothing to write it does not ask the store.
    ///
    /// # Errors
    ///
    /// [`SessionError::Ended`] when the session ended meanwhile; nothing was written then, and unless the
    /// handler answers with an error of its own, the response becomes a 401. [`SessionError::AtLimit`] when a
    /// sign-in was refused because of the [limit](crate::SessionLayer::session_limit); the handler may then ask for
    /// something else, such as another sign-in after a session was ended. [`SessionError::Contended`] when too many
    /// requests change the session at once; what was refused is dropped, and the handler may ask for something else.
    /// [`SessionError::Store`] when the store could not write.
    pub async fn commit(&self) -> Result<(), SessionError> {
        if let Some(error) = self.open()?.doubt.as_error() {
            return Err(error);
        }
        if self.state.has_refused_write() {
            return Err(SessionError::CookieWithheld);
        }
        match commit::prepare(&self.state, self.state.activity())? {
            // Whether the request is activity is decided by its answer.
            Some(work) if work.is_only_a_touch() => Ok(()),
            Some(work) => work.carry_out().await,
            None => Ok(()),
        }
    }

    /// The session's public name and moments, if there is a session: as they will be when this request has
    /// been answered, if it counts as activity.
    pub fn info(&self) -> Option<SessionInfo> {
        match self.state.activity() {
            Activity::Active => self.state.view().info_after_activity(self.state.now()),
            Activity::Passive => self.state.view().info(),
        }
    }

    /// Why the session that this request came with is none any more, if the store remembers.
    /// [`EndReason::message`] has words for people.
    pub fn end_reason(&self) -> Option<EndReason> {
        self.state.end_reason()
    }

    /// Resolves when this session ends: for what goes on after the response has begun. It starts from what this request
    /// commits; without a session then, it resolves at once.
    pub fn ended(&self) -> Lifeline {
        Lifeline::new(&self.state, Need::default())
    }

    /// The limits of sessions that start, or whose user authenticates, with this request: for a page that tells people
    /// how long they will stay signed in, with [`Timeouts::notice`] or words of its own. Those of the session that there
    /// is are in [`info`](Self::info).
    pub fn timeouts(&self) -> Timeouts {
        self.state.config.policy.timeouts
    }

    /// The present, on the store's clock: what to compare the moments of [`info`](Self::info) with.
    pub fn now(&self) -> Timestamp {
        self.state.now()
    }

    pub(crate) fn state(&self) -> &Arc<State> {
        &self.state
    }

    /// A change that may begin a session.
    fn begin<T>(
        &self,
        change: impl FnOnce(&mut Draft, Timestamp) -> Result<T, DraftError>,
    ) -> Result<T, SessionError> {
        if self.state.refuses_writes() {
            drop(self.open()?);
            tracing::debug!(
                "a write was refused: another site caused the request, and the browser withheld the session cookie"
            );
            self.state.note_refused_write();
            return Err(SessionError::CookieWithheld);
        }
        self.change(change)
    }

    fn change<T>(
        &self,
        change: impl FnOnce(&mut Draft, Timestamp) -> Result<T, DraftError>,
    ) -> Result<T, SessionError> {
        let now = self.state.now();
        let mut used = self.open()?;
        match &used.doubt {
            Doubt::None => {}
            // The handler knows, and the session is as it was.
            Doubt::Refused(_) => used.doubt = Doubt::None,
            doubt => return Err(doubt.as_error().unwrap_or(SessionError::InDoubt)),
        }
        used.wished = true;
        Ok(change(&mut used.draft, now)?)
    }

    /// The request's session, if it may still be changed.
    fn open(&self) -> Result<UsedGuard<'_>, SessionError> {
        // Before the lock: what runs inside an update holds it.
        if state::is_held_by_this_thread() {
            return Err(SessionError::InsideUpdate);
        }
        let used = self.state.used().ok_or(SessionError::MissingLayer)?;
        if self.state.is_sealed() {
            return Err(SessionError::ResponseSent);
        }
        if used.committing {
            return Err(SessionError::Committing);
        }
        Ok(used)
    }
}

/// Shows nothing of the session.
impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").finish_non_exhaustive()
    }
}
