//! Whether somebody who is offered to stay can do so often enough.

use portcullis_core::Timeouts;

/// What WCAG 2.2, 2.2.1 asks for.
const EXTENSIONS: u32 = 10;

/// Says so, where the limits do not leave room for it.
pub(super) fn warn_if_short(timeouts: &Timeouts) {
    if !is_enough(timeouts) {
        tracing::warn!(
            idle = ?timeouts.idle(),
            absolute = ?timeouts.absolute(),
            "sessions end before they can be extended ten times (WCAG 2.2, 2.2.1); let the absolute timeout be at least eleven times the idle one, or tell `SessionRoutes::essential_limit` why it is shorter"
        );
    }
}

/// One idle timeout is there without any extension.
fn is_enough(timeouts: &Timeouts) -> bool {
    timeouts.absolute() >= timeouts.idle() * (EXTENSIONS + 1)
}
