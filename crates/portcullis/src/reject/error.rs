//! The errors of operations on a session.

use std::{fmt, time::Duration};

use http::StatusCode;
use portcullis_core::{
    ChangeError, debug_as_message,
    store::{StoreError, StoreErrorKind},
};

use crate::reject::problem::Problem;

/// Why an operation on a session failed.
///
/// As a response (feature `axum`), it is a problem document (RFC 9457) with the
/// [`status`](Self::status). The document states what the client can do, and reveals nothing about
/// the server. The message of the error is for logs. It contains no identifier and no value either.
/// `Debug` prints the message and its causes, for a `main` that returns the error.
#[derive(Clone, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// The store cannot answer or cannot write. The session is unchanged, and the cookie is kept.
    #[error("the session store cannot be used")]
    Store(#[from] StoreError),
    /// The session ended while the request was under way. No change of the request was made.
    #[error("the session ended while the request was under way; nothing was written")]
    Ended,
    /// The identifier of the request was replaced a moment ago. The session continues under a new
    /// one, which the browser has received in the meantime. No change of the request was made.
    #[error("the session continues under another identifier; nothing was written")]
    Replaced,
    /// The request has two live sessions under one cookie name. Neither counts, so there was no
    /// session to write to. A sign-in or a sign-out ends both.
    #[error("the request has two live sessions, and neither counts; nothing was written")]
    Ambiguous,
    /// The user has as many sessions as the limit allows, and was not signed in. The session and
    /// the cookie are unchanged. After a [`commit`](crate::Session::commit), the handler may
    /// continue to use the session.
    #[error("the user has as many sessions as the limit allows; nothing was written")]
    AtLimit,
    /// The user is [suspended](crate::Sessions::suspend), and was not signed in. The session and
    /// the cookie are unchanged. After a [`commit`](crate::Session::commit), the handler may
    /// continue to use the session.
    #[error("the user is suspended and was not signed in; an operator can resume them")]
    Suspended,
    /// The elevation that the route needed ended while the request was under way. Nothing was done.
    #[error("the elevation ended while the request was under way; nothing was done")]
    ElevationEnded,
    /// Another site caused the request, so the browser may have
    /// [withheld](crate::Session::cookie_withheld) its session cookie. A new session would replace
    /// it. Nothing was written.
    #[error(
        "another site caused the request and the browser withheld the session cookie, so nothing was written; add `CrossSiteSignInLayer` to routes that sign in from another site"
    )]
    CookieWithheld,
    /// An earlier commit of this request failed, and its result is unknown.
    #[error(
        "an earlier commit of this request failed, so the stored state is unknown; let the client try again"
    )]
    InDoubt,
    /// The change is not possible, or cannot be stored. Nothing was changed.
    #[error(transparent)]
    Change(#[from] ChangeError),
    /// Too many requests change the session at once, on this server, where they wait for each
    /// other, or on others. Nothing was written.
    #[error("too many requests change this session at once; try again")]
    Contended,
    /// The session is being committed by another task of the same request.
    #[error("the session is being committed; await `commit` before changing it again")]
    Committing,
    /// A function given to `update`, or the `Serialize` of a value, tried to change the session
    /// during a change.
    #[error(
        "a function given to `update` cannot change the session itself; change the value it is given"
    )]
    InsideUpdate,
    /// The head of the response was sent, so the session can no longer be changed.
    #[error("the response was sent already; change the session before the handler returns")]
    ResponseSent,
    /// The route is not below a `SessionLayer`.
    #[error("there is no session layer around this route; add `SessionLayer` outside of it")]
    MissingLayer,
    /// The layer has the cookie for local development, and the request is for another host.
    #[error(
        "the insecure cookie for local development is configured, but the request is not for localhost; open http://localhost instead, or use `CookieConfig::default()` over https"
    )]
    InsecureCookie,
    /// The innermost layer around the route has the cookie of a layer around it, and another realm.
    #[error(
        "a session layer stands inside another one with the same cookie and another realm; give it a cookie of its own"
    )]
    NestedLayer,
}

impl fmt::Debug for SessionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        debug_as_message(self, f)
    }
}

impl SessionError {
    /// The status of the response to this error.
    pub fn status(&self) -> StatusCode {
        self.problem().entry().status
    }

    /// After how many seconds the client should try again, if a retry can help.
    pub fn retry_after(&self) -> Option<u64> {
        let delay = self.problem().entry().retry_after?;
        Some(delay.as_secs())
    }

