//! The responses to refused requests.
//!
//! Programs get a problem document (RFC 9457) with the fitting status. Browsers that navigate are
//! redirected to the page that the application named for the purpose, if any; see
//! [`SessionLayer::sign_in_page`](crate::SessionLayer::sign_in_page). For browsers, `page.rs` turns
//! the remaining problem documents into pages when they leave the layer.

use std::time::Duration;

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Response, StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE},
};

use portcullis_core::{EndReason, Timestamp};
use serde_json::Value;

use crate::{
    ReturnTo, SessionError,
    audience::{Audience, Navigation},
};
#[cfg(feature = "axum")]
use crate::{accept::prefers_page, fields::navigates};

/// Why a request was refused. It is among the extensions of the response, so that a middleware
/// around the layer can answer with its own text.
///
/// [`reword`](Self::reword) replaces the body and keeps the rest. A new response would turn the
/// refusal into a success. It would be a 200 that caches store, without the fields that ask a
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

/// Whether the client waits for a page. Also true for a submitted form of a browser that sends no
/// fetch metadata.
#[cfg(feature = "axum")]
pub(crate) fn wants_page(headers: &HeaderMap) -> bool {
    navigates(headers.get("sec-fetch-mode")).unwrap_or_else(|| prefers_page(headers))
}

/// The application's pages for refused users.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pages {
    pub(crate) sign_in: Option<ReturnTo>,
    pub(crate) reauthentication: Option<ReturnTo>,
    /// The prefix that a proxy removes from the path.
    pub(crate) base: String,
}

impl Pages {
    /// Whether this path is the re-authentication page.
    pub(crate) fn are_confirmed_at(&self, path: &str) -> bool {
        let page = self.reauthentication.as_ref();
        page.is_some_and(|page| page.is_at(path))
    }

    /// The address that this refusal redirects a browser to, if any. No page redirects to itself.
    pub(crate) fn location(
        &self,
        refusal: &Refusal,
        navigation: &Navigation,
        confirms: bool,
    ) -> Option<String> {
        let (page, scope) = match refusal {
            Refusal::ElevationRequired { scope, .. } if !confirms => {
                (self.reauthentication.as_ref()?, Some(*scope))
            }
            Refusal::SignInRequired { .. } => (self.sign_in_from(navigation)?, None),
            // Sent on without a word, a person would take their change for done.
            _ => return None,
        };
        let target = self.return_to(page, navigation);
        let target = target.as_ref().map(ReturnTo::as_str);
        Some(page.location(&self.base, &[("scope", scope), ("return_to", target)]))
    }

    /// The link to sign in and come back.
    pub(crate) fn sign_in_link(&self, navigation: &Navigation) -> Option<String> {
        let page = self.sign_in_from(navigation)?;
        let target = self.return_to(page, navigation);
        let target = target.as_ref().map(ReturnTo::as_str);
        Some(page.location(&self.base, &[("return_to", target)]))
    }

    fn sign_in_from(&self, navigation: &Navigation) -> Option<&ReturnTo> {
        let page = self.sign_in.as_ref()?;
        (!page.is_at(navigation.path())).then_some(page)
    }

    /// A form on the page itself does not lead back there.
    fn return_to(&self, page: &ReturnTo, navigation: &Navigation) -> Option<ReturnTo> {
        let target = navigation.return_to(&self.base)?;
        let path = target.path().strip_prefix(self.base.as_str());
        (!path.is_some_and(|path| page.is_at(path))).then_some(target)
    }
}

/// The context of a refused request: client, application and time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RefusalContext<'a> {
    pub(crate) by: &'a Audience,
    pub(crate) pages: &'a Pages,
    /// The route is a re-authentication page.
    pub(crate) confirms: bool,
    /// The browser can request the same address once more.
    pub(crate) can_retry: bool,
    /// By the store's clock. A response that reports no session carries this time, so that a page
    /// which knows of a later session can ignore it.
    pub(crate) now: Option<Timestamp>,
}

