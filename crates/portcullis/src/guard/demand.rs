//! Demands: what privileged routes require of a session, by name.

use std::{fmt, marker::PhantomData, sync::Arc};

use http::Extensions;
use portcullis_core::{
    DefaultScope, Demand, Scope, Timestamp, UserId, demand_name, policy::DemandLimits,
};

use crate::{
    guard::session_guard::{Authenticated, Rejection, demanded},
    request::{session::Session, state::State},
};

/// Proof that a user is signed in and their session meets a [`Demand`]. As an extractor, it refuses
/// all other requests: with a 401 that asks for another proof, or a redirect to the
/// [re-authentication page](crate::SessionLayer::reauthentication_page). A refusal does not end the
/// session.
///
/// [`Session::elevate`] meets it again, or [`Session::elevate_for`] if the demand has a scope.
///
/// ```
/// # use std::time::Duration;
/// # use portcullis::{Demand, Privileged};
/// struct Deploy;
/// impl Demand for Deploy {
///     const NAME: &'static str = "deploy";
///     const MAX_AUTH_AGE: Option<Duration> = Some(Duration::from_secs(5 * 60));
/// }
///
/// async fn deploy(privileged: Privileged<Deploy>) -> String {
///     format!("Deployed by {}.", privileged.user())
/// }
/// ```
#[derive(Clone)]
pub struct Privileged<D> {
    authenticated: Authenticated,
    demand: DemandLimits,
    until: Timestamp,
    name: PhantomData<fn() -> D>,
}

impl<D: Demand> Privileged<D> {
    /// Loads the privileged user of the request with these extensions, for services without
    /// extractors.
    ///
    /// # Errors
    ///
    /// [`Rejection`] when the demand is not met, or when the session cannot be loaded.
    pub async fn load(extensions: &Extensions) -> Result<Self, Rejection> {
        privileged(State::of(extensions)).await
    }
}

impl<D> Privileged<D> {
    /// The user.
    pub fn user(&self) -> &UserId {
        self.authenticated.user()
    }

    /// The proof that the user is signed in, with its methods.
    pub fn authenticated(&self) -> &Authenticated {
        &self.authenticated
    }

    /// The session of the user.
    pub fn session(&self) -> &Session {
        self.authenticated.session()
    }

    /// When the demand is no longer met if there is no further privileged activity.
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

impl<D> fmt::Debug for Privileged<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Privileged")
            .field("authenticated", &self.authenticated)
            .field("until", &self.until)
            .finish_non_exhaustive()
    }
}

pub(crate) async fn privileged<D: Demand>(
    state: Option<&Arc<State>>,
) -> Result<Privileged<D>, Rejection> {
    let own = DemandLimits {
        idle: D::IDLE,
        max_auth_age: D::MAX_AUTH_AGE,
        scope: D::SCOPE.map(Into::into),
    };
    let (name, scope) = (demand_name::<D>(), D::SCOPE.unwrap_or(DefaultScope::NAME));
    let (authenticated, demand, until) = demanded(state, own, Some(name), scope).await?;
    Ok(Privileged {
        authenticated,
        demand,
        until,
        name: PhantomData,
    })
}
