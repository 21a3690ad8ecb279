//! What a live connection needs of its session: what its guard asked for.

use portcullis_core::{EndReason, Timestamp, UserId, draft::Standing};

use super::Lost;

/// What must stay true of a session.
#[derive(Debug, Clone, Default)]
pub(crate) struct Need {
    /// It is bound to this user.
    pub(crate) user: Option<UserId>,
    /// It is elevated for this scope.
    pub(crate) scope: Option<&'static str>,
    /// It was not used from another device since its user proved who they are.
    pub(crate) trust: bool,
}

impl Need {
    /// What is lost of a live session.
    pub(crate) fn unmet(&self, standing: &Standing, now: Timestamp) -> Option<Lost> {
        if self.user.is_some() && self.user.as_ref() != standing.user() {
            return Some(Lost::Session(Some(EndReason::ReplacedAtSignIn)));
        }
        let is_elevated = |scope| {
            let until = standing.elevated_until(scope);
            until.is_some_and(|until| now < until)
        };
        let distrusted = self.trust && standing.flagged().is_some();
        let not_elevated = self.scope.is_some_and(|scope| !is_elevated(scope));
        (distrusted || not_elevated).then_some(Lost::Elevation)
    }
}
