//! Routes that end the sessions of a user on other devices.

use axum::{
    Router,
    extract::Path,
    response::{IntoResponse, Response},
    routing::post,
};
use http::StatusCode;
use portcullis_core::{Scope, SessionHandle};

use crate::{
    guard::session_guard::Elevated,
    reject::{audience::Audience, error::SessionError, return_to::ReturnTo},
};

pub(super) fn routes<S: Scope>() -> Router {
    Router::new()
        .route("/devices/{handle}/revoke", post(revoke::<S>))
        .route("/devices/revoke-others", post(revoke_others::<S>))
}

/// By name, so that the router that these routes are nested in may have parameters of its own.
#[derive(serde::Deserialize)]
struct Target {
    handle: String,
}

async fn revoke<S: Scope>(
    elevated: Elevated<S>,
    return_to: Option<ReturnTo>,
    Path(Target { handle }): Path<Target>,
) -> Result<Response, SessionError> {
    let ended = match SessionHandle::parse(&handle) {
        Some(handle) => elevated.revoke_session(handle).await?.ended,
        None => Vec::new(),
    };
    let status = match ended.is_empty() {
        true => StatusCode::NOT_FOUND,
        false => StatusCode::NO_CONTENT,
    };
    Ok(answer(&elevated, return_to, status))
}

async fn revoke_others<S: Scope>(
    elevated: Elevated<S>,
    return_to: Option<ReturnTo>,
) -> Result<Response, SessionError> {
    elevated.revoke_other_sessions().await?;
    Ok(answer(&elevated, return_to, StatusCode::NO_CONTENT))
}

/// The browser's list shows what is live, so a session that had already ended is no error.
fn answer<S>(elevated: &Elevated<S>, return_to: Option<ReturnTo>, status: StatusCode) -> Response {
    let state = elevated.session().state();
    let Audience::Browser(navigation) = state.audience() else {
        return status.into_response();
    };
    let page = return_to.or_else(|| navigation.page_of_form().cloned());
    let front_page = || ReturnTo::default().below(&state.config.pages.base);
    page.unwrap_or_else(front_page).into_response()
}
