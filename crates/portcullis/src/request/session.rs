//! The session of a request, as handlers use it.

use std::{fmt, sync::Arc, time::Duration};

use http::Extensions;
use portcullis_core::{
    ChangeError, Class, ClientChange, DefaultScope, Demand, EndReason, Operation, Scope,
    SessionInfo, Timeouts, Timestamp, UserId, ValueKey, demand_name, policy::Explanation,
    scope_name, store::Activity, unit_of_work::UnitOfWork,
};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    reject::error::SessionError,
    request::{commit, state::State},
    writing::working_copy::{CommitFailure, WorkingCopyGuard, is_held_by_this_thread},
};

/// The session of one request.
///
/// One round trip loads it when it is extracted. Reads and changes need no `.await`. All changes
/// are written in one step, after the handler has answered and before the head of the response is
/// sent. Without a write, nothing is stored and no cookie is set.
///
/// Clones share one session.
///
/// # What happens at the end of a request
///
/// * Changes of different values by concurrent requests all survive. [`update`](Self::update) is
///   applied again if another request was faster.
/// * Requests of one server that change one session at the same time are written together, in the
///   order of their arrival. Each is written whole or not at all. Sign-ins, elevations, new
///   identifiers and ends are written alone.
/// * Up to 256 requests may wait for one session. Beyond that, nothing of a request is written, and
///   its response is a 503 with `Retry-After` ([`SessionError::Contended`]). The same happens if
///   other servers change the session again and again. An end is never refused for this reason.
/// * If the session ended in the meantime, nothing is written, and the response becomes a 401. A
///   request that only read is answered as usual.
/// * If a sign-in would exceed a [limit of sessions](crate::SessionLayer::session_limit) that
///   refuses, the response becomes a 409.
/// * If the handler answered with a status of 400 or above, sign-ins and elevations are dropped. So
///   is every change after the first of them. Earlier changes are written, such as a count of
///   failed attempts.
/// * If the handler answered with a status of 500 or above, or 408, all changes of data are dropped
///   as well. A 408 means that a timeout layer cut the handler off.
/// * [`terminate`](Self::terminate), [`regenerate`](Self::regenerate) and
///   [`drop_elevation`](Self::drop_elevation) are carried out with every status. They apply to the
///   session that the request came with: if a sign-in is dropped, a `regenerate` after it renews
///   the identifier of that session.
/// * If the store cannot write, the response becomes a 503 and the cookie is kept. If only the
///   answer of the store was lost, the change may have been made.
///
/// [`Outcome`](crate::reject::Outcome) says more about statuses.
/// [`KeepGrants`](crate::reject::KeepGrants) lets a response refuse and grant.
/// [`SessionLayer::classify_responses`](crate::SessionLayer::classify_responses) is for protocols
/// that report a refusal in another way than by the status.
///
/// # Requests that another site causes
///
/// Browsers do not send a cookie with every request that another site causes; its
/// [`SameSite`](crate::cookie::SameSite) attribute decides. A session that began with such a
/// request would replace the one that the browser has, and sign the user out. So without a session
/// cookie, these requests count as *withheld*:
///
/// | request | `Strict` | `Lax` | `None` |
/// |---|---|---|---|
/// | `Sec-Fetch-Site: cross-site`, a link: `GET` or `HEAD`, `Sec-Fetch-Mode: navigate`, `Sec-Fetch-Dest: document` | withheld | – | – |
/// | `Sec-Fetch-Site: cross-site`, anything else: a form, a frame, an image, a script | withheld | withheld | – |
/// | `Sec-Fetch-Site: same-origin`, `same-site` or `none` | – | – | – |
/// | no `Sec-Fetch-Site`, `Origin` of another site, a method other than `GET`, `HEAD`, `OPTIONS` and `CONNECT` | withheld | withheld | – |
/// | any other request without `Sec-Fetch-Site` | – | – | – |
///
/// An `Origin` belongs to this site if its host is the requested host, a parent or child domain of
/// it, or within the cookie's `Domain`. So does a [trusted
/// origin](crate::SessionLayer::trusted_origins). `null` does not.
///
/// Where the cookie is withheld:
///
/// * Reads see no session, [`cookie_withheld`](Self::cookie_withheld) returns `true`, and no cookie
///   is set.
/// * [`insert`](Self::insert), [`update`](Self::update), [`authenticate`](Self::authenticate) and
///   [`elevate`](Self::elevate) fail with [`SessionError::CookieWithheld`]. The response becomes a
///   403, unless the handler answers with an error of its own.
/// * A link (`GET`) is answered with a small page instead, if a write or a guard needs the session.
///   The page requests the same address again. That request is same-origin, so the browser sends
///   even a `Strict` cookie. The handler of such an address runs twice, so its first write must
///   precede any action that must not happen twice.
///
/// The page cannot loop. It refreshes by itself only after a request with `Referer` or
/// `Sec-Fetch-User: ?1`, and the refresh sends neither. Otherwise the page shows a link to follow.
///
/// Add [`CrossSiteSignInLayer`](crate::route::CrossSiteSignInLayer) to routes that sign in at the
/// request of another site, such as `form_post`.
///
/// # Errors of the methods
///
/// Every method that changes the session can also fail with:
///
/// * [`SessionError::ResponseSent`] once the response is decided,
/// * [`SessionError::Committing`] while a [`commit`](Self::commit) is under way,
/// * [`SessionError::InsideUpdate`] in a function given to `update`,
/// * the failure of an earlier commit of the request,
/// * a [`ChangeError`] inside [`SessionError::Change`] if the change itself is not possible.
///
/// The extractor `Option<Session>` is `None` without a live session, so its handler cannot start
/// one.
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
    /// [`SessionError::MissingLayer`] without a [`SessionLayer`](crate::SessionLayer) around the
    /// service, [`SessionError::Store`] when the store cannot answer.
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
    /// [`ChangeError::Decode`] when what is stored is not a `T`. See
    /// [`get_or_remove`](Self::get_or_remove).
    pub fn get<T: DeserializeOwned>(
        &self,
        key: impl ValueKey<T>,
    ) -> Result<Option<T>, SessionError> {
        Ok(self.state.view().get(&key)?)
    }

    /// The value under `key`, as [`get`](Self::get), for a key whose type has changed. It removes a
    /// value that is not a `T`, and returns `None` for it. A removal is logged as a warning with
    /// the key.
    ///
    /// Without this method, every user with a value of the old type gets an error until the session
    /// ends. Call it before [`update`](Self::update) too.
    /// [`Key`](crate::Key#when-the-type-of-a-key-changes) says how to change a type and lose
    /// nothing.
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
    /// If the value is not a `T`, those of every change, see [`Session`]. Otherwise none.
    pub fn get_or_remove<T: DeserializeOwned>(
        &self,
        key: impl ValueKey<T>,
    ) -> Result<Option<T>, SessionError> {
        match self.state.view().get(&key) {
            Err(error @ ChangeError::Decode { .. }) => {
                self.change(|unit, now| unit.remove_unreadable(&key, now))?;
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

    /// Stores `value` under `key`, and replaces an earlier value.
    ///
    /// An accepted value can be read back, even by tagged, untagged and flattened types, which
    /// serde reads from a buffer. These values are refused:
    ///
    /// * integers of 128 bits, which serde's buffer cannot hold;
    /// * a key that occurs twice in a map or struct;
    /// * more than 128 levels of nesting: each sequence, map, struct, variant with content, newtype
    ///   and `Some` is a level.
    ///
    /// A type may itself be ambiguous. Of an untagged enum, the first variant that fits is read. A
    /// flattened `None` of a map comes back as an empty map.
    ///
    /// # Errors
    ///
    /// [`ChangeError::TooLarge`] when the session would exceed its limit (64 KiB by default).
    /// [`ChangeError::Encode`] when the value could not be read back, or its `Serialize` fails.
    /// Nothing is changed then.
    pub fn insert<T: Serialize>(
        &self,
        key: impl ValueKey<T>,
        value: T,
    ) -> Result<(), SessionError> {
        self.begin(|unit, now| unit.insert(&key, &value, now))
    }

    /// Changes the value under `key`, starting from the default if there is none. No concurrent
    /// change is lost: if another request was faster, `change` is called again, on the newer value.
    ///
    /// So `change` must be quick, and do nothing but change the value. It cannot change the session
    /// itself. It may run on the task of another request, which writes for both. A panic there
    /// breaks only the request that `change` belongs to.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get) and [`insert`](Self::insert). Nothing is changed then.
    pub fn update<T>(
        &self,
        key: impl ValueKey<T>,
        change: impl FnMut(&mut T) + Send + 'static,
    ) -> Result<(), SessionError>
    where
        T: Serialize + DeserializeOwned + Default,
    {
        self.begin(|unit, now| unit.update(&key, change, now))
    }

    /// Removes the value under `name`, and returns whether there was one.
    ///
    /// # Errors
    ///
    /// Those of every change, see [`Session`].
    pub fn remove(&self, name: impl AsRef<str>) -> Result<bool, SessionError> {
        self.change(|unit, now| unit.remove(name.as_ref(), now))
    }

    /// Removes the value under `key` and returns it, for messages that are shown once.
    ///
    /// Two requests at the same moment may both get the value. Keep what must be used only once,
    /// such as a one-time token, in a database.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get). A value that is not a `T` is kept.
    pub fn take<T: DeserializeOwned>(
        &self,
        key: impl ValueKey<T>,
    ) -> Result<Option<T>, SessionError> {
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
        self.change(UnitOfWork::clear)
    }

    /// Whether the browser may have a session cookie that it did not send, because another site
    /// caused the request. Reads then see no session, and writes are refused; see
    /// [above](Session#requests-that-another-site-causes).
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

    /// What was different, if the session was used from what looks like another device since the
    /// user's last proof. See [`DeviceBinding`](crate::client::DeviceBinding).
    pub fn flagged(&self) -> Option<ClientChange> {
        self.state.view().flagged()
    }

    /// Binds the session to `user`, who has just proved their identity. No other method binds a
    /// user, except [`authenticate_and_end_others`](Self::authenticate_and_end_others).
    ///
    /// The session gets a new identifier, and the old one is invalid in the same step. Both
    /// timeouts start anew (NIST SP 800-63B-4, 5.2), and elevations end. Data is kept, unless the
    /// session belonged to another user: then none is. Call [`clear`](Self::clear) first to drop
    /// the data of a visitor without a user too.
    ///
    /// It takes effect when the response is decided, and not at all with a status of 400 or above.
    /// [`KeepGrants`](crate::reject::KeepGrants) makes an exception for one response.
    ///
    /// # Errors
    ///
    /// [`ChangeError::EmptyUser`]; [`ChangeError::UserTooLong`] with a name of more than 1024
    /// bytes; [`ChangeError::NoRandomness`]. Nothing is changed then.
    pub fn authenticate(&self, user: impl Into<UserId>) -> Result<(), SessionError> {
        let user = user.into();
        self.begin(|unit, now| unit.authenticate(user, now))
    }

    /// Binds the session to `user`, as [`authenticate`](Self::authenticate), and ends every other
    /// session of `user` at the same moment. It is for the end of a password reset, or of an
    /// account recovery (OWASP ASVS 5.0, 7.4.3). Sign-ins of this user that began earlier are
    /// refused.
    ///
    /// It follows the [limit](crate::SessionLayer::session_limit), and is refused like
    /// `authenticate`. A refused call ends no session, with one exception. If the session of the
    /// request ends at that very moment, the other sessions may have ended although the sign-in is
    /// refused.
    ///
    /// Use it instead of [`Sessions::revoke_all`](crate::Sessions::revoke_all) followed by
    /// `authenticate` in one request. That sign-in began before the revocation, which therefore
    /// refuses it. This method acts in the [realm](crate::SessionLayer::realm) of its layer. If one
    /// password signs in to several realms, call
    /// [`Sessions::revoke_all_in_every_realm`](crate::Sessions::revoke_all_in_every_realm) in a
    /// request of its own.
    ///
    /// A later sign-in of the same user in the request does not undo it. One of another user does.
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
        self.begin(|unit, now| unit.authenticate_and_end_others(user, now))
    }

    /// Remembers the user who signs in with this request on this device ("remember me"). The
    /// session gets the longer limits of
    /// [`SessionLayer::remember_me`](crate::SessionLayer::remember_me), and a cookie that outlives
    /// the browser. Call it after [`authenticate`](Self::authenticate) or
    /// [`authenticate_and_end_others`](Self::authenticate_and_end_others), if the user asked for
    /// it.
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
    /// New identifiers keep it. It ends with the session, and with the next sign-in, which must ask
    /// for it again. It grants nothing else: routes that need a recent proof still need an
    /// [elevation](Self::elevate).
    ///
    /// # Errors
    ///
    /// [`ChangeError::NoSignIn`] without a sign-in in this request, or when that was
    /// [committed](Self::commit) before. [`ChangeError::RememberMeOff`] if the layer does not allow
    /// it. Nothing is changed then.
    pub fn remember(&self) -> Result<(), SessionError> {
        self.change(UnitOfWork::remember)
    }

    /// Gives the session a new identifier; the old one is invalid in the same step. Call it at
    /// every change of the session's privileges (OWASP Session Management, "Renew the Session ID
    /// After Any Privilege Level Change"). Data and deadlines are kept, elevations end. Without a
    /// session it does nothing.
    ///
    /// # Errors
    ///
    /// Those of every change, see [`Session`].
    #[doc(alias = "cycle_id")]
    #[doc(alias = "renew")]
    pub fn regenerate(&self) -> Result<(), SessionError> {
        self.change(UnitOfWork::regenerate)
    }

    /// Elevates the session for the elevation timeout (15 minutes by default), after its user has
    /// just proved their identity again. Activity does not extend it. The session gets a new
    /// identifier, as with [`regenerate`](Self::regenerate). With a status of 400 or above, it does
    /// not take effect.
    ///
    /// # Errors
    ///
    /// [`ChangeError::NotAuthenticated`] when the session has no user.
    #[doc(alias = "sudo")]
    #[doc(alias = "step_up")]
    pub fn elevate(&self) -> Result<(), SessionError> {
        self.elevate_for::<DefaultScope>()
    }

    /// Elevates the session for one scope, as [`elevate`](Self::elevate). Elevations for other
    /// scopes are kept. A scope with a name longer than 128 bytes does not compile:
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
    /// [`ChangeError::NotAuthenticated`] when the session has no user.
    pub fn elevate_for<S: Scope>(&self) -> Result<(), SessionError> {
        self.begin(|unit, now| unit.elevate(scope_name::<S>(), now))
    }

    /// Makes the session that the sign-in of this request begins one of this class, with the limits
    /// of the class. Call it after [`authenticate`](Self::authenticate). The session stays in the
    /// class until the user authenticates again.
    ///
    /// For a user with several roles, choose the class with the strictest limits that they need
    /// now.
    ///
    /// ```
    /// # use portcullis::{Session, SessionError, settings::Class};
    /// const ADMIN: Class = Class::new("admin", 'a');
    ///
    /// async fn sign_in_as_admin(session: Session) -> Result<(), SessionError> {
    ///     // … after the passkey was verified:
    ///     session.authenticate("ada")?;
    ///     session.set_class(ADMIN)
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// * [`ChangeError::NoSignIn`] without a sign-in in this request.
    /// * [`ChangeError::UnknownClass`] if the layer does not
    ///   [declare](crate::SessionLayer::classes) the class.
    /// * [`ChangeError::RememberMeOff`] if the sign-in is remembered and the class remembers none.
    pub fn set_class(&self, class: Class) -> Result<(), SessionError> {
        if !self.state.config.classes.contains(&class) {
            return Err(ChangeError::UnknownClass { name: class.name() }.into());
        }
        self.begin(|unit, now| unit.set_class(class, now))
    }

    /// The class of the session. `None` if it has none, or one that the layer does not declare.
    pub fn class(&self) -> Option<Class> {
        let code = self.state.view().class();
        let mut classes = self.state.config.classes.iter();
        classes.find(|class| class.code() == code).copied()
    }

    /// Why the session ends when it does: its deadlines, and the rules that decide them. `None`
    /// without a session. For pages and logs of operators.
    ///
    /// ```
    /// # use portcullis::Session;
    /// async fn why(session: Session) -> String {
    ///     match session.explain() {
    ///         Some(explanation) => explanation.to_string(), // `idle  30m  limits.idle`, …
    ///         None => "There is no session.".to_owned(),
    ///     }
    /// }
    /// ```
    pub fn explain(&self) -> Option<Explanation> {
        let mut explanation = self
            .state
            .view()
            .explain(self.state.policy(), self.state.now())?;
        explanation.class_name = self.class().map(|class| class.name());
        Some(explanation)
    }

    /// Approves one operation of the demand `D`, after the user has just reauthenticated. The
    /// operation may be carried out once, in the next five minutes, by
    /// [`Authenticated::use_approval`](crate::Authenticated::use_approval) with the same
    /// parameters. The session gets a new identifier. With a status of 400 or above, it does not
    /// take effect.
    ///
    /// A session has at most eight approvals. A further one replaces the oldest.
    ///
    /// Show users the parameters on the page where they prove their identity. OWASP Transaction
    /// Authorization Cheat Sheet, "What you see is what you sign".
    ///
    /// ```
    /// # use portcullis::{Demand, Session, SessionError};
    /// # struct Transfer;
    /// # impl Demand for Transfer { const NAME: &'static str = "transfer"; }
    /// async fn confirm(session: Session, order: String) -> Result<(), SessionError> {
    ///     // … after the passkey was verified, on a page that showed `order`:
    ///     session.approve::<Transfer>(&order)
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ChangeError::NotAuthenticated`] when the session has no user.
    pub fn approve<D: Demand>(&self, parameters: impl AsRef<[u8]>) -> Result<(), SessionError> {
        let operation = Operation::of(demand_name::<D>(), parameters.as_ref());
        self.begin(|unit, now| unit.approve(operation, now))
    }

    /// Shortens the idle timeout of this session to `idle`, for example after a sign-in on a shared
    /// computer. It stays so until the next authentication. Returns whether `idle` is less than
    /// before; a longer one, or no session, changes nothing.
    ///
    /// Less than a second counts as a second. It takes effect even if the response fails.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use portcullis::{Session, SessionError};
    /// async fn shared_computer(session: Session) -> Result<(), SessionError> {
    ///     session.shorten_idle(Duration::from_secs(5 * 60))?;
    ///     session.shorten_absolute(Duration::from_secs(60 * 60))?;
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// [`SessionError`] if an earlier change of this request could not be stored.
    pub fn shorten_idle(&self, idle: Duration) -> Result<bool, SessionError> {
        self.change(|unit, now| unit.shorten(Some(idle), None, now))
    }

    /// Lets this session end at most `left` from now. It stays so until the next authentication.
    /// Returns whether that is earlier than before. For the rest, see
    /// [`shorten_idle`](Self::shorten_idle).
    ///
    /// # Errors
    ///
    /// As [`shorten_idle`](Self::shorten_idle).
    pub fn shorten_absolute(&self, left: Duration) -> Result<bool, SessionError> {
        self.change(|unit, now| unit.shorten(None, Some(left), now))
    }

    /// Until when the [privileged idle timeout](crate::Timeouts::privileged_idle) admits the user
    /// to privileged routes. `None` if it does not now, or without a user.
    pub fn privileged_until(&self) -> Option<Timestamp> {
        self.state.privileged_until()
    }

    /// The end of the elevation, if the session is elevated.
    pub fn elevated_until(&self) -> Option<Timestamp> {
        self.elevated_until_for::<DefaultScope>()
    }

    /// The end of the elevation for one scope, if there is one.
    pub fn elevated_until_for<S: Scope>(&self) -> Option<Timestamp> {
        self.state.elevated_until(S::NAME)
    }

    /// Ends every elevation and approval early, and returns whether there was one. The session gets
    /// a new identifier, as with [`regenerate`](Self::regenerate).
    ///
    /// # Errors
    ///
    /// Those of every change, see [`Session`].
    pub fn drop_elevation(&self) -> Result<bool, SessionError> {
        self.change(UnitOfWork::drop_elevation)
    }

    /// Ends the session: its identifier is invalid everywhere, and the response removes the cookie.
    /// A later write in the same request starts a new session.
    ///
    /// A sign-out needs no handler: `POST /session/sign-out` is among the routes of
    /// `SessionLayer::routes`.
    ///
    /// # Errors
    ///
    /// Those of every change, see [`Session`].
    #[doc(alias = "logout")]
    #[doc(alias = "sign_out")]
    #[doc(alias = "destroy")]
    #[doc(alias = "flush")]
    pub fn terminate(&self) -> Result<(), SessionError> {
        let mut copy = self.open()?;
        match &copy.commit_failure {
            CommitFailure::Ended | CommitFailure::Replaced => {
                return copy.commit_failure.as_error().map_or(Ok(()), Err);
            }
            CommitFailure::Refused(_) => copy.commit_failure = CommitFailure::None,
            // An end is safe after any earlier result.
            CommitFailure::None | CommitFailure::Unknown => {}
        }
        copy.unit.terminate();
        copy.changed_by_handler = true;
        self.state.note_termination();
        Ok(())
    }

    /// Starts the idle timeout anew, for a user who was warned and wants to stay (WCAG 2.2, 2.2.1
    /// "Extend"). It moves only the idle deadline. It returns whether there is a session.
    ///
    /// Ordinary requests need no call, because they count as activity. Unlike activity, an
    /// extension is written with every call, even on passive routes. The response fails if it
    /// cannot be written.
    ///
    /// # Errors
    ///
    /// Those of every change, see [`Session`].
    pub fn extend(&self) -> Result<bool, SessionError> {
        self.change(UnitOfWork::extend)
    }

    /// Writes the changes so far, before the response. It is for code that must know the result:
    /// before a body is streamed, or before something that cannot be undone. Other code need not
    /// call it.
    ///
    /// Its writes stay with every response, even a sign-in or an elevation. A commit is finished
    /// even if the caller stops waiting. Without changes, it does not ask the store.
    ///
    /// # Errors
    ///
    /// * [`SessionError::Ended`] when the session ended in the meantime. Nothing was written.
    ///   Unless the handler answers with an error of its own, the response becomes a 401.
    /// * [`SessionError::AtLimit`] when the [limit](crate::SessionLayer::session_limit) refused a
    ///   sign-in. The handler may then make other changes, such as another sign-in after a session
    ///   was ended.
    /// * [`SessionError::Suspended`] when the user who would be signed in is
    ///   [suspended](crate::Sessions::suspend).
    /// * [`SessionError::Contended`] when too many requests change the session at once. The refused
    ///   changes are dropped, and the handler may make others.
    /// * [`SessionError::CookieWithheld`] when a write was refused because the [cookie was
    ///   withheld](Self::cookie_withheld).
    /// * [`SessionError::Store`] when the store could not write.
    #[doc(alias = "save")]
    pub async fn commit(&self) -> Result<(), SessionError> {
        if let Some(error) = self.open()?.commit_failure.as_error() {
            return Err(error);
        }
        if self.state.has_refused_write() {
            return Err(SessionError::CookieWithheld);
        }
        match commit::plan(&self.state, self.state.activity())? {
            // Whether the request is activity depends on its response.
            Some(work) if work.is_only_a_touch() => Ok(()),
            Some(work) => work.commit().await,
            None => Ok(()),
        }
    }

    /// The session's public handle and timestamps, if there is a session. They are as they will be
    /// after this request, if it counts as activity.
    pub fn info(&self) -> Option<SessionInfo> {
        match self.state.activity() {
            Activity::Passive => self.state.info(),
            _ => {
                let (policy, now) = (self.state.policy(), self.state.now());
                self.state.view().info_after_activity(policy, now)
            }
        }
    }

    /// Why the session in this request's cookie has ended, if known. [`EndReason::message`] returns
    /// a text for users.
    pub fn end_reason(&self) -> Option<EndReason> {
        self.state.end_reason()
    }

    /// The limits of sessions that start, or whose user authenticates, with this request. A page
    /// can show users how long they will stay signed in, with [`Timeouts::notice`] or its own text.
    /// [`info`](Self::info) has the limits of the present session.
    pub fn timeouts(&self) -> Timeouts {
        self.state.config.ordinary_timeouts()
    }

    /// The present time by the store's clock, to compare with the timestamps of
    /// [`info`](Self::info).
    pub fn now(&self) -> Timestamp {
        self.state.now()
    }

    pub(crate) fn state(&self) -> &Arc<State> {
        &self.state
    }

    pub(crate) fn begin_use(&self, operation: Operation) -> Result<Timestamp, SessionError> {
        self.change(|unit, now| unit.use_approval(operation, now))
    }

    /// A change that may begin a session.
    fn begin<T>(
        &self,
        change: impl FnOnce(&mut UnitOfWork, Timestamp) -> Result<T, ChangeError>,
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
        change: impl FnOnce(&mut UnitOfWork, Timestamp) -> Result<T, ChangeError>,
    ) -> Result<T, SessionError> {
        let now = self.state.now();
        let mut copy = self.open()?;
        match &copy.commit_failure {
            CommitFailure::None => {}
            // The handler has received the error, and the session is unchanged.
            CommitFailure::Refused(_) => copy.commit_failure = CommitFailure::None,
            commit_failure => {
                return Err(commit_failure.as_error().unwrap_or(SessionError::InDoubt));
            }
        }
        copy.changed_by_handler = true;
        Ok(change(&mut copy.unit, now)?)
    }

    /// The request's session, if it may still be changed.
    fn open(&self) -> Result<WorkingCopyGuard<'_>, SessionError> {
        // Checked before locking, because the thread that runs an update holds the lock.
        if is_held_by_this_thread() {
            return Err(SessionError::InsideUpdate);
        }
        let copy = self
            .state
            .working_copy()
            .ok_or(SessionError::MissingLayer)?;
        if self.state.is_sealed() {
            return Err(SessionError::ResponseSent);
        }
        if copy.committing {
            return Err(SessionError::Committing);
        }
        Ok(copy)
    }
}

/// Reveals nothing about the session.
impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").finish_non_exhaustive()
    }
}
