//! Revocation markers: up to which moment a user's authentications are revoked.

use std::collections::{BTreeSet, HashMap};

use crate::{SessionHandle, SessionMeta, Timestamp, UserId};

/// One marker for each user whose sessions were revoked, all of them or all but one.
///
/// In this store a revocation finds every session in its user's list. So the marker is for sign-ins
/// that were under way. They carry the moment at which they began.
#[derive(Default)]
pub(super) struct RevocationMarkers {
    of: HashMap<UserId, RevocationMarker>,
    by_end: BTreeSet<(Timestamp, UserId)>,
}

#[derive(Clone, Copy)]
struct RevocationMarker {
    /// All that authenticated up to this moment are revoked,
    all: Option<Timestamp>,
    /// and up to this moment all but `kept`.
    but_one: Timestamp,
    kept: Option<SessionHandle>,
    until: Timestamp,
}

impl RevocationMarkers {
    /// Revokes all sessions of the user up to `at`, or all but `kept`. It is remembered until
    /// `until`. A marker is never weakened: a session that an earlier revocation did not keep is
    /// not kept.
    pub(super) fn set(
        &mut self,
        user: &UserId,
        at: Timestamp,
        kept: Option<SessionHandle>,
        until: Timestamp,
    ) {
        let mut marker = RevocationMarker {
            all: kept.is_none().then_some(at),
            but_one: at,
            kept,
            until,
        };
        if let Some(before) = self.of.get(user) {
            self.by_end.remove(&(before.until, user.clone()));
            let not_kept = if before.kept == kept {
                before.all
            } else {
                Some(before.but_one)
            };
            marker.but_one = at.max(before.but_one);
            marker.all = if kept.is_none() {
                Some(marker.but_one)
            } else {
                not_kept
            };
            marker.until = until.max(before.until);
        }
        self.of.insert(user.clone(), marker);
        self.by_end.insert((marker.until, user.clone()));
    }

    /// Whether a session of this name and owner must not begin. An authentication at the very
    /// moment of the revocation counts as before it.
    pub(super) fn forbid(&self, meta: &SessionMeta) -> bool {
        let forbidden = |(user, since): (&UserId, Timestamp)| {
            self.of.get(user).is_some_and(|marker| {
                marker.all.is_some_and(|all| since <= all)
                    || (marker.kept != Some(meta.handle) && since <= marker.but_one)
            })
        };
        let owner = meta.owner.as_ref();
        owner.is_some_and(|owner| forbidden((&owner.user, owner.authenticated_at)))
    }

    pub(super) fn forget(&mut self, now: Timestamp) {
        while let Some((until, _)) = self.by_end.first()
            && *until <= now
            && let Some((_, user)) = self.by_end.pop_first()
        {
            self.of.remove(&user);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Owner;

    fn moment(secs: u64) -> Timestamp {
        Timestamp::from_millis(secs * 1000)
    }

    fn meta(authenticated_at: Timestamp) -> SessionMeta {
        let user = UserId::from("alice");
        let owner = Owner {
            user,
            authenticated_at,
        };
        SessionMeta::new(SessionHandle::generate().unwrap(), Some(owner))
    }

    #[test]
    fn sign_ins_that_began_up_to_the_marker_are_forbidden() {
        let mut markers = RevocationMarkers::default();
        markers.set(&"alice".into(), moment(5), None, moment(9));
        assert!(markers.forbid(&meta(moment(4))));
        assert!(markers.forbid(&meta(moment(5))));
        assert!(!markers.forbid(&meta(Timestamp::from_millis(5001))));
    }

    #[test]
    fn a_later_marker_never_weakens_an_earlier_one() {
        let mut markers = RevocationMarkers::default();
        let (kept, user) = (meta(moment(4)), UserId::from("alice"));
        markers.set(&user, moment(5), None, moment(90));
        markers.set(&user, moment(8), Some(kept.handle), moment(10));
        assert!(markers.forbid(&kept));
        assert!(markers.forbid(&meta(moment(8))));
        markers.set(&user, moment(3), None, moment(10));
        assert!(markers.forbid(&meta(moment(8))));
        markers.forget(moment(89));
        assert!(markers.forbid(&kept));
    }

    #[test]
    fn a_kept_session_is_kept_by_each_further_revocation() {
        let mut markers = RevocationMarkers::default();
        let (kept, user) = (meta(moment(4)), UserId::from("alice"));
        for at in [moment(5), moment(8)] {
            markers.set(&user, at, Some(kept.handle), moment(90));
            assert!(!markers.forbid(&kept));
        }
    }

    #[test]
    fn a_marker_is_forgotten_when_no_session_that_old_can_be_live() {
        let mut markers = RevocationMarkers::default();
        for (at, until) in [(1, 80), (5, 90)] {
            markers.set(&"alice".into(), moment(at), None, moment(until));
        }
        markers.forget(Timestamp::from_millis(89_999));
        assert!(markers.forbid(&meta(moment(4))));
        markers.forget(moment(90));
        assert!(!markers.forbid(&meta(moment(4))));
        assert!(markers.of.is_empty() && markers.by_end.is_empty());
    }
}
