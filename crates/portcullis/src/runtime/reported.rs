//! The recently reported uses of ended sessions.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

use portcullis_core::{Client, EndReason, SessionHandle};

/// How many uses are remembered. Beyond that, the oldest is forgotten, and reported again if it is
/// repeated.
const CAPACITY: usize = 1024;

/// The uses of ended sessions that were reported. An open page may poll with an ended session for
/// hours, which is one event. Each client is reported separately, so that a stolen identifier is
/// noticed even while that page polls.
#[derive(Default)]
pub(crate) struct Reported(Mutex<VecDeque<Use>>);

type Use = (SessionHandle, EndReason, Option<Client>);

impl Reported {
    /// Whether this use is the first of its kind.
    pub(crate) fn is_first(
        &self,
        session: SessionHandle,
        reason: EndReason,
        client: Option<Client>,
    ) -> bool {
        let this = (session, reason, client);
        // No code panics while it holds this lock.
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.contains(&this) {
            return false;
        }
        if known.len() >= CAPACITY {
            known.pop_front();
        }
        known.push_back(this);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_use_is_first_only_once_and_the_oldest_is_forgotten() {
        let reported = Reported::default();
        let handle = |number: usize| {
            let mut bytes = [0; 12];
            bytes[..8].copy_from_slice(&number.to_be_bytes());
            SessionHandle::from_bytes(bytes)
        };
        let is_first = |number, reason| reported.is_first(handle(number), reason, None);
        for number in 0..CAPACITY {
            assert!(is_first(number, EndReason::IdleTimeout));
            assert!(!is_first(number, EndReason::IdleTimeout));
        }
        assert!(is_first(1, EndReason::SignedOut));
        assert!(!is_first(1, EndReason::IdleTimeout));
        assert!(is_first(0, EndReason::IdleTimeout));
        let another = Some(Client::default());
        assert!(reported.is_first(handle(1), EndReason::SignedOut, another));
    }
}