/// The response to a program, or to a browser that must not be redirected.
#[cfg(feature = "axum")]
pub(crate) fn of(refusal: Refusal, now: Option<Timestamp>) -> Response<Bytes> {
    let asked = RefusalContext {
        by: &Audience::Program,
        pages: &Pages::default(),
        confirms: false,
        can_retry: false,
        now,
    };
    refuse(refusal, asked)
}

/// The answer to a guard's refusal.
pub(crate) fn refuse(refusal: Refusal, asked: RefusalContext<'_>) -> Response<Bytes> {
    let RefusalContext {
        by,
        pages,
        confirms,
        can_retry,
        now,
    } = asked;
    let location = match by {
        Audience::Program => None,
        // Nobody has to sign in whose session goes on.
        Audience::Browser(navigation)
            if refusal.is_of_replaced() && (can_retry || !navigation.is_get()) =>
        {
            None
        }
        Audience::Browser(navigation) => pages.location(&refusal, navigation, confirms),
    };
    let response = match location {
        Some(location) => redirect(&location),
        None => match &refusal {
            Refusal::ElevationRequired { scope, max_age } => step_up(scope, *max_age),
            Refusal::SessionEnded { reason } => return ended(*reason, now),
            Refusal::SignInRequired { ended } => sign_in(*ended, now),
            Refusal::CrossSite => cross_site(),
            _ => sign_in(None, now),
        },
    };
    with(response, refusal)
}

const SIGN_IN: &str = "authentication-required";

fn sign_in(reason: Option<EndReason>, now: Option<Timestamp>) -> Response<Bytes> {
    let detail = reason.map_or("Sign in to do this.", EndReason::message);
    let told = ProblemFields { reason, now };
    problem(StatusCode::UNAUTHORIZED, SIGN_IN, detail, told)
}

fn cross_site() -> Response<Bytes> {
    problem(
        StatusCode::FORBIDDEN,
        "cross-site-request",
        "Another site asked for this, so it was not done. Do it from the page itself.",
        ProblemFields::default(),
    )
}

fn ended(reason: Option<EndReason>, now: Option<Timestamp>) -> Response<Bytes> {
    let (status, code, detail) = SessionError::Ended.telling();
    let told = ProblemFields { reason, now };
    let response = match reason {
        None => problem(status, code, detail, told),
        Some(reason) => {
            let detail = format!("{detail} {}", reason.message());
            problem(status, code, &detail, told)
        }
    };
    with(response, Refusal::SessionEnded { reason })
}

/// Why there is no session, as far as it is known.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Reasons {
    /// Why the session in this request's cookie has ended.
    pub(crate) ended: Option<EndReason>,
    /// Why the session that the request wanted to change has ended.
    pub(crate) lost: Option<EndReason>,
}

/// The answer to an error.
pub(crate) fn fail(
    error: &SessionError,
    Reasons { ended, lost }: Reasons,
    asked: RefusalContext<'_>,
) -> Response<Bytes> {
    match Refusal::of(error) {
        Refusal::SessionEnded { .. } => self::ended(lost, asked.now),
        Refusal::SignInRequired { .. } => refuse(Refusal::SignInRequired { ended }, asked),
        _ => of_error(error),
    }
}

