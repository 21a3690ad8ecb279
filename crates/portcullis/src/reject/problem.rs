//! The table of problems: the responses to refused and failed requests.
//!
//! To add a problem, add a variant to [`Problem`]. The compiler names the rest: its row and its
//! [`Refusal`] here, and a row in the test. Document, page, redirect and headers follow from the
//! row.

use std::{borrow::Cow, time::Duration};

use http::StatusCode;
use portcullis_core::EndReason;

use crate::reject::refusal::Refusal;

/// The problem that a response reports.
///
/// Guards name a problem directly. Errors become one in `SessionError::problem`. Applications see
/// a [`Refusal`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Problem {
    /// The route needs a signed-in user.
    SignInRequired {
        /// Why the session in this request's cookie has ended.
        ended: Option<EndReason>,
    },
    /// The route needs a recent proof of the user's identity.
    ElevationRequired {
        scope: &'static str,
        max_age: Duration,
    },
    /// The user has not approved the operation.
    ApprovalRequired { demand: &'static str },
    /// The elevation ended while the request was under way.
    ElevationEnded,
    /// The session ended while the request was under way.
    SessionEnded { reason: Option<EndReason> },
    /// The identifier was replaced while the request was under way. The session continues.
    SessionReplaced,
    /// Sessions cannot be used at the moment.
    Unavailable { retry_after: Duration },
    /// The change would exceed the size limit of a session.
    TooLarge,
    /// The user has as many sessions as the limit allows.
    AtLimit,
    /// The user is suspended.
    Suspended,
    /// Another site sent the request.
    #[cfg_attr(
        not(feature = "axum"),
        allow(
            dead_code,
            reason = "only the session routes and sockets compare origins"
        )
    )]
    CrossSite,
    /// Another site caused the request, and the browser withheld the session cookie.
    CookieWithheld,
    /// A mistake of the application or of this library.
    Failed,
}

/// A row of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// A refusal below 500, an error from 500 on.
    pub(crate) status: StatusCode,
    /// The last part of the member `type`. Programs compare it, so it never changes.
    pub(crate) code: &'static str,
    /// The title of the page.
    pub(crate) title: &'static str,
    /// The text for the client, in document and page.
    pub(crate) text: Cow<'static, str>,
    /// When a retry can help.
    pub(crate) retry_after: Option<Duration>,
    pub(crate) remedy: Remedy,
    pub(crate) end: ReportedEnd,
}

/// What a client can do. It decides the redirect target of a browser, and the link on its page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Remedy {
    /// Sign in: the browser is redirected.
    SignIn,
    /// Sign in, by a link on the page. After a redirect, the user would believe that the change was
    /// saved.
    ReadThenSignIn,
    /// Prove the user's identity again: the browser is redirected.
    Reauthenticate { scope: &'static str },
    /// Approve the operation: the browser is redirected.
    Approve { demand: &'static str },
    /// Repeat the request after a second.
    Retry,
    /// Repeat the request after a second. If that did not help, sign in.
    RetryThenSignIn,
    /// Repeat the request later.
    RetryLater,
    /// Return to the page before.
    GoBack,
}

/// What a problem reports of the session in this request's cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReportedEnd {
    /// Nothing.
    None,
    /// There is no live session under its identifier, for this reason if known.
    Ended(Option<EndReason>),
}

/// The text for users while the store does not answer.
pub(crate) const UNAVAILABLE: &str = "Sessions cannot be used at the moment. Try again shortly.";

const RENEWED: &str = "Your session was renewed";

