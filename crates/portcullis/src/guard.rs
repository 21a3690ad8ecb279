//! Guards: requirements of a route, as values that only a check can create, and as layers for
//! groups of routes.

use std::{
    fmt,
    future::Future,
    marker::PhantomData,
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Extensions, Request, Response};
use portcullis_core::{DefaultScope, Scope, Timestamp, UserId};
use tower_layer::Layer;
use tower_service::Service;

use crate::{
    Lifeline, Refusal, Session, SessionBody, SessionError,
    live::Requirement,
    refusal::{self, fail, refuse},
    state::State,
};

/// Proof that a user is signed in. As an extractor it refuses all other requests.
///
/// It is a check at one moment: a handler that runs for long, or a stream, may outlive a sign-out
/// on another device. There, [`ended`](Self::ended) continues to check.
///
/// With [`DeviceBinding::StepUp`](crate::client::DeviceBinding::StepUp) it also refuses a session that was
/// used from another device, until its user has proved their identity again.
///
/// ```
/// # use portcullis::Authenticated;
/// async fn account(signed_in: Authenticated) -> String {
///     format!("Hello, {}", signed_in.user())
/// }
/// ```
#[derive(Debug, Clone)]
pub struct Authenticated {
    session: Session,
    user: UserId,
}

impl Authenticated {
    /// The signed-in user of the request with these extensions, for services without extractors.
    ///
    /// # Errors
    ///
    /// [`Rejection`] when no user is signed in, or when the session cannot be loaded.
    pub async fn load(extensions: &Extensions) -> Result<Self, Rejection> {
        authenticated(State::of(extensions)).await
    }

    /// The user.
    pub fn user(&self) -> &UserId {
        &self.user
    }

    /// The session of the user.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Resolves when a new request would be refused: the session ended, or belongs to another user.
    pub fn lifeline(&self) -> Lifeline {
        self.lifeline_for(None)
    }

    fn lifeline_for(&self, scope: Option<&'static str>) -> Lifeline {
        let state = self.session.state();
        let need = Requirement {
            user: Some(self.user.clone()),
            scope,
            trust: state.distrusts(),
        };
        Lifeline::new(state, need)
    }
}

/// Proof that a user is signed in and has recently proved their identity again, for the scope `S`.
/// As an extractor it refuses all other requests.
///
/// ```
/// # use portcullis::{Elevated, Scope, Session, SessionError};
/// struct Payments;
/// impl Scope for Payments {
///     const NAME: &'static str = "payments";
/// }
///
/// async fn change_password(elevated: Elevated) -> Result<(), SessionError> {
///     elevated.session().regenerate()
/// }
/// async fn pay(elevated: Elevated<Payments>) {}
/// ```
#[derive(Clone)]
pub struct Elevated<S = DefaultScope> {
    authenticated: Authenticated,
    until: Timestamp,
    scope: PhantomData<fn() -> S>,
}

impl<S: Scope> Elevated<S> {
    /// The elevated user of the request with these extensions, for services without extractors.
    ///
    /// # Errors
    ///
    /// [`Rejection`] when no user is elevated, or when the session cannot be loaded.
    pub async fn load(extensions: &Extensions) -> Result<Self, Rejection> {
        elevated(State::of(extensions)).await
    }

    /// Resolves when a new request would be refused: the session or its elevation for this scope
    /// ended.
    pub fn lifeline(&self) -> Lifeline {
        self.authenticated.lifeline_for(Some(S::NAME))
    }
}

impl<S> Elevated<S> {
    /// The user.
    pub fn user(&self) -> &UserId {
        &self.authenticated.user
    }

    /// The proof that the user is signed in, with its methods.
    pub fn authenticated(&self) -> &Authenticated {
        &self.authenticated
    }

    /// The session of the user.
    pub fn session(&self) -> &Session {
        &self.authenticated.session
    }

    /// When the elevation ends.
    pub fn until(&self) -> Timestamp {
        self.until
    }
}

impl<S> fmt::Debug for Elevated<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Elevated")
            .field("authenticated", &self.authenticated)
            .field("until", &self.until)
            .finish()
    }
}

/// Why a guard refuses a request, and what is needed to answer it.
pub struct Rejection {
    why: Why,
    state: Option<Arc<State>>,
}

enum Why {
    Error(SessionError),
    Refused(Refusal),
}

impl Rejection {
    pub(crate) fn error(error: SessionError, state: Option<&Arc<State>>) -> Self {
        Self {
            why: Why::Error(error),
            state: state.cloned(),
        }
    }

    pub(crate) fn refused(refusal: Refusal, state: &Arc<State>) -> Self {
        Self {
            why: Why::Refused(refusal),
            state: Some(Arc::clone(state)),
        }
    }

    /// Whether the user lacks a right. Otherwise the session could not be loaded, and the answer is
    /// unknown.
    pub fn is_refusal(&self) -> bool {
        matches!(self.why, Why::Refused(_))
    }

