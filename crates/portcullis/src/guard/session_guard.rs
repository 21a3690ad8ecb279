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
use portcullis_core::{
    DefaultScope, Demand, Scope, Timestamp, UserId, policy::DemandLimits, scope_name,
};
use tower_layer::Layer;
use tower_service::Service;

use crate::{
    body::SessionBody,
    guard::demand::privileged,
    reject::{error::SessionError, problem::Problem, response},
    request::{session::Session, state::State},
};

/// Proof that a user is signed in. As an extractor, it refuses all other requests.
///
/// It is a check at one moment. A long-running handler or a stream may outlive a sign-out on
/// another device. There, a [`lifeline`](Self::lifeline) continues to check.
///
/// With [`DeviceBinding::StepUp`](crate::client::DeviceBinding::StepUp) it also refuses a session
/// that was used from another device, until its user has proved their identity again.
///
/// ```
/// # use portcullis::Authenticated;
/// async fn account(signed_in: Authenticated) -> String {
///     format!("Hello, {}", signed_in.user())
/// }
/// ```
///
/// A handler that returns `axum::response::Result` can use `?` on every error of this library, and
/// on responses of its own:
///
#[cfg_attr(feature = "axum", doc = "```")]
#[cfg_attr(not(feature = "axum"), doc = "```ignore")]
/// # use portcullis::Authenticated;
/// use axum::{http::StatusCode, response::Result};
///
/// async fn newest(signed_in: Authenticated) -> Result<String> {
///     let sessions = signed_in.list_sessions().await?;
///     let newest = sessions.first().ok_or(StatusCode::NOT_FOUND)?;
///     Ok(newest.info.handle.to_string())
/// }
/// ```
#[derive(Debug, Clone)]
pub struct Authenticated {
    session: Session,
    user: UserId,
}

impl Authenticated {
    /// Loads the signed-in user of the request with these extensions, for services without
    /// extractors.
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
}

