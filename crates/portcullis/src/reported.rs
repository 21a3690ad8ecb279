//! Which uses of ended sessions were reported already.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

use portcullis_core::{EndReason, Handle};

/// How many are remembered. Of more, the oldest is reported once more when it comes again.
const ROOM: usize = 1024;

/// A page that is left open asks again and again with a session that has ended. That is one event.
#[derive(Default)]
pub(crate) struct Reported(Mutex<VecDeque<(Handle, EndReason)>>);

impl Reported {
    /// Whether this use is the first of its kind.
    pub(crate) fn is_first(&self, session: Handle, reason: EndReason) -> bool {
        // Nothing panics under this lock.
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.contains(&(session, reason)) {
            return false;
        }
        if known.len() >= ROOM {
            known.pop_front();
        }
        known.push_back((session, reason));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_use_is_the_first_once_and_the_oldest_is_forgotten() {
        let reported = Reported::default();
        let name = |number: usize| {
            let mut bytes = [0; 12];
            bytes[..8].copy_from_slice(&number.to_be_bytes());
            Handle::from_bytes(bytes)
        };
        for number in 0..ROOM {
            assert!(reported.is_first(name(number), EndReason::IdleTimeout));
            assert!(!reported.is_first(name(number), EndReason::IdleTimeout));
        }
        assert!(reported.is_first(name(1), EndReason::SignedOut));
        assert!(!reported.is_first(name(1), EndReason::IdleTimeout));
        assert!(reported.is_first(name(0), EndReason::IdleTimeout));
    }
}
