//! What goes wrong, as pages for people. Programs get the problem documents of Portcullis as they are.

use std::io;

use axum::{
    body::Body,
    extract::Request,
    http::{HeaderMap, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use maud::{Markup, html};
use portcullis::{SessionError, reject::Refusal};

use crate::page::{Here, page};

/// What keeps a handler from answering.
#[derive(Debug)]
pub(crate) enum Error {
    Session(SessionError),
    Internal(io::Error),
    /// Something was asked for that this shop does not have.
    NotFound,
}

impl From<SessionError> for Error {
    fn from(error: SessionError) -> Self {
        Self::Session(error)
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::Internal(error)
    }
}

/// [`pages_for_people`] finds the words.
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

/// Puts a page in the place of every refusal and error that is none yet, for those who read pages.
pub(crate) async fn pages_for_people(request: Request, next: Next) -> Response {
    let for_a_person = reads_pages(request.headers());
    let response = next.run(request).await;
    if !for_a_person {
        return response;
    }
    let refusal = response.extensions().get::<Refusal>();
    let status = response.status();
    // The pages of Portcullis say what happened, and this shop says it in its own words.
    let is_own_page = refusal.is_none() && is_page(&response);
    if !status.is_client_error() && !status.is_server_error() || is_own_page {
        return response;
    }
    let page = tell(status, refusal);
    let (mut parts, _) = response.into_parts();
    parts.headers.remove(header::CONTENT_TYPE);
    parts.headers.remove(header::CONTENT_LENGTH);
    // What the refusal said in its headers, `Retry-After` and `Refresh` above all, goes along.
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

fn tell(status: StatusCode, refusal: Option<&Refusal>) -> Markup {
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
            "This is for people who are signed in.",
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
            "You were signed out, or the session went on under a new identifier, while this request was \
             under way. Nothing was changed.",
            ("/account", "To your account"),
        ),
        (_, Some(Refusal::AtLimit)) => error_page(
            "Too many devices",
            "You are signed in on as many as you may be at once. Sign out on one of them first.",
            ("/", "To the catalogue"),
        ),
        (StatusCode::SERVICE_UNAVAILABLE, _) => error_page(
            "Sessions are resting",
            "They cannot be reached at the moment. If you were signed in, you still are, and your cart is \
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
            "The address may be mistyped, or what it led to is gone.",
            ("/", "To the catalogue"),
        ),
        (status, _) if status.is_client_error() => error_page(
            "That could not be read",
            "The form did not arrive as this shop sends it out. Nothing was changed.",
            ("/", "To the catalogue"),
        ),
        _ => error_page(
            "Something went wrong",
            "It is our fault, not yours, and it is in the log. Nothing was changed.",
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
