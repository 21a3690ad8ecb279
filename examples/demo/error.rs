//! Errors as pages for browsers. Programs get the problem documents of Portcullis unchanged.

use std::io;

use axum::{
    body::Body,
    extract::Request,
    http::{HeaderMap, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use maud::{Markup, html};
use portcullis::{SessionError, reject::Refusal, store::StoreError};

use crate::page::{Here, page};

/// The errors of a handler.
#[derive(Debug)]
pub(crate) enum Error {
    Session(SessionError),
    Internal(io::Error),
    /// The request is for something that this shop does not have.
    NotFound,
}

impl From<SessionError> for Error {
    fn from(error: SessionError) -> Self {
        Self::Session(error)
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        Self::Session(error.into())
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::Internal(error)
    }
}

/// [`pages_for_browsers`] adds the page.
impl IntoResponse for Error {
    fn into_response(self) -> Response {
        match self {
            Self::Session(error) => error.into_response(),
            Self::Internal(error) => {
                tracing::error!(%error, "a request failed");
                StatusCode::INTERNAL_SERVER_ERROR.into_response()
            }
            Self::NotFound => StatusCode::NOT_FOUND.into_response(),
        }
    }
}

/// Replaces every refusal and error that is no page yet by a page, if a browser asks.
pub(crate) async fn pages_for_browsers(request: Request, next: Next) -> Response {
    let for_a_browser = reads_pages(request.headers());
    let response = next.run(request).await;
    if !for_a_browser {
        return response;
    }
    let refusal = response.extensions().get::<Refusal>();
    let status = response.status();
    // The pages of Portcullis are replaced by those of this shop.
    let is_own_page = refusal.is_none() && is_page(&response);
    if !status.is_client_error() && !status.is_server_error() || is_own_page {
        return response;
    }
    let page = explain(status, refusal);
    let (mut parts, _) = response.into_parts();
    parts.headers.remove(header::CONTENT_TYPE);
    parts.headers.remove(header::CONTENT_LENGTH);
    // The header fields of the refusal are kept, above all `Retry-After` and `Refresh`.
    let (mut head, body) = page.into_response().into_parts();
    parts.headers.extend(head.headers.drain());
    Response::from_parts(parts, Body::new(body))
}

fn reads_pages(headers: &HeaderMap) -> bool {
    match headers.get("sec-fetch-mode") {
        Some(mode) => mode == "navigate",
        None => mentions_html(headers, header::ACCEPT),
    }
}

fn is_page(response: &Response) -> bool {
    mentions_html(response.headers(), header::CONTENT_TYPE)
}

fn mentions_html(headers: &HeaderMap, name: header::HeaderName) -> bool {
    let mut values = headers.get_all(name).iter();
    values.any(|value| {
        value
            .to_str()
            .is_ok_and(|value| value.contains("text/html"))
    })
}

fn explain(status: StatusCode, refusal: Option<&Refusal>) -> Markup {
    match (status, refusal) {
        (
            _,
            Some(Refusal::SignInRequired {
                ended: Some(reason),
            }),
        ) if reason.is_replacement() => error_page(
            "Your session was renewed",
            reason.message(),
            ("/account", "To your account"),
        ),
        (
            _,
            Some(Refusal::SignInRequired {
                ended: Some(reason),
            }),
        ) => error_page(
            "That session has ended",
            reason.message(),
            ("/sign-in", "Sign in again"),
        ),
        (_, Some(Refusal::SignInRequired { ended: None })) => error_page(
            "Sign in first",
            "This page is for users who are signed in.",
            ("/sign-in", "Sign in"),
        ),
        (
            _,
            Some(Refusal::SessionEnded {
                reason: Some(reason),
            }),
        ) => error_page(
            "That session has ended",
            &format!("{} Nothing was changed.", reason.message()),
            ("/account", "To your account"),
        ),
        (_, Some(Refusal::ElevationRequired { .. })) => error_page(
            "Confirm that it is you",
            "This needs your password once more. Nothing was changed.",
            ("/confirm", "Enter your password"),
        ),
        (StatusCode::UNAUTHORIZED, _) => error_page(
            "That session has ended",
            "You were signed out, or the session got a new identifier, while this request was \
             under way. Nothing was changed.",
            ("/account", "To your account"),
        ),
        (_, Some(Refusal::AtLimit)) => error_page(
            "Too many devices",
            "You are signed in on as many as you may be at once. Sign out on one of them first.",
            ("/", "To the catalogue"),
        ),
        (StatusCode::SERVICE_UNAVAILABLE, _) => error_page(
            "Sessions are unavailable",
            "The store cannot be reached at the moment. If you were signed in, you still are, and your cart is \
             kept: go back and try again shortly. The catalogue is open meanwhile.",
            ("/", "To the catalogue"),
        ),
        (StatusCode::FORBIDDEN, _) => error_page(
            "Sent from another site",
            "This form was submitted from a page that is not part of this shop, so nothing was done.",
            ("/", "To the catalogue"),
        ),
        (StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED, _) => error_page(
            "There is nothing here",
            "The address may be mistyped, or the page no longer exists.",
            ("/", "To the catalogue"),
        ),
        (status, _) if status.is_client_error() => error_page(
            "That could not be read",
            "The form is not one of this shop. Nothing was changed.",
            ("/", "To the catalogue"),
        ),
        _ => error_page(
            "Something went wrong",
            "This is an error of the shop, and it was logged. Nothing was changed.",
            ("/", "To the catalogue"),
        ),
    }
}

fn error_page(title: &str, text: &str, (target, label): (&str, &str)) -> Markup {
    let main = html! {
        h1 { (title) }
        p.lead { (text) }
        p { a.button href=(target) { (label) } }
    };
    page(title, Here::Elsewhere, main, None)
}
