//! The public form of a refusal, and the way to reword it.

use std::time::Duration;

use http::{HeaderName, Response, header::CONTENT_TYPE};
use portcullis_core::EndReason;

use crate::reject::problem::Problem;

/// Why a request was refused. It is among the extensions of the response, so that a middleware
/// around the layer can answer with its own text.
///
/// [`reword`](Self::reword) replaces the body and keeps the rest. A new response would turn the
/// refusal into a success. It would be a 200 that caches store, without the fields that ask a
/// client to sign in or to wait.
///
/// ```
/// # use axum::response::{Html, IntoResponse, Response};
/// # use portcullis::Refusal;
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
        /// Why the session in this request's cookie has ended, if it came with one and the reason
        /// is known.
        ended: Option<EndReason>,
    },
    /// The route needs a recent proof of the user's identity.
    ElevationRequired {
        /// The scope to elevate for.
        scope: &'static str,
        /// The maximum age of the proof.
        max_age: Duration,
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
    /// Another site sent the request, and the route refuses other sites.
    CrossSite,
    /// Another site caused the request, and the browser withheld the session cookie. Nothing was
    /// written.
    CookieWithheld,
    /// Another error; the log has the details.
    Failed,
}

impl Refusal {
    /// The refusal in a response whose body is a page. Replace pages only. Programs, such as the
    /// element `<portcullis-timeout>`, read the problem document.
    ///
    /// ```
    /// # use http::Response;
    /// # use portcullis::Refusal;
    /// let mut page = Response::builder().status(409).header("content-type", "text/html").body(())?;
    /// page.extensions_mut().insert(Refusal::AtLimit);
    /// assert_eq!(Refusal::of_page(&page), Some(&Refusal::AtLimit));
    /// page.headers_mut().insert("content-type", "application/problem+json".parse()?);
    /// assert_eq!(Refusal::of_page(&page), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn of_page<B>(response: &Response<B>) -> Option<&Self> {
        let kind = response.headers().get(CONTENT_TYPE)?;
        let is_page = kind.as_bytes().starts_with(b"text/html");
        response.extensions().get().filter(|_| is_page)
    }

    /// Replaces the body of the `refused` response with that of `page`. Of `page`, only the body
    /// and the fields that begin with `Content-` count. Status, `Cache-Control` and all other
    /// fields are those of `refused`. So a refusal stays a refusal, whatever the status of `page`.
    ///
    /// ```
    /// # use http::Response;
    /// # use portcullis::Refusal;
    /// # fn refused() -> Response<()> { Response::builder().status(401).header("cache-control", "no-store").body(()).unwrap() }
    /// let page = Response::builder().header("content-type", "text/html").body("<h1>Sign in</h1>");
    /// let response = Refusal::reword(refused(), page?);
    /// assert_eq!(response.status(), 401);
    /// assert_eq!(response.headers()["cache-control"], "no-store");
    /// # Ok::<(), http::Error>(())
    /// ```
    pub fn reword<A, B>(refused: Response<A>, page: Response<B>) -> Response<B> {
        let of_body = |name: &HeaderName| name.as_str().starts_with("content-");
        let (mut head, _) = refused.into_parts();
        let (page_head, body) = page.into_parts();
        // Otherwise the layer would replace this body by a page of its own.
        head.extensions.remove::<Problem>();
        let policy = HeaderName::from_static("content-security-policy");
        // The policy of the site is kept, unless the page has its own.
        let replaced: Vec<_> = head
            .headers
            .keys()
            .filter(|name| of_body(name))
            .cloned()
            .collect();
        for name in replaced {
            if name != policy || page_head.headers.contains_key(&policy) {
                head.headers.remove(name);
            }
        }
        for (name, value) in &page_head.headers {
            if of_body(name) {
                head.headers.append(name, value.clone());
            }
        }
        Response::from_parts(head, body)
    }

    /// What the application sees of a problem.
    pub(crate) fn of(problem: &Problem) -> Self {
        match *problem {
            Problem::SignInRequired { ended } => Self::SignInRequired { ended },
            Problem::ElevationRequired { scope, max_age } => {
                Self::ElevationRequired { scope, max_age }
            }
            Problem::SessionEnded { reason } => Self::SessionEnded { reason },
            Problem::SessionReplaced => Self::SessionReplaced,
            Problem::Unavailable { retry_after } => Self::Unavailable { retry_after },
            Problem::TooLarge => Self::TooLarge,
            Problem::AtLimit => Self::AtLimit,
            Problem::CrossSite => Self::CrossSite,
            Problem::CookieWithheld => Self::CookieWithheld,
            Problem::ElevationEnded | Problem::Failed => Self::Failed,
        }
    }
}
