//! Revisions of writes.

use portcullis_core::store::Revision;

/// A random revision for a first write.
pub(super) fn random() -> Revision {
    Revision(rand::random())
}

/// A random revision for a write after `expected`. It differs from it: the same revision would mean
/// that the write was done already.
pub(super) fn random_after(expected: Revision) -> Revision {
    loop {
        let revision = random();
        if revision != expected {
            return revision;
        }
    }
}
