//! Extractors for axum.
//!
//! Each has an optional form, for handlers with and without a session. `Option<Session>` is `None`
//! without a live session. `Option<Authenticated>`, `Option<Elevated>` and `Option<Privileged>` are
//! `None` where the guard would refuse. A store that cannot answer is an error in every form, and
//! never counts as signed out.

use std::convert::Infallible;

use axum_core::{
    body::Body,
    extract::{FromRequestParts, OptionalFromRequestParts},
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header::LOCATION, request::Parts};
use portcullis_core::{Demand, Scope};

use crate::{
    guard::demand::{self, Privileged},
    guard::session_guard::{self, Authenticated, Elevated, Rejection},
    reject::{error::SessionError, response, return_to::ReturnTo},
    request::{session::Session, state::State},
};

impl<S: Sync> FromRequestParts<S> for Session {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        session_guard::session(State::of(&parts.extensions)).await
    }
}

impl<S: Sync> OptionalFromRequestParts<S> for Session {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Rejection> {
        let session = session_guard::session(State::of(&parts.extensions)).await?;
        Ok(Some(session).filter(|session| session.info().is_some()))
    }
}

impl<S: Sync> FromRequestParts<S> for Authenticated {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        session_guard::authenticated(State::of(&parts.extensions)).await
    }
}

impl<S: Sync> OptionalFromRequestParts<S> for Authenticated {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Rejection> {
        optional(session_guard::authenticated(State::of(&parts.extensions)).await)
    }
}

impl<S: Sync, N: Scope> FromRequestParts<S> for Elevated<N> {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        let elevated = session_guard::elevated(State::of(&parts.extensions)).await;
        elevated.map(Elevated::required)
    }
}

impl<S: Sync, N: Scope> OptionalFromRequestParts<S> for Elevated<N> {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Rejection> {
        optional(session_guard::elevated(State::of(&parts.extensions)).await)
    }
}

impl<S: Sync, D: Demand> FromRequestParts<S> for Privileged<D> {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        let privileged = demand::privileged(State::of(&parts.extensions)).await;
        privileged.map(Privileged::required)
    }
}

impl<S: Sync, D: Demand> OptionalFromRequestParts<S> for Privileged<D> {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Rejection> {
        optional(demand::privileged(State::of(&parts.extensions)).await)
    }
}

/// The target in the query, or else the front page, below the public base path.
impl<S: Sync> FromRequestParts<S> for ReturnTo {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let front_page = || match State::of(&parts.extensions) {
            Some(state) => Self::default().below(&state.config.pages.base),
            None => Self::default(),
        };
        Ok(return_to(parts).unwrap_or_else(front_page))
    }
}

/// The target in the query, if there is a safe one.
impl<S: Sync> OptionalFromRequestParts<S> for ReturnTo {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Infallible> {
        Ok(return_to(parts))
    }
}

fn return_to(parts: &Parts) -> Option<ReturnTo> {
    ReturnTo::from_query(parts.uri.query()?)
}

/// A redirect to the target, with 303 (See Other).
impl IntoResponse for ReturnTo {
    fn into_response(self) -> Response {
        // A target consists of visible ASCII, so it is a valid header value.
        match HeaderValue::from_str(self.as_str()) {
            Ok(location) => (StatusCode::SEE_OTHER, [(LOCATION, location)]).into_response(),
            Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        }
    }
}

fn optional<T>(result: Result<T, Rejection>) -> Result<Option<T>, Rejection> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(rejection) if rejection.is_refusal() => Ok(None),
        Err(rejection) => Err(rejection),
    }
}

impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        self.into_answer().map(Body::from)
    }
}

impl IntoResponse for SessionError {
    fn into_response(self) -> Response {
        if self.status().is_server_error() {
            tracing::error!(error = %self, "the session could not be used");
        }
        response::of_error(&self).map(Body::from)
    }
}
