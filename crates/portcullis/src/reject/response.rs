//! The responses to refused and failed requests.
//!
//! Programs get a problem document. Browsers that navigate are redirected to the page that the
//! application named for the purpose, if any; see
//! [`SessionLayer::sign_in_page`](crate::SessionLayer::sign_in_page). For browsers, `page.rs` turns
//! the remaining documents into pages when they leave the layer.

use bytes::Bytes;
use http::Response;
use portcullis_core::{EndReason, Timestamp};

use crate::{
    SessionError,
    reject::{
        audience::Audience,
        document::document,
        problem::{Problem, Remedy},
        redirect::{Pages, redirect},
    },
};

/// The context of a refusal: what its response depends on, beside the problem.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RefusalContext<'a> {
    pub(crate) by: &'a Audience,
    pub(crate) pages: &'a Pages,
    /// The route is a re-authentication page.
    pub(crate) confirms: bool,
    /// The browser can request the same address once more.
    pub(crate) can_retry: bool,
    /// The time by the store's clock.
    pub(crate) now: Timestamp,
    /// Why the session in this request's cookie has ended.
    pub(crate) ended: Option<EndReason>,
    /// Why the session that the request wanted to change has ended.
    pub(crate) lost: Option<EndReason>,
}

impl RefusalContext<'_> {
    /// The response to a problem that a guard found.
    pub(crate) fn refuse(&self, problem: Problem) -> Response<Bytes> {
        let Some(location) = self.location(problem.entry().remedy) else {
            return document(problem, Some(self.now));
        };
        let mut response = redirect(&location);
        response.extensions_mut().insert(problem.refusal());
        response
    }

    /// The response to an error, with the reason if the error reports an end.
    pub(crate) fn fail(&self, error: &SessionError) -> Response<Bytes> {
        self.refuse(match error.problem() {
            Problem::SignInRequired { .. } => Problem::SignInRequired { ended: self.ended },
            Problem::SessionEnded { .. } => Problem::SessionEnded { reason: self.lost },
            problem => problem,
        })
    }

    /// The address that the client is redirected to. No page redirects to itself.
    fn location(&self, remedy: Remedy) -> Option<String> {
        let Audience::Browser(navigation) = self.by else {
            return None;
        };
        match remedy {
            Remedy::SignIn => self.pages.sign_in(navigation),
            Remedy::RetryThenSignIn if self.can_retry || !navigation.is_get() => None,
            Remedy::RetryThenSignIn => self.pages.sign_in(navigation),
            Remedy::Reauthenticate { .. } | Remedy::Approve { .. } if self.confirms => None,
            Remedy::Reauthenticate { scope } => {
                self.pages.reauthentication(("scope", scope), navigation)
            }
            Remedy::Approve { demand } => {
                self.pages.reauthentication(("approve", demand), navigation)
            }
            Remedy::ReadThenSignIn | Remedy::Retry | Remedy::RetryLater | Remedy::GoBack => None,
        }
    }
}

