//! What a response says became of its request, and what the session makes of it.

use std::{fmt, sync::Arc};

use http::{Response, StatusCode, response::Parts};

/// What became of a request, according to its response. It decides which changes of the session are
/// carried out.
///
/// The status decides, see [`of_status`](Self::of_status). For protocols with another way to report
/// a refusal, the application decides, see
/// [`SessionLayer::classify_responses`](crate::SessionLayer::classify_responses).
///
/// Changes that only remove rights are carried out with every outcome:
/// [`terminate`](crate::Session::terminate), [`regenerate`](crate::Session::regenerate),
/// [`drop_elevation`](crate::Session::drop_elevation), revocations, and observations of the device.
/// Writes of an earlier [`Session::commit`](crate::Session::commit) are not undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(
    clippy::exhaustive_enums,
    reason = "there is nothing between all and nothing but this"
)]
pub enum Outcome {
    /// The request was done: everything is carried out.
    Succeeded,
    /// The request was refused: sign-ins and elevations are dropped, and so is every change after
    /// the first of them. Earlier changes, such as a count of failed attempts, are carried out.
    Refused,
    /// The request failed, perhaps half-way: sign-ins, elevations and all data are dropped.
    Failed,
}

impl Outcome {
    /// [`Failed`](Self::Failed) from 500 on, and with 408, which timeout layers send.
    /// [`Refused`](Self::Refused) with every other status from 400 on.
    ///
    /// ```
    /// # use http::StatusCode;
    /// # use portcullis::reject::Outcome;
    /// assert_eq!(Outcome::of_status(StatusCode::SEE_OTHER), Outcome::Succeeded);
    /// assert_eq!(Outcome::of_status(StatusCode::UNPROCESSABLE_ENTITY), Outcome::Refused);
    /// assert_eq!(Outcome::of_status(StatusCode::BAD_GATEWAY), Outcome::Failed);
    /// ```
    pub fn of_status(status: StatusCode) -> Self {
        match status.as_u16() {
            408 | 500.. => Self::Failed,
            400.. => Self::Refused,
            _ => Self::Succeeded,
        }
    }
}

/// An extension of a response that refuses its request and still grants what the handler asked for.
/// Sign-ins, elevations and later changes are carried out as if the [`Outcome`] were
/// [`Succeeded`](Outcome::Succeeded).
///
/// It is for responses whose status of 400 or above does not mean that the proof was insufficient.
/// An example is a correct password for an account that must first accept new terms. It has no
/// effect if the request *failed*: with a status of 500 or above, or 408, it is unknown how far the
/// handler came.
///
/// With axum it is a part of the response:
///
#[cfg_attr(feature = "axum", doc = "```")]
#[cfg_attr(not(feature = "axum"), doc = "```ignore")]
/// # use axum::{http::StatusCode, response::IntoResponse};
/// # use portcullis::{Session, SessionError, reject::KeepGrants};
/// async fn sign_in(session: Session) -> Result<impl IntoResponse, SessionError> {
///     // … after the password was verified:
///     session.authenticate("alice")?;
///     Ok((StatusCode::FORBIDDEN, KeepGrants, "Accept the new terms to go on."))
/// }
/// ```
///
/// Elsewhere, and in a middleware:
///
/// ```
/// # use http::Response;
/// # use portcullis::reject::KeepGrants;
/// # fn grant<B>(mut response: Response<B>) -> Response<B> {
/// response.extensions_mut().insert(KeepGrants);
/// # response }
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "it says all by being there")]
pub struct KeepGrants;

#[cfg(feature = "axum")]
impl axum_core::response::IntoResponseParts for KeepGrants {
    type Error = std::convert::Infallible;

    fn into_response_parts(
        self,
        mut response: axum_core::response::ResponseParts,
    ) -> Result<axum_core::response::ResponseParts, Self::Error> {
        response.extensions_mut().insert(self);
        Ok(response)
    }
}

type Classify = dyn Fn(&Parts) -> Outcome + Send + Sync;

/// How the layer derives the outcome from a response.
#[derive(Clone, Default)]
pub(crate) struct Classifier(Option<Arc<Classify>>);

impl Classifier {
    pub(crate) fn new(classify: impl Fn(&Parts) -> Outcome + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(classify)))
    }

    pub(crate) fn judge<B>(&self, response: Response<B>) -> (Verdict, Response<B>) {
        let mut outcome = Outcome::of_status(response.status());
        let response = match &self.0 {
            None => response,
            Some(classify) => {
                let (head, body) = response.into_parts();
                // It can only be stricter: a 503 of a layer in between says nothing in the application's protocol.
                outcome = outcome.max(classify(&head));
                Response::from_parts(head, body)
            }
        };
        let verdict = Verdict {
            outcome,
            keeps_grants: response.extensions().get::<KeepGrants>().is_some(),
        };
        (verdict, response)
    }
}

impl fmt::Debug for Classifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            None => "by status",
            Some(_) => "by status and function",
        })
    }
}

/// What follows from a response.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Verdict {
    outcome: Outcome,
    keeps_grants: bool,
}

impl Verdict {
    /// What to make of what the request asked for.
    pub(crate) fn of_changes(self) -> Outcome {
        match self.outcome {
            Outcome::Refused if self.keeps_grants => Outcome::Succeeded,
            outcome => outcome,
        }
    }

    /// Whether the request may count as activity.
    pub(crate) fn is_activity(self) -> bool {
        self.outcome == Outcome::Succeeded
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(classifier: &Classifier, status: u16, keeps_grants: bool) -> Verdict {
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        if keeps_grants {
            response.extensions_mut().insert(KeepGrants);
        }
        classifier.judge(response).0
    }

    #[test]
    fn rule_13_every_status_has_its_outcome() {
        for status in 100..=999 {
            let outcome = match status {
                408 | 500..=999 => Outcome::Failed,
                400..=499 => Outcome::Refused,
                _ => Outcome::Succeeded,
            };
            let verdict = verdict(&Classifier::default(), status, false);
            assert_eq!(verdict.of_changes(), outcome, "{status}");
            assert_eq!(verdict.is_activity(), status < 400, "{status}");
        }
    }

    #[test]
    fn grants_can_be_kept_where_the_request_was_refused_and_not_where_it_failed() {
        for (status, outcome) in [
            (204, Outcome::Succeeded),
            (403, Outcome::Succeeded),
            (408, Outcome::Failed),
            (500, Outcome::Failed),
        ] {
            let verdict = verdict(&Classifier::default(), status, true);
            assert_eq!(verdict.of_changes(), outcome, "{status}");
        }
        let refused = verdict(&Classifier::default(), 403, true);
        assert!(!refused.is_activity(), "the answer is a refusal still");
    }

    #[test]
    fn a_classifier_can_be_stricter_than_the_status_and_not_less_strict() {
        use Outcome::{Failed, Refused, Succeeded};
        for (says, outcomes) in [
            (Succeeded, [Succeeded, Refused, Failed]),
            (Refused, [Refused, Refused, Failed]),
            (Failed, [Failed, Failed, Failed]),
        ] {
            let classifier = Classifier::new(move |_| says);
            let of = |status| verdict(&classifier, status, false).of_changes();
            assert_eq!([of(200), of(400), of(500)], outcomes, "{says:?}");
        }
    }
}
