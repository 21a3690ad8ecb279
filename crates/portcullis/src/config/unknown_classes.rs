//! Warnings about stored sessions of classes that the policy does not have.

use std::sync::atomic::{AtomicU64, Ordering};

use portcullis_core::ClassCode;

/// The classes that a warning was logged for, one bit for each character.
#[derive(Debug, Default)]
pub(crate) struct UnknownClasses(AtomicU64);

impl UnknownClasses {
    /// Logs a warning, once for each class.
    pub(crate) fn warn(&self, class: ClassCode) {
        // One of `0-9` and `a-z`: at most 36 bits.
        let place = class.as_char().to_digit(36).unwrap_or_default();
        let bit = 1_u64 << place;
        if self.0.fetch_or(bit, Ordering::Relaxed) & bit == 0 {
            tracing::warn!(
                class = %class,
                "a session has a class that this process does not declare; the shortest timeouts of all classes apply to its privileges; declare the class with `SessionLayer::classes`"
            );
        }
    }
}
