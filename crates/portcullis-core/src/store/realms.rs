//! The registry of realms in a store.

use std::time::Duration;

use crate::{Realm, Timestamp};

/// A realm that some session layer uses or has used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisteredRealm {
    /// Its name.
    pub realm: Realm,
    /// The name of the cookie of the layer that registered it last.
    pub cookie: String,
    /// The longest absolute timeout of all its layers.
    pub longest: Duration,
    /// When a layer last registered it, on the store's clock.
    pub seen_at: Timestamp,
}

/// Layers register their realm at least this often.
const SEEN_EVERY: Duration = Duration::from_secs(24 * 60 * 60);

impl RegisteredRealm {
    /// Whether a session of the realm can be live at `now`. Its last layer may have created one
    /// until a day after it registered the realm.
    pub fn may_have_sessions(&self, now: Timestamp) -> bool {
        now < self.seen_at.after(self.longest).after(SEEN_EVERY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_realm_has_ended_when_no_session_of_it_can_be_live() {
        let hour = Duration::from_secs(60 * 60);
        let seen_at = Timestamp::from_millis(1_000_000);
        let realm = RegisteredRealm {
            realm: Realm::default(),
            cookie: "__Host-Http-id".into(),
            longest: hour,
            seen_at,
        };
        assert!(realm.may_have_sessions(seen_at.after(hour * 24)));
        assert!(!realm.may_have_sessions(seen_at.after(hour * 25)));
    }
}
