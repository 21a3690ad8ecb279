//! Which uses of ended sessions were reported already.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

use portcullis_core::{Client, EndReason, SessionHandle};

/// How many are remembered. Of more, the oldest is reported once more when it comes again.
const ROOM: usize = 1024;

/// A page that is left open asks again and again with a session that has ended. That is one event, but for a client that
/// looks like another one: who took the identifier shall not hide behind that page.
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
        // Nothing panics under this lock.
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.contains(&this) {
            return false;
        }
        if known.len() >= ROOM {
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
    fn a_use_is_the_first_once_and_the_oldest_is_forgotten() {
        let reported = Reported::default();
        let name = |number: usize| {
            let mut bytes = [0; 12];
            bytes[..8].copy_from_slice(&number.to_be_bytes());
            SessionHandle::from_bytes(bytes)
        };
        let is_first = |number, reason| reported.is_first(name(number), reason, None);
        for number in 0..ROOM {
            assert!(is_first(number, EndReason::IdleTimeout));
            assert!(!is_first(number, EndReason::IdleTimeout));
        }
        assert!(is_first(1, EndReason::SignedOut));
        assert!(!is_first(1, EndReason::IdleTimeout));
        assert!(is_first(0, EndReason::IdleTimeout));
        let another = Some(Client::default());
        assert!(reported.is_first(name(1), EndReason::SignedOut, another));
    }
}