    /// What the response reports of this error.
    pub(crate) fn problem(&self) -> Problem {
        let unavailable = |seconds| Problem::Unavailable {
            retry_after: Duration::from_secs(seconds),
        };
        match self {
            Self::Store(error) => match error.kind() {
                StoreErrorKind::Unavailable => unavailable(1),
                _ => unavailable(5),
            },
            Self::Contended | Self::InDoubt => unavailable(1),
            Self::Ended => Problem::SessionEnded { reason: None },
            Self::Replaced => Problem::SessionReplaced,
            Self::Ambiguous => Problem::SignInRequired { ended: None },
            Self::ElevationEnded => Problem::ElevationEnded,
            Self::CookieWithheld => Problem::CookieWithheld,
            Self::AtLimit => Problem::AtLimit,
            Self::Suspended => Problem::Suspended,
            Self::Change(error) => match error {
                ChangeError::NoRandomness(_) | ChangeError::Unusable(Some(_)) => unavailable(5),
                ChangeError::Unusable(None) => Problem::SessionEnded { reason: None },
                ChangeError::TooLarge { .. } => Problem::TooLarge,
                ChangeError::NotAuthenticated => Problem::SignInRequired { ended: None },
                ChangeError::NotApproved => Problem::ElevationEnded,
                // This includes a user name that is empty or too long. It comes from the
                // application, so the client has nothing to correct.
                _ => Problem::Failed,
            },
            Self::Committing
            | Self::InsideUpdate
            | Self::ResponseSent
            | Self::MissingLayer
            | Self::InsecureCookie
            | Self::NestedLayer => Problem::Failed,
        }
    }

    /// Whether the change was refused and did not fail. Then a handler may answer with its own 4xx.
    pub(crate) fn is_refusal(&self) -> bool {
        match self {
            Self::Ended
            | Self::Replaced
            | Self::Ambiguous
            | Self::AtLimit
            | Self::Suspended
            | Self::CookieWithheld
            | Self::Change(ChangeError::NotApproved) => true,
            Self::Store(_)
            | Self::ElevationEnded
            | Self::InDoubt
            | Self::Change(_)
            | Self::Contended
            | Self::Committing
            | Self::InsideUpdate
            | Self::ResponseSent
            | Self::MissingLayer
            | Self::InsecureCookie
            | Self::NestedLayer => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_debug_output_of_an_error_is_its_message_and_its_causes() {
        let store = StoreError::new(StoreErrorKind::Unavailable, "Redis does not answer");
        let unit = ChangeError::NotAuthenticated;
        for (error, expected) in [
            (
                SessionError::Store(store),
                "the session store cannot be used; caused by: Redis does not answer",
            ),
            (
                SessionError::Change(unit),
                "the session has no user; authenticate before elevating",
            ),
        ] {
            assert_eq!(format!("{error:?}"), expected);
        }
    }

    #[test]
    fn every_error_has_its_status_and_delay() {
        let store = |kind| SessionError::Store(StoreError::new(kind, "message"));
        let too_long = ChangeError::UserTooLong {
            bytes: 1025,
            limit: 1024,
        };
        let cases = [
            (store(StoreErrorKind::Unavailable), 503, Some(1)),
            (store(StoreErrorKind::ReadOnly), 503, Some(5)),
            (store(StoreErrorKind::Full), 503, Some(5)),
            (store(StoreErrorKind::NewerFormat), 503, Some(5)),
            (SessionError::Contended, 503, Some(1)),
            (SessionError::InDoubt, 503, Some(1)),
            (SessionError::Ended, 401, None),
            (SessionError::Replaced, 401, None),
            (SessionError::Ambiguous, 401, None),
            (SessionError::AtLimit, 409, None),
            (SessionError::Suspended, 403, None),
            (SessionError::CookieWithheld, 403, None),
            (SessionError::ElevationEnded, 401, None),
            (
                ChangeError::TooLarge { size: 2, limit: 1 }.into(),
                413,
                None,
            ),
            (ChangeError::NotAuthenticated.into(), 401, None),
            (ChangeError::Unusable(None).into(), 401, None),
            (ChangeError::NotApproved.into(), 401, None),
            (ChangeError::EmptyUser.into(), 500, None),
            (too_long.into(), 500, None),
            (SessionError::MissingLayer, 500, None),
        ];
        for (error, status, retry_after) in cases {
            assert_eq!(
                (error.status().as_u16(), error.retry_after()),
                (status, retry_after),
                "{error}"
            );
        }
    }
}
