//! Whether users can extend a session often enough.

use portcullis_core::Timeouts;

/// The number of extensions that WCAG 2.2, 2.2.1 requires.
const EXTENSIONS: u32 = 10;

/// Logs a warning if the timeouts do not permit that many extensions.
pub(super) fn warn_if_short(timeouts: &Timeouts) {
    if !is_enough(timeouts) {
        tracing::warn!(
            idle = ?timeouts.idle(),
            absolute = ?timeouts.absolute(),
            "sessions end before they can be extended ten times (WCAG 2.2, 2.2.1); let the absolute timeout be at least eleven times the idle one, or state the reason in `SessionRoutes::essential_limit`"
        );
    }
}

/// The first idle timeout needs no extension.
fn is_enough(timeouts: &Timeouts) -> bool {
    timeouts.absolute() >= timeouts.idle() * (EXTENSIONS + 1)
}