/// Declares a type that names a [`Scope`](crate::Scope), in one line. An `impl Scope` for your own
/// type does the same.
///
/// ```
/// # use portcullis::{Elevated, Scope};
/// portcullis::scope!(pub Payments = "payments");
///
/// async fn pay(elevated: Elevated<Payments>) {}
/// # assert_eq!(Payments::NAME, "payments");
/// ```
///
/// Attributes and comments are kept. The name is stored and logged, and passed to the
/// [re-authentication page](crate::SessionLayer::reauthentication_page). A name of more than
/// [`MAX_SCOPE_BYTES`](crate::guard::MAX_SCOPE_BYTES) bytes does not compile.
#[macro_export]
macro_rules! scope {
    ($(#[$attribute:meta])* $visibility:vis $scope:ident = $name:literal) => {
        $(#[$attribute])*
        #[derive(Debug, Clone, Copy)]
        #[non_exhaustive]
        $visibility struct $scope;

        impl $crate::Scope for $scope {
            const NAME: &'static str = {
                assert!($name.len() <= $crate::guard::MAX_SCOPE_BYTES);
                $name
            };
        }
    };
}

/// Proof that a user is signed in and has recently proved their identity again, for the scope `S`.
/// As an extractor, it refuses all other requests. [`scope!`](crate::scope) declares a scope.
///
/// ```
/// # use portcullis::{Elevated, SessionError};
/// portcullis::scope!(Payments = "payments");
///
/// async fn change_password(elevated: Elevated) -> Result<(), SessionError> {
///     elevated.session().regenerate()
/// }
///
/// async fn pay(elevated: Elevated<Payments>) {}
/// ```
///
/// The recipe [Ask for a recent
/// proof](https://docs.rs/portcullis/latest/portcullis/how_to/index.html#ask-for-a-recent-proof-before-something-dangerous)
/// has the page that elevates.
#[derive(Clone)]
pub struct Elevated<S = DefaultScope> {
    authenticated: Authenticated,
    demand: DemandLimits,
    until: Timestamp,
    scope: PhantomData<fn() -> S>,
}

impl<S: Scope> Elevated<S> {
    /// Loads the elevated user of the request with these extensions, for services without
    /// extractors.
    ///
    /// # Errors
    ///
    /// [`Rejection`] when no user is elevated, or when the session cannot be loaded.
    pub async fn load(extensions: &Extensions) -> Result<Self, Rejection> {
        elevated(State::of(extensions)).await
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

    /// When the elevation ends if there is no further privileged activity. Such activity moves it
    /// to the fixed end of the elevation at most.
    pub fn until(&self) -> Timestamp {
        self.until
    }

    pub(crate) fn demand(&self) -> &DemandLimits {
        &self.demand
    }

    /// The route requires it, so that the request is privileged activity. A handler that only looks
    /// whether the demand is met does not require it.
    pub(crate) fn required(self) -> Self {
        self.session().state().note_privileged(&self.demand);
        self
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

/// The refusal of a guard, with what its response needs.
pub struct Rejection(Cause);

enum Cause {
    /// The session could not be used. Without a layer, there is no state.
    Error(SessionError, Option<Arc<State>>),
    Refused(Problem, Arc<State>),
}

impl Rejection {
    pub(crate) fn error(error: SessionError, state: Option<&Arc<State>>) -> Self {
        Self(Cause::Error(error, state.cloned()))
    }

    pub(crate) fn refused(problem: Problem, state: &Arc<State>) -> Self {
        Self(Cause::Refused(problem, Arc::clone(state)))
    }

    /// Whether the user lacks a right. Otherwise the session could not be loaded, and the answer is
    /// unknown.
    pub fn is_refusal(&self) -> bool {
        match self.0 {
            Cause::Error(..) => false,
            Cause::Refused(..) => true,
        }
    }

    /// The response: a problem document, or a redirect to a page of the application. For a link
    /// whose [cookie was withheld](Session::cookie_withheld), it is a page that requests the
    /// address once more.
    pub fn into_answer(self) -> Response<Bytes> {
        match self.0 {
            Cause::Error(error, Some(state)) => state.refusal_context().fail(&error),
            Cause::Error(error, None) => {
                tracing::error!(error = %error, "the session could not be used");
                response::of_error(&error)
            }
            // It is not known yet whether a user is signed in.
            Cause::Refused(Problem::SignInRequired { .. }, state) if state.can_ask_again() => {
                state.ask_again()
            }
            Cause::Refused(problem, state) => state.refusal_context().refuse(problem),
        }
    }
}

impl fmt::Debug for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Cause::Error(error, _) => f.debug_tuple("Rejection").field(error).finish(),
            Cause::Refused(problem, _) => f.debug_tuple("Rejection").field(problem).finish(),
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
        let demand = state.demand(DemandLimits::default());
        return Err(step_up(state, DefaultScope::NAME, &demand));
    }
    Ok(authenticated)
}

pub(crate) async fn elevated<S: Scope>(
    state: Option<&Arc<State>>,
) -> Result<Elevated<S>, Rejection> {
    let scope = scope_name::<S>();
    let demand = DemandLimits::of_scope(scope);
    let (authenticated, demand, until) = demanded(state, demand, None, scope).await?;
    Ok(Elevated {
        authenticated,
        demand,
        until,
        scope: PhantomData,
    })
}

/// A user whose session meets this demand, what the policy adds to it by its name, and the policy's
/// limits of privileged routes. Returns all that was demanded, and until when it is met. A refusal
/// asks for an elevation for `scope`.
pub(super) async fn demanded(
    state: Option<&Arc<State>>,
    demand: DemandLimits,
    name: Option<&str>,
    scope: &'static str,
) -> Result<(Authenticated, DemandLimits, Timestamp), Rejection> {
    let authenticated = signed_in(state).await?;
    let state = authenticated.session.state();
    // Only now: the policy may have been asked for with the session.
    let of_policy = name.and_then(|name| state.demand_of_policy(name));
    let demand = of_policy.map_or(demand.clone(), |of_policy| demand.and(of_policy));
    let demand = state.demand(demand);
    match state.meets_until(&demand) {
        Some(until) => Ok((authenticated, demand, until)),
        None => Err(step_up(state, scope, &demand)),
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
    Rejection::refused(Problem::SignInRequired { ended }, state)
}

fn step_up(state: &Arc<State>, scope: &'static str, demand: &DemandLimits) -> Rejection {
    let elevation = state.timeouts().elevation();
    let problem = Problem::ElevationRequired {
        scope,
        max_age: demand.max_auth_age.unwrap_or(elevation).min(elevation),
    };
    Rejection::refused(problem, state)
}

/// The requirement of a [`GuardLayer`].
type Check =
    for<'a> fn(&'a Arc<State>) -> Pin<Box<dyn Future<Output = Result<(), Rejection>> + Send + 'a>>;

/// Refuses requests that do not meet a requirement. Add it inside of
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

    /// Admits only users who have recently proved their identity again, for this scope.
    pub fn elevated_for<S: Scope>() -> Self {
        Self {
            check: |state| {
                Box::pin(async {
                    elevated::<S>(Some(state))
                        .await
                        .map(|it| drop(it.required()))
                })
            },
        }
    }

    /// Admits only users whose session meets this [demand](Demand).
    ///
    /// ```
    /// # use axum::{Router, routing::post};
    /// # use portcullis::{Demand, GuardLayer, MemoryStore, SessionLayer};
    /// # async fn handler() {}
    /// struct Deploy;
    /// impl Demand for Deploy {
    ///     const NAME: &'static str = "deploy";
    /// }
    ///
    /// let app: Router = Router::new()
    ///     .route("/deploy", post(handler))
    ///     .route_layer(GuardLayer::privileged::<Deploy>())
    ///     .layer(SessionLayer::new(MemoryStore::new()));
    /// ```
    pub fn privileged<D: Demand>() -> Self {
        Self {
            check: |state| {
                Box::pin(async {
                    privileged::<D>(Some(state))
                        .await
                        .map(|it| drop(it.required()))
                })
            },
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
        // The call uses the ready service. The clone, which may not be ready, stays.
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
