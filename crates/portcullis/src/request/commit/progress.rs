//! What an attempt to carry out a step achieved.

use crate::writing::working_copy::CookieAction;

/// What an attempt achieved.
pub(super) enum Progress {
    /// The step is done. With a new identifier, it decides about the cookie.
    Done(Option<CookieAction>),
    /// Something changed meanwhile: plan anew.
    Again,
}