    /// The response: a problem document, or a redirect to a page of the application. For a link
    /// whose [cookie was withheld](Session::cookie_withheld), it is a page that requests the
    /// address once more.
    pub fn into_answer(self) -> Response<Bytes> {
        match (self.why, self.state) {
            (Why::Error(error), Some(state)) => fail(&error, state.reasons(), state.asked()),
            // Whether somebody is signed in is not known yet.
            (Why::Refused(Refusal::SignInRequired { .. }), Some(state))
                if state.can_ask_again() =>
            {
                state.ask_again()
            }
            (Why::Refused(refusal), Some(state)) => refuse(refusal, state.asked()),
            (Why::Error(error), None) => {
                tracing::error!(error = %error, "a session could not be used");
                refusal::of_error(&error)
            }
            (Why::Refused(_), None) => refusal::of_error(&SessionError::MissingLayer),
        }
    }
}

impl fmt::Debug for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.why {
            Why::Error(error) => f.debug_tuple("Rejection").field(error).finish(),
            Why::Refused(refusal) => f.debug_tuple("Rejection").field(refusal).finish(),
        }
    }
}

pub(crate) async fn session(state: Option<&Arc<State>>) -> Result<Session, Rejection> {
    let missing = || Rejection::error(SessionError::MissingLayer, None);
    let state = state.ok_or_else(missing)?;
    Session::of_state(state)
        .await
        .map_err(|error| Rejection::error(error, Some(state)))
}

pub(crate) async fn authenticated(state: Option<&Arc<State>>) -> Result<Authenticated, Rejection> {
    let authenticated = signed_in(state).await?;
    let state = authenticated.session.state();
    if state.is_distrusted() {
        return Err(step_up::<DefaultScope>(state));
    }
    Ok(authenticated)
}

pub(crate) async fn elevated<S: Scope>(
    state: Option<&Arc<State>>,
) -> Result<Elevated<S>, Rejection> {
    let authenticated = signed_in(state).await?;
    let state = authenticated.session.state();
    let until = authenticated.session.elevated_until_for::<S>();
    match until {
        Some(until) if !state.is_distrusted() => Ok(Elevated {
            authenticated,
            until,
            scope: PhantomData,
        }),
        _ => Err(step_up::<S>(state)),
    }
}

async fn signed_in(state: Option<&Arc<State>>) -> Result<Authenticated, Rejection> {
    let session = session(state).await?;
    let Some(user) = session.user() else {
        return Err(no_session(session.state()));
    };
    Ok(Authenticated { session, user })
}

pub(crate) fn no_session(state: &Arc<State>) -> Rejection {
    let ended = state.end_reason();
    Rejection::refused(Refusal::SignInRequired { ended }, state)
}

fn step_up<S: Scope>(state: &Arc<State>) -> Rejection {
    let refusal = Refusal::ElevationRequired {
        scope: S::NAME,
        max_age: state.config.policy.timeouts.elevation(),
    };
    Rejection::refused(refusal, state)
}

/// What a [`GuardLayer`] asks for.
type Check =
    for<'a> fn(&'a Arc<State>) -> Pin<Box<dyn Future<Output = Result<(), Rejection>> + Send + 'a>>;

/// Refuses requests that do not meet a condition. It belongs inside of
/// [`SessionLayer`](crate::SessionLayer).
///
/// ```
/// # use axum::{Router, routing::{get, post}};
/// # use portcullis::{GuardLayer, MemoryStore, SessionLayer};
/// # async fn handler() {}
/// let account = Router::new()
///     .route("/account", get(handler))
///     .route_layer(GuardLayer::authenticated());
/// let danger = Router::new()
///     .route("/account/delete", post(handler))
///     .route_layer(GuardLayer::elevated());
/// let app: Router = Router::new()
///     .merge(account)
///     .merge(danger)
///     .layer(SessionLayer::new(MemoryStore::new()));
/// ```
#[derive(Clone, Copy)]
pub struct GuardLayer {
    check: Check,
}

impl GuardLayer {
    /// Admits only signed-in users.
    pub fn authenticated() -> Self {
        Self {
            check: |state| Box::pin(async { authenticated(Some(state)).await.map(drop) }),
        }
    }

    /// Admits only users who have recently proved their identity again.
    pub fn elevated() -> Self {
        Self::elevated_for::<DefaultScope>()
    }

    /// The same for one scope.
    pub fn elevated_for<S: Scope>() -> Self {
        Self {
            check: |state| Box::pin(async { elevated::<S>(Some(state)).await.map(drop) }),
        }
    }
}

impl fmt::Debug for GuardLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuardLayer").finish_non_exhaustive()
    }
}

impl<S> Layer<S> for GuardLayer {
    type Service = Guard<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Guard {
            inner,
            check: self.check,
        }
    }
}

/// The service of [`GuardLayer`].
#[derive(Clone)]
pub struct Guard<S> {
    inner: S,
    check: Check,
}

impl<S> fmt::Debug for Guard<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard").finish_non_exhaustive()
    }
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for Guard<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone + Send + 'static,
    S::Future: Send,
    ReqBody: Send + 'static,
{
    type Response = Response<SessionBody<ResBody>>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        // The ready service goes along; the clone, which may not be ready, stays.
        let clone = self.inner.clone();
        let mut inner = mem::replace(&mut self.inner, clone);
        let check = self.check;
        Box::pin(async move {
            let verdict = match State::of(request.extensions()) {
                Some(state) => check(state).await,
                None => Err(Rejection::error(SessionError::MissingLayer, None)),
            };
            match verdict {
                Ok(()) => Ok(inner.call(request).await?.map(SessionBody::application)),
                Err(rejection) => Ok(rejection.into_answer().map(SessionBody::own)),
            }
        })
    }
}
