//! A change of the active policy.

use std::time::Duration;

use portcullis_policy::Tightening;

/// A change of the active policy, for [`Policies::apply`](super::Policies::apply) and
/// [`Policies::plan`](super::Policies::plan).
///
/// ```
/// use portcullis::policy::{EndsAtMost, PolicyChange};
///
/// let text = "schema = 1\n[limits]\nidle = '10m'\n";
/// let change = PolicyChange::document(text, Some(11), "ada")
///     .reason(Some("SEC-214"))
///     .ends_at_most(EndsAtMost::Sessions(500));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PolicyChange<'a> {
    pub(super) to: To<'a>,
    pub(super) expected: Option<u64>,
    pub(super) by: &'a str,
    pub(super) reason: Option<&'a str>,
    pub(super) ends_at_most: EndsAtMost,
}

/// What the policy becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum To<'a> {
    /// The document with this text.
    Document(&'a str),
    /// The document of the version with this number.
    Version(u64),
    /// The active document, with no limit longer than these for this long.
    Tightened(Tightening, Duration),
    /// The active document, before the end of its tightening.
    Untightened,
}

/// How many sessions a change may end at once. It is refused if it would end more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum EndsAtMost {
    /// A tenth of all live sessions. A mistake in a document usually ends more.
    #[default]
    Tenth,
    /// This many.
    Sessions(u64),
    /// Any number. The sessions are not counted, so the change is activated at once.
    Any,
}

impl EndsAtMost {
    /// The number, of this many live sessions. `None` for any.
    pub(super) fn of(self, sessions: u64) -> Option<u64> {
        match self {
            Self::Tenth => Some(sessions / 10),
            Self::Sessions(most) => Some(most),
            Self::Any => None,
        }
    }
}

impl<'a> PolicyChange<'a> {
    /// Activates the document with this text, if the version `expected` is active (`None`: if none
    /// is). `by` is who does it: 1 to 200 bytes, which the history shows.
    pub fn document(text: &'a str, expected: Option<u64>, by: &'a str) -> Self {
        Self::to(To::Document(text), expected, by)
    }

    /// Activates the document of an earlier version, as a new version. It spares no session that
    /// another version has ended.
    pub fn roll_back(version: u64, expected: Option<u64>, by: &'a str) -> Self {
        Self::to(To::Version(version), expected, by)
    }

    /// Tightens the active document for a time, for example in an incident: no limit is longer than
    /// these for `lasts`, which is 1 minute to 30 days. Then the document alone holds again, without
    /// any further call. Another document that is activated meanwhile is tightened too. A session
    /// that the tightening has ended stays ended.
    ///
    /// ```
    /// # use std::time::Duration;
    /// use portcullis::policy::{PolicyChange, Tightening};
    ///
    /// const MINUTE: Duration = Duration::from_secs(60);
    /// let limits = Tightening { idle: Some(5 * MINUTE), ..Tightening::default() };
    /// let change = PolicyChange::tighten(limits, 120 * MINUTE, Some(11), "ada");
    /// ```
    pub fn tighten(
        limits: Tightening,
        lasts: Duration,
        expected: Option<u64>,
        by: &'a str,
    ) -> Self {
        Self::to(To::Tightened(limits, lasts), expected, by)
    }

    /// Ends a tightening before its time. If there is none, nothing is changed.
    pub fn cancel_tightening(expected: Option<u64>, by: &'a str) -> Self {
        Self::to(To::Untightened, expected, by)
    }

    fn to(to: To<'a>, expected: Option<u64>, by: &'a str) -> Self {
        Self {
            to,
            expected,
            by,
            reason: None,
            ends_at_most: EndsAtMost::default(),
        }
    }

    /// Why: at most 200 bytes, which the history shows.
    #[must_use]
    pub fn reason(self, reason: Option<&'a str>) -> Self {
        Self { reason, ..self }
    }

    /// How many sessions it may end at once. The default is [`EndsAtMost::Tenth`].
    #[must_use]
    pub fn ends_at_most(self, ends_at_most: EndsAtMost) -> Self {
        Self {
            ends_at_most,
            ..self
        }
    }
}