impl Problem {
    /// The table.
    pub(crate) fn entry(&self) -> Entry {
        match self {
            Self::SignInRequired { ended } => {
                let entry = entry(
                    StatusCode::UNAUTHORIZED,
                    "authentication-required",
                    "Sign in",
                    ended.map_or("Sign in to do this.", EndReason::message),
                );
                let end = ReportedEnd::Ended(*ended);
                // After a replacement, the session continues under the new identifier.
                match ended.is_some_and(EndReason::is_replacement) {
                    false => Entry {
                        remedy: Remedy::SignIn,
                        end,
                        ..entry
                    },
                    true => Entry {
                        title: RENEWED,
                        remedy: Remedy::RetryThenSignIn,
                        end,
                        ..entry
                    },
                }
            }
            Self::ElevationRequired { scope, .. } => Entry {
                remedy: Remedy::Reauthenticate { scope },
                ..entry(
                    StatusCode::UNAUTHORIZED,
                    "elevation-required",
                    "Confirm that it is you",
                    "Prove again who you are to do this.",
                )
            },
            Self::ApprovalRequired { demand } => Entry {
                remedy: Remedy::Approve { demand },
                ..entry(
                    StatusCode::UNAUTHORIZED,
                    "approval-required",
                    "Confirm what you are about to do",
                    "Confirm this operation, with a proof of who you are. Nothing was done.",
                )
            },
            Self::ElevationEnded => entry(
                StatusCode::UNAUTHORIZED,
                "elevation-required",
                "Something went wrong",
                "Prove again who you are to do this. Nothing was changed.",
            ),
            Self::SessionEnded { reason } => {
                let text =
                    "Your session ended while the request was under way. Nothing was changed.";
                let text = match reason {
                    None => Cow::Borrowed(text),
                    Some(reason) => format!("{text} {}", reason.message()).into(),
                };
                Entry {
                    text,
                    remedy: Remedy::ReadThenSignIn,
                    end: ReportedEnd::Ended(*reason),
                    ..entry(
                        StatusCode::UNAUTHORIZED,
                        "session-ended",
                        "Your session has ended",
                        "",
                    )
                }
            }
            Self::SessionReplaced => Entry {
                remedy: Remedy::Retry,
                // Without the reason, a page would treat the 401 as an end.
                end: ReportedEnd::Ended(Some(EndReason::Replaced)),
                ..entry(
                    StatusCode::UNAUTHORIZED,
                    "session-replaced",
                    RENEWED,
                    "Your session was renewed while the request was under way. Nothing was changed; try again.",
                )
            },
            Self::Unavailable { retry_after } => Entry {
                retry_after: Some(*retry_after),
                remedy: Remedy::RetryLater,
                ..entry(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "session-unavailable",
                    "Try again shortly",
                    UNAVAILABLE,
                )
            },
            Self::TooLarge => entry(
                StatusCode::PAYLOAD_TOO_LARGE,
                "session-too-large",
                "Too much data",
                "This is more than a session can hold. Nothing was changed.",
            ),
            Self::AtLimit => entry(
                StatusCode::CONFLICT,
                "session-limit-reached",
                "Too many devices",
                "You are signed in on as many devices as may be in use at once. Sign out on one of them and try again.",
            ),
            Self::Suspended => entry(
                StatusCode::FORBIDDEN,
                "user-suspended",
                "Sign-in not possible",
                "You cannot sign in with this account at the moment. Ask the site for help.",
            ),
            Self::CrossSite => entry(
                StatusCode::FORBIDDEN,
                "cross-site-request",
                "Request from another site",
                "Another site asked for this, so it was not done. Do it from the page itself.",
            ),
            Self::CookieWithheld => entry(
                StatusCode::FORBIDDEN,
                "session-cookie-withheld",
                "Request from another site",
                "Another site sent this request, so your browser did not send your session. Nothing was changed. Do it from the page itself.",
            ),
            Self::Failed => entry(
                StatusCode::INTERNAL_SERVER_ERROR,
                "session-error",
                "Something went wrong",
                "The server could not use the session.",
            ),
        }
    }

    /// The application's view of this problem.
    pub(crate) fn refusal(&self) -> Refusal {
        match *self {
            Self::SignInRequired { ended } => Refusal::SignInRequired { ended },
            Self::ElevationRequired { scope, max_age } => {
                Refusal::ElevationRequired { scope, max_age }
            }
            Self::ApprovalRequired { demand } => Refusal::ApprovalRequired { demand },
            Self::SessionEnded { reason } => Refusal::SessionEnded { reason },
            Self::SessionReplaced => Refusal::SessionReplaced,
            Self::Unavailable { retry_after } => Refusal::Unavailable { retry_after },
            Self::TooLarge => Refusal::TooLarge,
            Self::AtLimit => Refusal::AtLimit,
            Self::Suspended => Refusal::Suspended,
            Self::CrossSite => Refusal::CrossSite,
            Self::CookieWithheld => Refusal::CookieWithheld,
            Self::ElevationEnded | Self::Failed => Refusal::Failed,
        }
    }
}

