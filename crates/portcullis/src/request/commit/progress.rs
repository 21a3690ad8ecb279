//! The result of an attempt to carry out a step.

use crate::writing::working_copy::CookieAction;

/// The result of an attempt.
pub(super) enum Progress {
    /// The step is done. With a new identifier, it decides about the cookie.
    Done(Option<CookieAction>),
    /// The session changed in the meantime: plan anew.
    Again,
}