/// The response to an error, the same for every client.
pub(crate) fn of_error(error: &SessionError) -> Response<Bytes> {
    document(error.problem(), None)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::{
        HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri,
        header::{CACHE_CONTROL, CONTENT_TYPE, LOCATION, WWW_AUTHENTICATE},
    };
    use serde_json::Value;

    use super::*;
    use crate::{
        headers::fields::Fields,
        reject::{refusal::Refusal, return_to::ReturnTo},
    };

    fn audience(method: Method, fields: &[(&'static str, &'static str)]) -> Audience {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.insert(
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            );
        }
        Audience::of(
            &method,
            &Uri::from_static("/cart?a=b"),
            &headers,
            &Fields::of(&headers),
        )
    }

    fn refuse(problem: Problem, by: &Audience, pages: &Pages) -> Response<Bytes> {
        let context = RefusalContext {
            by,
            pages,
            confirms: false,
            can_retry: false,
            now: Timestamp::from_millis(1_763_727_600_000),
            ended: None,
            lost: None,
        };
        context.refuse(problem)
    }

    fn pages() -> Pages {
        Pages {
            sign_in: ReturnTo::parse("/sign-in"),
            reauthentication: ReturnTo::parse("/confirm"),
            base: String::new(),
        }
    }

    const SIGN_IN_REQUIRED: Problem = Problem::SignInRequired { ended: None };

    const ELEVATION: Problem = Problem::ElevationRequired {
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
        assert_eq!(response.extensions().get(), Some(&ELEVATION.refusal()));
    }

    #[test]
    fn s052_a_browser_is_redirected_to_the_page_with_a_way_back() {
        let browser = audience(Method::GET, &[("sec-fetch-mode", "navigate")]);
        for (problem, location) in [
            (ELEVATION, "/confirm?scope=payments&return_to=/cart%3Fa%3Db"),
            (SIGN_IN_REQUIRED, "/sign-in?return_to=/cart%3Fa%3Db"),
        ] {
            let response = refuse(problem, &browser, &pages());
            assert_eq!(response.status(), StatusCode::SEE_OTHER);
            assert_eq!(response.headers()[LOCATION], location);
        }
    }

    #[test]
    fn a_browser_whose_session_ended_during_the_request_is_not_redirected() {
        let browser = audience(Method::POST, &[("sec-fetch-mode", "navigate")]);
        let ended = Problem::SessionEnded { reason: None };
        let response = refuse(ended, &browser, &pages());
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    }

    fn members(response: &Response<Bytes>) -> Value {
        serde_json::from_slice(response.body()).unwrap()
    }

    #[test]
    fn t26_a_refusal_reports_why_the_session_ended_if_that_is_known() {
        let program = audience(Method::GET, &[("accept", "application/json")]);
        let (none, idle) = (Pages::default(), Some(EndReason::IdleTimeout));
        for problem in [
            Problem::SignInRequired { ended: idle },
            Problem::SessionEnded { reason: idle },
        ] {
            let response = refuse(problem.clone(), &program, &none);
            let document = members(&response);
            assert_eq!(document["reason"], "idle_timeout");
            let detail = document["detail"].as_str().unwrap();
            assert!(
                detail.ends_with(EndReason::IdleTimeout.message()),
                "{detail}"
            );
            let refusal = problem.refusal();
            assert_eq!(response.extensions().get(), Some(&refusal));
        }
        for problem in [SIGN_IN_REQUIRED, Problem::SessionEnded { reason: None }] {
            let document = members(&refuse(problem, &program, &none));
            assert!(document.get("reason").is_none(), "{document}");
        }
    }

    #[test]
    fn s109_a_refusal_that_reports_no_session_contains_the_time() {
        let program = audience(Method::GET, &[("accept", "application/json")]);
        let now = |problem| members(&refuse(problem, &program, &pages()))["now"].clone();
        for reason in [None, Some(EndReason::IdleTimeout)] {
            for problem in [
                Problem::SignInRequired { ended: reason },
                Problem::SessionEnded { reason },
            ] {
                assert_eq!(now(problem), 1_763_727_600_000_u64);
            }
        }
        assert_eq!(now(ELEVATION), Value::Null);
    }

    #[test]
    fn s070_an_error_at_the_limit_is_a_409_with_its_code() {
        let response = of_error(&SessionError::AtLimit);
        assert_eq!(response.status(), StatusCode::CONFLICT);
        assert_eq!(
            members(&response)["type"],
            "urn:portcullis:problem:session-limit-reached"
        );
        assert_eq!(response.extensions().get(), Some(&Refusal::AtLimit));
    }

    #[test]
    fn a_reworded_refusal_is_still_a_refusal() {
        let mut refused = refuse(ELEVATION, &Audience::Program, &pages());
        let policy = HeaderName::from_static("content-security-policy");
        let set = |headers: &mut HeaderMap, name: HeaderName, value| {
            headers.insert(name, HeaderValue::from_static(value));
        };
        set(refused.headers_mut(), policy.clone(), "default-src 'none'");
        let mut page = Response::new("In other words");
        set(page.headers_mut(), CONTENT_TYPE, "text/html");
        set(page.headers_mut(), CACHE_CONTROL, "public, max-age=60");
        set(page.headers_mut(), LOCATION, "/somewhere");
        let response = Refusal::reword(refused, page);
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        let headers = response.headers();
        assert_eq!(headers[CACHE_CONTROL], "no-store");
        assert_eq!(headers[CONTENT_TYPE], "text/html");
        assert_eq!(headers[policy], "default-src 'none'");
        assert!(headers.contains_key(WWW_AUTHENTICATE) && !headers.contains_key(LOCATION));
        assert_eq!(response.extensions().get(), Some(&ELEVATION.refusal()));
        assert_eq!(response.into_body(), "In other words");
    }

    #[test]
    fn a_reworded_document_is_not_replaced_by_a_page() {
        let refused = refuse(SIGN_IN_REQUIRED, &Audience::Program, &Pages::default());
        assert!(refused.extensions().get::<Problem>().is_some());
        let response = Refusal::reword(refused, Response::new("{}"));
        assert!(response.extensions().get::<Problem>().is_none());
    }

    #[test]
    fn the_target_of_a_submitted_form_is_not_a_way_back() {
        let browser = audience(Method::POST, &[("sec-fetch-mode", "navigate")]);
        let response = refuse(SIGN_IN_REQUIRED, &browser, &pages());
        assert_eq!(response.headers()[LOCATION], "/sign-in");
    }

    #[test]
    fn a_browser_gets_the_status_if_the_application_named_no_page() {
        let browser = audience(Method::GET, &[("sec-fetch-mode", "navigate")]);
        let response = refuse(SIGN_IN_REQUIRED, &browser, &Pages::default());
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    }
}