/// A row without a remedy.
fn entry(status: StatusCode, code: &'static str, title: &'static str, text: &'static str) -> Entry {
    Entry {
        status,
        code,
        title,
        text: Cow::Borrowed(text),
        retry_after: None,
        remedy: Remedy::GoBack,
        end: ReportedEnd::None,
    }
}

impl ReportedEnd {
    pub(crate) fn reason(self) -> Option<EndReason> {
        match self {
            Self::None => None,
            Self::Ended(reason) => reason,
        }
    }

    /// Whether the client has no session, not even under another identifier.
    pub(crate) fn is_final(self) -> bool {
        match self {
            Self::None => false,
            Self::Ended(reason) => !reason.is_some_and(EndReason::is_replacement),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_problem_has_its_status_code_delay_and_title() {
        const SECOND: Duration = Duration::from_secs(1);
        const NEVER: Option<u64> = None;
        let table = [
            (
                Problem::SignInRequired { ended: None },
                (401, "authentication-required", NEVER, "Sign in"),
            ),
            (
                Problem::ElevationRequired {
                    scope: "payments",
                    max_age: SECOND,
                },
                (401, "elevation-required", NEVER, "Confirm that it is you"),
            ),
            (
                Problem::ApprovalRequired { demand: "transfer" },
                (
                    401,
                    "approval-required",
                    NEVER,
                    "Confirm what you are about to do",
                ),
            ),
            (
                Problem::ElevationEnded,
                (401, "elevation-required", NEVER, "Something went wrong"),
            ),
            (
                Problem::SessionEnded { reason: None },
                (401, "session-ended", NEVER, "Your session has ended"),
            ),
            (
                Problem::SessionReplaced,
                (401, "session-replaced", NEVER, "Your session was renewed"),
            ),
            (
                Problem::Unavailable {
                    retry_after: SECOND,
                },
                (503, "session-unavailable", Some(1), "Try again shortly"),
            ),
            (
                Problem::TooLarge,
                (413, "session-too-large", NEVER, "Too much data"),
            ),
            (
                Problem::AtLimit,
                (409, "session-limit-reached", NEVER, "Too many devices"),
            ),
            (
                Problem::Suspended,
                (403, "user-suspended", NEVER, "Sign-in not possible"),
            ),
            (
                Problem::CrossSite,
                (
                    403,
                    "cross-site-request",
                    NEVER,
                    "Request from another site",
                ),
            ),
            (
                Problem::CookieWithheld,
                (
                    403,
                    "session-cookie-withheld",
                    NEVER,
                    "Request from another site",
                ),
            ),
            (
                Problem::Failed,
                (500, "session-error", NEVER, "Something went wrong"),
            ),
        ];
        for (row, (problem, expected)) in table.into_iter().enumerate() {
            // A new variant breaks this match. Its number is that of its row.
            let number = match problem {
                Problem::SignInRequired { .. } => 0,
                Problem::ElevationRequired { .. } => 1,
                Problem::ApprovalRequired { .. } => 2,
                Problem::ElevationEnded => 3,
                Problem::SessionEnded { .. } => 4,
                Problem::SessionReplaced => 5,
                Problem::Unavailable { .. } => 6,
                Problem::TooLarge => 7,
                Problem::AtLimit => 8,
                Problem::Suspended => 9,
                Problem::CrossSite => 10,
                Problem::CookieWithheld => 11,
                Problem::Failed => 12,
            };
            assert_eq!(number, row, "{problem:?}");
            let entry = problem.entry();
            let delay = entry.retry_after.map(|delay| delay.as_secs());
            let actual = (entry.status.as_u16(), entry.code, delay, entry.title);
            assert_eq!(actual, expected, "{problem:?}");
        }
    }

    #[test]
    fn a_replaced_identifier_is_reported_as_a_renewed_session_and_not_as_an_end() {
        for reason in [EndReason::Replaced, EndReason::ReplacedAtSignIn] {
            let problem = Problem::SignInRequired {
                ended: Some(reason),
            };
            let entry = problem.entry();
            assert_eq!(entry.title, "Your session was renewed");
            assert_eq!(entry.text, reason.message());
            assert_eq!(entry.end.reason(), Some(reason));
            assert!(!entry.end.is_final());
        }
        assert!(!Problem::SessionReplaced.entry().end.is_final());
        let ended = Problem::SessionEnded { reason: None };
        assert!(ended.entry().end.is_final());
    }
}