/// The response to an error, the same for every client.
pub(crate) fn of_error(error: &SessionError) -> Response<Bytes> {
    let (status, code, detail) = error.telling();
    // A page must not take it for an end.
    let reason = matches!(error, SessionError::Replaced).then_some(EndReason::Replaced);
    let told = ProblemFields { reason, now: None };
    let mut response = problem(status, code, detail, told);
    if let Some(seconds) = error.retry_after() {
        response
            .headers_mut()
            .insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    with(response, Refusal::of(error))
}

impl Refusal {
    /// The refusal in a response that a person reads: its body is a page. Programs, the element
    /// `<portcullis-timeout>` among them, read the problem document of a refusal, so leave theirs as it is.
    ///
    /// ```
    /// # use http::Response;
    /// # use portcullis::reject::Refusal;
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
    /// # use portcullis::reject::Refusal;
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
        // The layer would put a page in words of its own in the place of a problem document.
        head.extensions.remove::<Detail>();
        let policy = HeaderName::from_static("content-security-policy");
        // A policy is the site's, and stands unless the page has its own.
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

    /// Whether the session goes on under an identifier that the client is about to receive.
    pub(crate) fn is_of_replaced(&self) -> bool {
        match self {
            Self::SessionReplaced => true,
            Self::SignInRequired { ended } => ended.is_some_and(EndReason::is_replacement),
            _ => false,
        }
    }

    fn of(error: &SessionError) -> Self {
        match (error, error.status(), error.retry_after()) {
            (SessionError::Ended, ..) => Self::SessionEnded { reason: None },
            (SessionError::Replaced, ..) => Self::SessionReplaced,
            (SessionError::AtLimit, ..) => Self::AtLimit,
            (SessionError::CookieWithheld, ..) => Self::CookieWithheld,
            (SessionError::ElevationEnded, ..) => Self::Failed,
            (_, StatusCode::UNAUTHORIZED, _) => Self::SignInRequired { ended: None },
            (_, StatusCode::PAYLOAD_TOO_LARGE, _) => Self::TooLarge,
            (_, _, Some(seconds)) => Self::Unavailable {
                retry_after: Duration::from_secs(seconds),
            },
            _ => Self::Failed,
        }
    }
}

/// The challenge of RFC 9470, in a scheme of our own: the credential is a cookie.
fn step_up(scope: &str, max_age: Duration) -> Response<Bytes> {
    let mut response = problem(
        StatusCode::UNAUTHORIZED,
        "elevation-required",
        "Prove again who you are to do this.",
        ProblemFields::default(),
    );
    let challenge = format!(
        "Session error=\"insufficient_user_authentication\", error_description=\"a more recent authentication is required\", scope=\"{}\", max_age=\"{}\"",
        quotable(scope),
        max_age.as_secs(),
    );
    if let Ok(challenge) = HeaderValue::from_str(&challenge) {
        response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    }
    response
}

/// A scope as it can stand between quotes. Scopes are constants of the application.
fn quotable(scope: &str) -> String {
    let fits = |letter: &char| letter.is_ascii_graphic() && !matches!(letter, '"' | '\\');
    scope.chars().filter(fits).collect()
}

fn redirect(location: &str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::SEE_OTHER;
    if let Ok(location) = HeaderValue::from_str(location) {
        response.headers_mut().insert(LOCATION, location);
    }
    insert(response.headers_mut(), CACHE_CONTROL, "no-store");
    response
}

/// Further members of a problem document that reports no session.
#[derive(Debug, Clone, Copy, Default)]
struct ProblemFields {
    /// Why it ended.
    reason: Option<EndReason>,
    /// When there was none.
    now: Option<Timestamp>,
}

impl ProblemFields {
    fn members(self) -> impl Iterator<Item = (String, Value)> {
        // Whose identifier was replaced has a session, under the new one.
        let replaced = matches!(
            self.reason,
            Some(EndReason::Replaced | EndReason::ReplacedAtSignIn)
        );
        let now = self.now.filter(|_| !replaced);
        let members = [
            ("reason", self.reason.map(|reason| reason.as_str().into())),
            ("now", now.map(|now| now.as_millis().into())),
        ];
        let told = |(name, value): (&str, Option<Value>)| Some((name.to_owned(), value?));
        members.into_iter().filter_map(told)
    }
}

/// What a problem document says in words, for a page that takes its place.
#[derive(Debug, Clone)]
pub(crate) struct Detail(pub(crate) String);

/// What distinguishes a problem document from other bodies.
pub(crate) const PROBLEM: &str = "application/problem+json";

fn problem(status: StatusCode, code: &str, detail: &str, told: ProblemFields) -> Response<Bytes> {
    let mut document = serde_json::json!({
        "type": format!("urn:portcullis:problem:{code}"),
        "title": status.canonical_reason(),
        "status": status.as_u16(),
        "detail": detail,
    });
    if let Some(members) = document.as_object_mut() {
        members.extend(told.members());
    }
    let mut response = Response::new(Bytes::from(document.to_string()));
    *response.status_mut() = status;
    response.extensions_mut().insert(Detail(detail.to_owned()));
    let headers = response.headers_mut();
    insert(headers, CONTENT_TYPE, PROBLEM);
    insert(headers, CACHE_CONTROL, "no-store");
    if status == StatusCode::UNAUTHORIZED {
        // RFC 9110, 15.5.2, asks for a challenge with every 401.
        insert(headers, WWW_AUTHENTICATE, "Session");
    }
    response
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: &'static str) {
    headers.insert(name, HeaderValue::from_static(value));
}

fn with(mut response: Response<Bytes>, refusal: Refusal) -> Response<Bytes> {
    response.extensions_mut().insert(refusal);
    response
}

#[cfg(test)]
mod tests {
    use http::{Method, Uri};

    use super::*;
    use crate::fields::Fields;

    fn audience(method: Method, fields: &[(&'static str, &'static str)]) -> Audience {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            insert(&mut headers, HeaderName::from_static(name), value);
        }
        Audience::of(
            &method,
            &Uri::from_static("/cart?a=b"),
            &headers,
            &Fields::of(&headers),
        )
    }

    fn refuse(refusal: Refusal, by: &Audience, pages: &Pages) -> Response<Bytes> {
        let now = Some(Timestamp::from_millis(1_763_727_600_000));
        let asked = RefusalContext {
            by,
            pages,
            confirms: false,
            can_retry: false,
            now,
        };
        super::refuse(refusal, asked)
    }

    fn pages() -> Pages {
        Pages {
            sign_in: ReturnTo::parse("/sign-in"),
            reauthentication: ReturnTo::parse("/confirm"),
            base: String::new(),
        }
    }

    const SIGN_IN_REQUIRED: Refusal = Refusal::SignInRequired { ended: None };

    const ELEVATION: Refusal = Refusal::ElevationRequired {
        scope: "payments",
        max_age: Duration::from_secs(900),
    };

    #[test]
    fn s052_a_program_is_challenged_for_a_recent_authentication() {
        let program = audience(Method::GET, &[("accept", "application/json")]);
        let response = refuse(ELEVATION, &program, &pages());
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(
            response.headers()[WWW_AUTHENTICATE],
            "Session error=\"insufficient_user_authentication\", error_description=\"a more recent authentication is required\", scope=\"payments\", max_age=\"900\""
        );
        assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
        assert_eq!(response.extensions().get(), Some(&ELEVATION));
    }

    #[test]
    fn s052_a_person_is_sent_to_the_page_with_a_way_back() {
        let person = audience(Method::GET, &[("sec-fetch-mode", "navigate")]);
        for (refusal, location) in [
            (ELEVATION, "/confirm?scope=payments&return_to=/cart%3Fa%3Db"),
            (SIGN_IN_REQUIRED, "/sign-in?return_to=/cart%3Fa%3Db"),
        ] {
            let response = refuse(refusal, &person, &pages());
            assert_eq!(response.status(), StatusCode::SEE_OTHER);
            assert_eq!(response.headers()[LOCATION], location);
        }
    }

    #[test]
    fn a_person_whose_session_ended_under_their_hands_is_told_and_not_sent_on() {
        let person = audience(Method::POST, &[("sec-fetch-mode", "navigate")]);
        let ended = Refusal::SessionEnded { reason: None };
        let response = refuse(ended, &person, &pages());
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    }

    fn document(response: &Response<Bytes>) -> Value {
        serde_json::from_slice(response.body()).unwrap()
    }

    #[test]
    fn t26_a_refusal_tells_why_the_session_ended_where_that_is_known() {
        let program = audience(Method::GET, &[("accept", "application/json")]);
        let (none, idle) = (Pages::default(), Some(EndReason::IdleTimeout));
        for refusal in [
            Refusal::SignInRequired { ended: idle },
            Refusal::SessionEnded { reason: idle },
        ] {
            let response = refuse(refusal.clone(), &program, &none);
            let document = document(&response);
            assert_eq!(document["reason"], "idle_timeout");
            let detail = document["detail"].as_str().unwrap();
            assert!(
                detail.ends_with(EndReason::IdleTimeout.message()),
                "{detail}"
            );
            assert_eq!(response.extensions().get(), Some(&refusal));
        }
        for refusal in [SIGN_IN_REQUIRED, Refusal::SessionEnded { reason: None }] {
            let document = document(&refuse(refusal, &program, &none));
            assert!(document.get("reason").is_none(), "{document}");
        }
    }

    #[test]
    fn s109_a_refusal_that_says_that_there_is_no_session_says_when() {
        let program = audience(Method::GET, &[("accept", "application/json")]);
        let now = |refusal| document(&refuse(refusal, &program, &pages()))["now"].clone();
        for reason in [None, Some(EndReason::IdleTimeout)] {
            for refusal in [
                Refusal::SignInRequired { ended: reason },
                Refusal::SessionEnded { reason },
            ] {
                assert_eq!(now(refusal), 1_763_727_600_000_u64);
            }
        }
        assert_eq!(now(ELEVATION), Value::Null);
    }

    #[test]
    fn s070_who_is_at_the_limit_is_told_so() {
        let response = of_error(&SessionError::AtLimit);
        assert_eq!(response.status(), StatusCode::CONFLICT);
        assert_eq!(
            document(&response)["type"],
            "urn:portcullis:problem:session-limit-reached"
        );
        assert_eq!(response.extensions().get(), Some(&Refusal::AtLimit));
    }

    #[test]
    fn a_refusal_in_other_words_is_a_refusal_still() {
        let mut refused = refuse(ELEVATION, &Audience::Program, &pages());
        let policy = HeaderName::from_static("content-security-policy");
        insert(refused.headers_mut(), policy.clone(), "default-src 'none'");
        let mut page = Response::new("In other words");
        insert(page.headers_mut(), CONTENT_TYPE, "text/html");
        insert(page.headers_mut(), CACHE_CONTROL, "public, max-age=60");
        insert(page.headers_mut(), LOCATION, "/somewhere");
        let response = Refusal::reword(refused, page);
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        let headers = response.headers();
        assert_eq!(headers[CACHE_CONTROL], "no-store");
        assert_eq!(headers[CONTENT_TYPE], "text/html");
        assert_eq!(headers[policy], "default-src 'none'");
        assert!(headers.contains_key(WWW_AUTHENTICATE) && !headers.contains_key(LOCATION));
        assert_eq!(response.extensions().get(), Some(&ELEVATION));
        assert_eq!(response.into_body(), "In other words");
    }

    #[test]
    fn a_document_in_other_words_has_no_words_of_ours() {
        let refused = refuse(SIGN_IN_REQUIRED, &Audience::Program, &Pages::default());
        assert!(refused.extensions().get::<Detail>().is_some());
        let response = Refusal::reword(refused, Response::new("{}"));
        assert!(response.extensions().get::<Detail>().is_none());
    }

    #[test]
    fn the_target_of_a_submitted_form_is_not_a_way_back() {
        let person = audience(Method::POST, &[("sec-fetch-mode", "navigate")]);
        let response = refuse(SIGN_IN_REQUIRED, &person, &pages());
        assert_eq!(response.headers()[LOCATION], "/sign-in");
    }

    #[test]
    fn a_person_without_a_page_to_go_to_gets_the_status() {
        let person = audience(Method::GET, &[("sec-fetch-mode", "navigate")]);
        let response = refuse(SIGN_IN_REQUIRED, &person, &Pages::default());
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    }
}
