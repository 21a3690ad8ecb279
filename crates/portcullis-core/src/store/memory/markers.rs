//! Up to when a user's authentications have been revoked.

use std::collections::{BTreeSet, HashMap};

use crate::{SessionHandle, SessionMeta, Timestamp, UserId};

/// One for each user all of whose sessions were revoked, or all but one.
///
/// In this store a revocation finds every session in its user's list, so the marker is for sign-ins that were under
/// way: they come with the moment at which they began.
#[derive(Default)]
pub(super) struct RevocationMarkers {
    of: HashMap<UserId, RevocationMarker>,
    by_end: BTreeSet<(Timestamp, UserId)>,
}

#[derive(Clone, Copy)]
struct RevocationMarker {
    /// All that authenticated up to here were revoked,
    all: Option<Timestamp>,
    /// and up to here all but `kept`.
    but_one: Timestamp,
    kept: Option<SessionHandle>,
    until: Timestamp,
}

impl RevocationMarkers {
    /// Revokes up to `at` all sessions of the user, or all but the one that is kept; remembered until then. A marker is
    /// never weakened: what was not kept the last time is not kept by this one either.
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

    /// Whether a session of this name and owner must not begin any more. To have authenticated at that very moment counts
    /// as before it.
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
    fn what_began_up_to_the_mark_is_forbidden() {
        let mut markers = RevocationMarkers::default();
        markers.set(&"alice".into(), moment(5), None, moment(9));
        assert!(markers.forbid(&meta(moment(4))));
        assert!(markers.forbid(&meta(moment(5))));
        assert!(!markers.forbid(&meta(Timestamp::from_millis(5001))));
    }

    #[test]
    fn a_later_mark_never_weakens_an_earlier_one() {
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
    fn who_is_kept_is_kept_as_often_as_asked() {
        let mut markers = RevocationMarkers::default();
        let (kept, user) = (meta(moment(4)), UserId::from("alice"));
        for at in [moment(5), moment(8)] {
            markers.set(&user, at, Some(kept.handle), moment(90));
            assert!(!markers.forbid(&kept));
        }
    }

    #[test]
    fn a_mark_is_forgotten_when_nothing_that_old_can_live() {
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
