//! The application's view of a refused request.

use std::time::Duration;

use portcullis_core::EndReason;

/// Why a request was refused. It is among the extensions of the response, so that a middleware
/// around the layer can answer with its own text.
///
/// [`reword`](Self::reword) replaces the body and keeps the rest. A new response would turn the
/// refusal into a success: a 200, which caches store. It would also lack the fields that ask a
/// client to sign in or to wait.
///
/// ```
/// # use axum::response::{Html, IntoResponse, Response};
/// # use portcullis::reject::Refusal;
/// async fn in_our_words(response: Response) -> Response {
///     let page = match response.extensions().get::<Refusal>() {
///         Some(Refusal::SessionEnded { reason: Some(reason), .. }) => {
///             Html(format!("<h1>Not saved</h1><p>{}</p>", reason.message()))
///         }
///         _ => return response,
///     };
///     Refusal::reword(response, page.into_response())
/// }
/// # let _: axum::Router = axum::Router::new().layer(axum::middleware::map_response(in_our_words));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// The route needs a signed-in user.
    SignInRequired {
        /// Why the session in this request's cookie has ended, if it had one and the reason is
        /// known.
        ended: Option<EndReason>,
    },
    /// The route needs a recent proof of the user's identity.
    ElevationRequired {
        /// The scope to elevate for.
        scope: &'static str,
        /// The maximum age of the proof.
        max_age: Duration,
    },
    /// The user has not approved this operation, or the approval was used or has ended.
    ApprovalRequired {
        /// The name of the demand.
        demand: &'static str,
    },
    /// The session ended while the request was under way. Nothing was written.
    SessionEnded {
        /// Why, if that is known.
        reason: Option<EndReason>,
    },
    /// The identifier of the request was replaced a moment ago, and nothing was done. A retry
    /// carries the new one.
    SessionReplaced,
    /// Sessions cannot be used at the moment.
    Unavailable {
        /// After how long the client should try again.
        retry_after: Duration,
    },
    /// The change would exceed the size limit of a session.
    TooLarge,
    /// The user has as many sessions as the limit allows, and was not signed in.
    AtLimit,
    /// The user is suspended, and was not signed in.
    Suspended,
    /// Another site sent the request, and the route refuses other sites.
    CrossSite,
    /// Another site caused the request, and the browser withheld the session cookie. Nothing was
    /// written.
    CookieWithheld,
    /// Another error; the log has the details.
    Failed,
}
