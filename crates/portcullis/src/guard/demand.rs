//! Demands: what privileged routes require of a session, by name.

use std::{fmt, marker::PhantomData, sync::Arc, time::Duration};

use http::Extensions;
use portcullis_core::{DefaultScope, Scope, Timestamp, UserId, policy::DemandLimits};

use crate::{
    guard::session_guard::{Authenticated, Rejection, demanded},
    request::{session::Session, state::State},
};

/// What a privileged route demands of a session. Implement it for a type of your own, and take
/// [`Privileged`] in the handler.
///
/// Every demand also includes the [privileged idle
/// timeout](crate::Timeouts::privileged_idle) of the session's class: the last privileged activity
/// is at most that long ago. A sign-in, an elevation and the use of a privileged route are
/// privileged activity; a route that is refused, or that answers with a status of 400 or above, is
/// not. A policy may make a demand stricter, by its name.
///
/// OWASP ASVS 5.0, 7.5.3, asks for another authentication before highly sensitive transactions. NIST
/// SP 800-63B-4, 5.2, has the terms.
///
/// ```
/// # use std::time::Duration;
/// use portcullis::{Demand, Privileged};
///
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
pub trait Demand: Send + Sync + 'static {
    /// The name in policies and logs: one to 32 of `a-z`, `0-9`, `_` and `-`, beginning with a
    /// letter. Code that uses a demand with another name does not compile.
    const NAME: &'static str;

    /// The last privileged activity is at most this long ago. `None` demands only the privileged
    /// idle timeout.
    const IDLE: Option<Duration> = None;

    /// The user proved their identity at most this long ago, by a sign-in or an elevation.
    const MAX_AUTH_AGE: Option<Duration> = None;

    /// The session is elevated for the scope of this name.
    const SCOPE: Option<&'static str> = None;
}

/// Proof that a user is signed in and their session meets a [`Demand`]. As an extractor, it refuses
/// all other requests: with a 401 that asks for another proof, or a redirect to the
/// [re-authentication page](crate::SessionLayer::reauthentication_page). The session is live all the
/// same.
///
/// [`Session::elevate`] meets it again, or [`Session::elevate_for`] if the demand has a scope.
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
}

impl<D> fmt::Debug for Privileged<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Privileged")
            .field("authenticated", &self.authenticated)
            .field("until", &self.until)
            .finish_non_exhaustive()
    }
}

/// The name of a demand. With a name that is not allowed, this does not compile.
pub(crate) const fn name_of<D: Demand>() -> &'static str {
    const {
        assert!(
            portcullis_core::policy::is_name(D::NAME),
            "the name of a demand is 1 to 32 of `a-z`, `0-9`, `_` and `-`, beginning with a letter"
        );
    }
    D::NAME
}

pub(crate) async fn privileged<D: Demand>(
    state: Option<&Arc<State>>,
) -> Result<Privileged<D>, Rejection> {
    let own = DemandLimits {
        idle: D::IDLE,
        max_auth_age: D::MAX_AUTH_AGE,
        scope: D::SCOPE.map(Into::into),
    };
    let named = state.map(|state| state.named_demand(name_of::<D>(), &own));
    let scope = D::SCOPE.unwrap_or(DefaultScope::NAME);
    let (authenticated, demand, until) = demanded(state, named.unwrap_or(own), scope).await?;
    Ok(Privileged {
        authenticated,
        demand,
        until,
        name: PhantomData,
    })
}
